//! The same seed gives the same run: the same choices at the same times, the same bytes on the
//! disk.

use crate::world::Outcome;

pub(crate) fn check(first: &Outcome, second: &Outcome) {
    let seed = first.seed;
    assert_eq!(first.trace, second.trace, "seed {seed} chose otherwise");
    assert_eq!(first.time, second.time, "seed {seed} took another time");
    assert_eq!(first.digest, second.digest, "seed {seed} wrote otherwise");
    assert_eq!(first.counts, second.counts, "seed {seed} did otherwise");
}
