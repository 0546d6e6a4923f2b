//! An offset has one record for ever: what was read or acknowledged at an offset that the log
//! still holds is what is read there now.

use super::Recovered;

pub(crate) fn check(found: &Recovered) {
    for (offset, id) in &found.records {
        if let Some(before) = found.told.seen.get(offset) {
            assert_eq!(
                id, before,
                "{}-{}: offset {offset} has another record than before",
                found.name, found.partition
            );
        }
    }
}
