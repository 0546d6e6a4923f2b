//! The seam between the client API and a cluster: batch-wise calls, embedded or remote.
//!
//! `Producer`, `Consumer`, `Admin` and the streams runtime speak to a cluster through
//! [`ClusterBackend`] alone. One call carries many batches, so the boxed future costs nothing
//! per record.

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;

use crate::env::Env;
use crate::error::Result;
use crate::request::{
    CommittedOffset, ConfigEntry, FetchRequest, Fetched, IsolationLevel, ListedOffset, Membership,
    NewTopic, OffsetSpec, ProduceRequest, Produced, TopicMetadata,
};
use crate::types::{GroupId, MemberId, Offset, TopicName, TopicPartition};

/// A cluster, as the client API sees it.
///
/// Answers come in the order of the request. An error of one item does not touch the others.
#[async_trait]
pub trait ClusterBackend: Send + Sync + fmt::Debug + 'static {
    /// The components that clients of this cluster use.
    fn env(&self) -> &Env;

    /// Describes topics: all for `None`, else those named (made, if the broker may and
    /// `allow_auto_create` says so).
    async fn metadata(
        &self,
        topics: Option<&[TopicName]>,
        allow_auto_create: bool,
    ) -> Result<Vec<Result<TopicMetadata>>>;

    /// Makes topics; durable when it returns. With `validate_only` nothing is made.
    async fn create_topics(
        &self,
        topics: Vec<NewTopic>,
        validate_only: bool,
    ) -> Result<Vec<Result<TopicMetadata>>>;

    /// Deletes topics with all their records.
    async fn delete_topics(&self, topics: &[TopicName]) -> Result<Vec<Result<()>>>;

    /// Raises the number of a topic's partitions to `total`.
    async fn create_partitions(&self, topic: &TopicName, total: i32) -> Result<()>;

    /// All settings of a topic, sorted by name.
    async fn describe_configs(&self, topic: &TopicName) -> Result<Vec<ConfigEntry>>;

    /// Sets (or with `None` resets) settings of a topic; all or none.
    async fn alter_configs(
        &self,
        topic: &TopicName,
        changes: Vec<(String, Option<String>)>,
    ) -> Result<()>;

    /// Appends batches; returns when `acks` is met for all, with one answer a batch.
    async fn produce(&self, request: ProduceRequest) -> Result<Vec<Result<Produced>>>;

    /// Reads batches; waits as the request says; one answer a partition.
    async fn fetch(&self, request: FetchRequest) -> Result<Vec<Result<Fetched>>>;

    /// Looks up offsets.
    async fn list_offsets(
        &self,
        wanted: &[(TopicPartition, OffsetSpec)],
        isolation: IsolationLevel,
    ) -> Result<Vec<Result<ListedOffset>>>;

    /// Moves the log start: records before the offset are gone (-1: all up to the high watermark).
    async fn delete_records(
        &self,
        before: &[(TopicPartition, Offset)],
    ) -> Result<Vec<Result<Offset>>>;

    /// Stores a group's progress, durably. With a membership, the member must be current.
    async fn commit_offsets(
        &self,
        group: &GroupId,
        membership: Option<&Membership>,
        offsets: Vec<(TopicPartition, CommittedOffset)>,
    ) -> Result<()>;

    /// A group's progress: in the partitions named, or in all that it committed.
    async fn committed_offsets(
        &self,
        group: &GroupId,
        partitions: Option<&[TopicPartition]>,
    ) -> Result<Vec<(TopicPartition, Option<CommittedOffset>)>>;

    /// Joins a group (or joins again, with the member's id) and returns the assignment.
    async fn join_group(
        &self,
        group: &GroupId,
        member: Option<&MemberId>,
        topics: &[TopicName],
        session_timeout: Duration,
    ) -> Result<Membership>;

    /// Shows that a member lives; `RebalanceInProgress` tells it to join again.
    async fn heartbeat(&self, membership: &Membership) -> Result<()>;

    /// Leaves a group at once.
    async fn leave_group(&self, membership: &Membership) -> Result<()>;

    /// Ends the cluster in order; later calls fail with `Closed`. For a remote cluster only the
    /// connections end.
    async fn close(&self) -> Result<()>;
}
