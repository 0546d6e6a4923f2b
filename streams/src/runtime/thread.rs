//! The stream thread: one loop that fetches, processes, produces and commits for all its tasks.
//!
//! ```text
//!   wait for: a produce call | a command | fetched batches | the time of the commit
//!     -> process what is buffered, oldest records first
//!     -> produce when enough is sealed, commit when it is time
//! ```
//!
//! It sleeps in one place, [`StreamThread::wait`]. Processing itself is synchronous.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Poll;
use std::time::Duration;

use headwater_core::bounded::HashMap;
use headwater_core::client::{
    Acks, ClusterBackend, FetchPartition, FetchRequest, Fetched, IsolationLevel, OffsetSpec,
    ProduceRequest, Produced,
};
use headwater_core::types::{GroupId, Offset, TopicPartition};
use headwater_core::{Error, ErrorKind, Result};
use tokio::sync::{mpsc, oneshot};

use super::collector::Collector;
use super::input::Input;
use super::patience;
use super::query::Command;
use super::task::Task;
use super::topics::Plan;
use crate::config::StreamsConfig;
use crate::topology::{OutKind, Topology};

/// How long one fetch waits for records; then it is asked again.
const FETCH_WAIT: Duration = Duration::from_secs(5);

type Call<T> = Pin<Box<dyn Future<Output = Result<T>> + Send>>;

/// A produce call under way: one at a time, so that batches keep their order.
struct Producing {
    call: Call<Vec<Result<Produced>>>,
    /// The partition and number of records of each batch; whether a task reads them back.
    batches: Vec<(TopicPartition, i64, bool)>,
}

/// A fetch under way, with the inputs that it asks for.
struct Fetching {
    call: Call<Vec<Result<Fetched>>>,
    inputs: Vec<(InputId, Offset)>,
}

/// Where an input is: its task and its number there.
#[derive(Clone, Copy, Debug)]
struct InputId {
    task: usize,
    input: usize,
}

/// Who waits for everything up to these offsets.
struct Waiter {
    targets: Vec<(InputId, Offset)>,
    reply: oneshot::Sender<()>,
}

/// What ended a wait.
enum Wake {
    Produced(Result<Vec<Result<Produced>>>),
    Command(Option<Command>),
    Fetched(Result<Vec<Result<Fetched>>>),
    CommitTime,
}

/// One thread with its tasks.
pub(super) struct StreamThread {
    pub(super) backend: Arc<dyn ClusterBackend>,
    pub(super) group: GroupId,
    pub(super) config: StreamsConfig,
    pub(super) tasks: Vec<Task>,
    pub(super) collector: Collector,
    out_kinds: Vec<OutKind>,
    commands: mpsc::Receiver<Command>,
    processed: Arc<AtomicU64>,
    producing: Option<Producing>,
    fetching: Option<Fetching>,
    /// The ends of the repartition topics' partitions, as far as this thread wrote them.
    pub(super) own_ends: HashMap<TopicPartition, Offset>,
    waiters: Vec<Waiter>,
    /// Whether something was processed since the last commit.
    pub(super) uncommitted: bool,
    pub(super) last_commit: Duration,
    pub(super) last_purge: Duration,
    /// Which input is asked for first; it moves on, so that none starves.
    first_input: usize,
}

impl StreamThread {
    pub(super) fn new(
        backend: Arc<dyn ClusterBackend>,
        group: GroupId,
        config: StreamsConfig,
        plan: &Plan,
        topology: &Topology,
        commands: mpsc::Receiver<Command>,
        processed: Arc<AtomicU64>,
    ) -> Self {
        let now = backend.env().clock.monotonic();
        Self {
            tasks: plan.tasks(topology),
            collector: Collector::new(
                plan.outs.clone(),
                config.batch_bytes_max,
                config.produce_bytes_max,
            ),
            out_kinds: topology.graph.outs.iter().map(|out| out.kind).collect(),
            backend,
            group,
            config,
            commands,
            processed,
            producing: None,
            fetching: None,
            own_ends: HashMap::default(),
            waiters: Vec::new(),
            uncommitted: false,
            last_commit: now,
            last_purge: now,
            first_input: 0,
        }
    }

