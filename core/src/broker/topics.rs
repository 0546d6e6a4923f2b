//! The topics of a broker: made, altered, deleted one change at a time, looked up by everybody.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, RwLock};

use super::catalog::{self, Catalog, Entry};
use super::topic_config::TopicConfig;
use crate::bounded::HashMap;
use crate::env::Env;
use crate::error::{Error, ErrorKind, Result};
use crate::log::{LogConfig, LogStore, PartitionLog, PartitionSpec};
use crate::record::Limits;
use crate::request::{NewTopic, TopicMetadata};
use crate::sync::{read, write};
use crate::types::{Partition, Timestamp, TopicId, TopicName, TopicPartition};

/// More partitions than this in one topic are taken for a mistake.
const PARTITIONS_MAX: i32 = 100_000;

/// A topic; replaced as a whole when it changes.
#[derive(Debug)]
pub(super) struct Topic {
    pub(super) name: TopicName,
    pub(super) id: TopicId,
    pub(super) config: TopicConfig,
    pub(super) partitions: Vec<Arc<PartitionLog>>,
    batch_bytes_max: usize,
    key_required: bool,
    /// How far timestamps may lie before and after now.
    timestamp_range: (i64, i64),
}

/// All topics.
#[derive(Debug)]
pub(super) struct Topics {
    env: Env,
    dir: PathBuf,
    logs: Arc<LogStore>,
    by_name: RwLock<HashMap<TopicName, Arc<Topic>>>,
    /// What is on disk; held while it changes, so that changes come one after the other.
    catalog: Arc<tokio::sync::Mutex<Catalog>>,
    /// Set under the lock of `catalog`: the folder belongs to others from then on.
    closed: AtomicBool,
}

impl Topics {
    /// The topics of a catalog, whose partitions `logs` has opened.
    pub(super) fn new(env: Env, logs: Arc<LogStore>, catalog: Catalog) -> Self {
        let topics = Self {
            dir: logs.dir().to_owned(),
            env,
            logs,
            by_name: RwLock::default(),
            catalog: Arc::default(),
            closed: AtomicBool::new(false),
        };
        for (name, entry) in &catalog {
            topics.install(name, entry);
        }
        Self {
            catalog: Arc::new(tokio::sync::Mutex::new(catalog)),
            ..topics
        }
    }

    /// Waits for the change that is under way, and lets no other begin.
    pub(super) async fn close(&self) {
        let _changes = self.catalog.lock().await;
        self.closed.store(true, Ordering::Release);
    }

