//! A cluster in this process: [`ClusterBackend`] over a broker. The only file of the client that
//! sees the broker.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::OnceCell;

use super::backend::ClusterBackend;
use crate::broker::Broker;
pub use crate::broker::BrokerConfig;
use crate::env::Env;
use crate::error::Result;
use crate::request::{
    CommittedOffset, ConfigEntry, FetchRequest, Fetched, IsolationLevel, ListedOffset, Membership,
    NewTopic, OffsetSpec, ProduceRequest, Produced, TopicMetadata,
};
use crate::types::{GroupId, MemberId, Offset, TopicName, TopicPartition};

/// A broker that is opened when it is first used.
#[derive(Debug)]
pub(super) struct Embedded {
    env: Env,
    dir: PathBuf,
    config: BrokerConfig,
    broker: OnceCell<Arc<Broker>>,
}

impl Embedded {
    pub(super) fn new(env: Env, dir: PathBuf, config: BrokerConfig) -> Self {
        Self {
            env,
            dir,
            config,
            broker: OnceCell::new(),
        }
    }

    /// The broker, opened.
    pub(super) async fn broker(&self) -> Result<&Arc<Broker>> {
        let open = || Broker::open(&self.env, &self.dir, self.config.clone());
        self.broker.get_or_try_init(open).await
    }
}

#[async_trait]
impl ClusterBackend for Embedded {
    fn env(&self) -> &Env {
        &self.env
    }

    async fn metadata(
        &self,
        topics: Option<&[TopicName]>,
        allow_auto_create: bool,
    ) -> Result<Vec<Result<TopicMetadata>>> {
        let broker = self.broker().await?;
        broker.metadata(topics, allow_auto_create).await
    }

    async fn create_topics(
        &self,
        topics: Vec<NewTopic>,
        validate_only: bool,
    ) -> Result<Vec<Result<TopicMetadata>>> {
        let broker = self.broker().await?;
        broker.create_topics(topics, validate_only).await
    }

    async fn delete_topics(&self, topics: &[TopicName]) -> Result<Vec<Result<()>>> {
        self.broker().await?.delete_topics(topics).await
    }

    async fn create_partitions(&self, topic: &TopicName, total: i32) -> Result<()> {
        self.broker().await?.create_partitions(topic, total).await
    }

    async fn describe_configs(&self, topic: &TopicName) -> Result<Vec<ConfigEntry>> {
        self.broker().await?.describe_configs(topic)
    }

    async fn alter_configs(
        &self,
        topic: &TopicName,
        changes: Vec<(String, Option<String>)>,
    ) -> Result<()> {
        self.broker().await?.alter_configs(topic, changes).await
    }

    async fn produce(&self, request: ProduceRequest) -> Result<Vec<Result<Produced>>> {
        self.broker().await?.produce(request).await
    }

    async fn fetch(&self, request: FetchRequest) -> Result<Vec<Result<Fetched>>> {
        self.broker().await?.fetch(request).await
    }

    async fn list_offsets(
        &self,
        wanted: &[(TopicPartition, OffsetSpec)],
        isolation: IsolationLevel,
    ) -> Result<Vec<Result<ListedOffset>>> {
        self.broker().await?.list_offsets(wanted, isolation).await
    }

    async fn delete_records(
        &self,
        before: &[(TopicPartition, Offset)],
    ) -> Result<Vec<Result<Offset>>> {
        self.broker().await?.delete_records(before).await
    }

    async fn commit_offsets(
        &self,
        group: &GroupId,
        membership: Option<&Membership>,
        offsets: Vec<(TopicPartition, CommittedOffset)>,
    ) -> Result<()> {
        let broker = self.broker().await?;
        broker.commit_offsets(group, membership, offsets).await
    }

    async fn committed_offsets(
        &self,
        group: &GroupId,
        partitions: Option<&[TopicPartition]>,
    ) -> Result<Vec<(TopicPartition, Option<CommittedOffset>)>> {
        let broker = self.broker().await?;
        broker.committed_offsets(group, partitions).await
    }

    async fn join_group(
        &self,
        group: &GroupId,
        member: Option<&MemberId>,
        topics: &[TopicName],
        session_timeout: Duration,
    ) -> Result<Membership> {
        let broker = self.broker().await?;
        broker.join_group(group, member, topics, session_timeout)
    }

    async fn heartbeat(&self, membership: &Membership) -> Result<()> {
        self.broker().await?.heartbeat(membership)
    }

    async fn leave_group(&self, membership: &Membership) -> Result<()> {
        self.broker().await?.leave_group(membership)
    }

    async fn close(&self) -> Result<()> {
        self.broker().await?.close().await
    }
}
