//! What a consumer does beneath its types: join, find positions, fetch, commit.
//!
//! All state is here and changes in `&mut self` only; what is under way is a future that owns what
//! it needs. So a caller may drop any wait at any moment and nothing is lost.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;

use super::assignment::{Assignment, Place};
use super::config::{AutoOffsetReset, ConsumerConfig};
use super::group::GroupMember;
use crate::client::backend::ClusterBackend;
use crate::env::BoxFuture;
use crate::error::{Error, ErrorKind, Result};
use crate::request::{
    CommittedOffset, FetchPartition, FetchRequest, Fetched, IsolationLevel, Membership, OffsetSpec,
};
use crate::types::{GroupId, Offset, TopicPartition};

/// The reading side of a consumer.
pub(super) struct Reader {
    pub(super) backend: Arc<dyn ClusterBackend>,
    pub(super) config: ConsumerConfig,
    pub(super) group: Option<GroupId>,
    pub(super) member: Option<Arc<GroupMember>>,
    pub(super) assignment: Assignment,
    /// Fetched and not yet decoded, in the order of fetching.
    pub(super) chunks: VecDeque<Chunk>,
    /// Counts the times that buffered records may have become void.
    pub(super) revocations: u64,
    /// Whether the cluster was closed: there is nothing more to come.
    pub(super) ended: bool,
    work: Option<Work>,
    commit: Option<BoxFuture<Result<()>>>,
    commit_at: Duration,
    last_commit: Vec<(TopicPartition, CommittedOffset)>,
}

/// Batches of one partition; those before `at` are decoded.
#[derive(Debug)]
pub(super) struct Chunk {
    pub(super) partition: TopicPartition,
    pub(super) bytes: Bytes,
    pub(super) at: usize,
}

enum Work {
    Join(BoxFuture<Result<(Membership, bool)>>),
    Locate(BoxFuture<Result<Vec<Located>>>),
    Fetch {
        asked: Vec<(TopicPartition, Offset)>,
        call: BoxFuture<Result<Vec<Result<Fetched>>>>,
    },
}

type Located = (TopicPartition, Place, Result<Offset>);

impl Reader {
    pub(super) fn new(
        backend: Arc<dyn ClusterBackend>,
        config: ConsumerConfig,
        group: Option<GroupId>,
    ) -> Self {
        let now = backend.env().clock.monotonic();
        let commit_at = now.saturating_add(config.auto_commit_interval);
        Self {
            backend,
            config,
            group,
            member: None,
            assignment: Assignment::default(),
            chunks: VecDeque::new(),
            revocations: 0,
            ended: false,
            work: None,
            commit: None,
            commit_at,
            last_commit: Vec::new(),
        }
    }

    /// Whether what is buffered may be returned as it is: no join is due or under way, and no
    /// position is being looked up. Counts as a poll for the group.
    pub(super) fn stands(&self) -> bool {
        let joins = self.member.as_ref().is_some_and(|member| {
            member.polled();
            member.must_join()
        });
        !joins && matches!(self.work, None | Some(Work::Fetch { .. }))
    }

    /// Drives the membership and the positions until both stand.
    pub(super) fn poll_settled(&mut self, context: &mut Context<'_>) -> Poll<Result<()>> {
        loop {
            self.join_if_due(context);
            match &mut self.work {
                Some(Work::Join(call)) => {
                    let joined = ready!(call.as_mut().poll(context));
                    self.work = None;
                    let (membership, same) = self.unless_closed(joined)?;
                    self.joined(&membership, same);
                }
                Some(Work::Locate(call)) => {
                    let located = ready!(call.as_mut().poll(context));
                    self.work = None;
                    let located = self.unless_closed(located)?;
                    self.located(located)?;
                }
                Some(Work::Fetch { .. }) | None => {
                    let lost = self.assignment.lost();
                    if lost.is_empty() || self.ended {
                        return Poll::Ready(Ok(()));
                    }
                    self.work = Some(Work::Locate(self.locate(lost)));
                }
            }
        }
    }

