//! State after a restart: every changelog partition is read from its beginning to its end, before
//! the first record is processed.

use std::time::Duration;

use headwater_core::client::{
    FetchPartition, FetchRequest, Fetched, IsolationLevel, ListedOffset, OffsetSpec,
};
use headwater_core::record::{Batches, Scratch};
use headwater_core::types::{Offset, TopicPartition};
use headwater_core::{Error, ErrorKind, Result};

use super::patience;
use super::thread::StreamThread;
use crate::store::StateStore;

/// How long to wait for a record that the changelog says it has.
const RESTORE_WAIT: Duration = Duration::from_secs(30);

impl StreamThread {
    pub(super) async fn restore(&mut self) -> Result<()> {
        for index in 0..self.tasks.len() {
            let (id, changelogs) = match self.tasks.get(index) {
                Some(task) => (task.id, task.changelogs().to_vec()),
                None => continue,
            };
            for (store, out) in changelogs {
                let topic = self.collector.topic(out).clone();
                let partition = TopicPartition::new(topic, id.partition);
                let mut from = self.offset(&partition, OffsetSpec::Earliest).await?;
                let end = self.offset(&partition, OffsetSpec::Latest).await?;
                while from < end {
                    let fetched = self.read(&partition, from).await?;
                    let store = self
                        .tasks
                        .get_mut(index)
                        .and_then(|task| task.store_mut(store));
                    let Some(store) = store else { break };
                    let next = apply(store.as_mut(), &fetched, from)
                        .map_err(|error| error.partition(&partition))?;
                    if next <= from {
                        return Err(Error::new(
                            ErrorKind::CorruptMessage,
                            format!("the changelog ends at {end} but has no record here"),
                        )
                        .partition(&partition)
                        .offset(from));
                    }
                    from = next;
                }
            }
        }
        Ok(())
    }

    async fn offset(&mut self, partition: &TopicPartition, spec: OffsetSpec) -> Result<Offset> {
        let wanted = [(partition.clone(), spec)];
        let isolation = IsolationLevel::ReadUncommitted;
        let listed = self.backend.list_offsets(&wanted, isolation).await?;
        let listed: Option<ListedOffset> = listed.into_iter().next().transpose()?;
        Ok(listed.map_or(Offset(0), |listed| listed.offset))
    }

    async fn read(&mut self, partition: &TopicPartition, offset: Offset) -> Result<Fetched> {
        let max_bytes = self.config.fetch_bytes_max;
        let request = FetchRequest {
            partitions: vec![FetchPartition {
                partition: partition.clone(),
                offset,
                max_bytes,
            }],
            min_bytes: 1,
            max_bytes,
            max_wait: RESTORE_WAIT,
            isolation: IsolationLevel::ReadUncommitted,
        };
        let answer = patience::fetch(&*self.backend, request)
            .await?
            .into_iter()
            .next();
        answer.unwrap_or_else(|| {
            Err(Error::new(
                ErrorKind::RequestTimedOut,
                "a fetch came back without an answer",
            ))
        })
    }
}

/// Puts the records from `from` on into the store; returns the offset behind the last one.
fn apply(store: &mut dyn StateStore, fetched: &Fetched, from: Offset) -> Result<Offset> {
    let mut next = from;
    let mut scratch = Scratch::new();
    for batch in fetched.chunks.iter().flat_map(|chunk| Batches::new(chunk)) {
        let batch = batch?;
        batch.check_crc()?;
        next = next.max(batch.header.next_offset());
        // Control batches mark ends of transactions; they hold no entries.
        if batch.header.attributes.is_control() {
            continue;
        }
        for record in batch.records(&mut scratch)? {
            let record = record?;
            let Some(key) = record.key.filter(|_| record.offset >= from) else {
                continue;
            };
            store
                .restore(key, record.value, record.timestamp)
                .map_err(|cause| {
                    Error::new(
                    ErrorKind::Serialization,
                    "a changelog entry is not of the store's type: the topology changed; give the \
                     store another name",
                )
                .offset(record.offset)
                .source(cause)
                })?;
        }
    }
    Ok(next)
}

#[cfg(test)]
mod tests {
    use headwater_core::record::{BatchBuilder, BatchHeader, BatchOptions, Headers, assign};
    use headwater_core::types::{LeaderEpoch, Timestamp};

    use super::*;
    use crate::serdes::Serde;
    use crate::store::KeyValueStore;

    fn batch(base: i64, control: bool, key: &[u8], value: &[u8]) -> Vec<u8> {
        let options = BatchOptions {
            control,
            ..BatchOptions::default()
        };
        let mut builder = BatchBuilder::new(options);
        let time = Timestamp(0);
        let appended = builder.append(time, Some(key), Some(value), Headers::EMPTY);
        appended.unwrap();
        let mut bytes = builder.finish().unwrap().to_vec();
        let header = BatchHeader::parse(&bytes).unwrap();
        assign(&mut bytes, &header, Offset(base), LeaderEpoch(0), None);
        bytes
    }

    #[test]
    fn the_ends_of_transactions_are_no_entries() {
        let seven = 7_u64.to_be_bytes();
        let mut chunk = batch(0, false, b"a", &seven);
        chunk.extend(batch(1, true, &[0, 0, 0, 1], &[0; 6]));
        let fetched = Fetched {
            high_watermark: Offset(2),
            last_stable: Offset(2),
            aborted: Vec::new(),
            log_start: Offset(0),
            chunks: vec![chunk.into()],
        };
        let mut store = KeyValueStore::<u64>::new(Serde::of());
        assert_eq!(apply(&mut store, &fetched, Offset(0)).unwrap(), Offset(2));
        let seven = store.get(b"a").downcast::<Option<u64>>().unwrap();
        assert_eq!(*seven, Some(7));
        let control = store.get(&[0, 0, 0, 1]).downcast::<Option<u64>>().unwrap();
        assert_eq!(*control, None);
    }
}
