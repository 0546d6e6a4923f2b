//! Control batches: the markers by which a transaction ends in a partition.
//!
//! ```text
//!   key    version i16 (0) | type i16 (0 abort, 1 commit)
//!   value  version i16 (0) | coordinator epoch i32
//! ```
//!
//! Later versions append fields, so longer keys and values are read and their rest passed over.

use bytes::Bytes;

use super::batch::corrupt;
use super::builder::{BatchBuilder, BatchOptions};
use super::headers::Headers;
use super::records::Record;
use crate::error::Result;
use crate::types::{Epoch, ProducerId, Timestamp};

const VERSION: i16 = 0;
const ABORT: i16 = 0;
const COMMIT: i16 = 1;

/// How a transaction ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TxnResult {
    /// Its records never happened.
    Abort,
    /// Its records count.
    Commit,
}

/// The marker that ends a producer's transaction in one partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct EndTxnMarker {
    /// How it ended.
    pub result: TxnResult,
    /// The epoch of the coordinator that decided.
    pub coordinator_epoch: i32,
}

impl EndTxnMarker {
    /// The control batch that carries the marker, with base offset 0.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidTimestamp`](crate::ErrorKind::InvalidTimestamp) for a negative time.
    pub fn to_batch(self, id: ProducerId, epoch: Epoch, timestamp: Timestamp) -> Result<Bytes> {
        let kind = match self.result {
            TxnResult::Abort => ABORT,
            TxnResult::Commit => COMMIT,
        };
        let key = [VERSION.to_be_bytes(), kind.to_be_bytes()].concat();
        let value = [
            &VERSION.to_be_bytes()[..],
            &self.coordinator_epoch.to_be_bytes(),
        ]
        .concat();
        let mut builder = BatchBuilder::new(BatchOptions {
            producer_id: id,
            producer_epoch: epoch,
            transactional: true,
            control: true,
            ..BatchOptions::default()
        });
        builder.append(timestamp, Some(&key), Some(&value), Headers::EMPTY)?;
        builder.finish()
    }

    /// Reads the record of a control batch; `None` for a marker of another kind, which readers
    /// pass over.
    ///
    /// # Errors
    /// [`ErrorKind::CorruptMessage`](crate::ErrorKind::CorruptMessage) when it is cut off.
    pub fn from_record(record: &Record<'_>) -> Result<Option<Self>> {
        let mut key = record.key.unwrap_or_default();
        let mut value = record.value.unwrap_or_default();
        let cut_off = || corrupt("a control record is cut off").offset(record.offset);
        let _version = take(&mut key).map(i16::from_be_bytes).ok_or_else(cut_off)?;
        let kind = take(&mut key).map(i16::from_be_bytes).ok_or_else(cut_off)?;
        let result = match kind {
            ABORT => TxnResult::Abort,
            COMMIT => TxnResult::Commit,
            _ => return Ok(None),
        };
        let _version = take(&mut value)
            .map(i16::from_be_bytes)
            .ok_or_else(cut_off)?;
        let epoch = take(&mut value)
            .map(i32::from_be_bytes)
            .ok_or_else(cut_off)?;
        Ok(Some(Self {
            result,
            coordinator_epoch: epoch,
        }))
    }
}

fn take<const N: usize>(input: &mut &[u8]) -> Option<[u8; N]> {
    let (front, rest) = input.split_first_chunk::<N>()?;
    *input = rest;
    Some(*front)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{Batch, Scratch};

    #[test]
    fn markers_round_trip() {
        for result in [TxnResult::Abort, TxnResult::Commit] {
            let marker = EndTxnMarker {
                result,
                coordinator_epoch: 7,
            };
            let bytes = marker
                .to_batch(ProducerId(9), Epoch(3), Timestamp(5))
                .unwrap();
            let batch = Batch::parse(&bytes).unwrap();
            assert!(batch.header.attributes.is_control());
            assert!(batch.header.attributes.is_transactional());
            assert_eq!(batch.header.producer_id, 9);
            assert_eq!(batch.header.producer_epoch, 3);
            assert_eq!(batch.header.base_sequence, -1);
            let mut scratch = Scratch::new();
            let record = batch.records(&mut scratch).unwrap().next().unwrap();
            let record = record.unwrap();
            assert_eq!(EndTxnMarker::from_record(&record).unwrap(), Some(marker));

            for cut in 0..4 {
                let key = record.key.map(|key| &key[..cut]);
                assert!(EndTxnMarker::from_record(&Record { key, ..record }).is_err());
            }
            for cut in 0..6 {
                let value = record.value.map(|value| &value[..cut]);
                assert!(EndTxnMarker::from_record(&Record { value, ..record }).is_err());
            }
            let other = Record {
                key: Some(&[0, 0, 0, 2]),
                ..record
            };
            assert_eq!(EndTxnMarker::from_record(&other).unwrap(), None);
        }
    }
}
