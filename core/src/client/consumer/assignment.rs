//! What a consumer reads and where it is: pure state.

use crate::error::{Error, ErrorKind, Result};
use crate::request::{CommittedOffset, OffsetSpec};
use crate::types::{Offset, Partition, TopicName, TopicPartition};

/// The partitions of a consumer.
#[derive(Debug, Default)]
pub(super) struct Assignment {
    /// Sorted by partition.
    partitions: Vec<(TopicPartition, Assigned)>,
    /// The place in `partitions` of the record that was returned last: mostly the next one's too.
    recent: usize,
    /// The order in which they are fetched: whoever gave records goes to the back.
    order: Vec<TopicPartition>,
}

/// Where a consumer is in one partition.
#[derive(Clone, Debug)]
pub(super) struct Assigned {
    pub(super) place: Place,
    /// The next offset to fetch; ahead of the position by what is buffered.
    pub(super) fetch_offset: Offset,
    pub(super) paused: bool,
}

/// A position, or how to find it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// At the committed offset, or else by the reset policy.
    Committed,
    /// By the reset policy: the offset is gone.
    Policy,
    /// As a seek said.
    Spec(OffsetSpec),
    /// The next record to be returned has this offset or a later one.
    At(Offset),
}

impl Assignment {
    /// Takes a new set of partitions. Those that stay keep their place if `keep` says so.
    pub(super) fn replace(&mut self, wanted: &[TopicPartition], keep: bool) {
        let assigned = |partition: &TopicPartition| {
            let kept = self.get(partition).filter(|_| keep).cloned();
            let assigned = kept.unwrap_or(Assigned {
                place: Place::Committed,
                fetch_offset: Offset(0),
                paused: false,
            });
            (partition.clone(), assigned)
        };
        let mut next: Vec<_> = wanted.iter().map(assigned).collect();
        next.sort_by(|a, b| a.0.cmp(&b.0));
        next.dedup_by(|a, b| a.0 == b.0);
        self.partitions = next;
        self.order = wanted.to_vec();
    }

    pub(super) fn partitions(&self) -> impl Iterator<Item = &TopicPartition> {
        self.partitions.iter().map(|(partition, _)| partition)
    }

    pub(super) fn get(&self, partition: &TopicPartition) -> Option<&Assigned> {
        let at = self.place_of(&partition.topic, partition.partition)?;
        self.partitions.get(at).map(|(_, assigned)| assigned)
    }

    fn get_mut(&mut self, partition: &TopicPartition) -> Option<&mut Assigned> {
        let at = self.place_of(&partition.topic, partition.partition)?;
        self.partitions.get_mut(at).map(|(_, assigned)| assigned)
    }

    fn place_of(&self, topic: &TopicName, partition: Partition) -> Option<usize> {
        let wanted = (topic, partition);
        let order = |(at, _): &(TopicPartition, Assigned)| (&at.topic, at.partition).cmp(&wanted);
        self.partitions.binary_search_by(order).ok()
    }

    /// The state of a partition that the user named.
    pub(super) fn named(&mut self, partition: &TopicPartition) -> Result<&mut Assigned> {
        self.get_mut(partition).ok_or_else(|| {
            Error::new(
                ErrorKind::InvalidRequest,
                "the partition is not assigned to this consumer",
            )
            .partition(partition)
        })
    }

    /// Sets the position; what is buffered beyond it is to be fetched again.
    pub(super) fn seek(&mut self, partition: &TopicPartition, place: Place) {
        if let Some(assigned) = self.get_mut(partition) {
            assigned.place = place;
            if let Place::At(offset) = place {
                assigned.fetch_offset = offset;
            }
        }
    }

    /// The record before `offset` was returned, or there is none to return.
    pub(super) fn advance(&mut self, topic: &TopicName, partition: Partition, offset: Offset) {
        let recent = self.partitions.get(self.recent);
        let is_recent =
            |(at, _): &(TopicPartition, Assigned)| at.partition == partition && at.topic == *topic;
        if !recent.is_some_and(is_recent) {
            let Some(at) = self.place_of(topic, partition) else {
                return;
            };
            self.recent = at;
        }
        if let Some((_, assigned)) = self.partitions.get_mut(self.recent) {
            assigned.place = Place::At(offset);
            assigned.fetch_offset = assigned.fetch_offset.max(offset);
        }
    }

