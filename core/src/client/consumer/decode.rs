//! From fetched batches to records of the user's types.

use std::collections::VecDeque;
use std::sync::Arc;

use super::reader::{Chunk, Reader};
use super::record::ConsumerRecord;
use crate::error::{Error, ErrorKind, Result};
use crate::record::{Batch, HeadersBuf, Record, Scratch};
use crate::serdes::{OwnedDeserializer, SerdeError};
use crate::types::{Offset, TopicPartition};

/// Decodes batch after batch, in memory that is used again.
pub(super) struct Decoder<K, V> {
    key: Arc<dyn OwnedDeserializer<K>>,
    value: Arc<dyn OwnedDeserializer<V>>,
    scratch: Scratch,
}

/// Where decoding stopped, and why.
struct Stop {
    at: Offset,
    error: Error,
}

impl<K: 'static, V: 'static> Decoder<K, V> {
    pub(super) fn new(
        key: Arc<dyn OwnedDeserializer<K>>,
        value: Arc<dyn OwnedDeserializer<V>>,
    ) -> Self {
        Self {
            key,
            value,
            scratch: Scratch::new(),
        }
    }

    /// Decodes whole batches until `records_max` records are ready or nothing is left. An error is
    /// returned when no record is ready before it; else it comes at its turn.
    pub(super) fn decode(
        &mut self,
        reader: &mut Reader,
        ready: &mut VecDeque<ConsumerRecord<K, V>>,
        records_max: usize,
    ) -> Result<()> {
        while ready.len() < records_max {
            let Some(chunk) = reader.chunks.front_mut() else {
                break;
            };
            let known = reader.assignment.get(&chunk.partition);
            let from = known.map_or(Offset(0), |known| known.fetch_offset);
            let partition = chunk.partition.clone();
            match self.batch(chunk, from, ready) {
                Ok(next) => {
                    if chunk.at >= chunk.bytes.len() {
                        reader.chunks.pop_front();
                    }
                    reader.assignment.buffered(&partition, next);
                    if ready.is_empty() {
                        // A batch with nothing for the user, a transaction's marker as it may be.
                        reader
                            .assignment
                            .advance(&partition.topic, partition.partition, next);
                    }
                }
                Err(stop) => {
                    reader.chunks.retain(|chunk| chunk.partition != partition);
                    reader.assignment.buffered(&partition, stop.at);
                    if ready.is_empty() {
                        reader
                            .assignment
                            .advance(&partition.topic, partition.partition, stop.at);
                        return Err(stop.error.partition(&partition).offset(stop.at));
                    }
                }
            }
        }
        Ok(())
    }

    /// Decodes one batch from `from` on; returns the offset behind it.
    fn batch(
        &mut self,
        chunk: &mut Chunk,
        from: Offset,
        ready: &mut VecDeque<ConsumerRecord<K, V>>,
    ) -> Result<Offset, Box<Stop>> {
        let stop = |at, error| Box::new(Stop { at, error });
        let rest = chunk.bytes.get(chunk.at..).unwrap_or_default();
        // Nobody looked at the bytes since they were written (`check.crcs`, as Kafka's default).
        let batch = Batch::parse(rest)
            .and_then(|batch| batch.check_crc().map(|()| batch))
            .map_err(|error| stop(from, error))?;
        let header = batch.header;
        let next = header.next_offset();
        if next <= from {
            let what = format!("the cluster answered with a batch that ends before {next}");
            return Err(stop(from, Error::new(ErrorKind::CorruptMessage, what)));
        }
        if !header.attributes.is_control() {
            let (key, value) = (&*self.key, &*self.value);
            let records = batch.records(&mut self.scratch);
            let mut at = from;
            for record in records.map_err(|error| stop(from, error))? {
                let record = record.map_err(|error| stop(at, error))?;
                if record.offset >= from {
                    let decoded = decode(key, value, &record, &chunk.partition);
                    ready.push_back(decoded.map_err(|error| stop(record.offset, error))?);
                    at = record.offset.next();
                }
            }
        }
        chunk.at += batch.bytes().len();
        Ok(next)
    }
}

fn decode<K: 'static, V: 'static>(
    key: &dyn OwnedDeserializer<K>,
    value: &dyn OwnedDeserializer<V>,
    record: &Record<'_>,
    partition: &TopicPartition,
) -> Result<ConsumerRecord<K, V>> {
    Ok(ConsumerRecord {
        topic: partition.topic.clone(),
        partition: partition.partition,
        offset: record.offset,
        timestamp: record.timestamp,
        key: read(key, record.key).map_err(|error| refused("key", error))?,
        value: read(value, record.value).map_err(|error| refused("value", error))?,
        headers: HeadersBuf::from(record.headers),
    })
}

fn read<T: 'static>(
    serde: &dyn OwnedDeserializer<T>,
    bytes: Option<&[u8]>,
) -> Result<T, SerdeError> {
    match bytes {
        Some(bytes) => serde.read_owned(bytes),
        None => serde.null_owned().ok_or_else(|| {
            SerdeError::new("it is null, for which the type has no place; read it as an Option")
        }),
    }
}

fn refused(what: &str, error: SerdeError) -> Error {
    Error::new(
        ErrorKind::Serialization,
        format!("the serde refuses the {what}; step over the record or read it as another type"),
    )
    .source(error)
}
