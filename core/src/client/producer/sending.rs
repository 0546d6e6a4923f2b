//! [`Sending`]: the future of one record.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use super::accumulator::Place;
use crate::error::{Error, ErrorKind, Result};
use crate::types::{Offset, Partition, Timestamp};

/// Where a record went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Ack {
    /// Its partition.
    pub partition: Partition,
    /// Its offset; -1 under `acks=0`.
    pub offset: Offset,
    /// Its timestamp: the producer's, or the log's under `LogAppendTime`.
    pub timestamp: Timestamp,
}

/// A record on its way; await it for the [`Ack`], now or later.
///
/// The record entered its batch when `send` was called, unless the buffer was full: then it waits
/// here and enters when this future is awaited. So a future that is dropped loses its record only
/// while the buffer is full; [`Sending::queued`] waits for just that.
#[must_use = "while the buffer is full the record waits in this future: await it, or `queued`"]
pub struct Sending {
    state: State,
}

pub(super) type Waiting = Pin<Box<dyn Future<Output = Result<Place>> + Send>>;

enum State {
    Waiting(Waiting),
    Placed { place: Place, slot: Option<usize> },
    Failed(Error),
    Taken,
}

impl Sending {
    pub(super) fn placed(place: Place) -> Self {
        let state = State::Placed { place, slot: None };
        Self { state }
    }

    pub(super) fn waiting(waiting: Waiting) -> Self {
        let state = State::Waiting(waiting);
        Self { state }
    }

    pub(super) fn failed(error: Error) -> Self {
        let state = State::Failed(error);
        Self { state }
    }

    /// Waits until the record is in a batch: the producer's back-pressure, without waiting for the
    /// answer. What is returned resolves to the [`Ack`] and may be dropped.
    ///
    /// # Errors
    /// When the record cannot be sent: too large, no room within `max_block`, refused by the serde.
    pub async fn queued(mut self) -> Result<Self> {
        std::future::poll_fn(|context| self.poll_place(context)).await?;
        Ok(self)
    }

    fn poll_place(&mut self, context: &mut Context<'_>) -> Poll<Result<()>> {
        match &mut self.state {
            State::Waiting(waiting) => match waiting.as_mut().poll(context) {
                Poll::Pending => Poll::Pending,
                Poll::Ready(Ok(place)) => {
                    self.state = State::Placed { place, slot: None };
                    Poll::Ready(Ok(()))
                }
                Poll::Ready(Err(error)) => {
                    self.state = State::Taken;
                    Poll::Ready(Err(error))
                }
            },
            State::Placed { .. } => Poll::Ready(Ok(())),
            State::Failed(_) | State::Taken => {
                let state = std::mem::replace(&mut self.state, State::Taken);
                Poll::Ready(Err(match state {
                    State::Failed(error) => error,
                    _ => Error::new(ErrorKind::InvalidRequest, "a send's future ended before"),
                }))
            }
        }
    }
}

impl Future for Sending {
    type Output = Result<Ack>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        match self.poll_place(context) {
            Poll::Pending => return Poll::Pending,
            Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
            Poll::Ready(Ok(())) => {}
        }
        let State::Placed { place, slot } = &mut self.state else {
            return Poll::Pending;
        };
        let Poll::Ready(result) = place.completion.poll(slot, context) else {
            return Poll::Pending;
        };
        let ack = result.map(|produced| Ack {
            partition: place.partition,
            offset: match produced.base_offset {
                base if base.value() < 0 => base,
                base => base.plus(i64::from(place.index)),
            },
            timestamp: match produced.log_append_time {
                Timestamp::NONE => place.timestamp,
                time => time,
            },
        });
        self.state = State::Taken;
        Poll::Ready(ack)
    }
}

impl fmt::Debug for Sending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.state {
            State::Waiting(_) => "Sending(waits for room)",
            State::Placed { .. } => "Sending(in a batch)",
            State::Failed(_) => "Sending(failed)",
            State::Taken => "Sending(answered)",
        })
    }
}
