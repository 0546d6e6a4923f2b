//! Groups' progress: a commit becomes records of `__consumer_offsets`, and replaying the records
//! alone changes the state. So loading after a restart is the same as running.

use std::collections::BTreeMap;

use super::records::{CommitKey, CommitValue};
use crate::bounded::HashMap;
use crate::error::{Error, ErrorKind, Result};
use crate::request::CommittedOffset;
use crate::types::{GroupId, LeaderEpoch, Offset, Timestamp, TopicId, TopicPartition};

/// The longest note that a commit may carry, in bytes (`offset.metadata.max.bytes`).
const METADATA_MAX: usize = 4096;

/// The progress of the groups of one partition of `__consumer_offsets`.
#[derive(Debug, Default)]
pub(crate) struct Offsets {
    groups: HashMap<GroupId, BTreeMap<TopicPartition, Slot>>,
}

/// What a key's latest record said, and where that record lies in the log. A removed offset keeps
/// its slot, so that an older record that is replayed late does not bring it back.
#[derive(Debug)]
struct Slot {
    at: Offset,
    value: Option<CommitValue>,
}

/// A record to be appended: key and value.
pub(crate) type Record = (Vec<u8>, Option<Vec<u8>>);

impl Offsets {
    /// The records of a commit; it takes effect when they are replayed.
    pub(crate) fn commit(
        group: &GroupId,
        offsets: Vec<(TopicPartition, TopicId, CommittedOffset)>,
        now: Timestamp,
    ) -> Result<Vec<Record>> {
        let mut records = Vec::with_capacity(offsets.len());
        for (partition, topic_id, committed) in offsets {
            if committed.metadata.len() > METADATA_MAX {
                let length = committed.metadata.len();
                let message = format!("metadata of {length} bytes, {METADATA_MAX} are allowed");
                return Err(
                    Error::new(ErrorKind::OffsetMetadataTooLarge, message).partition(&partition)
                );
            }
            if committed.offset.value() < 0 {
                let message = "a committed offset cannot be negative";
                return Err(Error::new(ErrorKind::InvalidRequest, message)
                    .partition(&partition)
                    .offset(committed.offset));
            }
            let value = CommitValue {
                offset: committed.offset,
                leader_epoch: LeaderEpoch(-1),
                metadata: committed.metadata,
                committed_at: now,
                topic_id: Some(topic_id),
            };
            let key = CommitKey {
                group: group.clone(),
                partition,
            };
            records.push((key.encode(), Some(value.encode())));
        }
        Ok(records)
    }

    /// Applies the record at `at`. Records may come in any order: the one with the highest offset
    /// wins. Keys of other kinds (group metadata) are passed over.
    pub(crate) fn replay(&mut self, at: Offset, key: &[u8], value: Option<&[u8]>) -> Result<()> {
        let Some(key) = CommitKey::decode(key)? else {
            return Ok(());
        };
        let value = value.map(CommitValue::decode).transpose()?;
        let group = self.groups.entry(key.group).or_default();
        let newest = group.get(&key.partition).is_none_or(|slot| slot.at < at);
        if newest {
            group.insert(key.partition, Slot { at, value });
        }
        Ok(())
    }

    /// All that a group has committed, sorted by partition, with the topic's id of that time.
    pub(crate) fn of(
        &self,
        group: &GroupId,
    ) -> impl Iterator<Item = (&TopicPartition, &CommitValue)> {
        let slots = self.groups.get(group).into_iter().flatten();
        slots.filter_map(|(partition, slot)| Some((partition, slot.value.as_ref()?)))
    }
}

/// The partition of `__consumer_offsets` that holds a group: Java's `String.hashCode`, made
/// positive, modulo the number of partitions.
pub(crate) fn partition_for_group(group: &GroupId, partitions: i32) -> i32 {
    assert!(partitions > 0, "a topic has at least one partition");
    let hash = group.as_str().encode_utf16().fold(0_i32, |hash, unit| {
        hash.wrapping_mul(31).wrapping_add(i32::from(unit))
    });
    hash.checked_abs().unwrap_or(0) % partitions
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::{Partition, TopicName};
    use proptest::prelude::*;

    #[test]
    fn groups_hash_as_in_java() {
        let partition = |group| partition_for_group(&GroupId::new(group).unwrap(), 50);
        assert_eq!(partition("a"), 47);
        assert_eq!(partition("polygenelubricants"), 0); // hashCode is Integer.MIN_VALUE
        assert_eq!(partition("\u{1F600}"), 1_772_899 % 50);
    }

    proptest! {
        /// Commits and removals in any order of replay give what a map gives in log order.
        #[test]
        fn offsets_are_a_map(
            events in prop::collection::vec(
                (0..3_i32, 0..3_i32, prop::option::of(0..99_i64)),
                0..40,
            ),
            swaps in prop::collection::vec((0..40_usize, 0..40_usize), 0..20),
        ) {
            let id = TopicId(uuid::Uuid::from_u128(1));
            let mut model: BTreeMap<(i32, i32), i64> = BTreeMap::new();
            let mut log = Vec::new();
            for (at, (group, partition, offset)) in (0..).zip(&events) {
                let tp = TopicPartition::new(TopicName::new("t").unwrap(), Partition(*partition));
                let name = GroupId::new(&format!("g{group}")).unwrap();
                let committed = CommittedOffset::at(Offset(offset.unwrap_or(0)));
                let (key, value) = Offsets::commit(&name, vec![(tp, id, committed)], Timestamp(5))
                    .unwrap()
                    .remove(0);
                log.push((Offset(at), key, value.filter(|_| offset.is_some())));
                match offset {
                    Some(offset) => model.insert((*group, *partition), *offset),
                    None => model.remove(&(*group, *partition)),
                };
            }
            for (a, b) in swaps {
                if a < log.len() && b < log.len() {
                    log.swap(a, b);
                }
            }
            let mut offsets = Offsets::default();
            for (at, key, value) in &log {
                offsets.replay(*at, key, value.as_deref()).unwrap();
            }
            let mut found = BTreeMap::new();
            for group in 0..3 {
                for (tp, value) in offsets.of(&GroupId::new(&format!("g{group}")).unwrap()) {
                    found.insert((group, tp.partition.value()), value.offset.value());
                }
            }
            prop_assert_eq!(found, model);
        }
    }

    #[test]
    fn notes_are_bounded() {
        let tp = TopicPartition::new(TopicName::new("t").unwrap(), Partition(0));
        let commit = |length: usize| {
            let committed = CommittedOffset {
                offset: Offset(1),
                metadata: "x".repeat(length),
            };
            let id = TopicId(uuid::Uuid::nil());
            let group = GroupId::new("g").unwrap();
            Offsets::commit(&group, vec![(tp.clone(), id, committed)], Timestamp(0))
        };
        assert!(commit(METADATA_MAX).is_ok());
        let error = commit(METADATA_MAX + 1).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::OffsetMetadataTooLarge);
    }
}
