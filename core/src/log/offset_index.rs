//! A segment's offset index: sparse pairs (relative offset, position), sorted by both.
//!
//! File `NNNN.index`, Kafka's format: entries of 8 bytes, big-endian, no header, no checksum:
//!
//! ```text
//!   | relative offset u32 | position u32 |   relative to the segment's base offset (the file name)
//! ```
//!
//! An entry names a batch: the offset of its *last* record and the position where it begins.

use crate::types::Offset;

/// The entries of one segment, in memory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OffsetIndex {
    entries: Vec<(u32, u32)>,
}

impl OffsetIndex {
    /// The bytes of one entry in the file.
    pub const ENTRY_LEN: usize = 8;

    /// Adds an entry; one that would not grow or does not fit 32 bits is left out, since the index
    /// is a hint.
    pub fn push(&mut self, base: Offset, last_offset: Offset, position: u64) {
        let (Ok(relative), Ok(position)) = (
            u32::try_from(last_offset.0 - base.0),
            u32::try_from(position),
        ) else {
            return;
        };
        if self
            .entries
            .last()
            .is_none_or(|last| last.0 < relative && last.1 < position)
        {
            self.entries.push((relative, position));
        }
    }

    /// The last offset and the position of the batch to read on from to find the one that holds
    /// `target`; `None` is the beginning of the segment.
    #[must_use]
    pub fn entry_before(&self, base: Offset, target: Offset) -> Option<(Offset, u64)> {
        let relative = target.0 - base.0;
        let after = self
            .entries
            .partition_point(|entry| i64::from(entry.0) <= relative);
        // The entry's own batch ends at its offset, so `target` is in it or behind it.
        let (last, position) = *self.entries.get(after.checked_sub(1)?)?;
        Some((base.plus(i64::from(last)), u64::from(position)))
    }

    /// Drops the entries at or beyond a position.
    pub fn truncate(&mut self, position: u64) {
        self.entries.retain(|entry| u64::from(entry.1) < position);
    }

    /// The position of the last entry.
    #[must_use]
    pub fn last_position(&self) -> Option<u64> {
        self.entries.last().map(|entry| u64::from(entry.1))
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
        for (relative, position) in &self.entries[first..] {
            out.extend_from_slice(&relative.to_be_bytes());
            out.extend_from_slice(&position.to_be_bytes());
        }
        out
    }

    /// Reads a file's bytes; `None` when they cannot be the index of a segment of `segment_len`
    /// bytes (the caller builds the index anew).
    #[must_use]
    pub fn decode(bytes: &[u8], segment_len: u64) -> Option<Self> {
        if !bytes.len().is_multiple_of(Self::ENTRY_LEN) {
            return None;
        }
        let mut entries: Vec<(u32, u32)> = Vec::with_capacity(bytes.len() / Self::ENTRY_LEN);
        for entry in bytes.chunks_exact(Self::ENTRY_LEN) {
            let relative = u32::from_be_bytes(entry[..4].try_into().ok()?);
            let position = u32::from_be_bytes(entry[4..].try_into().ok()?);
            let grows = entries
                .last()
                .is_none_or(|last| last.0 < relative && last.1 < position);
            if !grows || u64::from(position) >= segment_len {
                return None;
            }
            entries.push((relative, position));
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
        fn finds_what_a_map_finds(steps in prop::collection::vec((1_i64..50, 1_u64..5000), 0..200),
                                  probes in prop::collection::vec(0_i64..12_000, 0..50)) {
            let base = Offset(1_000);
            let (mut index, mut model) = (OffsetIndex::default(), BTreeMap::new());
            let (mut offset, mut position) = (base.0, 0);
            for (count, bytes) in steps {
                offset += count;
                position += bytes;
                index.push(base, Offset(offset), position);
                model.insert(offset, position);
            }
            for probe in probes {
                let target = base.0 + probe;
                let expected = model.range(..=target).next_back();
                let expected = expected.map(|(last, position)| (Offset(*last), *position));
                prop_assert_eq!(index.entry_before(base, Offset(target)), expected);
            }
            let decoded = OffsetIndex::decode(&index.encode_from(0), position + 1);
            prop_assert_eq!(decoded, Some(index));
        }

        #[test]
        fn any_bytes_decode_or_are_refused(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
            if let Some(index) = OffsetIndex::decode(&bytes, 1 << 31) {
                prop_assert_eq!(index.encode_from(0), bytes);
            }
        }
    }

    #[test]
    fn an_entry_beyond_the_segment_is_refused() {
        let mut index = OffsetIndex::default();
        index.push(Offset(0), Offset(9), 4096);
        let bytes = index.encode_from(0);
        assert!(OffsetIndex::decode(&bytes, 4096).is_none());
        assert!(OffsetIndex::decode(&bytes[..7], 10_000).is_none());
        assert_eq!(OffsetIndex::decode(&bytes, 4097), Some(index));
    }
}
