//! [`Streams`]: an application, and [`StreamsHandle`]: one that runs.

use std::fmt;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Poll;

use headwater_core::client::Cluster;
use headwater_core::env::TaskHandle;
use headwater_core::serdes::Data;
use headwater_core::types::GroupId;
use headwater_core::{Error, ErrorKind, Result};
use tokio::sync::{mpsc, oneshot, watch};

use super::query::{Command, QueryTarget, ReadOnlyKeyValueStore};
use super::running::Running;
use super::thread::StreamThread;
use super::topics::Plan;
use crate::config::StreamsConfig;
use crate::topology::Topology;

/// How many commands may wait for the stream thread.
const COMMANDS_MAX: usize = 1024;

/// A topology with the name of its application, ready to run on a cluster.
///
/// The name is that of the consumer group which holds the application's progress, and the first
/// part of the names of its internal topics. Processing is at least once: a commit writes
/// results, then changed state, then progress; what a crash cuts off in between is processed
/// again, and counted again, when the application comes back.
///
/// One instance of an application runs at a time: it takes all partitions of its topics, and a
/// second one on the same cluster is refused until the first has ended.
#[derive(Debug)]
pub struct Streams {
    name: String,
    topology: Topology,
    config: StreamsConfig,
}

impl Streams {
    /// The application `name` that runs `topology`.
    pub fn new(name: impl Into<String>, topology: Topology) -> Self {
        Self {
            name: name.into(),
            topology,
            config: StreamsConfig::default(),
        }
    }

    /// Replaces the settings.
    #[must_use]
    pub fn with_config(mut self, config: StreamsConfig) -> Self {
        self.config = config;
        self
    }

    /// Runs until `shutdown` is ready, then commits and ends.
    ///
    /// # Errors
    /// What [`Streams::start`] says; the failure of an operator, a serde or the cluster, which
    /// ends the application with what was committed.
    pub async fn run(self, cluster: &Cluster, shutdown: impl Future) -> Result<()> {
        let handle = self.start(cluster).await?;
        {
            let mut shutdown = pin!(shutdown);
            let mut ended = pin!(handle.ended());
            std::future::poll_fn(|cx| {
                if shutdown.as_mut().poll(cx).is_ready() || ended.as_mut().poll(cx).is_ready() {
                    return Poll::Ready(());
                }
                Poll::Pending
            })
            .await;
        }
        handle.close().await
    }

    /// Makes the internal topics that are missing and starts the stream thread, which restores
    /// the state and goes on where the last commit was.
    ///
    /// # Errors
    /// A topic that is missing and may not be made, or an internal topic that does not fit the
    /// topology any more; a name that is no group's or topic's name;
    /// [`ErrorKind::NonEmptyGroup`] while an application of this name runs on the cluster.
    pub async fn start(self, cluster: &Cluster) -> Result<StreamsHandle> {
        let group = GroupId::new(&self.name)?;
        let backend = Arc::clone(cluster.backend());
        let running = Running::take(&backend, &group)?;
        let plan = Plan::make(&*backend, &self.topology, &self.name).await?;
        let (commands, receiver) = mpsc::channel(COMMANDS_MAX);
        let (ended, status) = watch::channel(None);
        let processed = Arc::new(AtomicU64::new(0));
        let queries = plan.query_targets(&self.topology);
        let thread = StreamThread::new(
            backend,
            group,
            self.config,
            &plan,
            &self.topology,
            receiver,
            Arc::clone(&processed),
        );
        let task = async move {
            let running = running;
            let result = thread.run().await;
            drop(running);
            if let Err(error) = &result {
                tracing::error!(%error, "the application ended");
            }
            drop(ended.send_replace(Some(result)));
        };
        let thread = (cluster.env().spawner).spawn_dedicated("headwater-streams", Box::pin(task));
        Ok(StreamsHandle {
            name: self.name,
            commands,
            status,
            processed,
            queries,
            thread,
        })
    }
}

/// A running application. Dropping the handle ends it in order, as [`StreamsHandle::close`] does,
/// without waiting for the end; until then it cannot be started again.
pub struct StreamsHandle {
    name: String,
    commands: mpsc::Sender<Command>,
    status: watch::Receiver<Option<Result<()>>>,
    processed: Arc<AtomicU64>,
    queries: Vec<QueryTarget>,
    thread: TaskHandle,
}

impl StreamsHandle {
    /// A state store, to be asked while the application runs.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidRequest`] when there is no such store, or it has other types; the
    /// message says which there are.
    pub fn store<K: ?Sized + Data, V: Data + Clone + Send>(
        &self,
        name: &str,
    ) -> Result<ReadOnlyKeyValueStore<K, V>> {
        let target = QueryTarget::find::<K, V>(&self.queries, name)?;
        let (commands, status) = (self.commands.downgrade(), self.status.clone());
        Ok(ReadOnlyKeyValueStore::new(target, commands, status))
    }

    /// Waits until everything that is in the source topics now has gone through the topology and
    /// is committed, repartition topics included.
    ///
    /// # Errors
    /// The failure that ended the application.
    pub async fn caught_up(&self) -> Result<()> {
        let (reply, answer) = oneshot::channel();
        let sent = self.commands.send(Command::CaughtUp { reply }).await;
        match (sent, answer.await) {
            (Ok(()), Ok(())) => Ok(()),
            _ => Err(failure(&mut self.status.clone()).await),
        }
    }

    /// How many records the operators took so far, those of repartition topics included.
    #[must_use]
    pub fn records_processed(&self) -> u64 {
        self.processed.load(Ordering::Relaxed)
    }

    /// The counter behind [`StreamsHandle::records_processed`], to be shown while it moves.
    #[must_use]
    pub fn records_processed_counter(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.processed)
    }

    /// Waits until the application has ended by itself, which only a failure makes it do.
    ///
    /// # Errors
    /// The failure.
    pub async fn ended(&self) -> Result<()> {
        let mut status = self.status.clone();
        match status.wait_for(Option::is_some).await {
            Ok(result) => result.clone().unwrap_or(Ok(())),
            Err(_) => Err(panicked()),
        }
    }

    /// Commits and ends the application.
    ///
    /// # Errors
    /// The failure of the last commit, or the one that ended the application before.
    pub async fn close(self) -> Result<()> {
        let Self {
            commands,
            mut status,
            thread,
            ..
        } = self;
        // A closed channel means that the thread has ended: its status says how.
        drop(commands.send(Command::Close).await);
        thread.join().await;
        let result = status.borrow_and_update().clone();
        result.unwrap_or_else(|| Err(panicked()))
    }
}

impl fmt::Debug for StreamsHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StreamsHandle({})", self.name)
    }
}

/// Why the thread does not answer.
pub(super) async fn failure(status: &mut watch::Receiver<Option<Result<()>>>) -> Error {
    match status.wait_for(Option::is_some).await {
        Ok(result) => match &*result {
            Some(Err(error)) => error.clone(),
            _ => Error::new(ErrorKind::Closed, "the application was closed"),
        },
        Err(_) => panicked(),
    }
}

fn panicked() -> Error {
    Error::new(
        ErrorKind::ProcessingFailed,
        "the stream thread panicked, most likely in a closure of the topology: see the message of \
         the panic",
    )
}
