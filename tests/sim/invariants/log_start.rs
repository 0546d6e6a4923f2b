//! Deleted records stay deleted, and a log without retention loses none that nobody deleted.

use super::Recovered;

pub(crate) fn check(found: &Recovered) {
    let (acknowledged, asked) = found.told.starts;
    let Recovered {
        name,
        partition,
        start,
        ..
    } = found;
    assert!(
        *start >= acknowledged,
        "{name}-{partition} starts at {start}: records were deleted before {acknowledged}"
    );
    assert!(
        found.retained || *start <= asked,
        "{name}-{partition} starts at {start}, and nobody deleted records beyond {asked}"
    );
}
