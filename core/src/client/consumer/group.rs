//! A consumer's membership in its group, and the background task that shows that it lives.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::future;
use futures_util::task::AtomicWaker;
use tokio::sync::Notify;

use crate::client::backend::ClusterBackend;
use crate::error::{Error, ErrorKind, Result};
use crate::request::{CommittedOffset, Membership};
use crate::sync::lock;
use crate::types::{GroupId, TopicName, TopicPartition};

/// What a consumer and its heartbeat task share.
#[derive(Debug)]
pub(super) struct GroupMember {
    backend: Arc<dyn ClusterBackend>,
    pub(super) group: GroupId,
    pub(super) topics: Vec<TopicName>,
    session_timeout: Duration,
    heartbeat_interval: Duration,
    max_poll_interval: Duration,
    state: Mutex<State>,
    /// Whether the member has to join (again) before it reads on.
    must_join: AtomicBool,
    /// Wakes the consumer when `must_join` was set.
    pub(super) waker: AtomicWaker,
    ended: AtomicBool,
    end: Notify,
}

#[derive(Debug, Default)]
struct State {
    membership: Option<Membership>,
    last_poll: Duration,
}

/// The times of a member.
#[derive(Clone, Copy, Debug)]
pub(super) struct Times {
    pub(super) session_timeout: Duration,
    pub(super) heartbeat_interval: Duration,
    pub(super) max_poll_interval: Duration,
}

impl GroupMember {
    /// A member that has yet to join; its heartbeats begin.
    pub(super) fn start(
        backend: &Arc<dyn ClusterBackend>,
        group: GroupId,
        topics: Vec<TopicName>,
        times: Times,
    ) -> Arc<Self> {
        let env = backend.env();
        let state = State {
            membership: None,
            last_poll: env.clock.monotonic(),
        };
        let member = Arc::new(Self {
            backend: Arc::clone(backend),
            group,
            topics,
            session_timeout: times.session_timeout,
            heartbeat_interval: times.heartbeat_interval,
            max_poll_interval: times.max_poll_interval,
            state: Mutex::new(state),
            must_join: AtomicBool::new(true),
            waker: AtomicWaker::new(),
            ended: AtomicBool::new(false),
            end: Notify::new(),
        });
        let task = Box::pin(heartbeats(Arc::clone(&member)));
        drop(env.spawner.spawn("consumer heartbeat", task));
        member
    }

    pub(super) fn must_join(&self) -> bool {
        self.must_join.load(Ordering::Acquire)
    }

    /// The consumer asked for records.
    pub(super) fn polled(&self) {
        lock(&self.state).last_poll = self.backend.env().clock.monotonic();
    }

    pub(super) fn membership(&self) -> Option<Membership> {
        lock(&self.state).membership.clone()
    }

    /// Joins, or joins again after storing `progress`. The answer says whether it is still the
    /// same member: if not, others may have read on from what was committed.
    pub(super) async fn join(
        self: Arc<Self>,
        progress: Vec<(TopicPartition, CommittedOffset)>,
    ) -> Result<(Membership, bool)> {
        let current = self.membership();
        self.must_join.store(false, Ordering::Release);
        let joined = self.join_as(current.as_ref(), progress).await;
        match &joined {
            Ok((membership, _)) => lock(&self.state).membership = Some(membership.clone()),
            Err(_) => self.must_join.store(true, Ordering::Release),
        }
        joined
    }

    async fn join_as(
        &self,
        current: Option<&Membership>,
        progress: Vec<(TopicPartition, CommittedOffset)>,
    ) -> Result<(Membership, bool)> {
        if let Some(current) = current {
            let same = match self.commit(Some(current), progress).await {
                Err(error) if is_fenced(&error) => false,
                Err(error) => return Err(error),
                Ok(()) => true,
            };
            if same {
                match self.call_join(Some(current)).await {
                    Err(error) if is_fenced(&error) => {}
                    joined => return joined.map(|joined| (joined, true)),
                }
            }
        }
        self.call_join(None).await.map(|joined| (joined, false))
    }

    async fn commit(
        &self,
        membership: Option<&Membership>,
        progress: Vec<(TopicPartition, CommittedOffset)>,
    ) -> Result<()> {
        if progress.is_empty() {
            return Ok(());
        }
        self.backend
            .commit_offsets(&self.group, membership, progress)
            .await
    }

    async fn call_join(&self, current: Option<&Membership>) -> Result<Membership> {
        let member = current.map(|current| &current.member);
        self.backend
            .join_group(&self.group, member, &self.topics, self.session_timeout)
            .await
    }

    /// Leaves the group and ends the heartbeats.
    pub(super) async fn leave(&self) -> Result<()> {
        self.ended.store(true, Ordering::Release);
        let membership = lock(&self.state).membership.take();
        self.end.notify_one();
        match membership {
            Some(membership) => match self.backend.leave_group(&membership).await {
                Err(error) if is_fenced(&error) => Ok(()),
                left => left,
            },
            None => Ok(()),
        }
    }

    /// Has the task leave the group in the background.
    pub(super) fn abandon(&self) {
        self.ended.store(true, Ordering::Release);
        self.end.notify_one();
    }

    fn rejoin(&self, lost: Option<&Membership>) {
        if let Some(lost) = lost {
            let mut state = lock(&self.state);
            let current = state.membership.as_ref();
            if current.is_none_or(|current| current.generation != lost.generation) {
                // The answer came late: the member has joined again since.
                return;
            }
            state.membership = None;
        }
        self.must_join.store(true, Ordering::Release);
        self.waker.wake();
    }

    /// Whether the consumer has not asked for records for too long.
    fn is_idle(&self) -> bool {
        let last_poll = lock(&self.state).last_poll;
        let idle = self
            .backend
            .env()
            .clock
            .monotonic()
            .saturating_sub(last_poll);
        idle > self.max_poll_interval
    }
}

/// Whether the group does not take the member for what it says it is.
pub(super) fn is_fenced(error: &Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::IllegalGeneration | ErrorKind::UnknownMemberId
    )
}

async fn heartbeats(member: Arc<GroupMember>) {
    let clock = Arc::clone(&member.backend.env().clock);
    loop {
        let timer = clock.sleep_until(clock.monotonic().saturating_add(member.heartbeat_interval));
        let end = std::pin::pin!(member.end.notified());
        future::select(end, timer).await;
        let membership = member.membership();
        if member.ended.load(Ordering::Acquire) {
            if let Some(membership) = membership {
                // Nobody is left to tell; without this call the group waits for the session's end.
                drop(member.backend.leave_group(&membership).await);
            }
            return;
        }
        let Some(membership) = membership else {
            continue;
        };
        if member.is_idle() {
            tracing::warn!(
                group = %member.group,
                "no poll for longer than max_poll_interval: the member leaves its group"
            );
            drop(member.backend.leave_group(&membership).await);
            member.rejoin(Some(&membership));
            continue;
        }
        match member.backend.heartbeat(&membership).await {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::RebalanceInProgress => member.rejoin(None),
            Err(error) if is_fenced(&error) => member.rejoin(Some(&membership)),
            Err(error) if error.kind() == ErrorKind::Closed => return,
            Err(error) => tracing::warn!(group = %member.group, %error, "a heartbeat failed"),
        }
    }
}
