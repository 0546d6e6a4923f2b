//! The group coordinator's runtime: it loads, asks the state machines, appends, replays.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::broker_node::Broker;
use super::group::membership::{Group, Join};
use super::group::offsets::{Offsets, Record, partition_for_group};
use crate::bounded::HashMap;
use crate::error::{Error, ErrorKind, Result};
use crate::log::{Durability, PartitionLog, ReadLimit};
use crate::record::{BatchBuilder, BatchOptions, Batches, Headers, Limits, Scratch, validate};
use crate::request::{CommittedOffset, Membership, NewTopic};
use crate::sync::lock;
use crate::types::{GroupId, MemberId, Offset, Partition, TopicName, TopicPartition};

const OFFSETS_TOPIC: &str = "__consumer_offsets";
/// As in Kafka (`offsets.topic.segment.bytes`).
const OFFSETS_SEGMENT_BYTES: &str = "104857600";
/// A group's id is a text of Kafka's protocol, whose length is an i16.
const GROUP_ID_MAX: usize = 32_767;
/// How much of `__consumer_offsets` is read at once while loading.
const LOAD_BYTES: usize = 1 << 20;

/// What the coordinator knows.
#[derive(Debug, Default)]
pub(super) struct Groups {
    /// Who is in which group; groups without members are not kept.
    members: Mutex<HashMap<GroupId, Group>>,
    /// The loaded partitions of `__consumer_offsets`.
    shards: Mutex<BTreeMap<i32, Arc<Shard>>>,
}

/// One partition of `__consumer_offsets`.
#[derive(Debug)]
struct Shard {
    log: Arc<PartitionLog>,
    loaded: tokio::sync::OnceCell<()>,
    offsets: Mutex<Offsets>,
}

impl Broker {
    /// Joins a group, as a new member or again as `member`.
    ///
    /// # Errors
    /// `Closed`; `UnknownMemberId` when the group has no such member (any more);
    /// `InvalidRequest` for a session timeout of 0.
    pub fn join_group(
        &self,
        group: &GroupId,
        member: Option<&MemberId>,
        topics: &[TopicName],
        session_timeout: Duration,
    ) -> Result<Membership> {
        self.check_open()?;
        check_group(group)?;
        if session_timeout.is_zero() {
            let message = "a session timeout must be more than 0";
            return Err(Error::new(ErrorKind::InvalidRequest, message));
        }
        let member_id = match member {
            Some(member) => member.clone(),
            None => MemberId(format!("member-{}", self.env.random.uuid()).into()),
        };
        let join = Join {
            member: member_id.clone(),
            fresh: member.is_none(),
            topics: topics.iter().cloned().collect(),
            session_timeout,
        };
        let now = self.env.clock.monotonic();
        let joined = self.with_group(group, |state| {
            state.join(join, &|topic| self.partition_count(topic), now)
        })?;
        Ok(Membership {
            group: group.clone(),
            member: member_id,
            generation: joined.generation,
            assignment: joined.assignment.into_iter().collect(),
        })
    }

    /// Shows that a member lives.
    ///
    /// # Errors
    /// `Closed`; `RebalanceInProgress` when it should join again; `UnknownMemberId`,
    /// `IllegalGeneration`.
    pub fn heartbeat(&self, membership: &Membership) -> Result<()> {
        self.check_open()?;
        let now = self.env.clock.monotonic();
        let (member, generation) = (&membership.member, membership.generation);
        self.with_group(&membership.group, |state| {
            state.heartbeat(
                member,
                generation,
                &|topic| self.partition_count(topic),
                now,
            )
        })
    }

    /// Leaves a group; what the member read is free for others.
    ///
    /// # Errors
    /// `Closed`, `UnknownMemberId`.
    pub fn leave_group(&self, membership: &Membership) -> Result<()> {
        self.check_open()?;
        let now = self.env.clock.monotonic();
        self.with_group(&membership.group, |state| {
            state.leave(&membership.member, now)
        })
    }

