//! Fetch: whole batches from many partitions, waiting for enough without looking again and again.

use std::pin::pin;
use std::sync::Arc;

use futures_util::future::{self, Either};
use tokio::sync::Notify;

use super::broker_node::Broker;
use crate::error::Result;
use crate::log::ReadLimit;
use crate::request::{FetchPartition, FetchRequest, Fetched, IsolationLevel};

/// One pass over the partitions of a request.
struct Pass {
    answers: Vec<Result<Fetched>>,
    bytes: usize,
    failed: bool,
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
        let pass = self.pass(&request);
        if pass.failed || pass.bytes >= enough || request.max_wait.is_zero() {
            return Ok(pass.answers);
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
            let pass = self.pass(&request);
            if expired || pass.failed || pass.bytes >= enough {
                return Ok(pass.answers);
            }
            let more = pin!(notify.notified());
            expired = matches!(future::select(more, &mut timer).await, Either::Right(_));
        }
    }

    fn pass(&self, request: &FetchRequest) -> Pass {
        let mut pass = Pass {
            answers: Vec::with_capacity(request.partitions.len()),
            bytes: 0,
            failed: false,
        };
        for wanted in &request.partitions {
            let left = request.max_bytes.saturating_sub(pass.bytes);
            let answer = self.read_one(wanted, left, pass.bytes == 0, request.isolation);
            match &answer {
                Ok(fetched) => pass.bytes += fetched.chunks.iter().map(|c| c.len()).sum::<usize>(),
                Err(_) => pass.failed = true,
            }
            pass.answers.push(answer);
        }
        pass
    }

    fn read_one(
        &self,
        wanted: &FetchPartition,
        left: usize,
        first: bool,
        isolation: IsolationLevel,
    ) -> Result<Fetched> {
        let log = self.topics.partition(&wanted.partition)?;
        let limit = match isolation {
            IsolationLevel::ReadUncommitted => ReadLimit::HighWatermark,
            IsolationLevel::ReadCommitted => ReadLimit::LastStable,
        };
        let read = log.read(wanted.offset, wanted.max_bytes.min(left), limit)?;
        let bytes: usize = read.chunks.iter().map(|chunk| chunk.len()).sum();
        // Only the first batch of the answer may be larger than what is left.
        let fits = first || bytes <= left;
        Ok(Fetched {
            chunks: if fits { read.chunks } else { Vec::new() },
            high_watermark: read.positions.high_watermark,
            last_stable: read.positions.last_stable,
            log_start: read.positions.log_start,
            aborted: Vec::new(),
        })
    }
}
