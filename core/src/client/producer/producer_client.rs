//! [`Producer`]: what users send records with.

use std::cell::Cell;
use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::Notify;

use super::accumulator::{Accumulator, Encoded};
use super::config::ProducerConfig;
use super::record::ProducerRecord;
use super::sender::{Shared, partition_count, push_when_room, run};
use super::sending::{Ack, Sending};
use crate::client::backend::ClusterBackend;
use crate::env::TaskHandle;
use crate::error::{Error, ErrorKind, Result};
use crate::record::{Compression, Headers, HeadersBuf};
use crate::request::Acks;
use crate::serdes::{SerdeError, Serializer};
use crate::sync::lock;
use crate::types::{Partition, Timestamp, TopicName, TopicPartition};

/// Sends records of one type to one topic.
///
/// `send` puts the record into a batch at once and returns a future of where it went. A background
/// task sends batches that are full or have waited for `linger`. Records with a key go to the
/// partition that Kafka's clients choose; those without stick to one partition for a batch.
///
/// A producer that is dropped sends what it has in the background; whether it still arrives when
/// the program ends at that moment is not known. [`Producer::close`] or [`Producer::flush`] first,
/// or await the last records.
pub struct Producer<K: ?Sized + 'static, V: ?Sized + 'static> {
    shared: Arc<Shared>,
    key: Arc<dyn Serializer<K>>,
    value: Arc<dyn Serializer<V>>,
    /// How many records wait for room; while there are some, `send` does not pass them by.
    waiting: Arc<AtomicUsize>,
    task: Mutex<Option<TaskHandle>>,
}

/// Makes a [`Producer`]; from `Cluster::producer`.
#[must_use]
pub struct ProducerBuilder<K: ?Sized + 'static, V: ?Sized + 'static> {
    backend: Arc<dyn ClusterBackend>,
    topic: String,
    key: Arc<dyn Serializer<K>>,
    value: Arc<dyn Serializer<V>>,
    config: ProducerConfig,
}

impl<K: ?Sized + 'static, V: ?Sized + 'static> ProducerBuilder<K, V> {
    pub(crate) fn new(
        backend: Arc<dyn ClusterBackend>,
        topic: &str,
        key: Arc<dyn Serializer<K>>,
        value: Arc<dyn Serializer<V>>,
    ) -> Self {
        Self {
            backend,
            topic: topic.to_owned(),
            key,
            value,
            config: ProducerConfig::default(),
        }
    }

    /// All settings at once.
    pub fn config(mut self, config: ProducerConfig) -> Self {
        self.config = config;
        self
    }

    /// What a record's future waits for; default [`Acks::All`].
    pub fn acks(mut self, acks: Acks) -> Self {
        self.config.acks = acks;
        self
    }

    /// How long a batch waits for more records; default 5 ms.
    pub fn linger(mut self, linger: Duration) -> Self {
        self.config.linger = linger;
        self
    }

    /// How many bytes make a batch; default 16384.
    pub fn batch_size(mut self, batch_size: usize) -> Self {
        self.config.batch_size = batch_size;
        self
    }

    /// How batches are compressed; default not at all.
    pub fn compression(mut self, compression: Compression) -> Self {
        self.config.compression = compression;
        self
    }

    /// Looks the topic up (it is made if the broker may) and starts the producer.
    ///
    /// # Errors
    /// `InvalidTopic`, `UnknownTopicOrPartition`, `InvalidConfig`.
    pub async fn build(self) -> Result<Producer<K, V>> {
        self.config.validate()?;
        let topic = TopicName::new(&self.topic)?;
        let partitions = partition_count(&*self.backend, &topic).await?;
        let env = self.backend.env().clone();
        let accumulator = Accumulator::new(self.config.clone(), env.random, partitions);
        let shared = Arc::new(Shared {
            backend: self.backend,
            topic,
            config: self.config,
            accumulator: Mutex::new(accumulator),
            work: Notify::new(),
            room: Notify::new(),
        });
        let task = env
            .spawner
            .spawn("producer", Box::pin(run(Arc::clone(&shared))));
        Ok(Producer {
            shared,
            key: self.key,
            value: self.value,
            waiting: Arc::default(),
            task: Mutex::new(Some(task)),
        })
    }
}

