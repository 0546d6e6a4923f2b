//! The background task of a producer: batches that are ready become calls, answers wake futures.

use std::future::Future;
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::future::{self, Either};
use futures_util::stream::{FuturesUnordered, StreamExt};
use tokio::sync::Notify;

use super::accumulator::{Accumulator, Batch, Encoded, Place, Pushed};
use super::config::ProducerConfig;
use crate::client::backend::ClusterBackend;
use crate::error::{Error, ErrorKind, Result};
use crate::request::{ProduceRequest, Produced};
use crate::sync::lock;
use crate::types::{Partition, TopicName, TopicPartition};

/// What a producer and its task share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) backend: Arc<dyn ClusterBackend>,
    pub(super) topic: TopicName,
    pub(super) config: ProducerConfig,
    /// Everything that waits; held for the encoding of one record at most.
    pub(super) accumulator: Mutex<Accumulator>,
    /// Wakes the task.
    pub(super) work: Notify,
    /// Wakes those who wait for room.
    pub(super) room: Notify,
}

impl Shared {
    /// Puts a record into a batch, if there is room.
    pub(super) fn push(&self, record: Encoded<'_>) -> Result<Option<Place>> {
        let clock = &self.backend.env().clock;
        let pushed = lock(&self.accumulator).push(record, || clock.monotonic());
        match pushed.map_err(|error| self.located(error, record.partition))? {
            Pushed::Placed { place, wake } => {
                if wake {
                    self.work.notify_one();
                }
                Ok(Some(place))
            }
            Pushed::Full => Ok(None),
        }
    }

    fn located(&self, error: Error, partition: Option<Partition>) -> Error {
        match partition {
            Some(partition) => error.partition(&TopicPartition::new(self.topic.clone(), partition)),
            None => error,
        }
    }
}

/// Sends until the producer is closed and everything is answered.
pub(super) async fn run(shared: Arc<Shared>) {
    let clock = Arc::clone(&shared.backend.env().clock);
    let mut calls = FuturesUnordered::new();
    let mut refresh_at = clock
        .monotonic()
        .saturating_add(shared.config.metadata_max_age);
    loop {
        let now = clock.monotonic();
        if now >= refresh_at {
            refresh(&shared).await;
            refresh_at = now.saturating_add(shared.config.metadata_max_age);
        }
        let mut deadline = refresh_at;
        while calls.len() < shared.config.max_in_flight {
            let (ready, next) = lock(&shared.accumulator).drain(now);
            if let Some(next) = next {
                deadline = deadline.min(next);
            }
            if ready.is_empty() {
                break;
            }
            let mut call = Box::pin(send(Arc::clone(&shared), ready));
            // The first poll hands the batches over: calls are handed over in order.
            let mut pending = |context: &mut Context<'_>| call.as_mut().poll(context).is_pending();
            if std::future::poll_fn(|context| Poll::Ready(pending(context))).await {
                calls.push(call);
            }
        }
        if calls.is_empty() && lock(&shared.accumulator).is_done() {
            return;
        }
        let answered = async {
            if calls.next().await.is_none() {
                future::pending::<()>().await;
            }
        };
        wait(&shared, deadline, answered).await;
    }
}

async fn wait(shared: &Shared, deadline: Duration, answered: impl Future<Output = ()>) {
    let timer = shared.backend.env().clock.sleep_until(deadline);
    let work = pin!(shared.work.notified());
    let answered = pin!(answered);
    future::select(future::select(work, answered), timer).await;
}

/// One call: seals the batches, produces them, and gives every record its answer.
async fn send(shared: Arc<Shared>, batches: Vec<Batch>) {
    let mut sent = Vec::with_capacity(batches.len());
    let mut request = ProduceRequest {
        acks: shared.config.acks,
        batches: Vec::with_capacity(batches.len()),
    };
    for mut batch in batches {
        match batch.builder.finish() {
            Ok(bytes) => {
                let number = i32::try_from(batch.partition).unwrap_or(i32::MAX);
                let partition = TopicPartition::new(shared.topic.clone(), Partition(number));
                request.batches.push((partition, bytes));
                sent.push(batch);
            }
            Err(error) => answer(&shared, &batch, Err(error)),
        }
    }
    let results = match shared.backend.produce(request).await {
        Ok(results) => results,
        Err(error) => sent.iter().map(|_| Err(error.clone())).collect(),
    };
    let mut results = results.into_iter();
    for batch in &sent {
        let missing = || Error::new(ErrorKind::RequestTimedOut, "the cluster gave no answer");
        let result = results.next().unwrap_or_else(|| Err(missing()));
        answer(&shared, batch, result);
    }
    shared.room.notify_waiters();
}

fn answer(shared: &Shared, batch: &Batch, result: Result<Produced>) {
    batch.completion.complete(result);
    lock(&shared.accumulator).answered(batch.partition, batch.bytes());
}

/// Looks up the number of partitions; when that fails the old number stays until the next time.
async fn refresh(shared: &Shared) {
    if let Ok(partitions) = partition_count(&*shared.backend, &shared.topic).await {
        lock(&shared.accumulator).grow(partitions);
    }
}

/// The number of a topic's partitions; the topic is made if the broker may.
pub(super) async fn partition_count(
    backend: &dyn ClusterBackend,
    topic: &TopicName,
) -> Result<usize> {
    let answer = backend
        .metadata(Some(std::slice::from_ref(topic)), true)
        .await?;
    let unknown = || {
        Error::new(
            ErrorKind::UnknownTopicOrPartition,
            format!("no topic {topic}"),
        )
    };
    let metadata = answer.into_iter().next().ok_or_else(unknown)??;
    usize::try_from(metadata.partitions)
        .ok()
        .filter(|count| *count > 0)
        .ok_or_else(unknown)
}

/// Waits for room, then puts the record into a batch.
pub(super) async fn push_when_room<'a>(
    shared: &Shared,
    record: impl Fn() -> Encoded<'a>,
) -> Result<Place> {
    let clock = &shared.backend.env().clock;
    let mut timer = clock.sleep_until(clock.monotonic().saturating_add(shared.config.max_block));
    loop {
        let mut room = pin!(shared.room.notified());
        // Registered before looking, so that no answer in between is missed.
        room.as_mut().enable();
        if let Some(place) = shared.push(record())? {
            return Ok(place);
        }
        if let Either::Right(_) = future::select(room, &mut timer).await {
            return Err(Error::new(
                ErrorKind::BufferExhausted,
                format!(
                    "no room in {} bytes of buffer_memory for {:?} (max_block)",
                    shared.config.buffer_memory, shared.config.max_block
                ),
            ));
        }
    }
}
