//! What the clients of a simulated cluster were told: the model that the cluster is held to.
//!
//! An answer that never came, or that was an error, says nothing: the operation may have taken
//! effect or not, and the model learns which when the folder is opened again.

use std::collections::BTreeMap;

use headwater_core::client::producer::Ack;
use headwater_core::client::{Acks, TopicMetadata};
use headwater_core::types::TopicId;

/// All that was asked and answered since the seed began.
#[derive(Debug, Default)]
pub(crate) struct Model {
    /// Every record that was ever sent; its id is its place.
    pub(crate) attempts: Vec<Attempt>,
    pub(crate) topics: BTreeMap<String, Topic>,
    /// What groups committed: by group, topic, partition.
    pub(crate) commits: BTreeMap<(String, String, i32), Commits>,
    incarnations: u64,
    producers: u64,
    /// Whether the disk lost power since the folder was last opened whole.
    pub(crate) power_lost: bool,
    /// Whether writes may fail in this life, so that a record may be refused and the next taken.
    pub(crate) writes_fail: bool,
    pub(crate) counts: BTreeMap<&'static str, u64>,
}

/// A record that was sent.
#[derive(Debug)]
pub(crate) struct Attempt {
    pub(crate) topic: String,
    pub(crate) incarnation: u64,
    /// The partition, if the sender chose it.
    pub(crate) partition: Option<i32>,
    pub(crate) len: usize,
    pub(crate) producer: u64,
    pub(crate) acks: Acks,
    pub(crate) may_be_refused: bool,
    pub(crate) answer: Answer,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    Pending,
    Acknowledged,
    Failed,
}

/// What is known of whether a topic exists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Existence {
    Exists,
    Gone,
    /// A creation or a deletion is under way or has failed.
    Unknown,
}

/// A topic of one name, from its creation to its deletion.
#[derive(Debug)]
pub(crate) struct Topic {
    /// Tells it from others of this name.
    pub(crate) incarnation: u64,
    pub(crate) id: Option<TopicId>,
    pub(crate) existence: Existence,
    /// The number of partitions that were acknowledged, and the most that were asked for.
    pub(crate) partitions: (i32, i32),
    /// Whether retention may remove records.
    pub(crate) retained: bool,
    logs: BTreeMap<i32, Log>,
}

/// What was told of one partition.
#[derive(Clone, Debug, Default)]
pub(crate) struct Log {
    /// Which record stands where, from acknowledgements and reads.
    pub(crate) seen: BTreeMap<i64, u64>,
    /// The end of what was acknowledged under `acks=1` or `all`.
    pub(crate) written_end: i64,
    /// The end of what was acknowledged under `acks=all`.
    pub(crate) synced_end: i64,
    /// The log start that was acknowledged, and the largest that was asked for.
    pub(crate) starts: (i64, i64),
}

/// What one group said of one partition.
#[derive(Debug, Default)]
pub(crate) struct Commits {
    pub(crate) acknowledged: Option<i64>,
    /// What was sent since then and not acknowledged.
    pub(crate) unknown: Vec<i64>,
}

impl Model {
    pub(crate) fn count(&mut self, what: &'static str, by: u64) {
        *self.counts.entry(what).or_default() += by;
    }

    /// A topic's creation begins.
    pub(crate) fn creating(&mut self, name: &str, partitions: i32, retained: bool) {
        self.incarnations += 1;
        let topic = Topic {
            incarnation: self.incarnations,
            id: None,
            existence: Existence::Unknown,
            partitions: (partitions, partitions),
            retained,
            logs: BTreeMap::new(),
        };
        self.topics.insert(name.to_owned(), topic);
        self.commits.retain(|(_, topic, _), _| topic != name);
    }

    pub(crate) fn created(&mut self, topic: &TopicMetadata) {
        let known = self.topics.get_mut(topic.name.as_str()).unwrap();
        (known.id, known.existence) = (Some(topic.id), Existence::Exists);
        self.count("topics created", 1);
    }

    pub(crate) fn topic(&self, name: &str) -> Option<&Topic> {
        self.topics.get(name)
    }

    pub(crate) fn topic_mut(&mut self, name: &str) -> Option<&mut Topic> {
        self.topics.get_mut(name)
    }

    /// The names of the topics that are known to exist.
    pub(crate) fn existing(&self) -> Vec<String> {
        let all = self.topics.iter();
        let existing = all.filter(|(_, topic)| topic.existence == Existence::Exists);
        existing.map(|(name, _)| name.clone()).collect()
    }

    /// Whether this topic is still the one that it was.
    pub(crate) fn is(&self, name: &str, incarnation: u64) -> bool {
        self.topic(name).is_some_and(|topic| {
            topic.incarnation == incarnation && topic.existence == Existence::Exists
        })
    }

    pub(crate) fn new_producer(&mut self) -> u64 {
        self.producers += 1;
        self.producers
    }