    /// Stores a group's progress; on disk when it returns.
    ///
    /// # Errors
    /// `Closed`; `UnknownMemberId`, `IllegalGeneration` (without a membership: `UnknownMemberId`
    /// when the group has members); `UnknownTopicOrPartition`, `OffsetMetadataTooLarge`,
    /// `InvalidGroupId`, `KafkaStorageError`. Nothing is stored then.
    pub async fn commit_offsets(
        &self,
        group: &GroupId,
        membership: Option<&Membership>,
        offsets: Vec<(TopicPartition, CommittedOffset)>,
    ) -> Result<()> {
        self.check_open()?;
        check_group(group)?;
        self.check_committer(group, membership)?;
        let mut known = Vec::with_capacity(offsets.len());
        for (partition, committed) in offsets {
            let topic = self.topics.topic(&partition.topic)?;
            topic
                .partition(partition.partition)
                .map_err(|error| error.partition(&partition))?;
            known.push((partition, topic.id, committed));
        }
        let records = Offsets::commit(group, known, self.env.clock.now())?;
        if records.is_empty() {
            return Ok(());
        }
        self.make_offsets_topic().await?;
        if let Some(shard) = self.shard(group).await? {
            shard.store(records, self.env.clock.now()).await?;
        }
        Ok(())
    }

    /// A group's progress, in the partitions named or in all. Progress in a topic that was deleted
    /// is gone, also when there is a new topic of that name.
    ///
    /// # Errors
    /// `Closed`, or what reading `__consumer_offsets` gave.
    pub async fn committed_offsets(
        &self,
        group: &GroupId,
        partitions: Option<&[TopicPartition]>,
    ) -> Result<Vec<(TopicPartition, Option<CommittedOffset>)>> {
        self.check_open()?;
        check_group(group)?;
        let mut committed = BTreeMap::new();
        if let Some(shard) = self.shard(group).await? {
            let offsets = lock(&shard.offsets);
            for (partition, value) in offsets.of(group) {
                let topic = self.topics.find(&partition.topic);
                if topic.is_some_and(|topic| value.topic_id.is_none_or(|id| id == topic.id)) {
                    let value = CommittedOffset {
                        offset: value.offset,
                        metadata: value.metadata.clone(),
                    };
                    committed.insert(partition.clone(), value);
                }
            }
        }
        Ok(match partitions {
            Some(partitions) => partitions
                .iter()
                .map(|partition| (partition.clone(), committed.get(partition).cloned()))
                .collect(),
            None => committed
                .into_iter()
                .map(|(partition, value)| (partition, Some(value)))
                .collect(),
        })
    }

    fn check_committer(&self, group: &GroupId, membership: Option<&Membership>) -> Result<()> {
        let now = self.env.clock.monotonic();
        self.with_group(group, |state| match membership {
            Some(membership) => state.check(&membership.member, membership.generation, now),
            None if state.is_empty(now) => Ok(()),
            None => Err(Error::new(
                ErrorKind::UnknownMemberId,
                format!("group {group} has members: only they can commit"),
            )),
        })
    }

    fn with_group<T>(&self, id: &GroupId, act: impl FnOnce(&mut Group) -> Result<T>) -> Result<T> {
        let mut groups = lock(&self.groups.members);
        let group = groups
            .entry(id.clone())
            .or_insert_with(|| Group::new(id.clone()));
        let answer = act(group);
        if group.is_empty(self.env.clock.monotonic()) {
            groups.remove(id);
        }
        answer
    }

    fn partition_count(&self, topic: &TopicName) -> i32 {
        let topic = self.topics.find(topic);
        topic.map_or(0, |topic| {
            i32::try_from(topic.partitions.len()).unwrap_or(i32::MAX)
        })
    }