    /// Drives everything until there are chunks to decode, or the cluster ended.
    pub(super) fn poll_fetched(&mut self, context: &mut Context<'_>) -> Poll<Result<()>> {
        loop {
            ready!(self.poll_settled(context))?;
            self.poll_auto_commit(context);
            if self.ended || !self.chunks.is_empty() {
                return Poll::Ready(Ok(()));
            }
            match &mut self.work {
                Some(Work::Fetch { call, .. }) => {
                    let fetched = ready!(call.as_mut().poll(context));
                    if let Some(Work::Fetch { asked, .. }) = self.work.take() {
                        self.fetched(asked, fetched)?;
                    }
                }
                _ => {
                    let asked = self.assignment.to_fetch();
                    if asked.is_empty() {
                        // A group's next assignment wakes us; without one, only our own caller can
                        // change what is read.
                        return Poll::Pending;
                    }
                    self.work = Some(self.fetch(asked));
                }
            }
        }
    }

    /// The caller moved positions: what is under way for the old ones is void.
    pub(super) fn interrupt(&mut self) {
        if !matches!(self.work, Some(Work::Join(_))) {
            self.work = None;
        }
    }

    /// Forgets what is buffered of a partition; it is fetched again from the position.
    pub(super) fn discard(&mut self, partition: &TopicPartition) {
        self.chunks.retain(|chunk| chunk.partition != *partition);
        if let Some(Place::At(offset)) = self.assignment.get(partition).map(|known| known.place) {
            self.assignment.buffered(partition, offset);
        }
        self.interrupt();
    }

    fn join_if_due(&mut self, context: &Context<'_>) {
        let Some(member) = &self.member else {
            return;
        };
        member.polled();
        // Registered before looking, so that a heartbeat in between is not missed.
        member.waker.register(context.waker());
        if member.must_join() && !matches!(self.work, Some(Work::Join(_))) && !self.ended {
            let progress = match self.config.enable_auto_commit {
                true => self.assignment.positions(),
                false => Vec::new(),
            };
            let join = Arc::clone(member).join(progress);
            self.work = Some(Work::Join(Box::pin(join)));
        }
    }

    fn joined(&mut self, membership: &Membership, same: bool) {
        self.assignment.replace(&membership.assignment, same);
        self.revocations += 1;
        let assignment = &self.assignment;
        let kept = |chunk: &Chunk| same && assignment.get(&chunk.partition).is_some();
        self.chunks.retain(kept);
    }

    fn located(&mut self, located: Vec<Located>) -> Result<()> {
        let mut outcome = Ok(());
        for (partition, asked, found) in located {
            // A seek since then counts more.
            if self
                .assignment
                .get(&partition)
                .is_some_and(|known| known.place == asked)
            {
                match found {
                    Ok(offset) => self.assignment.seek(&partition, Place::At(offset)),
                    Err(error) => outcome = outcome.and(Err(error)),
                }
            }
        }
        outcome
    }

    fn fetched(
        &mut self,
        asked: Vec<(TopicPartition, Offset)>,
        fetched: Result<Vec<Result<Fetched>>>,
    ) -> Result<()> {
        let fetched = match self.unless_closed(fetched) {
            Err(_) if self.ended => return Ok(()),
            fetched => fetched?,
        };
        let mut outcome = Ok(());
        for ((partition, offset), fetched) in asked.into_iter().zip(fetched) {
            let current = self.assignment.get(&partition);
            if current.is_none_or(|current| current.fetch_offset != offset || current.paused) {
                continue;
            }
            match fetched {
                Ok(fetched) if fetched.chunks.is_empty() => {}
                Ok(fetched) => {
                    self.assignment.served(&partition);
                    let chunk = |bytes| Chunk {
                        partition: partition.clone(),
                        bytes,
                        at: 0,
                    };
                    self.chunks.extend(fetched.chunks.into_iter().map(chunk));
                }
                Err(error) if self.is_reset(&error) => {
                    self.assignment.seek(&partition, Place::Policy);
                }
                Err(error) => {
                    let error = error.partition(&partition).offset(offset);
                    outcome = outcome.and(Err(error));
                }
            }
        }
        outcome
    }

    fn is_reset(&self, error: &Error) -> bool {
        error.kind() == ErrorKind::OffsetOutOfRange
            && self.config.auto_offset_reset != AutoOffsetReset::None
    }

    fn fetch(&self, asked: Vec<(TopicPartition, Offset)>) -> Work {
        let partitions = asked.iter().map(|(partition, offset)| FetchPartition {
            partition: partition.clone(),
            offset: *offset,
            max_bytes: self.config.max_partition_fetch_bytes,
        });
        let request = FetchRequest {
            partitions: partitions.collect(),
            min_bytes: self.config.fetch_min_bytes,
            max_bytes: self.config.fetch_max_bytes,
            max_wait: self.config.fetch_max_wait,
            isolation: self.config.isolation,
        };
        let backend = Arc::clone(&self.backend);
        let call = Box::pin(async move { backend.fetch(request).await });
        Work::Fetch { asked, call }
    }