impl<K: ?Sized + 'static, V: ?Sized + 'static> Producer<K, V> {
    /// Sends a record. It is in its batch when this returns (see [`Sending`] for when the buffer
    /// is full); await the result for where it went.
    pub fn send(&self, key: &K, value: &V) -> Sending {
        self.encode(Some(key), Some(value), None, None, Headers::EMPTY)
    }

    /// Sends a record with a partition, a timestamp or headers of its own, or without key or value.
    #[expect(clippy::needless_pass_by_value, reason = "a record is sent once")]
    pub fn send_record(&self, record: ProducerRecord<'_, K, V>) -> Sending {
        let headers = record.headers.as_headers();
        self.encode(
            record.key,
            record.value,
            record.partition,
            record.timestamp,
            headers,
        )
    }

    /// Sends records and waits for all of them; the answers are in the order of the records.
    ///
    /// # Errors
    /// The first error; the other records may have been sent.
    pub async fn send_batch<'a>(
        &self,
        records: impl IntoIterator<Item = (&'a K, &'a V)>,
    ) -> Result<Vec<Ack>> {
        let mut sendings = Vec::new();
        for (key, value) in records {
            sendings.push(self.send(key, value).queued().await?);
        }
        self.close_batches();
        let mut acks = Vec::with_capacity(sendings.len());
        for sending in sendings {
            acks.push(sending.await?);
        }
        Ok(acks)
    }

    /// Sends every open batch now and waits until all that was sent before is answered.
    ///
    /// # Errors
    /// The first error of a batch that was not answered before; each record's own future has it
    /// too.
    pub async fn flush(&self) -> Result<()> {
        let mut outcome = Ok(());
        for batch in self.close_batches() {
            outcome = outcome.and(batch.wait().await.map(drop));
        }
        outcome
    }

    /// Sends what is there, waits for the answers and ends the producer.
    ///
    /// # Errors
    /// As [`Producer::flush`].
    pub async fn close(self) -> Result<()> {
        let outcome = self.flush().await;
        self.end();
        let task = lock(&self.task).take();
        if let Some(task) = task {
            task.join().await;
        }
        outcome
    }

    /// The topic it sends to.
    #[must_use]
    pub fn topic(&self) -> &TopicName {
        &self.shared.topic
    }

    fn encode(
        &self,
        key: Option<&K>,
        value: Option<&V>,
        partition: Option<Partition>,
        timestamp: Option<Timestamp>,
        headers: Headers<'_>,
    ) -> Sending {
        let timestamp = timestamp.unwrap_or_else(|| self.shared.backend.env().clock.now());
        let mut memory = Memory::take();
        let buffers = memory.0.get_or_insert_default();
        let (key_bytes, value_bytes) = (&mut buffers.key, &mut buffers.value);
        let key = match write(&*self.key, key, key_bytes) {
            Ok(key) => key,
            Err(error) => return self.refused("key", error, partition),
        };
        let value = match write(&*self.value, value, value_bytes) {
            Ok(value) => value,
            Err(error) => return self.refused("value", error, partition),
        };
        self.place(Encoded {
            key,
            value,
            headers,
            timestamp,
            partition,
        })
    }

    fn place(&self, record: Encoded<'_>) -> Sending {
        // While others wait for room, going to the batch directly would pass them by.
        if self.waiting.load(Ordering::Acquire) == 0 {
            match self.shared.push(record) {
                Ok(Some(place)) => return Sending::placed(place),
                Ok(None) => {}
                Err(error) => return Sending::failed(error),
            }
        }
        let shared = Arc::clone(&self.shared);
        let kept = Kept::new(&record);
        let turn = Turn::new(&self.waiting);
        Sending::waiting(Box::pin(async move {
            let _turn = turn;
            push_when_room(&shared, || kept.lend()).await
        }))
    }

    fn refused(&self, what: &str, error: SerdeError, partition: Option<Partition>) -> Sending {
        let topic = &self.shared.topic;
        let message = format!("topic {topic}: the serde refuses the {what}");
        let mut refused = Error::new(ErrorKind::Serialization, message).source(error);
        if let Some(partition) = partition {
            refused = refused.partition(&TopicPartition::new(topic.clone(), partition));
        }
        Sending::failed(refused)
    }

    fn close_batches(&self) -> Vec<Arc<super::completion::Completion>> {
        let batches = lock(&self.shared.accumulator).flush();
        self.shared.work.notify_one();
        batches
    }

    fn end(&self) {
        lock(&self.shared.accumulator).close();
        self.shared.work.notify_one();
    }
}

