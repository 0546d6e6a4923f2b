//! The bytes of the journal: groups of entries, each group one write and one sync.
//!
//! Two files, `journal/a` and `journal/b`, are filled with zeros once and then written over again
//! and again, in turn. A file holds groups from position 0 on, each at a multiple of 512 bytes:
//!
//! ```text
//!   group:  | "HWJG" | version u16 = 1 | reserved u16 | crc32c u32 of all that follows |
//!           | body length u32 | journal id u64 | generation u64 | sequence u64 | entries u32 |
//!           | entry... |  zeros up to the next 512 bytes
//!   entry:  | topic id 16 B | partition i32 | segment base offset i64 | position u64 |
//!           | next offset i64 | length u32 | a record batch |
//! ```
//!
//! The generation counts how often a file was begun; the sequence counts groups, through both
//! files, without gap. Group n+1 is written only after group n is durable. So a file ends at the
//! first place that holds no whole group with the next sequence, and a group found *behind* such a
//! place proves that the place once held an acknowledged group and is damaged: then opening fails
//! instead of losing it. The journal id is a secret, so that no record can hold a group.

use crate::cursor::Cursor;
use crate::types::{Offset, Partition, TopicId};

/// Groups begin at multiples of this: what a disk writes as one.
pub(crate) const ALIGN: usize = 512;
const MAGIC: &[u8; 4] = b"HWJG";
const VERSION: u16 = 1;
const CRC_AT: usize = 8;
const COVERED_AT: usize = CRC_AT + 4;
/// The bytes of a group before its first entry.
pub(crate) const GROUP_HEAD: usize = COVERED_AT + 4 + 8 + 8 + 8 + 4;
/// The bytes of an entry before its batch.
pub(crate) const ENTRY_HEAD: usize = 16 + 4 + 8 + 8 + 8 + 4;

/// What one entry says, apart from its batch's bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct EntryHead {
    pub(crate) id: TopicId,
    pub(crate) partition: Partition,
    /// The segment that the batch belongs to.
    pub(crate) segment: Offset,
    /// The position of the batch in that segment's file.
    pub(crate) position: u64,
    /// The offset after the batch.
    pub(crate) next_offset: Offset,
}

/// The bytes that a group with batches of these lengths takes, padding included.
pub(crate) fn group_len(batches: impl Iterator<Item = usize>) -> usize {
    batches
        .fold(GROUP_HEAD, |sum, batch| sum + ENTRY_HEAD + batch)
        .next_multiple_of(ALIGN)
}

/// Writes a group into `out` (cleared first), padded.
pub(crate) fn encode_group<'a>(
    out: &mut Vec<u8>,
    journal: u64,
    generation: u64,
    sequence: u64,
    entries: impl Iterator<Item = (EntryHead, &'a [u8])>,
) {
    out.clear();
    out.extend_from_slice(MAGIC);
    out.extend_from_slice(&VERSION.to_be_bytes());
    out.extend_from_slice(&[0; 10]);
    out.extend_from_slice(&journal.to_be_bytes());
    out.extend_from_slice(&generation.to_be_bytes());
    out.extend_from_slice(&sequence.to_be_bytes());
    out.extend_from_slice(&[0; 4]);
    let mut count = 0_u32;
    for (head, batch) in entries {
        out.extend_from_slice(head.id.0.as_bytes());
        out.extend_from_slice(&head.partition.0.to_be_bytes());
        out.extend_from_slice(&head.segment.0.to_be_bytes());
        out.extend_from_slice(&head.position.to_be_bytes());
        out.extend_from_slice(&head.next_offset.0.to_be_bytes());
        out.extend_from_slice(&len32(batch.len()).to_be_bytes());
        out.extend_from_slice(batch);
        count += 1;
    }
    out[GROUP_HEAD - 4..GROUP_HEAD].copy_from_slice(&count.to_be_bytes());
    let body = len32(out.len() - COVERED_AT - 4);
    out[COVERED_AT..COVERED_AT + 4].copy_from_slice(&body.to_be_bytes());
    let crc = crc32c::crc32c(&out[COVERED_AT..]);
    out[CRC_AT..COVERED_AT].copy_from_slice(&crc.to_be_bytes());
    out.resize(out.len().next_multiple_of(ALIGN), 0);
}