    fn locate(&self, lost: Vec<(TopicPartition, Place)>) -> BoxFuture<Result<Vec<Located>>> {
        Box::pin(locate(
            Arc::clone(&self.backend),
            self.group.clone(),
            self.config.auto_offset_reset,
            self.config.isolation,
            lost,
        ))
    }

    fn poll_auto_commit(&mut self, context: &mut Context<'_>) {
        if let Some(commit) = &mut self.commit {
            match commit.as_mut().poll(context) {
                Poll::Pending => return,
                Poll::Ready(result) => {
                    self.commit = None;
                    if let Err(error) = result {
                        // It is tried again at the next interval; a fenced member joins again.
                        tracing::warn!(%error, "an automatic commit failed");
                        self.last_commit.clear();
                    }
                }
            }
        }
        let now = self.backend.env().clock.monotonic();
        let Some(group) = self
            .group
            .clone()
            .filter(|_| self.config.enable_auto_commit)
        else {
            return;
        };
        if now < self.commit_at {
            return;
        }
        self.commit_at = now.saturating_add(self.config.auto_commit_interval);
        let positions = self.assignment.positions();
        if positions.is_empty() || positions == self.last_commit {
            return;
        }
        self.last_commit.clone_from(&positions);
        let backend = Arc::clone(&self.backend);
        let membership = self.member.as_ref().and_then(|member| member.membership());
        self.commit = Some(Box::pin(async move {
            backend
                .commit_offsets(&group, membership.as_ref(), positions)
                .await
        }));
    }

    /// Takes note when an error says that the cluster was closed.
    fn unless_closed<T>(&mut self, result: Result<T>) -> Result<T> {
        if let Err(error) = &result {
            self.ended |= error.kind() == ErrorKind::Closed;
        }
        result
    }
}

impl fmt::Debug for Reader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reader")
            .field("group", &self.group)
            .field("assignment", &self.assignment)
            .finish_non_exhaustive()
    }
}

/// Finds positions: what the group has committed, else what the place or the policy says.
async fn locate(
    backend: Arc<dyn ClusterBackend>,
    group: Option<GroupId>,
    policy: AutoOffsetReset,
    isolation: IsolationLevel,
    lost: Vec<(TopicPartition, Place)>,
) -> Result<Vec<Located>> {
    let mut committed = BTreeMap::new();
    let to_look_up: Vec<_> = lost
        .iter()
        .filter(|(_, place)| *place == Place::Committed)
        .map(|(partition, _)| partition.clone())
        .collect();
    if let Some(group) = group.filter(|_| !to_look_up.is_empty()) {
        let found = backend.committed_offsets(&group, Some(&to_look_up)).await?;
        for (partition, offset) in found {
            if let Some(offset) = offset {
                committed.insert(partition, offset.offset);
            }
        }
    }
    let mut located = Vec::with_capacity(lost.len());
    let mut wanted = Vec::new();
    let mut places = Vec::new();
    for (partition, place) in lost {
        let spec = match (place, policy) {
            (Place::Committed, _) if committed.contains_key(&partition) => {
                let offset = committed.get(&partition).copied().unwrap_or_default();
                located.push((partition, place, Ok(offset)));
                continue;
            }
            (Place::Spec(spec), _) => spec,
            (_, AutoOffsetReset::Earliest) => OffsetSpec::Earliest,
            (_, AutoOffsetReset::Latest) => OffsetSpec::Latest,
            (_, AutoOffsetReset::None) => {
                let message = "no committed offset, and auto_offset_reset is none: seek first";
                let error = Error::new(ErrorKind::NoOffsetForPartition, message);
                located.push((partition.clone(), place, Err(error.partition(&partition))));
                continue;
            }
        };
        wanted.push((partition, spec));
        places.push(place);
    }
    if !wanted.is_empty() {
        let listed = backend.list_offsets(&wanted, isolation).await?;
        for (((partition, _), place), listed) in wanted.into_iter().zip(places).zip(listed) {
            let offset = listed
                .map(|listed| listed.offset)
                .map_err(|error| error.partition(&partition));
            located.push((partition, place, offset));
        }
    }
    Ok(located)
}