    /// Restores the state and runs until a command ends it.
    pub(super) async fn run(mut self) -> Result<()> {
        // The positions before the state: should an instance in another process commit in between,
        // its records are counted twice. In the other order they would be lost.
        self.seek_to_committed().await?;
        self.restore().await?;
        loop {
            match self.wait().await {
                Wake::Command(None | Some(Command::Close)) => break,
                Wake::Command(Some(command)) => self.answer(command).await?,
                Wake::Produced(result) => self.produced(result)?,
                Wake::Fetched(result) => {
                    self.fetched(result).await?;
                    self.work().await?;
                }
                Wake::CommitTime => {}
            }
            let reached = self.waiters.iter().any(|waiter| self.reached(waiter));
            if reached || (self.uncommitted && self.until_commit().is_zero()) {
                self.commit().await?;
                self.answer_waiters();
            }
        }
        self.commit().await
    }

    /// Waits for the next thing to do.
    async fn wait(&mut self) -> Wake {
        if self.fetching.is_none() {
            self.fetching = self.fetch(|input| !input.is_full);
        }
        let clock = &self.backend.env().clock;
        let deadline = self.last_commit + self.config.commit_interval;
        let mut sleep = self.uncommitted.then(|| clock.sleep_until(deadline));
        poll_fn(|cx| {
            if let Some(producing) = &mut self.producing
                && let Poll::Ready(result) = producing.call.as_mut().poll(cx)
            {
                return Poll::Ready(Wake::Produced(result));
            }
            if let Poll::Ready(command) = self.commands.poll_recv(cx) {
                return Poll::Ready(Wake::Command(command));
            }
            if let Some(fetching) = &mut self.fetching
                && let Poll::Ready(result) = fetching.call.as_mut().poll(cx)
            {
                return Poll::Ready(Wake::Fetched(result));
            }
            if let Some(sleep) = &mut sleep
                && sleep.as_mut().poll(cx).is_ready()
            {
                return Poll::Ready(Wake::CommitTime);
            }
            Poll::Pending
        })
        .await
    }

    fn until_commit(&self) -> Duration {
        let now = self.backend.env().clock.monotonic();
        (self.last_commit + self.config.commit_interval).saturating_sub(now)
    }

    /// A fetch of the inputs that are wanted; none when there is none.
    fn fetch(&mut self, wanted: impl Fn(InputState) -> bool) -> Option<Fetching> {
        let max = self.config.buffered_bytes_max;
        let mut inputs: Vec<(InputId, Offset)> = Vec::new();
        let mut partitions = Vec::new();
        for (id, input) in self.inputs() {
            let state = InputState {
                is_full: input.buffered() >= max,
                is_behind_own: (self.own_ends.get(&input.partition))
                    .is_some_and(|end| input.fetch_from() < *end),
            };
            if wanted(state) {
                inputs.push((id, input.fetch_from()));
                partitions.push(FetchPartition {
                    partition: input.partition.clone(),
                    offset: input.fetch_from(),
                    max_bytes: self.config.fetch_bytes_max,
                });
            }
        }
        if partitions.is_empty() {
            return None;
        }
        self.first_input = self.first_input.wrapping_add(1);
        let first = self.first_input % partitions.len();
        partitions.rotate_left(first);
        inputs.rotate_left(first);
        let request = FetchRequest {
            partitions,
            min_bytes: 1,
            max_bytes: self.config.fetch_bytes_max,
            max_wait: FETCH_WAIT,
            isolation: IsolationLevel::ReadUncommitted,
        };
        let backend = Arc::clone(&self.backend);
        Some(Fetching {
            call: Box::pin(async move { patience::fetch(&*backend, request).await }),
            inputs,
        })
    }

