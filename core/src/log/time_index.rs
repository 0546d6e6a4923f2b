//! A segment's time index: sparse pairs (largest timestamp so far, offset of its record).
//!
//! File `NNNN.timeindex`, Kafka's format: entries of 12 bytes, big-endian, no header, no checksum:
//!
//! ```text
//!   | timestamp i64 | relative offset u32 |
//! ```
//!
//! Both columns grow. Every record before an entry's offset has a timestamp of at most the entry's.

use crate::types::{Offset, Timestamp};

/// The entries of one segment, in memory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TimeIndex {
    entries: Vec<(i64, u32)>,
}

impl TimeIndex {
    /// The bytes of one entry in the file.
    pub const ENTRY_LEN: usize = 12;

    /// Adds an entry unless it would not grow in both columns.
    pub fn push(&mut self, base: Offset, timestamp: Timestamp, offset: Offset) {
        let Ok(relative) = u32::try_from(offset.0 - base.0) else {
            return;
        };
        if self
            .entries
            .last()
            .is_none_or(|last| last.0 < timestamp.0 && last.1 < relative)
        {
            self.entries.push((timestamp.0, relative));
        }
    }

    /// The last entry that is earlier than `target`: no record before its offset has a timestamp
    /// of `target` or later. `None` says nothing of the segment.
    #[must_use]
    pub fn entry_before(&self, base: Offset, target: Timestamp) -> Option<(Timestamp, Offset)> {
        let after = self.entries.partition_point(|entry| entry.0 < target.0);
        let (timestamp, offset) = *self.entries.get(after.checked_sub(1)?)?;
        Some((Timestamp(timestamp), base.plus(i64::from(offset))))
    }

    /// Drops the entries at or beyond an offset.
    pub fn truncate(&mut self, base: Offset, end: Offset) {
        self.entries
            .retain(|entry| base.plus(i64::from(entry.1)) < end);
    }

    /// The number of entries.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is no entry.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The file's bytes from entry `first` on.
    #[must_use]
    pub fn encode_from(&self, first: usize) -> Vec<u8> {
        let mut out = Vec::with_capacity((self.entries.len() - first) * Self::ENTRY_LEN);
        for (timestamp, relative) in &self.entries[first..] {
            out.extend_from_slice(&timestamp.to_be_bytes());
            out.extend_from_slice(&relative.to_be_bytes());
        }
        out
    }

    /// Reads a file's bytes; `None` when they cannot be a time index.
    #[must_use]
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        if !bytes.len().is_multiple_of(Self::ENTRY_LEN) {
            return None;
        }
        let mut entries: Vec<(i64, u32)> = Vec::with_capacity(bytes.len() / Self::ENTRY_LEN);
        for entry in bytes.chunks_exact(Self::ENTRY_LEN) {
            let timestamp = i64::from_be_bytes(entry[..8].try_into().ok()?);
            let relative = u32::from_be_bytes(entry[8..].try_into().ok()?);
            if entries
                .last()
                .is_some_and(|last| last.0 >= timestamp || last.1 >= relative)
            {
                return None;
            }
            entries.push((timestamp, relative));
        }
        Some(Self { entries })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    proptest! {
        #[test]
        fn finds_what_a_map_finds(steps in prop::collection::vec((1_i64..1000, 1_i64..50), 0..200),
                                  probes in prop::collection::vec(0_i64..100_000, 0..50)) {
            let base = Offset(77);
            let (mut index, mut model) = (TimeIndex::default(), BTreeMap::new());
            let (mut timestamp, mut offset) = (0, base.0);
            for (later, count) in steps {
                timestamp += later;
                offset += count;
                index.push(base, Timestamp(timestamp), Offset(offset));
                model.insert(timestamp, offset);
            }
            for probe in probes {
                let expected = model.range(..probe).next_back();
                let expected = expected.map(|(time, offset)| (Timestamp(*time), Offset(*offset)));
                prop_assert_eq!(index.entry_before(base, Timestamp(probe)), expected);
            }
            prop_assert_eq!(TimeIndex::decode(&index.encode_from(0)), Some(index));
        }

        #[test]
        fn any_bytes_decode_or_are_refused(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
            if let Some(index) = TimeIndex::decode(&bytes) {
                prop_assert_eq!(index.encode_from(0), bytes);
            }
        }
    }
}
