//! [`Sending`]: the future of one record.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

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
    Placed(Delivery),
    Failed(Error),
    Taken,
}

/// A record that is in its batch; await it for the [`Ack`], or drop it: the record is sent anyway.
#[derive(Debug)]
pub struct Delivery {
    place: Place,
    /// Where our waker lies in the batch's completion.
    slot: Option<usize>,
}

impl Future for Delivery {
    type Output = Result<Ack>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let Self { place, slot } = &mut *self;
        place.completion.poll(slot, context).map(|result| {
            let produced = result?;
            Ok(Ack {
                partition: place.partition,
                offset: match produced.base_offset {
                    base if base.value() < 0 => base,
                    base => base.plus(i64::from(place.index)),
                },
                timestamp: match produced.log_append_time {
                    Timestamp::NONE => place.timestamp,
                    time => time,
                },
            })
        })
    }
}

impl Sending {
    pub(super) fn placed(place: Place) -> Self {
        let state = State::Placed(Delivery { place, slot: None });
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
    /// answer, which what is returned resolves to.
    ///
    /// # Errors
    /// When the record cannot be sent: too large, no room within `max_block`, refused by the serde.
    pub async fn queued(mut self) -> Result<Delivery> {
        std::future::poll_fn(|context| self.poll_place(context)).await?;
        match self.state {
            State::Placed(delivery) => Ok(delivery),
            State::Waiting(_) | State::Failed(_) | State::Taken => Err(ended()),
        }
    }

    fn poll_place(&mut self, context: &mut Context<'_>) -> Poll<Result<()>> {
        match std::mem::replace(&mut self.state, State::Taken) {
            State::Waiting(mut waiting) => match waiting.as_mut().poll(context) {
                Poll::Pending => {
                    self.state = State::Waiting(waiting);
                    Poll::Pending
                }
                Poll::Ready(Ok(place)) => {
                    self.state = State::Placed(Delivery { place, slot: None });
                    Poll::Ready(Ok(()))
                }
                Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            },
            State::Placed(delivery) => {
                self.state = State::Placed(delivery);
                Poll::Ready(Ok(()))
            }
            State::Failed(error) => Poll::Ready(Err(error)),
            State::Taken => Poll::Ready(Err(ended())),
        }
    }
}

impl Future for Sending {
    type Output = Result<Ack>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        if let Err(error) = ready!(self.poll_place(context)) {
            return Poll::Ready(Err(error));
        }
        let State::Placed(delivery) = &mut self.state else {
            return Poll::Ready(Err(ended()));
        };
        let ack = ready!(Pin::new(delivery).poll(context));
        self.state = State::Taken;
        Poll::Ready(ack)
    }
}

fn ended() -> Error {
    Error::new(
        ErrorKind::InvalidRequest,
        "a send's future was awaited after its end",
    )
}

impl fmt::Debug for Sending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.state {
            State::Waiting(_) => "Sending(waits for room)",
            State::Placed(_) => "Sending(in a batch)",
            State::Failed(_) => "Sending(failed)",
            State::Taken => "Sending(answered)",
        })
    }
}
