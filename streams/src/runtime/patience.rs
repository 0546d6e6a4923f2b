//! What fails but may succeed later is asked again, a few times.

use std::time::Duration;

use headwater_core::Result;
use headwater_core::client::{ClusterBackend, FetchRequest, Fetched};
use headwater_core::env::Clock;

/// The first wait before it is asked again; each wait after it is twice as long.
const FIRST_WAIT: Duration = Duration::from_millis(50);

/// How often it is asked, at most: over three seconds.
const ATTEMPTS: u32 = 7;

/// Fetches; asks again for all while the call or one of its answers fails with what may pass.
pub(super) async fn fetch(
    backend: &dyn ClusterBackend,
    request: FetchRequest,
) -> Result<Vec<Result<Fetched>>> {
    let ask = || backend.fetch(request.clone());
    again(&*backend.env().clock, ask, |result| match result {
        Ok(answers) => answers.iter().any(may_pass),
        Err(error) => error.kind().retriable(),
    })
    .await
}

fn may_pass<T>(answer: &Result<T>) -> bool {
    matches!(answer, Err(error) if error.kind().retriable())
}

/// Asks until the answer is not one that `may_pass`, or often enough.
async fn again<T, F: Future<Output = T>>(
    clock: &dyn Clock,
    ask: impl Fn() -> F,
    may_pass: impl Fn(&T) -> bool,
) -> T {
    let mut wait = FIRST_WAIT;
    for _ in 1..ATTEMPTS {
        let answer = ask().await;
        if !may_pass(&answer) {
            return answer;
        }
        clock.sleep_until(clock.monotonic() + wait).await;
        wait *= 2;
    }
    ask().await
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use headwater_core::env::Simulation;
    use headwater_core::{Error, ErrorKind};

    use super::*;

    /// Fails so many times with `kind`; returns how often it was asked, for how long, the result.
    fn asked(failures: u32, kind: ErrorKind) -> (u32, Duration, Result<()>) {
        let simulation = Simulation::new(1);
        let calls = Cell::new(0);
        let ask = || {
            calls.set(calls.get() + 1);
            let fails = calls.get() <= failures;
            std::future::ready(if fails {
                Err(Error::new(kind, "not now"))
            } else {
                Ok(())
            })
        };
        let clock = simulation.clock();
        let failed = |answer: &Result<()>| may_pass(answer);
        let result = simulation.block_on(again(clock, ask, failed)).unwrap();
        (calls.get(), clock.monotonic(), result)
    }

    #[test]
    fn what_may_pass_is_asked_again_and_what_may_not_is_not() {
        let (calls, time, result) = asked(2, ErrorKind::RequestTimedOut);
        assert_eq!((calls, result.is_ok()), (3, true));
        assert!(time >= FIRST_WAIT * 3 && time < FIRST_WAIT * 4, "{time:?}");
        let (calls, _, result) = asked(1, ErrorKind::OffsetOutOfRange);
        assert_eq!((calls, result.is_err()), (1, true));
        let (calls, _, result) = asked(u32::MAX, ErrorKind::RequestTimedOut);
        assert_eq!((calls, result.is_err()), (ATTEMPTS, true));
    }
}
