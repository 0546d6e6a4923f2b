//! Everything in one thread, in an order that a seed decides: a whole broker with its clients
//! runs here, and the same seed gives the same run.

use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use super::{BoxFuture, Clock, Env, ManualClock, Random, Spawner, TaskHandle};
use crate::storage::Storage;
use crate::sync::lock;

/// A world of tasks with its own time and chance.
///
/// Tasks of all three kinds of [`Spawner`] become tasks of this one thread. Which of the ready
/// ones runs next is drawn from the seed; running takes a few simulated microseconds, and when
/// nothing is ready the clock jumps to the next timer. Dropping the value drops its tasks.
///
/// ```
/// use headwater_core::env::{Clock, Simulation};
/// use headwater_core::storage::MemoryStorage;
/// use std::{sync::Arc, time::Duration};
///
/// let simulation = Simulation::new(42);
/// let env = simulation.env(Arc::new(MemoryStorage::new()));
/// let waited = simulation.block_on(async {
///     env.clock.sleep_until(Duration::from_secs(3600)).await;
///     env.clock.monotonic()
/// });
/// assert!(waited.unwrap() >= Duration::from_secs(3600));
/// ```
#[derive(Debug)]
pub struct Simulation {
    world: Arc<World>,
    random: Random,
}

/// Why a simulation cannot go on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stuck {
    /// Nothing is ready and no timer is set: everybody waits for somebody else.
    Deadlock {
        /// The names of the tasks that wait, beside the future given to `block_on`.
        waiting: Vec<&'static str>,
    },
    /// So much ran without an end that an endless loop is likely.
    Endless {
        /// How many times a task was polled.
        polls: u64,
    },
}

/// What one `block_on` may poll before it is taken for endless.
const POLLS_MAX: u64 = 10_000_000;

/// The most that one poll takes of simulated time.
const POLL_NANOS_MAX: u64 = 10_000;

impl Simulation {
    /// A world that `seed` decides.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        let seeds = Random::seeded(seed);
        let world = World {
            clock: ManualClock::new(),
            choices: Random::seeded(seeds.next_u64()),
            ready: Arc::default(),
            state: Mutex::default(),
        };
        Self {
            world: Arc::new(world),
            random: Random::seeded(seeds.next_u64()),
        }
    }

    /// The parts of this world for a broker or a client; `storage` holds its files.
    #[must_use]
    pub fn env(&self, storage: Arc<dyn Storage>) -> Env {
        let spawner = SimulationSpawner {
            world: Arc::clone(&self.world),
        };
        Env {
            clock: Arc::new(self.world.clock.clone()),
            storage,
            random: self.random.clone(),
            spawner: Arc::new(spawner),
        }
    }

    /// The clock, to read it or to move it on.
    #[must_use]
    pub fn clock(&self) -> &ManualClock {
        &self.world.clock
    }

    /// The dice that [`Env::random`] shares.
    #[must_use]
    pub fn random(&self) -> &Random {
        &self.random
    }

    /// Runs `future`, and the tasks beside it, until it is done.
    ///
    /// A panic of a task goes through to the caller.
    ///
    /// # Errors
    /// [`Stuck`] when it can never be done.
    pub fn block_on<F: Future>(&self, future: F) -> Result<F::Output, Stuck> {
        let world = &self.world;
        let mut future = pin!(future);
        let (main, waker) = world.waker();
        waker.wake_by_ref();
        for _ in 0..POLLS_MAX {
            let Some(ready) = world.choose() else {
                match world.clock.next_deadline() {
                    Some(deadline) => world.clock.advance_to(deadline),
                    None => return Err(self.deadlock()),
                }
                continue;
            };
            if ready.id != main {
                world.poll(&ready);
            } else if let Poll::Ready(output) =
                future.as_mut().poll(&mut Context::from_waker(&waker))
            {
                return Ok(output);
            }
            let nanos = world.choices.below(POLL_NANOS_MAX);
            world.clock.advance(Duration::from_nanos(nanos));
        }
        Err(Stuck::Endless { polls: POLLS_MAX })
    }

    /// Lets the tasks run for `time` of this world.
    ///
    /// # Errors
    /// [`Stuck`] when they do not stop to run.
    pub fn run_for(&self, time: Duration) -> Result<(), Stuck> {
        let clock = self.clock();
        self.block_on(clock.sleep_until(clock.monotonic().saturating_add(time)))
    }

    /// Ends all tasks where they are, as the death of the process does.
    ///
    /// What they own is dropped, so turn the power of a simulated disk off before, or take its
    /// image: a value that writes when it is dropped would write otherwise.
    pub fn crash(&self) {
        loop {
            let tasks = std::mem::take(&mut lock(&self.world.state).tasks);
            if tasks.is_empty() {
                return;
            }
            // Outside of the lock: what is dropped may spawn, wake and sleep. Tasks that are
            // listed as ready stay so, and are found to be gone when they are chosen.
            drop(tasks);
        }
    }

    /// How many tasks have not ended.
    #[must_use]
    pub fn tasks(&self) -> usize {
        lock(&self.world.state).tasks.len()
    }

    /// A hash of every choice and of the time it was made at: equal runs have equal hashes.
    #[must_use]
    pub fn trace_hash(&self) -> u64 {
        lock(&self.world.state).trace
    }

    fn deadlock(&self) -> Stuck {
        let state = lock(&self.world.state);
        Stuck::Deadlock {
            waiting: state.tasks.values().map(|task| task.name).collect(),
        }
    }
}

