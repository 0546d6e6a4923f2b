//! Fetch: whole batches from many partitions, waiting for enough; what was read once is kept.

use std::pin::pin;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::{self, Either};
use tokio::sync::Notify;

use super::broker_node::Broker;
use super::offload::offload;
use crate::env::Env;
use crate::error::Result;
use crate::log::{PartitionLog, Positions, ReadLimit};
use crate::record::Batches;
use crate::request::{FetchPartition, FetchRequest, Fetched, IsolationLevel};
use crate::types::Offset;

/// What a request has gathered so far; each pass over its partitions adds what is new.
struct Gathering {
    partitions: Vec<Gathered>,
    bytes: usize,
    /// Whether waiting brings nothing: a partition has an error, or the next batch does not fit.
    complete: bool,
}

/// What was gathered of one partition.
struct Gathered {
    chunks: Vec<Bytes>,
    bytes: usize,
    /// The partition's offsets at the last pass.
    outcome: Result<Positions>,
}

impl Broker {
    /// Reads batches. Answers when `min_bytes` are there, a partition has an error, or `max_wait`
    /// is over. The first batch of the answer comes whole however large it is.
    ///
    /// # Errors
    /// `Closed`; per partition `UnknownTopicOrPartition`, `OffsetOutOfRange`, `CorruptMessage`,
    /// `Io`.
    pub async fn fetch(&self, request: FetchRequest) -> Result<Vec<Result<Fetched>>> {
        self.check_open()?;
        let enough = request.min_bytes.min(request.max_bytes);
        let mut gathering = Gathering::new(&request);
        self.gather(&request, &mut gathering).await;
        if gathering.complete || gathering.bytes >= enough || request.max_wait.is_zero() {
            return Ok(gathering.answers());
        }
        let notify = Arc::new(Notify::new());
        let partitions = request.partitions.iter();
        let logs = partitions.flat_map(|wanted| self.topics.partition(&wanted.partition));
        // Held until the answer; each wakes the one notify, which remembers a wake-up that comes
        // while we look.
        let _watches: Vec<_> = logs.map(|log| log.watch(&notify)).collect();
        let clock = &self.env.clock;
        let mut timer = clock.sleep_until(clock.monotonic().saturating_add(request.max_wait));
        let mut expired = false;
        loop {
            self.check_open()?;
            self.gather(&request, &mut gathering).await;
            if expired || gathering.complete || gathering.bytes >= enough {
                return Ok(gathering.answers());
            }
            let more = pin!(notify.notified());
            expired = matches!(future::select(more, &mut timer).await, Either::Right(_));
        }
    }

    /// Adds what can be read beyond what was gathered.
    async fn gather(&self, request: &FetchRequest, gathering: &mut Gathering) {
        for (wanted, gathered) in request.partitions.iter().zip(&mut gathering.partitions) {
            let first = gathering.bytes == 0;
            let left = request.max_bytes.saturating_sub(gathering.bytes);
            let read = match self.topics.partition(&wanted.partition) {
                // Only the first batch of an answer may be larger than what is left.
                Ok(log) if left > 0 || first => {
                    let read = gathered.read_on(&self.env, wanted, log, left, request.isolation);
                    read.await
                }
                Ok(log) => Ok((Vec::new(), log.positions())),
                Err(error) => Err(error),
            };
            match read {
                Ok((chunks, positions)) => {
                    let bytes: usize = chunks.iter().map(Bytes::len).sum();
                    let fits = first || bytes <= left;
                    gathering.complete |= !fits;
                    if fits {
                        gathering.bytes += bytes;
                        gathered.bytes += bytes;
                        gathered.chunks.extend(chunks);
                    }
                    gathered.outcome = Ok(positions);
                }
                Err(error) => {
                    gathering.complete = true;
                    // What was read before it is good; whoever reads on meets the error.
                    if gathered.bytes == 0 {
                        gathered.outcome = Err(error);
                    }
                }
            }
        }
    }
}

impl Gathering {
    fn new(request: &FetchRequest) -> Self {
        let nothing = |_: &FetchPartition| Gathered {
            chunks: Vec::new(),
            bytes: 0,
            outcome: Ok(Positions::new(Offset(0), Offset(0))),
        };
        Self {
            partitions: request.partitions.iter().map(nothing).collect(),
            bytes: 0,
            complete: false,
        }
    }

    fn answers(self) -> Vec<Result<Fetched>> {
        let answer = |gathered: Gathered| {
            gathered.outcome.map(|positions| Fetched {
                chunks: gathered.chunks,
                high_watermark: positions.high_watermark,
                last_stable: positions.last_stable,
                log_start: positions.log_start,
                aborted: Vec::new(),
            })
        };
        self.partitions.into_iter().map(answer).collect()
    }
}

impl Gathered {
    /// Reads what comes behind what was gathered; off the async threads if it is on the disk.
    async fn read_on(
        &self,
        env: &Env,
        wanted: &FetchPartition,
        log: Arc<PartitionLog>,
        left: usize,
        isolation: IsolationLevel,
    ) -> Result<(Vec<Bytes>, Positions)> {
        let max = wanted.max_bytes.saturating_sub(self.bytes).min(left);
        let last = self.chunks.last().map(|chunk| Batches::new(chunk));
        let offset = match last.and_then(Iterator::last) {
            Some(_) if max == 0 => return Ok((Vec::new(), log.positions())),
            Some(batch) => batch?.header.next_offset(),
            None => wanted.offset,
        };
        let limit = match isolation {
            IsolationLevel::ReadUncommitted => ReadLimit::HighWatermark,
            IsolationLevel::ReadCommitted => ReadLimit::LastStable,
        };
        let read = if log.reads_at_once(offset, max) {
            log.read(offset, max, limit)?
        } else {
            offload(env, "read the log", move || log.read(offset, max, limit)).await??
        };
        Ok((read.chunks, read.positions))
    }
}
