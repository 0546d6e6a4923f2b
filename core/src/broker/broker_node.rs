//! [`Broker`]: one data folder, open; topics, produce, fetch, offsets.

use std::path::Path;
use std::sync::{Arc, OnceLock, Weak};

use futures_util::FutureExt;
use futures_util::future::{self, Shared};
use tokio::sync::Notify;

use super::catalog;
use super::config::BrokerConfig;
use super::groups::Groups;
use super::topics::{Topics, specs};
use crate::env::{BoxFuture, Env};
use crate::error::{Error, ErrorKind, Result};
use crate::log::{DataFolder, Durability, LogStore};
use crate::record;
use crate::request::{
    Acks, ConfigEntry, IsolationLevel, ListedOffset, NewTopic, OffsetSpec, ProduceRequest,
    Produced, TopicMetadata,
};
use crate::types::{Offset, Timestamp, TopicName, TopicPartition};

/// An open data folder that serves clients in this process.
///
/// Dropping it without [`Broker::close`] loses nothing that was acknowledged; the next open takes
/// longer, as after a crash.
#[derive(Debug)]
pub struct Broker {
    pub(super) env: Env,
    pub(super) config: BrokerConfig,
    pub(super) topics: Arc<Topics>,
    pub(super) groups: Groups,
    logs: Arc<LogStore>,
    /// The one close that all callers of [`Broker::close`] wait for; set once it is asked for.
    close: OnceLock<Shared<BoxFuture<Result<()>>>>,
    /// Wakes the retention task when the broker closes.
    closing: Arc<Notify>,
}

impl Broker {
    /// Opens a data folder; it is made if need be.
    ///
    /// # Errors
    /// `InvalidConfig`; `DataFolderLocked` when another process has it; `UnsupportedFormat`,
    /// `CorruptMessage`, `Io` with the file.
    pub async fn open(env: &Env, dir: &Path, config: BrokerConfig) -> Result<Arc<Self>> {
        config.validate()?;
        let (env_of_task, dir, options) = (env.clone(), dir.to_owned(), config.log.clone());
        // Recovery reads files: off the async threads.
        let (catalog, logs) = super::offload_async(env, "open the data folder", async move {
            let folder = DataFolder::open(&env_of_task, &dir)?;
            let catalog = catalog::load(&*env_of_task.storage, &dir)?;
            let known = catalog.iter().flat_map(|(name, entry)| specs(name, entry));
            let logs = LogStore::open(folder, options, known.collect()).await?;
            Ok::<_, Error>((catalog, logs))
        })
        .await??;
        let logs = Arc::new(logs);
        let broker = Arc::new(Self {
            topics: Arc::new(Topics::new(env.clone(), Arc::clone(&logs), catalog)),
            groups: Groups::default(),
            env: env.clone(),
            config,
            logs,
            close: OnceLock::new(),
            closing: Arc::new(Notify::new()),
        });
        let retention = retention(Arc::downgrade(&broker), Arc::clone(&broker.closing));
        drop(env.spawner.spawn("retention", Box::pin(retention)));
        Ok(broker)
    }

    /// Makes everything durable and lets the folder go. Later calls fail with `Closed`; a second
    /// close waits for the first and has the same result.
    ///
    /// # Errors
    /// When something could not be written or synced.
    pub async fn close(&self) -> Result<()> {
        let close = self.close.get_or_init(|| {
            let (env, topics, logs) = (
                self.env.clone(),
                Arc::clone(&self.topics),
                Arc::clone(&self.logs),
            );
            let close = async move {
                topics.close().await;
                logs.close().await
            };
            // On a thread of its own, where it goes on when nobody waits for it any more.
            let close =
                async move { super::offload_async(&env, "close the data folder", close).await? };
            close.boxed().shared()
        });
        self.closing.notify_one();
        close.clone().await
    }

    /// Whether it takes calls.
    ///
    /// # Errors
    /// `Closed` when it does not.
    pub(super) fn check_open(&self) -> Result<()> {
        if self.close.get().is_some() {
            return Err(Error::new(ErrorKind::Closed, "the cluster is closed"));
        }
        Ok(())
    }

    /// Describes topics, all or those named; makes unknown ones if asked to and allowed.
    ///
    /// # Errors
    /// `Closed`; per topic `UnknownTopicOrPartition` or what making it gave.
    pub async fn metadata(
        &self,
        names: Option<&[TopicName]>,
        allow_auto_create: bool,
    ) -> Result<Vec<Result<TopicMetadata>>> {
        self.check_open()?;
        let Some(names) = names else {
            let all = self.topics.all();
            return Ok(all.iter().map(|topic| Ok(topic.metadata())).collect());
        };
        let mut answers = Vec::with_capacity(names.len());
        for name in names {
            let mut found = self.topics.topic(name);
            if found.is_err() && allow_auto_create && self.config.auto_create_topics {
                found = self
                    .auto_create(name)
                    .await
                    .and_then(|()| self.topics.topic(name));
            }
            answers.push(found.map(|topic| topic.metadata()));
        }
        Ok(answers)
    }