/// A whole group found at some place.
#[derive(Clone, Debug)]
pub(crate) struct Group<'a> {
    pub(crate) journal: u64,
    pub(crate) generation: u64,
    pub(crate) sequence: u64,
    pub(crate) entries: Vec<(EntryHead, &'a [u8])>,
    /// The bytes it takes, padding included.
    pub(crate) len: usize,
}

/// Reads the group that begins at the start of `bytes`; `None` when there is no whole one.
pub(crate) fn decode_group(bytes: &[u8]) -> Option<Group<'_>> {
    let mut head = Cursor::new(bytes);
    if head.take(4)? != MAGIC || head.u16()? != VERSION || head.u16()? != 0 {
        return None;
    }
    let crc = head.u32()?;
    let body = head.u32()? as usize;
    let covered = bytes.get(COVERED_AT..)?.get(..body.checked_add(4)?)?;
    if crc32c::crc32c(covered) != crc {
        return None;
    }
    let mut body_cursor = Cursor::new(covered.get(4..)?);
    let (journal, generation, sequence) =
        (body_cursor.u64()?, body_cursor.u64()?, body_cursor.u64()?);
    let count = body_cursor.u32()? as usize;
    if count > body_cursor.remaining() / ENTRY_HEAD {
        return None;
    }
    let mut entries = Vec::with_capacity(count);
    for _ in 0..count {
        let head = EntryHead {
            id: TopicId(body_cursor.uuid()?),
            partition: Partition(body_cursor.i32()?),
            segment: Offset(body_cursor.i64()?),
            position: body_cursor.u64()?,
            next_offset: Offset(body_cursor.i64()?),
        };
        let len = body_cursor.u32()? as usize;
        entries.push((head, body_cursor.take(len)?));
    }
    let len = (COVERED_AT + covered.len()).next_multiple_of(ALIGN);
    body_cursor.is_empty().then_some(Group {
        journal,
        generation,
        sequence,
        entries,
        len,
    })
}

/// Whether a group's first bytes might begin here: cheap, before the checksum is computed.
pub(crate) fn may_begin(bytes: &[u8]) -> bool {
    bytes.starts_with(MAGIC)
}

fn len32(len: usize) -> u32 {
    let len32 = u32::try_from(len).unwrap_or(u32::MAX);
    assert!(len32 as usize == len, "a journal group of {len} bytes");
    len32
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(n: i64) -> EntryHead {
        EntryHead {
            id: TopicId(uuid::Uuid::from_u128(9)),
            partition: Partition(2),
            segment: Offset(100),
            position: 61,
            next_offset: Offset(n),
        }
    }

    fn sample() -> Vec<u8> {
        let mut out = Vec::new();
        let batches = [
            (head(101), &b"first"[..]),
            (head(105), &b"second batch"[..]),
        ];
        encode_group(&mut out, 77, 3, 41, batches.into_iter());
        out
    }

    #[test]
    fn reads_what_it_wrote() {
        let bytes = sample();
        let group = decode_group(&bytes).unwrap();
        assert_eq!(
            (group.journal, group.generation, group.sequence),
            (77, 3, 41)
        );
        assert_eq!(
            group.entries,
            [(head(101), &b"first"[..]), (head(105), b"second batch")]
        );
        assert_eq!(group.len, bytes.len());
        assert_eq!(group_len([5, 12].into_iter()), bytes.len());
    }

    #[test]
    fn every_flipped_bit_and_every_cut_is_found() {
        let good = sample();
        let end = GROUP_HEAD + 2 * ENTRY_HEAD + 17;
        for at in 0..end {
            assert!(decode_group(&good[..at]).is_none(), "cut at {at}");
            for bit in 0..8 {
                let mut bad = good.clone();
                bad[at] ^= 1 << bit;
                assert!(decode_group(&bad).is_none(), "bit {bit} of byte {at}");
            }
        }
    }

    #[test]
    fn a_hostile_length_is_refused() {
        let mut bad = sample();
        bad[COVERED_AT..COVERED_AT + 4].copy_from_slice(&u32::MAX.to_be_bytes());
        assert!(decode_group(&bad).is_none());
    }
}
