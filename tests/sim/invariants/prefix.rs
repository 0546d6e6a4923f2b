//! A recovered log is a prefix of what was written: whole, without gaps, in the order of sending,
//! nothing twice.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use super::Recovered;
use crate::model::{Answer, Model};

pub(crate) fn check(found: &Recovered, model: &Model) {
    let place = format!("{}-{}", found.name, found.partition);
    let offsets: Vec<i64> = found.records.iter().map(|(offset, _)| *offset).collect();
    let expect: Vec<i64> = (found.start..found.end).collect();
    assert_eq!(offsets, expect, "{place}: the offsets have gaps");
    let ids: BTreeSet<u64> = found.records.iter().map(|(_, id)| *id).collect();
    assert_eq!(
        ids.len(),
        found.records.len(),
        "{place}: a record is there twice"
    );
    let mut last: BTreeMap<u64, u64> = BTreeMap::new();
    for (offset, id) in &found.records {
        let producer = model.attempt(*id).map_or(0, |attempt| attempt.producer);
        let Some(before) = last.insert(producer, *id) else {
            continue;
        };
        assert!(
            before < *id,
            "{place}: record {id} at offset {offset} comes after {before}, which was sent later"
        );
        // Ids of one producer rise as it sends, so what it sent in between should lie in between.
        for skipped in before + 1..*id {
            assert!(
                !is_due(model, found, producer, skipped),
                "{place}: record {skipped} is missing between {before} and {id}"
            );
        }
    }
}

/// Whether a record must be in a partition that holds a later one of the same producer: it was
/// sent there, and nothing allowed the log to refuse it.
fn is_due(model: &Model, found: &Recovered, producer: u64, id: u64) -> bool {
    model.attempt(id).is_some_and(|attempt| {
        attempt.producer == producer
            && attempt.partition == Some(found.partition)
            && attempt.incarnation == found.incarnation
            && attempt.answer != Answer::Failed
            && !attempt.may_be_refused
    })
}