    /// Buffers what a fetch brought.
    async fn fetched(&mut self, result: Result<Vec<Result<Fetched>>>) -> Result<()> {
        let Some(Fetching { inputs, .. }) = self.fetching.take() else {
            return Ok(());
        };
        for ((id, offset), answer) in inputs.into_iter().zip(result?) {
            let Some(input) = self.input_mut(id) else {
                continue;
            };
            match answer {
                Ok(fetched) => {
                    input.high_watermark = fetched.high_watermark;
                    fetched
                        .chunks
                        .into_iter()
                        .try_for_each(|chunk| input.push(chunk))?;
                }
                Err(error) if error.kind() == ErrorKind::OffsetOutOfRange => {
                    self.reset(id, offset, error).await?;
                }
                Err(error) => return Err(error.partition(&input.partition)),
            }
        }
        Ok(())
    }

    /// Records before the position were deleted: goes on at the first that is left.
    async fn reset(&mut self, id: InputId, at: Offset, error: Error) -> Result<()> {
        let Some(partition) = self.input_mut(id).map(|input| input.partition.clone()) else {
            return Err(error);
        };
        let wanted = [(partition.clone(), OffsetSpec::Earliest)];
        let isolation = IsolationLevel::ReadUncommitted;
        let listed = self.backend.list_offsets(&wanted, isolation).await?;
        let Some(earliest) = listed.into_iter().next().transpose()? else {
            return Err(error.partition(&partition));
        };
        if earliest.offset <= at {
            return Err(Error::new(
                ErrorKind::OffsetOutOfRange,
                "the application has processed more than the partition holds: the topic was made \
                 anew; delete the application's group offsets and internal topics to begin anew",
            )
            .partition(&partition)
            .offset(at));
        }
        tracing::warn!(%partition, from = %at, to = %earliest.offset, "records were deleted before \
            the application processed them");
        if let Some(input) = self.input_mut(id) {
            input.skip_to(earliest.offset);
        }
        Ok(())
    }

    fn inputs(&self) -> impl Iterator<Item = (InputId, &Input)> {
        self.tasks.iter().enumerate().flat_map(|(task, inputs)| {
            let inputs = inputs.inputs.iter().enumerate();
            inputs.map(move |(number, input)| {
                let id = InputId {
                    task,
                    input: number,
                };
                (id, input)
            })
        })
    }

    fn input_mut(&mut self, id: InputId) -> Option<&mut Input> {
        self.tasks.get_mut(id.task)?.inputs.get_mut(id.input)
    }

    /// Lets every task process what it has, and produces as often as enough is sealed.
    async fn work(&mut self) -> Result<()> {
        loop {
            let all = self.process()?;
            self.relieve().await?;
            if all {
                return Ok(());
            }
        }
    }

