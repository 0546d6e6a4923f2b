//! The end of a batch, shared by the futures of all its records: one allocation a batch.

use std::sync::Mutex;
use std::task::{Context, Poll, Waker};

use crate::error::Result;
use crate::request::Produced;
use crate::sync::lock;

/// Where a batch went, once it is known.
#[derive(Debug, Default)]
pub(super) struct Completion {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    result: Option<Result<Produced>>,
    wakers: Vec<Waker>,
}

impl Completion {
    /// Tells everybody who waits, now or later.
    pub(super) fn complete(&self, result: Result<Produced>) {
        let wakers = {
            let mut state = lock(&self.state);
            debug_assert!(state.result.is_none(), "a batch ends once");
            state.result = Some(result);
            std::mem::take(&mut state.wakers)
        };
        for waker in wakers {
            waker.wake();
        }
    }

    pub(super) fn is_complete(&self) -> bool {
        lock(&self.state).result.is_some()
    }

    /// Waits; `slot` is where this waiter's waker lies, empty at first.
    pub(super) fn poll(
        &self,
        slot: &mut Option<usize>,
        context: &Context<'_>,
    ) -> Poll<Result<Produced>> {
        let mut state = lock(&self.state);
        if let Some(result) = &state.result {
            return Poll::Ready(result.clone());
        }
        match slot.and_then(|slot| state.wakers.get_mut(slot)) {
            Some(waker) => waker.clone_from(context.waker()),
            None => {
                *slot = Some(state.wakers.len());
                state.wakers.push(context.waker().clone());
            }
        }
        Poll::Pending
    }

    /// Waits without a place to keep the slot.
    pub(super) async fn wait(&self) -> Result<Produced> {
        let mut slot = None;
        std::future::poll_fn(|context| self.poll(&mut slot, context)).await
    }
}