    async fn auto_create(&self, name: &TopicName) -> Result<()> {
        let topic = NewTopic::new(name.as_str())?;
        let created = self.create_topics(vec![topic], false).await?;
        match created.into_iter().next() {
            // Somebody else was faster.
            Some(Err(error)) if error.kind() == ErrorKind::TopicAlreadyExists => Ok(()),
            Some(Err(error)) => Err(error),
            Some(Ok(_)) | None => Ok(()),
        }
    }

    /// Makes topics; durable when it returns.
    ///
    /// # Errors
    /// `Closed`, `Io`; per topic `TopicAlreadyExists`, `InvalidTopic`, `InvalidPartitions`,
    /// `InvalidConfig`.
    pub async fn create_topics(
        &self,
        topics: Vec<NewTopic>,
        validate_only: bool,
    ) -> Result<Vec<Result<TopicMetadata>>> {
        self.check_open()?;
        let partitions = self.config.num_partitions;
        // The broker's own topics are made by the broker, with their own settings.
        let check = |topic: NewTopic| match topic.name.is_internal() {
            true => {
                let message = format!("topic {} is the broker's own", topic.name);
                Err(Error::new(ErrorKind::InvalidTopic, message))
            }
            false => Ok(topic),
        };
        let wanted = topics.into_iter().map(check).collect();
        self.topics.create(wanted, partitions, validate_only).await
    }

    /// Deletes topics with all their records.
    ///
    /// # Errors
    /// `Closed`, `Io`; per topic `UnknownTopicOrPartition`, `InvalidTopic`.
    pub async fn delete_topics(&self, names: &[TopicName]) -> Result<Vec<Result<()>>> {
        self.check_open()?;
        self.topics.delete(names).await
    }

    /// Raises the number of a topic's partitions.
    ///
    /// # Errors
    /// `Closed`, `Io`, `UnknownTopicOrPartition`, `InvalidPartitions`.
    pub async fn create_partitions(&self, topic: &TopicName, total: i32) -> Result<()> {
        self.check_open()?;
        self.topics.grow(topic, total).await
    }

    /// All settings of a topic.
    ///
    /// # Errors
    /// `Closed`, `UnknownTopicOrPartition`.
    pub fn describe_configs(&self, topic: &TopicName) -> Result<Vec<ConfigEntry>> {
        self.check_open()?;
        Ok(self.topics.topic(topic)?.config.describe())
    }

    /// Sets or resets settings of a topic.
    ///
    /// # Errors
    /// `Closed`, `Io`, `UnknownTopicOrPartition`, `InvalidConfig`.
    pub async fn alter_configs(
        &self,
        topic: &TopicName,
        changes: Vec<(String, Option<String>)>,
    ) -> Result<()> {
        self.check_open()?;
        self.topics.alter(topic, changes).await
    }

    /// Appends batches, each after it was validated; waits as `acks` says. All batches have their
    /// offsets when this is first polled: calls that are polled in order append in order.
    ///
    /// # Errors
    /// `Closed`; per batch `UnknownTopicOrPartition`, `MessageTooLarge`, `CorruptMessage`,
    /// `InvalidRecord`, `InvalidTimestamp`, `InvalidTopic` for an internal topic,
    /// `KafkaStorageError`.
    pub async fn produce(&self, request: ProduceRequest) -> Result<Vec<Result<Produced>>> {
        self.check_open()?;
        let durability = match request.acks {
            Acks::None => Durability::None,
            Acks::Leader => Durability::Written,
            Acks::All => Durability::Synced,
        };
        let now = self.env.clock.now();
        let mut last = None;
        let mut appending = Vec::with_capacity(request.batches.len());
        for (partition, bytes) in request.batches {
            let started = self.topics.topic(&partition.topic).and_then(|topic| {
                if topic.name.is_internal() {
                    let message = "clients cannot write to the broker's own topics";
                    return Err(Error::new(ErrorKind::InvalidTopic, message));
                }
                let log = topic.partition(partition.partition)?;
                let header = record::validate(&bytes, &topic.limits(now))?;
                last = Some(Arc::clone(log));
                log.append_start(bytes, &header, durability)
            });
            appending.push(started.map_err(|error| error.partition(&partition)));
        }
        let mut answers = Vec::with_capacity(appending.len());
        for started in appending {
            answers.push(match started {
                Ok(appending) => appending.done().await.map(|appended| Produced {
                    base_offset: match request.acks {
                        Acks::None => Offset(-1),
                        Acks::Leader | Acks::All => appended.base_offset,
                    },
                    log_append_time: appended.log_append_time,
                    log_start: appended.log_start,
                }),
                Err(error) => Err(error),
            });
        }
        if let Some(log) = last {
            // Back-pressure comes after the append, so that it cannot change the order. When the
            // log has failed meanwhile, the next call says so: these answers stand.
            drop(log.admit().await);
        }
        Ok(answers)
    }