impl<K: ?Sized + 'static, V: ?Sized + 'static> Drop for Producer<K, V> {
    fn drop(&mut self) {
        self.end();
    }
}

impl<K: ?Sized + 'static, V: ?Sized + 'static> fmt::Debug for Producer<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Producer")
            .field("topic", &self.shared.topic)
            .field("config", &self.shared.config)
            .finish_non_exhaustive()
    }
}

impl<K: ?Sized + 'static, V: ?Sized + 'static> fmt::Debug for ProducerBuilder<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProducerBuilder")
            .field("topic", &self.topic)
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}

fn write<'a, T: ?Sized + 'static>(
    serde: &dyn Serializer<T>,
    value: Option<&T>,
    out: &'a mut Vec<u8>,
) -> Result<Option<&'a [u8]>, SerdeError> {
    match value {
        Some(value) if !serde.is_null(value) => {
            serde.write(value, out)?;
            Ok(Some(out))
        }
        _ => Ok(None),
    }
}

/// Where keys and values are written before they go into a batch: memory of the thread, taken out
/// while in use, so that a serde may itself send.
#[derive(Default)]
struct Buffers {
    key: Vec<u8>,
    value: Vec<u8>,
}

struct Memory(Option<Box<Buffers>>);

/// Larger memory is not kept for the next record.
const KEPT_BYTES_MAX: usize = 64 << 10;

thread_local! {
    static BUFFERS: Cell<Option<Box<Buffers>>> = const { Cell::new(None) };
}

impl Memory {
    fn take() -> Self {
        Self(BUFFERS.take())
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        let Some(mut buffers) = self.0.take() else {
            return;
        };
        if buffers.key.capacity() + buffers.value.capacity() <= KEPT_BYTES_MAX {
            buffers.key.clear();
            buffers.value.clear();
            BUFFERS.set(Some(buffers));
        }
    }
}

/// A record that waits for room.
struct Kept {
    key: Option<Vec<u8>>,
    value: Option<Vec<u8>>,
    headers: HeadersBuf,
    timestamp: Timestamp,
    partition: Option<Partition>,
}

impl Kept {
    fn new(record: &Encoded<'_>) -> Self {
        Self {
            key: record.key.map(<[u8]>::to_vec),
            value: record.value.map(<[u8]>::to_vec),
            headers: HeadersBuf::from(record.headers),
            timestamp: record.timestamp,
            partition: record.partition,
        }
    }

    fn lend(&self) -> Encoded<'_> {
        Encoded {
            key: self.key.as_deref(),
            value: self.value.as_deref(),
            headers: self.headers.as_headers(),
            timestamp: self.timestamp,
            partition: self.partition,
        }
    }
}

/// Counts a record that waits for room, until it does not.
struct Turn(Arc<AtomicUsize>);

impl Turn {
    fn new(waiting: &Arc<AtomicUsize>) -> Self {
        waiting.fetch_add(1, Ordering::AcqRel);
        Self(Arc::clone(waiting))
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}