    /// Lets every task process what it has; false when enough was sealed before that was all.
    fn process(&mut self) -> Result<bool> {
        let write_back = self.config.cache_bytes_max > 0;
        for task in &mut self.tasks {
            let count = task.process(&mut self.collector, write_back)?;
            self.processed.fetch_add(count, Ordering::Relaxed);
            self.uncommitted |= count > 0;
            if self.collector.is_full() {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Hands on what operators hold back, and writes changed state to the changelogs.
    pub(super) fn flush(&mut self) -> Result<()> {
        let write_back = self.config.cache_bytes_max > 0;
        let collector = &mut self.collector;
        (self.tasks.iter_mut()).try_for_each(|task| task.flush(collector, write_back))
    }

    /// Keeps what waits within its bounds: changed entries and sealed batches.
    async fn relieve(&mut self) -> Result<()> {
        let changed: usize = self.tasks.iter().map(Task::changed_bytes).sum();
        if self.config.cache_bytes_max > 0 && changed > self.config.cache_bytes_max {
            self.flush()?;
        }
        if self.collector.is_full() {
            self.produce().await?;
        }
        Ok(())
    }

    /// Begins to produce what is sealed, after the call before it.
    async fn produce(&mut self) -> Result<()> {
        self.finish_producing().await?;
        let sealed = self.collector.take_sealed();
        if sealed.is_empty() {
            return Ok(());
        }
        let mut batches = Vec::with_capacity(sealed.len());
        let mut request = ProduceRequest {
            acks: Acks::All,
            batches: Vec::with_capacity(sealed.len()),
        };
        for batch in sealed {
            let own = self.out_kinds.get(batch.out.0) == Some(&OutKind::Repartition);
            batches.push((batch.partition.clone(), batch.records, own));
            request.batches.push((batch.partition, batch.batch));
        }
        let backend = Arc::clone(&self.backend);
        let call = Box::pin(async move { backend.produce(request).await });
        let mut producing = Producing { call, batches };
        // The first poll hands the batches over; the loop asks for the answer later.
        let begun = poll_fn(|cx| Poll::Ready(producing.call.as_mut().poll(cx))).await;
        self.producing = Some(producing);
        match begun {
            Poll::Ready(result) => self.produced(result),
            Poll::Pending => Ok(()),
        }
    }

    async fn finish_producing(&mut self) -> Result<()> {
        match &mut self.producing {
            Some(producing) => {
                let result = producing.call.as_mut().await;
                self.produced(result)
            }
            None => Ok(()),
        }
    }

    /// Produces everything that operators wrote, and waits until it is durable.
    pub(super) async fn produce_all(&mut self) -> Result<()> {
        self.collector.seal_all()?;
        self.produce().await?;
        self.finish_producing().await
    }

    /// Notes how far the repartition topics reach now.
    fn produced(&mut self, result: Result<Vec<Result<Produced>>>) -> Result<()> {
        let Some(Producing { batches, .. }) = self.producing.take() else {
            return Ok(());
        };
        for ((partition, records, own), answer) in batches.into_iter().zip(result?) {
            let produced = answer.map_err(|error| error.partition(&partition))?;
            if own {
                self.own_ends
                    .insert(partition, produced.base_offset.plus(records));
            }
        }
        Ok(())
    }

    /// Reads back and processes what the tasks wrote to repartition topics; false when all was.
    pub(super) async fn drain_own(&mut self) -> Result<bool> {
        self.fetching = self.fetch(|input| input.is_behind_own);
        let Some(fetching) = &mut self.fetching else {
            return Ok(false);
        };
        let result = fetching.call.as_mut().await;
        self.fetched(result).await?;
        self.work().await?;
        Ok(true)
    }

    async fn answer(&mut self, command: Command) -> Result<()> {
        match command {
            Command::Get {
                store,
                task,
                key,
                reply,
            } => {
                let found = self.tasks.iter().find(|t| t.id == task);
                if let Some(store) = found.and_then(|task| task.store(store)) {
                    // Who asked may have gone.
                    drop(reply.send(store.get(&key)));
                }
            }
            Command::Entries { store, reply } => {
                let stores = self.tasks.iter().filter_map(|task| task.store(store));
                drop(reply.send(stores.map(|store| store.entries()).collect()));
            }
            Command::CaughtUp { reply } => {
                let targets = self.source_ends().await?;
                self.waiters.push(Waiter { targets, reply });
            }
            Command::Close => {}
        }
        Ok(())
    }

    /// The ends of the user's topics now.
    async fn source_ends(&mut self) -> Result<Vec<(InputId, Offset)>> {
        let sources = self.inputs().filter(|(_, input)| !input.repartition);
        let (ids, wanted): (Vec<_>, Vec<_>) = sources
            .map(|(id, input)| (id, (input.partition.clone(), OffsetSpec::Latest)))
            .unzip();
        let isolation = IsolationLevel::ReadUncommitted;
        let listed = self.backend.list_offsets(&wanted, isolation).await?;
        let ends = ids.into_iter().zip(listed);
        ends.map(|(id, end)| Ok((id, end?.offset))).collect()
    }

    fn reached(&self, waiter: &Waiter) -> bool {
        waiter.targets.iter().all(|(id, end)| {
            let task = self.tasks.get(id.task);
            let input = task.and_then(|task| task.inputs.get(id.input));
            input.is_some_and(|input| input.position >= *end)
        })
    }

    fn answer_waiters(&mut self) {
        for waiter in std::mem::take(&mut self.waiters) {
            if self.reached(&waiter) {
                // Who waits may have gone.
                let _gone = waiter.reply.send(());
            } else {
                self.waiters.push(waiter);
            }
        }
    }
}

/// What decides whether an input is fetched.
#[derive(Clone, Copy)]
struct InputState {
    /// Enough of it waits already.
    is_full: bool,
    /// This thread wrote records to it that are not fetched yet.
    is_behind_own: bool,
}
