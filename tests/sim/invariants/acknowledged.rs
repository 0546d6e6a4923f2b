//! What was acknowledged is there: under `acks=all` always, under `acks=1` unless the machine lost
//! its power since.

use super::Recovered;

pub(crate) fn check(found: &Recovered, power_lost: bool) {
    let due = match power_lost {
        true => found.told.synced_end,
        false => found.told.written_end,
    };
    let Recovered {
        name,
        partition,
        start,
        end,
        ..
    } = found;
    assert!(
        *end >= due,
        "{name}-{partition} ends at {end}, and was acknowledged up to {due} \
         (power lost: {power_lost})"
    );
    // Each at its own offset; those before the start are the business of `log_start`.
    for (offset, id) in found.told.seen.range(*start..(*start).max(due)) {
        assert!(
            found.records.contains(&(*offset, *id)),
            "{name}-{partition}: record {id} is not at offset {offset} any more"
        );
    }
}