    /// All up to `offset` is buffered.
    pub(super) fn buffered(&mut self, partition: &TopicPartition, offset: Offset) {
        if let Some(assigned) = self.get_mut(partition) {
            assigned.fetch_offset = offset;
        }
    }

    /// The partitions whose position is to be found.
    pub(super) fn lost(&self) -> Vec<(TopicPartition, Place)> {
        self.partitions
            .iter()
            .filter(|(_, assigned)| !matches!(assigned.place, Place::At(_)))
            .map(|(partition, assigned)| (partition.clone(), assigned.place))
            .collect()
    }

    /// What to fetch, in order: partitions that are not paused, from their next offset.
    pub(super) fn to_fetch(&self) -> Vec<(TopicPartition, Offset)> {
        let fetchable = |partition: &TopicPartition| {
            let assigned = self.get(partition)?;
            let ready = !assigned.paused && matches!(assigned.place, Place::At(_));
            ready.then(|| (partition.clone(), assigned.fetch_offset))
        };
        self.order.iter().filter_map(fetchable).collect()
    }

    /// A partition gave records: the others come first the next time.
    pub(super) fn served(&mut self, partition: &TopicPartition) {
        if let Some(at) = self.order.iter().position(|other| other == partition) {
            let served = self.order.remove(at);
            self.order.push(served);
        }
    }

    /// The positions, as a commit stores them.
    pub(super) fn positions(&self) -> Vec<(TopicPartition, CommittedOffset)> {
        self.partitions
            .iter()
            .filter_map(|(partition, assigned)| match assigned.place {
                Place::At(offset) => Some((partition.clone(), CommittedOffset::at(offset))),
                Place::Committed | Place::Policy | Place::Spec(_) => None,
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::{Partition, TopicName};

    fn tp(partition: i32) -> TopicPartition {
        TopicPartition::new(TopicName::new("t").unwrap(), Partition(partition))
    }

    #[test]
    fn what_stays_keeps_its_place_and_what_comes_is_looked_up() {
        let mut assignment = Assignment::default();
        assignment.replace(&[tp(0), tp(1)], true);
        assignment.seek(&tp(0), Place::At(Offset(7)));
        assignment.replace(&[tp(0), tp(2)], true);
        assert_eq!(assignment.lost(), [(tp(2), Place::Committed)]);
        assert_eq!(assignment.to_fetch(), [(tp(0), Offset(7))]);
        assignment.replace(&[tp(0)], false);
        assert_eq!(assignment.lost(), [(tp(0), Place::Committed)]);
        assert!(assignment.named(&tp(2)).is_err());
    }

    #[test]
    fn partitions_take_turns() {
        let mut assignment = Assignment::default();
        assignment.replace(&[tp(0), tp(1), tp(2)], true);
        for partition in [0, 1, 2] {
            assignment.seek(&tp(partition), Place::At(Offset(0)));
        }
        assignment.served(&tp(0));
        assignment.named(&tp(2)).unwrap().paused = true;
        assert_eq!(
            assignment.to_fetch(),
            [(tp(1), Offset(0)), (tp(0), Offset(0))]
        );
    }

    #[test]
    fn the_partition_of_the_record_is_advanced_whatever_came_before() {
        let mut assignment = Assignment::default();
        assignment.replace(&[tp(2), tp(0), tp(1)], true);
        let topic = tp(0).topic;
        let offset = |assignment: &Assignment, partition| match assignment.get(&tp(partition)) {
            Some(Assigned {
                place: Place::At(offset),
                ..
            }) => Some(offset.value()),
            _ => None,
        };
        for (partition, to) in [(2, 5), (2, 6), (0, 1), (2, 7), (9, 9)] {
            assignment.advance(&topic, Partition(partition), Offset(to));
        }
        assert_eq!(offset(&assignment, 0), Some(1));
        assert_eq!(offset(&assignment, 1), None);
        assert_eq!(offset(&assignment, 2), Some(7));
        // Places move when the assignment does.
        assignment.replace(&[tp(1), tp(2)], true);
        assignment.advance(&topic, Partition(2), Offset(8));
        assert_eq!(offset(&assignment, 1), None);
        assert_eq!(offset(&assignment, 2), Some(8));
    }
}
