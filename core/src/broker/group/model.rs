//! The members of a group against a plain model: at random they join, join again, subscribe
//! otherwise, beat, commit, leave and fall silent.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use proptest::prelude::*;

use super::membership::{Group, Join};
use crate::error::ErrorKind;
use crate::types::{GroupId, MemberId, TopicName, TopicPartition};

const SESSION: Duration = Duration::from_secs(10);
/// The members that tests speak of; one that is gone comes back under its old number.
const MEMBERS: usize = 5;
/// How many partitions the topics have.
const TOPICS: [(&str, i32); 3] = [("a", 4), ("b", 1), ("c", 7)];

#[derive(Clone, Copy, Debug)]
enum Step {
    /// Joins, or joins again, for the topics of the mask.
    Join {
        who: usize,
        topics: u8,
    },
    Heartbeat(usize),
    Leave(usize),
    /// Commits with the generation of an earlier join, or its last one (0).
    Commit {
        who: usize,
        back: usize,
    },
    Wait(u64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let who = 0..MEMBERS;
    let step = prop_oneof![
        4 => (who.clone(), 1..8_u8).prop_map(|(who, topics)| Step::Join { who, topics }),
        4 => who.clone().prop_map(Step::Heartbeat),
        1 => who.clone().prop_map(Step::Leave),
        3 => (who, 0..3_usize).prop_map(|(who, back)| Step::Commit { who, back }),
        2 => (1..8_000_u64).prop_map(Step::Wait),
    ];
    prop::collection::vec(step, 1..80)
}

/// What a member knows of itself.
#[derive(Clone, Debug)]
struct Known {
    id: MemberId,
    topics: BTreeSet<TopicName>,
    deadline: Duration,
    /// Of all its joins; the last one counts.
    generations: Vec<i32>,
    owned: BTreeSet<TopicPartition>,
}

/// A group, and what its members were told.
struct World {
    group: Group,
    now: Duration,
    generation: i32,
    ids: usize,
    members: BTreeMap<usize, Known>,
}

fn partitions(topic: &TopicName) -> i32 {
    let found = TOPICS.iter().find(|(name, _)| *name == topic.as_str());
    found.map_or(0, |(_, count)| *count)
}

fn subscribed(mask: u8) -> BTreeSet<TopicName> {
    let named = TOPICS.iter().enumerate();
    let chosen = named.filter(|(bit, _)| mask & (1 << bit) != 0);
    chosen
        .map(|(_, (name, _))| TopicName::new(name).unwrap())
        .collect()
}

impl World {
    fn new() -> Self {
        Self {
            group: Group::new(GroupId::new("g").unwrap()),
            now: Duration::ZERO,
            generation: 0,
            ids: 0,
            members: BTreeMap::new(),
        }
    }

    /// Whether the group still counts a member as one.
    fn lives(&self, who: usize) -> bool {
        self.members
            .get(&who)
            .is_some_and(|known| known.deadline > self.now)
    }

    fn join(&mut self, who: usize, topics: BTreeSet<TopicName>) {
        let lives = self.lives(who);
        if let Some(known) = self.members.get(&who).filter(|_| !lives) {
            // The old id is refused; it comes as a new member.
            let refused = self.call_join(&known.id.clone(), false, topics.clone());
            assert_eq!(refused.unwrap_err(), ErrorKind::UnknownMemberId);
            self.members.remove(&who);
        }
        let known = self.members.get(&who);
        let id = known.map(|known| known.id.clone()).unwrap_or_else(|| {
            self.ids += 1;
            MemberId(format!("m{who}-{}", self.ids).into())
        });
        let (generation, owned) = self.call_join(&id, !lives, topics.clone()).unwrap();
        assert!(generation > self.generation, "generations grow");
        self.generation = generation;
        let known = self.members.entry(who).or_insert_with(|| Known {
            id,
            topics: BTreeSet::new(),
            deadline: Duration::ZERO,
            generations: Vec::new(),
            owned: BTreeSet::new(),
        });
        known.generations.push(generation);
        known.deadline = self.now + SESSION;
        (known.topics, known.owned) = (topics, owned);
    }