/// Tasks hold the world and the world holds its tasks; this is where the ring is opened.
impl Drop for Simulation {
    fn drop(&mut self) {
        self.crash();
    }
}

impl fmt::Display for Stuck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Deadlock { waiting } => write!(
                f,
                "deadlock: nothing is ready and no timer is set; tasks that wait: {waiting:?}"
            ),
            Self::Endless { polls } => write!(f, "no end after {polls} polls: an endless loop?"),
        }
    }
}

impl std::error::Error for Stuck {}

#[derive(Debug)]
struct World {
    clock: ManualClock,
    /// Apart from the dice of the tasks, so that a draw more in one of them changes its own
    /// numbers only.
    choices: Random,
    ready: Arc<Mutex<Vec<Arc<Ready>>>>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    tasks: BTreeMap<u64, Task>,
    /// Ids are never used twice, so that a late waker wakes nobody else.
    next: u64,
    trace: u64,
}

struct Task {
    name: &'static str,
    /// Absent while it is polled.
    future: Option<BoxFuture>,
    waker: Waker,
    _done: tokio::sync::oneshot::Sender<()>,
}

impl fmt::Debug for Task {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

impl World {
    fn spawn(&self, name: &'static str, future: BoxFuture) -> TaskHandle {
        let (done, handle) = TaskHandle::new();
        let (id, waker) = self.waker();
        let task = Task {
            name,
            future: Some(future),
            waker: waker.clone(),
            _done: done,
        };
        lock(&self.state).tasks.insert(id, task);
        waker.wake();
        handle
    }

    /// A new id, and the waker that makes it ready.
    fn waker(&self) -> (u64, Waker) {
        let mut state = lock(&self.state);
        state.next += 1;
        let ready = Ready {
            id: state.next,
            listed: AtomicBool::new(false),
            queue: Arc::downgrade(&self.ready),
        };
        (state.next, Waker::from(Arc::new(ready)))
    }

    /// Draws one that is ready.
    fn choose(&self) -> Option<Arc<Ready>> {
        let chosen = {
            let mut ready = lock(&self.ready);
            let count = u64::try_from(ready.len()).ok().filter(|count| *count > 0)?;
            let index = usize::try_from(self.choices.below(count)).unwrap_or_default();
            ready.swap_remove(index)
        };
        chosen.listed.store(false, Ordering::Relaxed);
        let time = u64::try_from(self.clock.monotonic().as_nanos()).unwrap_or(u64::MAX);
        let mut state = lock(&self.state);
        state.trace = mix(mix(state.trace, chosen.id), time);
        Some(chosen)
    }

    fn poll(&self, ready: &Arc<Ready>) {
        let (mut future, waker) = {
            let mut state = lock(&self.state);
            let Some(task) = state.tasks.get_mut(&ready.id) else {
                return;
            };
            let Some(future) = task.future.take() else {
                return;
            };
            (future, task.waker.clone())
        };
        let poll = future.as_mut().poll(&mut Context::from_waker(&waker));
        let ended = {
            let mut state = lock(&self.state);
            match (poll, state.tasks.get_mut(&ready.id)) {
                (Poll::Pending, Some(task)) => {
                    task.future = Some(future);
                    None
                }
                // Done, or it crashed the world itself: nothing of it is kept.
                _ => Some((state.tasks.remove(&ready.id), future)),
            }
        };
        drop(ended);
    }
}

/// One step of a running hash (the finisher of SplitMix64).
fn mix(hash: u64, value: u64) -> u64 {
    let mut z = (hash.rotate_left(5) ^ value).wrapping_add(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// The waker of one task: puts it into the queue once.
#[derive(Debug)]
struct Ready {
    id: u64,
    listed: AtomicBool,
    queue: std::sync::Weak<Mutex<Vec<Arc<Self>>>>,
}

impl Wake for Ready {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if let Some(queue) = self.queue.upgrade()
            && !self.listed.swap(true, Ordering::Relaxed)
        {
            lock(&queue).push(Arc::clone(self));
        }
    }
}

#[derive(Debug)]
struct SimulationSpawner {
    world: Arc<World>,
}

impl Spawner for SimulationSpawner {
    fn spawn(&self, name: &'static str, task: BoxFuture) -> TaskHandle {
        self.world.spawn(name, task)
    }

    fn spawn_dedicated(&self, name: &'static str, task: BoxFuture) -> TaskHandle {
        self.world.spawn(name, task)
    }

    fn spawn_blocking(&self, name: &'static str, work: Box<dyn FnOnce() + Send>) -> TaskHandle {
        self.world.spawn(name, Box::pin(async move { work() }))
    }
}

#[cfg(test)]
mod tests;