    async fn make_offsets_topic(&self) -> Result<()> {
        let topic = NewTopic::new(OFFSETS_TOPIC)?
            .partitions(self.config.offsets_topic_partitions)
            .config("cleanup.policy", "compact")
            .config("segment.bytes", OFFSETS_SEGMENT_BYTES);
        if self.topics.find(&topic.name).is_some() {
            return Ok(());
        }
        let made = self.topics.create(vec![Ok(topic)], 1, false).await?;
        match made.into_iter().next() {
            Some(Err(error)) if error.kind() != ErrorKind::TopicAlreadyExists => Err(error),
            _ => Ok(()),
        }
    }

    /// The shard of a group, loaded; `None` while nothing was ever committed.
    async fn shard(&self, group: &GroupId) -> Result<Option<Arc<Shard>>> {
        let Some(topic) = self.topics.find(&TopicName::new(OFFSETS_TOPIC)?) else {
            return Ok(None);
        };
        let count = i32::try_from(topic.partitions.len()).unwrap_or(i32::MAX);
        let number = partition_for_group(group, count);
        let log = topic.partition(Partition(number))?;
        let shard = {
            let mut shards = lock(&self.groups.shards);
            let shard = shards
                .entry(number)
                .or_insert_with(|| Arc::new(Shard::new(log)));
            Arc::clone(shard)
        };
        shard
            .loaded
            .get_or_try_init(|| async {
                let loading = Arc::clone(&shard);
                super::offload(&self.env, "load offsets", move || loading.load()).await?
            })
            .await?;
        Ok(Some(shard))
    }
}

impl Shard {
    fn new(log: &Arc<PartitionLog>) -> Self {
        Self {
            log: Arc::clone(log),
            loaded: tokio::sync::OnceCell::new(),
            offsets: Mutex::default(),
        }
    }

    /// Replays the whole partition. Blocks.
    fn load(&self) -> Result<()> {
        let mut scratch = Scratch::new();
        let mut offsets = lock(&self.offsets);
        let mut next = self.log.positions().log_start;
        loop {
            let read = self.log.read(next, LOAD_BYTES, ReadLimit::LogEnd)?;
            if read.chunks.is_empty() {
                return Ok(());
            }
            for chunk in &read.chunks {
                let taken = take_in(chunk, &mut offsets, &mut next, &mut scratch);
                taken.map_err(|error| error.partition(self.log.topic_partition()).offset(next))?;
            }
        }
    }

    /// Appends records and, once they are on disk, replays them.
    async fn store(&self, records: Vec<Record>, now: crate::types::Timestamp) -> Result<()> {
        let mut builder = BatchBuilder::new(BatchOptions::default());
        for (key, value) in &records {
            builder.append(now, Some(key), value.as_deref(), Headers::EMPTY)?;
        }
        let batch = builder.finish()?;
        let limits = Limits {
            batch_bytes_max: usize::MAX,
            ..Limits::default()
        };
        let header = validate(&batch, &limits)?;
        let appended = self.log.append(batch, &header, Durability::Synced).await?;
        let mut offsets = lock(&self.offsets);
        for (index, (key, value)) in (0..).zip(&records) {
            offsets.replay(appended.base_offset.plus(index), key, value.as_deref())?;
        }
        Ok(())
    }
}

/// Replays the commits of a chunk; `next` is the offset behind those that were taken in.
fn take_in(
    chunk: &[u8],
    offsets: &mut Offsets,
    next: &mut Offset,
    scratch: &mut Scratch,
) -> Result<()> {
    for batch in Batches::new(chunk) {
        let batch = batch?;
        batch.check_crc()?;
        if !batch.header.attributes.is_control() {
            for record in batch.records(scratch)? {
                let record = record?;
                let key = record.key.unwrap_or_default();
                offsets.replay(record.offset, key, record.value)?;
            }
        }
        *next = batch.header.next_offset();
    }
    Ok(())
}

fn check_group(group: &GroupId) -> Result<()> {
    let length = group.as_str().len();
    if length <= GROUP_ID_MAX {
        return Ok(());
    }
    let message = format!("a group id of {length} bytes; {GROUP_ID_MAX} are allowed");
    Err(Error::new(ErrorKind::InvalidGroupId, message))
}