    fn call_join(
        &mut self,
        id: &MemberId,
        fresh: bool,
        topics: BTreeSet<TopicName>,
    ) -> Result<(i32, BTreeSet<TopicPartition>), ErrorKind> {
        let join = Join {
            member: id.clone(),
            fresh,
            topics,
            session_timeout: SESSION,
        };
        let joined = self.group.join(join, &partitions, self.now);
        let joined = joined.map(|joined| (joined.generation, joined.assignment));
        joined.map_err(|error| error.kind())
    }

    /// Whether the member was told to join again.
    fn heartbeat(&mut self, who: usize) -> bool {
        let (lives, now) = (self.lives(who), self.now);
        let Some(known) = self.members.get_mut(&who) else {
            return false;
        };
        let generation = *known.generations.last().unwrap();
        let answer = self
            .group
            .heartbeat(&known.id, generation, &partitions, now);
        match answer.map_err(|error| error.kind()) {
            Err(ErrorKind::UnknownMemberId) => assert!(!lives),
            answer => {
                assert!(lives);
                known.deadline = now + SESSION;
                assert!(matches!(
                    answer,
                    Ok(()) | Err(ErrorKind::RebalanceInProgress)
                ));
                return answer.is_err();
            }
        }
        false
    }

    fn leave(&mut self, who: usize) {
        let lives = self.lives(who);
        if let Some(known) = self.members.remove(&who) {
            let left = self.group.leave(&known.id, self.now);
            let expected = (!lives).then_some(ErrorKind::UnknownMemberId);
            assert_eq!(left.err().map(|error| error.kind()), expected);
        }
    }

    fn commit(&mut self, who: usize, back: usize) {
        let lives = self.lives(who);
        let Some(known) = self.members.get(&who) else {
            return;
        };
        let generation = known.generations.iter().rev().nth(back);
        let Some(generation) = generation.copied() else {
            return;
        };
        let answer = self.group.check(&known.id, generation, self.now);
        let expected = match (lives, back) {
            (false, _) => Some(ErrorKind::UnknownMemberId),
            (true, 0) => None,
            (true, _) => Some(ErrorKind::IllegalGeneration),
        };
        assert_eq!(answer.err().map(|error| error.kind()), expected);
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Join { who, topics } => self.join(who, subscribed(topics)),
            Step::Heartbeat(who) => drop(self.heartbeat(who)),
            Step::Leave(who) => self.leave(who),
            Step::Commit { who, back } => self.commit(who, back),
            Step::Wait(millis) => self.now += Duration::from_millis(millis),
        }
    }

    /// How many of the members that live own each partition, by what they were told.
    fn owners(&self) -> BTreeMap<TopicPartition, usize> {
        let mut owners = BTreeMap::new();
        for (who, known) in &self.members {
            if self.lives(*who) {
                for partition in &known.owned {
                    assert!(known.topics.contains(&partition.topic));
                    *owners.entry(partition.clone()).or_default() += 1;
                }
            }
        }
        owners
    }

    /// All that live do as they are told until nobody is told anything.
    fn quiet(&mut self) {
        for _ in 0..=2 * MEMBERS {
            let mut moved = false;
            for who in 0..MEMBERS {
                if self.lives(who) && self.heartbeat(who) {
                    let topics = self.members[&who].topics.clone();
                    self.join(who, topics);
                    moved = true;
                }
            }
            if !moved {
                return;
            }
        }
        panic!("the group does not come to rest");
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 300,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn a_partition_has_one_owner_at_most_and_at_rest_exactly_one(steps in steps()) {
        let mut world = World::new();
        for step in steps {
            world.step(step);
            prop_assert!(world.owners().values().all(|count| *count == 1));
        }
        world.quiet();
        let lives = |who: &&usize| world.lives(**who);
        let living: Vec<_> = world.members.keys().filter(lives).collect();
        let mut expected = BTreeSet::new();
        for who in living {
            for topic in &world.members[who].topics {
                let numbers = (0..partitions(topic)).map(crate::types::Partition);
                expected.extend(numbers.map(|n| TopicPartition::new(topic.clone(), n)));
            }
        }
        let owners = world.owners();
        prop_assert!(owners.values().all(|count| *count == 1));
        prop_assert_eq!(owners.into_keys().collect::<BTreeSet<_>>(), expected);
    }
}
