//! The clients of a simulated cluster: they produce, read, commit and administer at random, and
//! write into the model what they were told.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use headwater_core::client::producer::{ProducerRecord, Sending};
use headwater_core::client::{Acks, Cluster, NewTopic, OffsetSpec};
use headwater_core::record::Compression;
use headwater_core::types::{Offset, Partition, TopicName, TopicPartition};
use headwater_core::{Error, ErrorKind};

use crate::dice::Dice;
use crate::model::{Answer, Attempt, Existence, Model, value};

/// The names that topics may have.
pub(crate) const TOPICS: [&str; 4] = ["orders", "payments", "clicks", "audit.log"];

/// What the actors of one life share.
#[derive(Clone)]
pub(crate) struct Life {
    pub(crate) cluster: Cluster,
    pub(crate) model: Arc<Mutex<Model>>,
    /// Whether nothing goes wrong, so that no call may fail for the disk's sake.
    pub(crate) calm: bool,
}

impl Life {
    pub(crate) fn model(&self) -> MutexGuard<'_, Model> {
        // A panic is on its way through all actors then, and its message is what counts.
        self.model.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) async fn sleep(&self, time: Duration) {
        let clock = &self.cluster.env().clock;
        clock.sleep_until(clock.monotonic() + time).await;
    }

    /// Whether an error is one that this life may give; any other is a failure of the seed.
    pub(crate) fn tolerate(&self, doing: &str, error: &Error) {
        let kind = error.kind();
        let by_others = matches!(
            kind,
            ErrorKind::UnknownTopicOrPartition
                | ErrorKind::OffsetOutOfRange
                | ErrorKind::IllegalGeneration
                | ErrorKind::UnknownMemberId
                | ErrorKind::RebalanceInProgress
                | ErrorKind::Closed
        );
        let by_disk = matches!(
            kind,
            ErrorKind::KafkaStorageError | ErrorKind::Io | ErrorKind::BufferExhausted
        );
        assert!(
            by_others || (by_disk && !self.calm),
            "{doing}: unexpected {error}"
        );
    }

    /// A topic that exists, with its incarnation and the number of its partitions.
    fn pick(&self, dice: &Dice) -> Option<(String, u64, i32)> {
        let model = self.model();
        let existing = model.existing();
        let name = (!existing.is_empty()).then(|| dice.pick(&existing))?;
        let topic = model.topic(&name)?;
        Some((name.clone(), topic.incarnation, topic.partitions.0))
    }
}

pub(crate) fn partition(topic: &str, number: i32) -> TopicPartition {
    TopicPartition::new(TopicName::new(topic).unwrap(), Partition(number))
}

fn number(dice: &Dice, bound: i32) -> i32 {
    i32::try_from(dice.below(usize::try_from(bound).unwrap())).unwrap()
}

/// Sends records with several producers, one after the other.
pub(crate) async fn produce(life: Life, dice: Dice) {
    for _ in 0..dice.between(1, 4) {
        let Some((topic, incarnation, partitions)) = life.pick(&dice) else {
            life.sleep(dice.pause(50)).await;
            continue;
        };
        let acks = dice.pick(&[Acks::None, Acks::Leader, Acks::All, Acks::All]);
        let codec = dice.pick(&[
            Compression::None,
            Compression::None,
            Compression::Gzip,
            Compression::Snappy,
            Compression::Lz4,
            Compression::Zstd,
        ]);
        let builder = life.cluster.producer::<str, str>(&topic);
        let builder = builder.acks(acks).compression(codec);
        let builder = builder
            .linger(dice.pause(10))
            .batch_size(usize::try_from(dice.between(100, 4000)).unwrap());
        let producer = match builder.build().await {
            Ok(producer) => producer,
            Err(error) => {
                life.tolerate("open a producer", &error);
                life.sleep(dice.pause(50)).await;
                continue;
            }
        };
        let own = life.model().new_producer();
        let mut waiting = Vec::new();
        for _ in 0..dice.between(1, 40) {
            let wanted = (!dice.one_in(4)).then(|| number(&dice, partitions));
            let len = dice.below(dice.pick(&[10, 100, 1000, 5000]));
            let id = {
                let mut model = life.model();
                let may_be_refused = model.writes_fail;
                model.sending(Attempt {
                    topic: topic.clone(),
                    incarnation,
                    partition: wanted,
                    len,
                    producer: own,
                    acks,
                    may_be_refused,
                    answer: Answer::Pending,
                })
            };
            let (key, value) = (format!("key-{}", dice.below(20)), value(id, len));
            let mut record = ProducerRecord::new(key.as_str(), value.as_str());
            if let Some(wanted) = wanted {
                record = record.partition(Partition(wanted));
            }
            waiting.push((id, producer.send_record(record)));
            if dice.one_in(5) {
                settle(&life, &mut waiting).await;
            }
            if dice.one_in(6) {
                life.sleep(dice.pause(20)).await;
            }
        }
        if dice.one_in(2) {
            if let Err(error) = producer.close().await {
                life.tolerate("close a producer", &error);
            }
        } else {
            drop(producer);
        }
        settle(&life, &mut waiting).await;
    }
}