    /// A record is about to be sent; returns its id.
    pub(crate) fn sending(&mut self, attempt: Attempt) -> u64 {
        self.count("records sent", 1);
        self.attempts.push(attempt);
        self.attempts.len() as u64 - 1
    }

    pub(crate) fn attempt(&self, id: u64) -> Option<&Attempt> {
        self.attempts.get(usize::try_from(id).ok()?)
    }

    /// A record was acknowledged.
    pub(crate) fn acknowledged(&mut self, id: u64, ack: &Ack) {
        let index = usize::try_from(id).unwrap();
        let attempt = &mut self.attempts[index];
        attempt.answer = Answer::Acknowledged;
        let (acks, incarnation) = (attempt.acks, attempt.incarnation);
        let (name, wanted) = (attempt.topic.clone(), attempt.partition);
        let partition = ack.partition.value();
        assert!(
            wanted.is_none_or(|wanted| wanted == partition),
            "record {id} for partition {wanted:?} of {name} went to {partition}"
        );
        self.count(
            match acks {
                Acks::None => "acknowledged, acks=0",
                Acks::Leader => "acknowledged, acks=1",
                Acks::All => "acknowledged, acks=all",
            },
            1,
        );
        let topic = self.topics.get_mut(&name).unwrap();
        if acks == Acks::None || topic.incarnation != incarnation {
            return;
        }
        let offset = ack.offset.value();
        let log = topic.log_mut(partition);
        log.saw(&name, partition, offset, id);
        log.written_end = log.written_end.max(offset + 1);
        if acks == Acks::All {
            log.synced_end = log.synced_end.max(offset + 1);
        }
    }

    pub(crate) fn failed(&mut self, id: u64) {
        let index = usize::try_from(id).unwrap();
        self.attempts[index].answer = Answer::Failed;
        self.count("sends failed", 1);
    }

    /// The id of the record that has this value, which must be one that was sent there, whole.
    pub(crate) fn identify(&self, name: &str, partition: i32, value: &str) -> u64 {
        let shown = &value[..value.len().min(40)];
        let id = value.split_once(':').and_then(|(id, _)| id.parse().ok());
        let id: u64 = id.unwrap_or_else(|| panic!("{name}-{partition}: {shown:?} is no record"));
        let attempt = self.attempt(id);
        let attempt = attempt.unwrap_or_else(|| panic!("record {id} was never sent"));
        assert_eq!(value, self::value(id, attempt.len), "record {id} is torn");
        let there = attempt.partition.is_none_or(|wanted| wanted == partition);
        assert!(
            there && attempt.topic == name,
            "record {id} was sent to {}-{:?} and is in {name}-{partition}",
            attempt.topic,
            attempt.partition
        );
        id
    }

    /// A group is about to commit.
    pub(crate) fn committing(&mut self, group: &str, topic: &str, offsets: &[(i32, i64)]) {
        for (partition, offset) in offsets {
            let key = (group.to_owned(), topic.to_owned(), *partition);
            let commits = self.commits.entry(key).or_default();
            commits.unknown.push(*offset);
        }
    }

    pub(crate) fn committed(&mut self, group: &str, topic: &str, offsets: &[(i32, i64)]) {
        for (partition, offset) in offsets {
            let key = (group.to_owned(), topic.to_owned(), *partition);
            if let Some(commits) = self.commits.get_mut(&key) {
                commits.acknowledged = Some(*offset);
                // One committer after the other: what came earlier is overwritten.
                commits.unknown.clear();
            }
        }
        self.count("offsets committed", offsets.len() as u64);
    }
}

impl Topic {
    pub(crate) fn log(&self, partition: i32) -> Log {
        self.logs.get(&partition).cloned().unwrap_or_default()
    }

    pub(crate) fn log_mut(&mut self, partition: i32) -> &mut Log {
        self.logs.entry(partition).or_default()
    }
}

impl Log {
    /// A record was seen at an offset; nobody may ever see another one there.
    pub(crate) fn saw(&mut self, name: &str, partition: i32, offset: i64, id: u64) {
        let before = self.seen.insert(offset, id);
        assert!(
            before.is_none_or(|before| before == id),
            "{name}-{partition}: record {id} is at offset {offset}, where {before:?} was"
        );
    }
}

/// The value of a record: its id, then bytes that only it has.
pub(crate) fn value(id: u64, len: usize) -> String {
    let mut value = format!("{id}:");
    // Some compress well, the others do not.
    let step = if id.is_multiple_of(3) { 0 } else { 0x9E37_79B9 };
    let mut state = id.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    value.extend((0..len).map(|_| {
        state = state.wrapping_mul(6_364_136_223_846_793_005);
        state = state.wrapping_add(step);
        let digit = if step == 0 {
            id % 26
        } else {
            (state >> 33) % 26
        };
        char::from(b'a' + u8::try_from(digit).unwrap_or_default())
    }));
    value
}
