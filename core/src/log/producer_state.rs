//! What a partition remembers of each idempotent producer, and its snapshots.
//!
//! File `NNNN.snapshot` (NNNN: the offset that it describes), Kafka's format, big-endian:
//!
//! ```text
//!   | version i16 = 1 | crc32c u32 of all that follows | entries i32 | entry... |
//!   entry:  | producer id i64 | epoch i16 | last sequence i32 | last offset i64 |
//!           | offset delta i32 | timestamp i64 | coordinator epoch i32 |
//!           | first offset of the open transaction i64, or -1 |
//! ```

use std::collections::BTreeMap;

use crate::cursor::Cursor;
use crate::record::BatchHeader;
use crate::types::{Epoch, Offset, ProducerId, Sequence, Timestamp};

const VERSION: i16 = 1;
const HEAD_LEN: usize = 2 + 4 + 4;
const ENTRY_LEN: usize = 8 + 2 + 4 + 8 + 4 + 8 + 4 + 8;

/// What a partition remembers of one producer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProducerState {
    /// Its epoch.
    pub epoch: Epoch,
    /// The last sequence number it wrote.
    pub last_sequence: Sequence,
    /// The offset of that record.
    pub last_offset: Offset,
    /// How many records its last batch had, less one.
    pub offset_delta: i32,
    /// The largest timestamp of its last batch.
    pub timestamp: Timestamp,
    /// The epoch of the coordinator that wrote its last marker; -1 for none.
    pub coordinator_epoch: i32,
    /// Where its open transaction begins.
    pub transaction_start: Option<Offset>,
}

/// The producers of one partition, by id.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProducerStates {
    producers: BTreeMap<i64, ProducerState>,
}

impl ProducerStates {
    /// Takes in an appended batch; plain batches (no producer id) leave no trace.
    pub fn observe(&mut self, header: &BatchHeader) {
        if header.producer_id == ProducerId::NONE {
            return;
        }
        let known = self.producers.get(&header.producer_id.0);
        let open = known.and_then(|known| known.transaction_start);
        let control = header.attributes.is_control();
        let state = ProducerState {
            epoch: header.producer_epoch,
            last_sequence: match (control, known) {
                (true, known) => known.map_or(Sequence::NONE, |known| known.last_sequence),
                (false, _) => header.last_sequence(),
            },
            last_offset: header.last_offset(),
            offset_delta: header.last_offset_delta,
            timestamp: header.max_timestamp,
            coordinator_epoch: known.map_or(-1, |known| known.coordinator_epoch),
            transaction_start: match (header.attributes.is_transactional(), control) {
                (true, false) => open.or(Some(header.base_offset)),
                (_, true) => None,
                (false, false) => open,
            },
        };
        self.producers.insert(header.producer_id.0, state);
    }

    /// What is remembered of a producer.
    #[must_use]
    pub fn find(&self, id: ProducerId) -> Option<&ProducerState> {
        self.producers.get(&id.0)
    }

    /// Where the earliest open transaction begins.
    #[must_use]
    pub fn first_open_transaction(&self) -> Option<Offset> {
        self.producers
            .values()
            .filter_map(|producer| producer.transaction_start)
            .min()
    }

    /// Whether nothing is remembered.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.producers.is_empty()
    }

    /// The snapshot's bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(HEAD_LEN + self.producers.len() * ENTRY_LEN);
        out.extend_from_slice(&VERSION.to_be_bytes());
        out.extend_from_slice(&[0; 4]);
        let count = i32::try_from(self.producers.len()).unwrap_or(i32::MAX);
        out.extend_from_slice(&count.to_be_bytes());
        for (id, producer) in &self.producers {
            out.extend_from_slice(&id.to_be_bytes());
            out.extend_from_slice(&producer.epoch.0.to_be_bytes());
            out.extend_from_slice(&producer.last_sequence.0.to_be_bytes());
            out.extend_from_slice(&producer.last_offset.0.to_be_bytes());
            out.extend_from_slice(&producer.offset_delta.to_be_bytes());
            out.extend_from_slice(&producer.timestamp.0.to_be_bytes());
            out.extend_from_slice(&producer.coordinator_epoch.to_be_bytes());
            let start = producer.transaction_start.map_or(-1, |start| start.0);
            out.extend_from_slice(&start.to_be_bytes());
        }
        let crc = crc32c::crc32c(&out[6..]);
        out[2..6].copy_from_slice(&crc.to_be_bytes());
        out
    }

    /// Reads a snapshot; `None` when it is damaged (the caller reads the log instead).
    #[must_use]
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let mut cursor = Cursor::new(bytes);
        if cursor.i16()? != VERSION || cursor.u32()? != crc32c::crc32c(bytes.get(6..)?) {
            return None;
        }
        let count = usize::try_from(cursor.i32()?).ok()?;
        if cursor.remaining() != count.checked_mul(ENTRY_LEN)? {
            return None;
        }
        let mut states = Self::default();
        for _ in 0..count {
            let id = cursor.i64()?;
            let producer = ProducerState {
                epoch: Epoch(cursor.i16()?),
                last_sequence: Sequence(cursor.i32()?),
                last_offset: Offset(cursor.i64()?),
                offset_delta: cursor.i32()?,
                timestamp: Timestamp(cursor.i64()?),
                coordinator_epoch: cursor.i32()?,
                transaction_start: Some(cursor.i64()?).filter(|start| *start >= 0).map(Offset),
            };
            states.producers.insert(id, producer);
        }
        Some(states)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> ProducerStates {
        let state = |n: i64| ProducerState {
            epoch: Epoch(2),
            last_sequence: Sequence(40),
            last_offset: Offset(n),
            offset_delta: 3,
            timestamp: Timestamp(1_000),
            coordinator_epoch: -1,
            transaction_start: (n > 50).then_some(Offset(n - 5)),
        };
        ProducerStates {
            producers: [(7, state(10)), (8, state(60)), (9, state(80))].into(),
        }
    }

    #[test]
    fn reads_what_it_wrote() {
        assert_eq!(ProducerStates::decode(&sample().encode()), Some(sample()));
        assert_eq!(sample().first_open_transaction(), Some(Offset(55)));
        let empty = ProducerStates::default();
        assert_eq!(ProducerStates::decode(&empty.encode()), Some(empty));
    }

    #[test]
    fn every_flipped_bit_and_every_cut_is_found() {
        let good = sample().encode();
        for at in 0..good.len() {
            assert_eq!(ProducerStates::decode(&good[..at]), None, "cut at {at}");
            for bit in 0..8 {
                let mut bad = good.clone();
                bad[at] ^= 1 << bit;
                assert_eq!(ProducerStates::decode(&bad), None, "bit {bit} of byte {at}");
            }
        }
    }
}