async fn settle(life: &Life, waiting: &mut Vec<(u64, Sending)>) {
    for (id, sending) in waiting.drain(..) {
        match sending.await {
            Ok(ack) => life.model().acknowledged(id, &ack),
            Err(error) => {
                life.model().failed(id);
                life.tolerate("send", &error);
            }
        }
    }
}

/// Reads topics from somewhere on: what is read is what was sent, and stays where it is.
pub(crate) async fn read(life: Life, dice: Dice) {
    for _ in 0..dice.between(1, 4) {
        let Some((topic, incarnation, partitions)) = life.pick(&dice) else {
            life.sleep(dice.pause(50)).await;
            continue;
        };
        let all = (0..partitions).map(|number| partition(&topic, number));
        let consumer = life.cluster.consumer::<String, String>().from_beginning();
        let consumer = consumer.max_poll_records(dice.pick(&[1, 7, 500]));
        let mut consumer = match consumer.assign(all).await {
            Ok(consumer) => consumer,
            Err(error) => {
                life.tolerate("open a consumer", &error);
                continue;
            }
        };
        let mut reader = Reader::new(&topic, incarnation);
        for _ in 0..dice.between(1, 20) {
            match consumer.poll(dice.pause(100)).await {
                Ok(records) => {
                    for record in records {
                        let at = (record.partition.value(), record.offset.value());
                        reader.take(&life, at, &record.value);
                    }
                }
                Err(error) => {
                    life.tolerate("read", &error);
                    life.sleep(dice.pause(50)).await;
                }
            }
        }
    }
}

/// The memory of one consumer.
struct Reader {
    topic: String,
    incarnation: u64,
    next: std::collections::BTreeMap<i32, i64>,
}

impl Reader {
    fn new(topic: &str, incarnation: u64) -> Self {
        Self {
            topic: topic.to_owned(),
            incarnation,
            next: std::collections::BTreeMap::new(),
        }
    }

    fn take(&mut self, life: &Life, (number, offset): (i32, i64), value: &str) {
        let mut model = life.model();
        let id = model.identify(&self.topic, number, value);
        if !model.is(&self.topic, self.incarnation) {
            return;
        }
        let Some(topic) = model.topic_mut(&self.topic) else {
            return;
        };
        let retained = topic.retained;
        let log = topic.log_mut(number);
        log.saw(&self.topic, number, offset, id);
        let next = self.next.insert(number, offset + 1);
        if let Some(next) = next {
            let may_jump = retained || log.starts.1 > next;
            assert!(
                offset == next || (offset > next && may_jump),
                "{}-{number}: offset {offset} was read after {}",
                self.topic,
                next - 1
            );
        }
        model.count("records read", 1);
    }
}

