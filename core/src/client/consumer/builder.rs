//! [`ConsumerBuilder`]: from settings to a [`Consumer`].

use std::fmt;
use std::sync::Arc;

use super::assignment::Place;
use super::config::{AutoOffsetReset, ConsumerConfig};
use super::consumer_client::Consumer;
use super::decode::Decoder;
use super::group::{GroupMember, Times};
use super::reader::Reader;
use crate::client::backend::ClusterBackend;
use crate::error::{Error, ErrorKind, Result};
use crate::request::IsolationLevel;
use crate::serdes::OwnedDeserializer;
use crate::types::{GroupId, Offset, TopicName, TopicPartition};

/// Makes a [`Consumer`]; from `Cluster::consumer`. Ends with `subscribe` or `assign`.
#[must_use]
pub struct ConsumerBuilder<K: 'static, V: 'static> {
    backend: Arc<dyn ClusterBackend>,
    key: Arc<dyn OwnedDeserializer<K>>,
    value: Arc<dyn OwnedDeserializer<V>>,
    group: Option<String>,
    config: ConsumerConfig,
}

impl<K: 'static, V: 'static> ConsumerBuilder<K, V> {
    pub(crate) fn new(
        backend: Arc<dyn ClusterBackend>,
        key: Arc<dyn OwnedDeserializer<K>>,
        value: Arc<dyn OwnedDeserializer<V>>,
    ) -> Self {
        Self {
            backend,
            key,
            value,
            group: None,
            config: ConsumerConfig::default(),
        }
    }

    /// The group whose progress it shares; needed to subscribe and to commit.
    pub fn group(mut self, group: &str) -> Self {
        self.group = Some(group.to_owned());
        self
    }

    /// All settings at once.
    pub fn config(mut self, config: ConsumerConfig) -> Self {
        self.config = config;
        self
    }

    /// Where to begin without a committed offset; default [`AutoOffsetReset::Latest`].
    pub fn auto_offset_reset(mut self, policy: AutoOffsetReset) -> Self {
        self.config.auto_offset_reset = policy;
        self
    }

    /// Begins at the first record held, where there is no committed offset.
    pub fn from_beginning(self) -> Self {
        self.auto_offset_reset(AutoOffsetReset::Earliest)
    }

    /// Returns no record of an open or aborted transaction.
    pub fn read_committed(mut self) -> Self {
        self.config.isolation = IsolationLevel::ReadCommitted;
        self
    }

    /// Commits only when told to.
    pub fn manual_commit(mut self) -> Self {
        self.config.enable_auto_commit = false;
        self
    }

    /// The most records of one batch; default 500.
    pub fn max_poll_records(mut self, records: usize) -> Self {
        self.config.max_poll_records = records;
        self
    }

    /// Shares the topics' partitions with the other members of the group. Returns when the
    /// consumer has joined and knows where to begin in the partitions it got.
    ///
    /// # Errors
    /// `InvalidGroupId` without a group; `InvalidTopic`, `UnknownTopicOrPartition`,
    /// `NoOffsetForPartition`, `InvalidConfig`.
    pub async fn subscribe<'a>(
        self,
        topics: impl IntoIterator<Item = &'a str>,
    ) -> Result<Consumer<K, V>> {
        let names: Result<Vec<_>> = topics.into_iter().map(TopicName::new).collect();
        let names = names?;
        let create = self.config.allow_auto_create_topics;
        for topic in self.backend.metadata(Some(&names), create).await? {
            topic?;
        }
        let mut consumer = self.start()?;
        let reader = &mut consumer.reader;
        let times = Times {
            session_timeout: reader.config.session_timeout,
            heartbeat_interval: reader.config.heartbeat_interval,
            max_poll_interval: reader.config.max_poll_interval,
        };
        let group = reader.group()?;
        reader.member = Some(GroupMember::start(&reader.backend, group, names, times));
        consumer.settled().await
    }

    /// Reads exactly these partitions. Returns when it knows where to begin: at the committed
    /// offset if there is a group, else as `auto_offset_reset` says.
    ///
    /// # Errors
    /// `UnknownTopicOrPartition`, `NoOffsetForPartition`, `InvalidConfig`.
    pub async fn assign(
        self,
        partitions: impl IntoIterator<Item = TopicPartition>,
    ) -> Result<Consumer<K, V>> {
        let partitions: Vec<_> = partitions.into_iter().collect();
        let mut consumer = self.start()?;
        consumer.reader.assignment.replace(&partitions, false);
        consumer.settled().await
    }

    /// Reads exactly these partitions from these offsets on.
    ///
    /// # Errors
    /// `InvalidConfig`. An offset that the partition does not hold shows at the first record, by
    /// the reset policy.
    pub async fn assign_at(
        self,
        offsets: impl IntoIterator<Item = (TopicPartition, Offset)>,
    ) -> Result<Consumer<K, V>> {
        let offsets: Vec<_> = offsets.into_iter().collect();
        let partitions: Vec<_> = offsets.iter().map(|(tp, _)| tp.clone()).collect();
        let mut consumer = self.start()?;
        consumer.reader.assignment.replace(&partitions, false);
        for (partition, offset) in offsets {
            consumer
                .reader
                .assignment
                .seek(&partition, Place::At(offset));
        }
        consumer.settled().await
    }

    fn start(self) -> Result<Consumer<K, V>> {
        self.config.validate()?;
        let group = self.group.as_deref().map(GroupId::new).transpose()?;
        let reader = Reader::new(self.backend, self.config, group);
        Ok(Consumer::new(reader, Decoder::new(self.key, self.value)))
    }
}

impl<K: 'static, V: 'static> Consumer<K, V> {
    async fn settled(mut self) -> Result<Self> {
        std::future::poll_fn(|context| self.reader.poll_settled(context)).await?;
        Ok(self)
    }
}

impl Reader {
    /// The group, which some calls cannot do without.
    pub(super) fn group(&self) -> Result<GroupId> {
        self.group.clone().ok_or_else(|| {
            Error::new(
                ErrorKind::InvalidGroupId,
                "the consumer has no group: name one with `group` before subscribing",
            )
        })
    }
}

impl<K: 'static, V: 'static> fmt::Debug for ConsumerBuilder<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConsumerBuilder")
            .field("group", &self.group)
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}
