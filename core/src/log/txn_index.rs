//! A segment's index of aborted transactions: the file `NNNN.txnindex`.
//!
//! Kafka's format: entries of 34 bytes, big-endian, no checksum:
//!
//! ```text
//!   | version i16 = 0 | producer id i64 | first offset i64 | last offset i64 | last stable i64 |
//! ```

use crate::cursor::Cursor;
use crate::types::{Offset, ProducerId};

/// An aborted transaction (`AbortedTxn`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AbortedTxn {
    /// Whose it was.
    pub producer_id: ProducerId,
    /// Its first record.
    pub first_offset: Offset,
    /// Its abort marker.
    pub last_offset: Offset,
    /// The last stable offset once it was over.
    pub last_stable: Offset,
}

impl AbortedTxn {
    /// The bytes of one entry.
    pub const LEN: usize = 34;
    const VERSION: i16 = 0;

    /// The entry's bytes.
    #[must_use]
    pub fn encode(&self) -> [u8; Self::LEN] {
        let mut out = [0; Self::LEN];
        out[..2].copy_from_slice(&Self::VERSION.to_be_bytes());
        out[2..10].copy_from_slice(&self.producer_id.0.to_be_bytes());
        out[10..18].copy_from_slice(&self.first_offset.0.to_be_bytes());
        out[18..26].copy_from_slice(&self.last_offset.0.to_be_bytes());
        out[26..34].copy_from_slice(&self.last_stable.0.to_be_bytes());
        out
    }

    /// Reads a whole file; `None` when it breaks the format (the caller reads the segment instead).
    #[must_use]
    pub fn decode_all(bytes: &[u8]) -> Option<Vec<Self>> {
        if !bytes.len().is_multiple_of(Self::LEN) {
            return None;
        }
        let mut entries: Vec<Self> = Vec::with_capacity(bytes.len() / Self::LEN);
        let mut cursor = Cursor::new(bytes);
        while !cursor.is_empty() {
            if cursor.i16()? != Self::VERSION {
                return None;
            }
            let entry = Self {
                producer_id: ProducerId(cursor.i64()?),
                first_offset: Offset(cursor.i64()?),
                last_offset: Offset(cursor.i64()?),
                last_stable: Offset(cursor.i64()?),
            };
            let follows = entries
                .last()
                .is_none_or(|last| last.last_offset < entry.last_offset);
            if entry.first_offset > entry.last_offset || !follows {
                return None;
            }
            entries.push(entry);
        }
        Some(entries)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(last: i64) -> AbortedTxn {
        AbortedTxn {
            producer_id: ProducerId(5),
            first_offset: Offset(last - 3),
            last_offset: Offset(last),
            last_stable: Offset(last + 1),
        }
    }

    #[test]
    fn reads_what_it_wrote_and_refuses_the_rest() {
        let bytes = [entry(10).encode(), entry(20).encode()].concat();
        assert_eq!(
            AbortedTxn::decode_all(&bytes),
            Some(vec![entry(10), entry(20)])
        );
        assert_eq!(AbortedTxn::decode_all(&[]), Some(vec![]));
        assert_eq!(AbortedTxn::decode_all(&bytes[1..]), None);
        assert_eq!(
            AbortedTxn::decode_all(&[entry(20).encode(), entry(10).encode()].concat()),
            None
        );
        let mut newer = bytes;
        newer[1] = 1;
        assert_eq!(AbortedTxn::decode_all(&newer), None);
    }
}