    /// Looks up offsets.
    ///
    /// # Errors
    /// `Closed`; per partition `UnknownTopicOrPartition` or what reading the log gave.
    pub async fn list_offsets(
        &self,
        wanted: &[(TopicPartition, OffsetSpec)],
        isolation: IsolationLevel,
    ) -> Result<Vec<Result<ListedOffset>>> {
        self.check_open()?;
        let reads = |(_, spec): &(TopicPartition, OffsetSpec)| match spec {
            OffsetSpec::Earliest | OffsetSpec::Latest => false,
            OffsetSpec::Timestamp(_) | OffsetSpec::MaxTimestamp => true,
        };
        if !wanted.iter().any(reads) {
            return Ok(list_offsets(&self.topics, wanted, isolation));
        }
        // Timestamps are looked up in indexes and batches, which may lie on a cold disk.
        let (topics, wanted) = (Arc::clone(&self.topics), wanted.to_vec());
        let list = move || list_offsets(&topics, &wanted, isolation);
        super::offload(&self.env, "list offsets", list).await
    }

    /// Moves log starts; -1 means all that is readable.
    ///
    /// # Errors
    /// `Closed`; per partition `UnknownTopicOrPartition`, `OffsetOutOfRange`, `PolicyViolation`
    /// for a topic that only compaction cleans, `KafkaStorageError`.
    pub async fn delete_records(
        &self,
        before: &[(TopicPartition, Offset)],
    ) -> Result<Vec<Result<Offset>>> {
        self.check_open()?;
        let mut answers = Vec::with_capacity(before.len());
        for (partition, offset) in before {
            answers.push(self.delete_before(partition, *offset).await);
        }
        Ok(answers)
    }

    async fn delete_before(&self, partition: &TopicPartition, offset: Offset) -> Result<Offset> {
        let topic = self.topics.topic(&partition.topic)?;
        if !topic.config.lists("cleanup.policy", "delete") {
            let message = "records are deleted by request only where cleanup.policy has delete";
            return Err(Error::new(ErrorKind::PolicyViolation, message).partition(partition));
        }
        let log = self.topics.partition(partition)?;
        let offset = match offset {
            Offset(-1) => log.positions().high_watermark,
            offset => offset,
        };
        log.delete_records(offset).await
    }

    /// Removes what retention lets go, in all partitions; returns how many segments went.
    pub fn retain(&self) -> usize {
        let now = self.env.clock.now();
        let topics = self.topics.all();
        let logs = topics.iter().flat_map(|topic| &topic.partitions);
        logs.map(|log| log.retain(now)).sum()
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        self.closing.notify_one();
    }
}

/// Looks for old segments from time to time, until the broker is closed or dropped.
async fn retention(broker: Weak<Broker>, closing: Arc<Notify>) {
    loop {
        let timer = match broker.upgrade() {
            Some(broker) if broker.check_open().is_ok() => {
                let interval = broker.config.retention_check_interval;
                let clock = &broker.env.clock;
                clock.sleep_until(clock.monotonic().saturating_add(interval))
            }
            Some(_) | None => return,
        };
        let closing = std::pin::pin!(closing.notified());
        future::select(closing, timer).await;
        if let Some(broker) = broker.upgrade() {
            broker.retain();
        }
    }
}

fn list_offsets(
    topics: &Topics,
    wanted: &[(TopicPartition, OffsetSpec)],
    isolation: IsolationLevel,
) -> Vec<Result<ListedOffset>> {
    let list = |(partition, spec): &(TopicPartition, OffsetSpec)| {
        list_offset(topics, partition, *spec, isolation)
    };
    wanted.iter().map(list).collect()
}

fn list_offset(
    topics: &Topics,
    partition: &TopicPartition,
    spec: OffsetSpec,
    isolation: IsolationLevel,
) -> Result<ListedOffset> {
    let log = topics.partition(partition)?;
    let positions = log.positions();
    let end = match isolation {
        IsolationLevel::ReadUncommitted => positions.high_watermark,
        IsolationLevel::ReadCommitted => positions.last_stable,
    };
    let found = match spec {
        OffsetSpec::Earliest => Some((positions.log_start, Timestamp::NONE)),
        OffsetSpec::Latest => Some((end, Timestamp::NONE)),
        OffsetSpec::Timestamp(timestamp) => log.offset_for_time(timestamp)?,
        OffsetSpec::MaxTimestamp => log.max_timestamp()?,
    };
    let readable = |(offset, _): &(Offset, Timestamp)| match spec {
        OffsetSpec::Timestamp(_) => *offset < end,
        OffsetSpec::Earliest | OffsetSpec::Latest | OffsetSpec::MaxTimestamp => true,
    };
    let (offset, timestamp) = found
        .filter(readable)
        .unwrap_or((Offset(-1), Timestamp::NONE));
    Ok(ListedOffset { offset, timestamp })
}