/// Reads as the only member of a group, and commits.
pub(crate) async fn follow(life: Life, dice: Dice, group: String) {
    for _ in 0..dice.between(1, 3) {
        let Some((topic, incarnation, _)) = life.pick(&dice) else {
            life.sleep(dice.pause(50)).await;
            continue;
        };
        let consumer = life.cluster.consumer::<String, String>().group(&group);
        let consumer = consumer.from_beginning().manual_commit();
        let mut consumer = match consumer.subscribe([topic.as_str()]).await {
            Ok(consumer) => consumer,
            Err(error) => {
                life.tolerate("subscribe", &error);
                life.sleep(dice.pause(50)).await;
                continue;
            }
        };
        let mut reader = Reader::new(&topic, incarnation);
        for _ in 0..dice.between(1, 12) {
            match consumer.poll(dice.pause(100)).await {
                Ok(records) => {
                    for record in records {
                        let at = (record.partition.value(), record.offset.value());
                        reader.take(&life, at, &record.value);
                    }
                }
                Err(error) => {
                    life.tolerate("read in a group", &error);
                    life.sleep(dice.pause(50)).await;
                }
            }
            let positions: Vec<(i32, i64)> = consumer
                .assignment()
                .iter()
                .filter_map(|at| Some((at.partition.value(), consumer.position(at)?.value())))
                .collect();
            if positions.is_empty() || dice.one_in(2) || !life.model().is(&topic, incarnation) {
                continue;
            }
            life.model().committing(&group, &topic, &positions);
            let offsets = positions.iter().map(|(number, offset)| {
                let committed = headwater_core::client::CommittedOffset::at(Offset(*offset));
                (partition(&topic, *number), committed)
            });
            match consumer.commit_offsets(offsets.collect()).await {
                Ok(()) if life.model().is(&topic, incarnation) => {
                    life.model().committed(&group, &topic, &positions);
                }
                Ok(()) => {}
                Err(error) => life.tolerate("commit", &error),
            }
        }
        if let Err(error) = consumer.close().await {
            life.tolerate("leave", &error);
        }
    }
}

/// Makes, changes and deletes topics and records.
pub(crate) async fn administer(life: Life, dice: Dice) {
    for _ in 0..dice.between(2, 12) {
        life.sleep(dice.pause(40)).await;
        let name = dice.pick(&TOPICS);
        let existence = life.model().topic(name).map(|topic| topic.existence);
        match existence {
            None | Some(Existence::Gone) => create(&life, &dice, name).await,
            // What became of it shows when the folder is opened again.
            Some(Existence::Unknown) => {}
            Some(Existence::Exists) => match dice.below(8) {
                0 => delete(&life, name).await,
                1 | 2 => grow(&life, &dice, name).await,
                3 | 4 => delete_records(&life, &dice, name).await,
                5 => alter(&life, &dice, name).await,
                _ => look(&life, &dice, name).await,
            },
        }
    }
}

async fn create(life: &Life, dice: &Dice, name: &str) {
    let partitions = 1 + number(dice, 3);
    let retained = dice.one_in(3);
    let bytes = if dice.one_in(4) {
        1 << 20
    } else {
        dice.between(200, 6000)
    };
    let mut topic = NewTopic::new(name).unwrap().partitions(partitions);
    topic = topic
        .config("internal.segment.bytes", bytes.to_string())
        .config("index.interval.bytes", dice.between(0, 500).to_string())
        .config("retention.ms", "-1");
    if retained {
        topic = match dice.below(2) {
            0 => topic.config("retention.ms", dice.between(10, 3000).to_string()),
            _ => topic.config("retention.bytes", dice.between(0, 9000).to_string()),
        };
    }
    if dice.one_in(4) {
        topic = topic.config("message.timestamp.type", "LogAppendTime");
    }
    if dice.one_in(4) {
        topic = topic.config("segment.ms", dice.between(10, 1000).to_string());
    }
    life.model().creating(name, partitions, retained);
    match life.cluster.admin().create(topic).await {
        Ok(created) => life.model().created(&created),
        Err(error) => life.tolerate("create a topic", &error),
    }
}