    /// Runs a change, off the async threads and to its end even if nobody waits for it any more:
    /// cut off half-way, it would leave memory and disk apart.
    async fn change<T: Send + 'static>(
        self: &Arc<Self>,
        name: &'static str,
        change: impl FnOnce(&Self, &mut Catalog) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let mut catalog = Arc::clone(&self.catalog).lock_owned().await;
        if self.closed.load(Ordering::Acquire) {
            return Err(Error::new(ErrorKind::Closed, "the cluster is closed"));
        }
        let topics = Arc::clone(self);
        super::offload(&self.env, name, move || change(&topics, &mut catalog)).await?
    }

    pub(super) fn find(&self, name: &TopicName) -> Option<Arc<Topic>> {
        read(&self.by_name).get(name).cloned()
    }

    pub(super) fn topic(&self, name: &TopicName) -> Result<Arc<Topic>> {
        self.find(name).ok_or_else(|| {
            Error::new(
                ErrorKind::UnknownTopicOrPartition,
                format!("there is no topic {name}"),
            )
        })
    }

    pub(super) fn partition(&self, partition: &TopicPartition) -> Result<Arc<PartitionLog>> {
        self.topic(&partition.topic)
            .and_then(|topic| topic.partition(partition.partition).cloned())
            .map_err(|error| error.partition(partition))
    }

    /// All topics, sorted by name.
    pub(super) fn all(&self) -> Vec<Arc<Topic>> {
        let mut all: Vec<_> = read(&self.by_name).values().cloned().collect();
        all.sort_by(|a, b| a.name.cmp(&b.name));
        all
    }

    /// Makes topics; those that can be made are made together, the others are answered as they
    /// were handed in or refused.
    pub(super) async fn create(
        self: &Arc<Self>,
        wanted: Vec<Result<NewTopic>>,
        default_partitions: i32,
        validate_only: bool,
    ) -> Result<Vec<Result<TopicMetadata>>> {
        self.change("create topics", move |topics, catalog| {
            let mut next = catalog.clone();
            let mut answers = Vec::with_capacity(wanted.len());
            for new in wanted {
                let plan = |new| topics.plan(new, default_partitions, &mut next);
                answers.push(new.and_then(plan));
            }
            if validate_only || next.len() == catalog.len() {
                return Ok(answers);
            }
            let made = answers.iter().flatten().flat_map(|topic| {
                let partition = |number| TopicPartition::new(topic.name.clone(), Partition(number));
                (0..topic.partitions).map(partition)
            });
            topics.store(&next, made)?;
            for answer in answers.iter().flatten() {
                if let Some(entry) = next.get(&answer.name) {
                    topics.install(&answer.name, entry);
                }
            }
            *catalog = next;
            Ok(answers)
        })
        .await
    }

    /// Deletes topics: out of the catalog first, then their files.
    pub(super) async fn delete(self: &Arc<Self>, names: &[TopicName]) -> Result<Vec<Result<()>>> {
        let names = names.to_vec();
        self.change("delete topics", move |topics, catalog| {
            let mut next = catalog.clone();
            let mut gone = Vec::new();
            let answers = names.iter().map(|name| {
                if name.is_internal() {
                    let message = format!("topic {name} is the broker's own and cannot be deleted");
                    return Err(Error::new(ErrorKind::InvalidTopic, message));
                }
                let topic = topics.topic(name)?;
                next.remove(name);
                gone.push(topic);
                Ok(())
            });
            let answers = answers.collect();
            if gone.is_empty() {
                return Ok(answers);
            }
            topics.store(&next, [])?;
            *catalog = next;
            for topic in &gone {
                write(&topics.by_name).remove(&topic.name);
            }
            for topic in &gone {
                for log in &topic.partitions {
                    topics
                        .logs
                        .delete(topic.id, log.topic_partition().partition)?;
                }
            }
            Ok(answers)
        })
        .await
    }

    /// Raises the number of partitions.
    pub(super) async fn grow(self: &Arc<Self>, name: &TopicName, total: i32) -> Result<()> {
        let name = name.clone();
        self.change("create partitions", move |topics, catalog| {
            let topic = topics.topic(&name)?;
            let current = i32::try_from(topic.partitions.len()).unwrap_or(i32::MAX);
            if total <= current || total > PARTITIONS_MAX || name.is_internal() {
                let message = format!(
                    "topic {name} has {current} partitions; the number can only grow, to at most \
                     {PARTITIONS_MAX}, and not that of an internal topic; {total} were asked for"
                );
                return Err(Error::new(ErrorKind::InvalidPartitions, message));
            }
            let changed = Entry {
                id: topic.id,
                partitions: total,
                config: topic.config.clone(),
            };
            topics.replace(catalog, &name, &changed)
        })
        .await
    }

    /// Changes settings.
    pub(super) async fn alter(
        self: &Arc<Self>,
        name: &TopicName,
        changes: Vec<(String, Option<String>)>,
    ) -> Result<()> {
        let name = name.clone();
        self.change("alter settings", move |topics, catalog| {
            let topic = topics.topic(&name)?;
            let changed = Entry {
                id: topic.id,
                partitions: i32::try_from(topic.partitions.len()).unwrap_or(i32::MAX),
                config: topic.config.altered(changes)?,
            };
            topics.replace(catalog, &name, &changed)
        })
        .await
    }

    fn replace(&self, catalog: &mut Catalog, name: &TopicName, entry: &Entry) -> Result<()> {
        let mut next = catalog.clone();
        let before = next.insert(name.clone(), entry.clone());
        let made = before.map_or(0, |before| before.partitions)..entry.partitions;
        let made = made.map(|number| TopicPartition::new(name.clone(), Partition(number)));
        self.store(&next, made)?;
        *catalog = next;
        self.install(name, entry);
        Ok(())
    }

    /// Writes a catalog with partitions that are new. Blocks.
    fn store(
        &self,
        catalog: &Catalog,
        made: impl IntoIterator<Item = TopicPartition>,
    ) -> Result<()> {
        let storage = &*self.env.storage;
        let mark = self.env.random.uuid();
        for partition in made {
            // The catalog did not know it, so a folder of this name is what a crash left of a
            // deleted topic. It is kept, out of the way of the new one.
            let stray = self
                .dir
                .join(format!("{partition}.{}-stray", mark.simple()));
            match storage.rename(&self.dir.join(partition.to_string()), &stray) {
                Ok(()) => tracing::warn!(dir = %stray.display(), "set a stray folder aside"),
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                Err(error) => return Err(Error::io("set a folder aside", &stray, error)),
            }
        }
        catalog::store(storage, &self.dir, catalog).inspect_err(|error| {
            if error.kind() == ErrorKind::KafkaStorageError {
                // A topic whose deletion failed here may be gone after a crash, so nothing more
                // may be acknowledged in it.
                self.logs.fail(error);
            }
        })
    }

    /// Opens a topic's partitions (those that are open stay) and shows it to everybody.
    fn install(&self, name: &TopicName, entry: &Entry) {
        let specs = specs(name, entry);
        let partitions: Vec<_> = specs.map(|spec| self.logs.create(spec)).collect();
        let config = log_config(&entry.config);
        for log in &partitions {
            log.set_config(config.clone());
        }
        let whole = |name| entry.config.whole(name).unwrap_or(i64::MAX);
        let topic = Topic {
            name: name.clone(),
            id: entry.id,
            partitions,
            batch_bytes_max: usize::try_from(whole("max.message.bytes")).unwrap_or(usize::MAX),
            key_required: entry.config.lists("cleanup.policy", "compact"),
            timestamp_range: match config.log_append_time {
                true => (i64::MAX, i64::MAX),
                false => (
                    whole("message.timestamp.before.max.ms"),
                    whole("message.timestamp.after.max.ms"),
                ),
            },
            config: entry.config.clone(),
        };
        write(&self.by_name).insert(name.clone(), Arc::new(topic));
    }

    /// Checks a topic to be made and adds it to `catalog`.
    fn plan(&self, new: NewTopic, default: i32, catalog: &mut Catalog) -> Result<TopicMetadata> {
        let NewTopic {
            name,
            partitions,
            configs,
        } = new;
        check_name(&name, catalog)?;
        let partitions = partitions.unwrap_or(default);
        if !(1..=PARTITIONS_MAX).contains(&partitions) {
            let message =
                format!("topic {name}: {partitions} partitions; it takes 1 to {PARTITIONS_MAX}");
            return Err(Error::new(ErrorKind::InvalidPartitions, message));
        }
        let entry = Entry {
            id: TopicId(self.env.random.uuid()),
            partitions,
            config: TopicConfig::new(configs)?,
        };
        let metadata = TopicMetadata {
            internal: name.is_internal(),
            name: name.clone(),
            id: entry.id,
            partitions,
        };
        catalog.insert(name, entry);
        Ok(metadata)
    }
}

