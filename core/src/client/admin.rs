//! [`Admin`]: topics, their settings, their offsets, and groups' progress.

use std::sync::Arc;

use super::backend::ClusterBackend;
use crate::error::{Error, ErrorKind, Result};
use crate::request::{
    CommittedOffset, ConfigEntry, IsolationLevel, ListedOffset, NewTopic, OffsetSpec, TopicMetadata,
};
use crate::types::{GroupId, Offset, TopicName, TopicPartition};

/// What one does to a cluster rather than with it.
#[derive(Clone, Debug)]
pub struct Admin {
    backend: Arc<dyn ClusterBackend>,
}

impl Admin {
    pub(crate) fn new(backend: Arc<dyn ClusterBackend>) -> Self {
        Self { backend }
    }

    /// Makes a topic with `partitions` partitions and default settings.
    ///
    /// # Errors
    /// As [`Admin::create`].
    pub async fn create_topic(&self, name: &str, partitions: i32) -> Result<TopicMetadata> {
        self.create(NewTopic::new(name)?.partitions(partitions))
            .await
    }

    /// Makes a topic; it is durable when this returns.
    ///
    /// # Errors
    /// `TopicAlreadyExists`, `InvalidTopic` (also when the name differs from an existing one only
    /// in `.` and `_`), `InvalidPartitions`, `InvalidConfig`.
    pub async fn create(&self, topic: NewTopic) -> Result<TopicMetadata> {
        one(self.backend.create_topics(vec![topic], false).await?)
    }

    /// Makes topics, each on its own: one's error does not touch the others.
    ///
    /// # Errors
    /// When the cluster could not be asked; per topic as [`Admin::create`].
    pub async fn create_topics(&self, topics: Vec<NewTopic>) -> Result<Vec<Result<TopicMetadata>>> {
        self.backend.create_topics(topics, false).await
    }

    /// Says whether a topic could be made, and makes nothing.
    ///
    /// # Errors
    /// As [`Admin::create`].
    pub async fn validate(&self, topic: NewTopic) -> Result<TopicMetadata> {
        one(self.backend.create_topics(vec![topic], true).await?)
    }

    /// Deletes a topic with all its records.
    ///
    /// # Errors
    /// `UnknownTopicOrPartition`; `InvalidTopic` for an internal topic.
    pub async fn delete_topic(&self, name: &str) -> Result<()> {
        one(self.backend.delete_topics(&[TopicName::new(name)?]).await?)
    }

    /// All topics, sorted by name, without the internal ones.
    ///
    /// # Errors
    /// When the cluster could not be asked.
    pub async fn list_topics(&self) -> Result<Vec<TopicMetadata>> {
        let mut topics = Vec::new();
        for topic in self.backend.metadata(None, false).await? {
            let topic = topic?;
            if !topic.internal {
                topics.push(topic);
            }
        }
        topics.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(topics)
    }

    /// One topic; it is never made by asking.
    ///
    /// # Errors
    /// `UnknownTopicOrPartition`.
    pub async fn describe_topic(&self, name: &str) -> Result<TopicMetadata> {
        let name = [TopicName::new(name)?];
        one(self.backend.metadata(Some(&name), false).await?)
    }

    /// Raises the number of a topic's partitions. Keys may move to other partitions: what was
    /// written stays where it is.
    ///
    /// # Errors
    /// `InvalidPartitions` when `total` is not more than there are; `UnknownTopicOrPartition`.
    pub async fn create_partitions(&self, topic: &str, total: i32) -> Result<()> {
        self.backend
            .create_partitions(&TopicName::new(topic)?, total)
            .await
    }

    /// All settings of a topic, sorted by name.
    ///
    /// # Errors
    /// `UnknownTopicOrPartition`.
    pub async fn describe_configs(&self, topic: &str) -> Result<Vec<ConfigEntry>> {
        self.backend.describe_configs(&TopicName::new(topic)?).await
    }

    /// Sets settings of a topic, or resets those that are `None`; all or none.
    ///
    /// # Errors
    /// `InvalidConfig` with the valid names or the valid range; `UnknownTopicOrPartition`.
    pub async fn alter_configs(
        &self,
        topic: &str,
        changes: impl IntoIterator<Item = (&str, Option<&str>)>,
    ) -> Result<()> {
        let changes = changes
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value.map(str::to_owned)))
            .collect();
        self.backend
            .alter_configs(&TopicName::new(topic)?, changes)
            .await
    }

    /// The offset that `spec` means in a partition; -1 when no record matches.
    ///
    /// # Errors
    /// `UnknownTopicOrPartition`, or what reading the log gave.
    pub async fn list_offset(
        &self,
        partition: &TopicPartition,
        spec: OffsetSpec,
    ) -> Result<ListedOffset> {
        let wanted = [(partition.clone(), spec)];
        one(self.list_offsets(&wanted).await?)
    }

    /// The offsets that the specs mean, in their order.
    ///
    /// # Errors
    /// When the cluster could not be asked; per partition as [`Admin::list_offset`].
    pub async fn list_offsets(
        &self,
        wanted: &[(TopicPartition, OffsetSpec)],
    ) -> Result<Vec<Result<ListedOffset>>> {
        self.backend
            .list_offsets(wanted, IsolationLevel::ReadUncommitted)
            .await
    }

    /// Forgets the records before `before` (-1: all that are readable) and returns the first
    /// offset that is still there.
    ///
    /// # Errors
    /// `OffsetOutOfRange`, `UnknownTopicOrPartition`; `PolicyViolation` for a topic that is only
    /// compacted.
    pub async fn delete_records(
        &self,
        partition: &TopicPartition,
        before: Offset,
    ) -> Result<Offset> {
        let before = [(partition.clone(), before)];
        one(self.backend.delete_records(&before).await?)
    }

    /// All that a group has committed.
    ///
    /// # Errors
    /// `InvalidGroupId`, or what reading the offsets gave.
    pub async fn group_offsets(
        &self,
        group: &str,
    ) -> Result<Vec<(TopicPartition, CommittedOffset)>> {
        let all = self
            .backend
            .committed_offsets(&GroupId::new(group)?, None)
            .await?;
        Ok(all
            .into_iter()
            .filter_map(|(partition, offset)| Some((partition, offset?)))
            .collect())
    }

    /// Sets a group's progress from outside, as for reading again. The group must have no members.
    ///
    /// # Errors
    /// `UnknownMemberId` when the group has members, `UnknownTopicOrPartition`, `InvalidGroupId`.
    pub async fn alter_group_offsets(
        &self,
        group: &str,
        offsets: impl IntoIterator<Item = (TopicPartition, Offset)>,
    ) -> Result<()> {
        let offsets = offsets
            .into_iter()
            .map(|(partition, offset)| (partition, CommittedOffset::at(offset)))
            .collect();
        self.backend
            .commit_offsets(&GroupId::new(group)?, None, offsets)
            .await
    }
}

fn one<T>(answers: Vec<Result<T>>) -> Result<T> {
    answers.into_iter().next().unwrap_or_else(|| {
        Err(Error::new(
            ErrorKind::InvalidRequest,
            "the cluster gave no answer to a request for one item",
        ))
    })
}
