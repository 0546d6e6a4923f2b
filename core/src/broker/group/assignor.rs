//! Who reads what: Kafka's range assignor, topic by topic over the sorted members.

use std::collections::{BTreeMap, BTreeSet};

use crate::types::{MemberId, Partition, TopicName, TopicPartition};

/// Splits each topic's partitions into runs, one for each subscribed member in the order of ids;
/// the first members get one more when it does not come out even (`RangeAssignor`).
pub(super) fn range<'a>(
    members: impl Iterator<Item = (&'a MemberId, &'a BTreeSet<TopicName>)>,
    partitions: &dyn Fn(&TopicName) -> i32,
) -> BTreeMap<MemberId, BTreeSet<TopicPartition>> {
    let mut readers: BTreeMap<&TopicName, BTreeSet<&MemberId>> = BTreeMap::new();
    let mut assignment = BTreeMap::new();
    for (member, topics) in members {
        assignment.insert(member.clone(), BTreeSet::new());
        for topic in topics {
            readers.entry(topic).or_default().insert(member);
        }
    }
    for (topic, members) in readers {
        let mut left = partitions(topic);
        let mut first = 0;
        for (position, member) in members.iter().enumerate() {
            let sharers = i32::try_from(members.len() - position).unwrap_or(i32::MAX);
            // Rounded up: what does not come out even goes to the first members.
            let share = (left + sharers - 1) / sharers;
            let run = (first..first + share)
                .map(|partition| TopicPartition::new(topic.clone(), Partition(partition)));
            if let Some(assigned) = assignment.get_mut(*member) {
                assigned.extend(run);
            }
            first += share;
            left -= share;
        }
    }
    assignment
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(partitions: i32, members: usize, expect: &[usize]) {
        let topics: BTreeSet<_> = [TopicName::new("t").unwrap()].into();
        let ids: Vec<_> = (0..members)
            .map(|member| MemberId(format!("m{member}").into()))
            .collect();
        let assignment = range(ids.iter().map(|id| (id, &topics)), &|_| partitions);
        let counts: Vec<_> = assignment.values().map(BTreeSet::len).collect();
        assert_eq!(counts, expect);
        let all: BTreeSet<_> = assignment.values().flatten().collect();
        assert_eq!(all.len(), usize::try_from(partitions).unwrap());
    }

    #[test]
    fn ranges_are_even_with_the_rest_to_the_first() {
        check(6, 3, &[2, 2, 2]);
        check(7, 3, &[3, 2, 2]);
        check(8, 3, &[3, 3, 2]);
        check(2, 3, &[1, 1, 0]);
        check(0, 2, &[0, 0]);
        check(5, 1, &[5]);
    }
}