impl Topic {
    pub(super) fn partition(&self, partition: Partition) -> Result<&Arc<PartitionLog>> {
        let index = usize::try_from(partition.value()).ok();
        index
            .and_then(|index| self.partitions.get(index))
            .ok_or_else(|| {
                let (name, count) = (&self.name, self.partitions.len());
                Error::new(
                    ErrorKind::UnknownTopicOrPartition,
                    format!("topic {name} has {count} partitions, no partition {partition}"),
                )
            })
    }

    pub(super) fn metadata(&self) -> TopicMetadata {
        TopicMetadata {
            name: self.name.clone(),
            id: self.id,
            partitions: i32::try_from(self.partitions.len()).unwrap_or(i32::MAX),
            internal: self.name.is_internal(),
        }
    }

    /// What the topic takes at this moment.
    pub(super) fn limits(&self, now: Timestamp) -> Limits {
        let (before, after) = self.timestamp_range;
        Limits {
            batch_bytes_max: self.batch_bytes_max,
            key_required: self.key_required,
            timestamp_min: Timestamp(match before {
                i64::MAX => i64::MIN,
                before => now.value().saturating_sub(before),
            }),
            timestamp_max: Timestamp(now.value().saturating_add(after)),
            ..Limits::default()
        }
    }
}

/// The partitions of a topic of the catalog.
pub(super) fn specs<'a>(
    name: &'a TopicName,
    entry: &'a Entry,
) -> impl Iterator<Item = PartitionSpec> + 'a {
    let config = log_config(&entry.config);
    (0..entry.partitions).map(move |partition| PartitionSpec {
        id: entry.id,
        partition: TopicPartition::new(name.clone(), Partition(partition)),
        config: config.clone(),
    })
}

fn check_name(name: &TopicName, catalog: &Catalog) -> Result<()> {
    if catalog.contains_key(name) {
        let message = format!("topic {name} exists");
        return Err(Error::new(ErrorKind::TopicAlreadyExists, message));
    }
    // Kafka's rule: names that differ in these two characters collide in metric names.
    let plain = |name: &TopicName| name.as_str().replace('.', "_");
    let wanted = plain(name);
    if wanted.contains('_')
        && let Some(other) = catalog.keys().find(|other| plain(other) == wanted)
    {
        let message = format!("topic {name} collides with topic {other}: '.' and '_' are alike");
        return Err(Error::new(ErrorKind::InvalidTopic, message));
    }
    Ok(())
}

fn log_config(config: &TopicConfig) -> LogConfig {
    let size = |name| {
        config
            .whole(name)
            .and_then(|bytes| u64::try_from(bytes).ok())
    };
    let segment = size("internal.segment.bytes").or_else(|| size("segment.bytes"));
    let default = LogConfig::default();
    LogConfig {
        segment_bytes: segment.unwrap_or(default.segment_bytes),
        segment_ms: config.whole("segment.ms").unwrap_or(default.segment_ms),
        index_interval_bytes: size("index.interval.bytes").unwrap_or(default.index_interval_bytes),
        retention_bytes: size("retention.bytes"),
        retention_ms: config.whole("retention.ms").filter(|limit| *limit >= 0),
        log_append_time: config.value("message.timestamp.type") == "LogAppendTime",
        delete: config.lists("cleanup.policy", "delete"),
    }
}