async fn delete(life: &Life, name: &str) {
    if let Some(topic) = life.model().topic_mut(name) {
        topic.existence = Existence::Unknown;
    }
    let deleted = life.cluster.admin().delete_topic(name).await;
    match deleted {
        Ok(()) => {
            let mut model = life.model();
            if let Some(topic) = model.topic_mut(name) {
                topic.existence = Existence::Gone;
            }
            model.count("topics deleted", 1);
        }
        Err(error) => life.tolerate("delete a topic", &error),
    }
}

async fn grow(life: &Life, dice: &Dice, name: &str) {
    let total = {
        let mut model = life.model();
        let Some(topic) = model.topic_mut(name) else {
            return;
        };
        let total = topic.partitions.1 + 1 + number(dice, 2);
        if total > 8 {
            return;
        }
        topic.partitions.1 = total;
        total
    };
    match life.cluster.admin().create_partitions(name, total).await {
        Ok(()) => {
            let mut model = life.model();
            if let Some(topic) = model.topic_mut(name) {
                topic.partitions.0 = total;
            }
            model.count("partitions added", 1);
        }
        Err(error) => life.tolerate("add partitions", &error),
    }
}

async fn delete_records(life: &Life, dice: &Dice, name: &str) {
    let (at, before) = {
        let mut model = life.model();
        let Some(topic) = model.topic_mut(name) else {
            return;
        };
        let at = number(dice, topic.partitions.0);
        let log = topic.log_mut(at);
        let end = usize::try_from(log.written_end).unwrap();
        let before = i64::try_from(dice.below(end + 1)).unwrap();
        log.starts.1 = log.starts.1.max(before);
        (at, before)
    };
    let admin = life.cluster.admin();
    let deleted = admin
        .delete_records(&partition(name, at), Offset(before))
        .await;
    match deleted {
        Ok(start) => {
            let mut model = life.model();
            if let Some(topic) = model.topic_mut(name) {
                let log = topic.log_mut(at);
                log.starts.0 = log.starts.0.max(before);
                assert!(start.value() >= before, "{name}-{at} starts at {start}");
            }
            model.count("records deleted", 1);
        }
        Err(error) => life.tolerate("delete records", &error),
    }
}

async fn alter(life: &Life, dice: &Dice, name: &str) {
    let value = dice.between(200, 6000).to_string();
    let changes = [("internal.segment.bytes", Some(value.as_str()))];
    match life.cluster.admin().alter_configs(name, changes).await {
        Ok(()) => life.model().count("topics altered", 1),
        Err(error) => life.tolerate("alter a topic", &error),
    }
}

/// What the cluster says of a topic must agree with what it said before.
async fn look(life: &Life, dice: &Dice, name: &str) {
    let admin = life.cluster.admin();
    let known = |life: &Life| {
        let model = life.model();
        let topic = model.topic(name)?;
        Some((topic.incarnation, topic.partitions, topic.log(0)))
    };
    let before = known(life);
    let at = partition(name, 0);
    let spec = dice.pick(&[OffsetSpec::Earliest, OffsetSpec::Latest]);
    let found = match admin.list_offset(&at, spec).await {
        Ok(found) => found.offset.value(),
        Err(error) => return life.tolerate("list an offset", &error),
    };
    let Some((incarnation, _, log)) = before else {
        return;
    };
    let due = match spec {
        OffsetSpec::Earliest => log.starts.0,
        _ => log.written_end,
    };
    let same = life.model().is(name, incarnation);
    assert!(
        !same || found >= due,
        "{at}: {spec:?} is {found}, not {due}"
    );
}

/// Notes a record that somebody sends to see whether the topic takes writes.
pub(crate) fn probe(life: &Life, name: &str) -> u64 {
    let mut model = life.model();
    let incarnation = model.topic(name).map_or(0, |topic| topic.incarnation);
    let producer = model.new_producer();
    model.sending(Attempt {
        topic: name.to_owned(),
        incarnation,
        partition: None,
        len: 10,
        producer,
        acks: Acks::All,
        may_be_refused: true,
        answer: Answer::Pending,
    })
}
