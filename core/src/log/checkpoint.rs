//! The checkpoint of a data folder: up to where each partition's files are known to be durable.
//!
//! File `checkpoint`, replaced whole (written aside, synced, renamed, folder synced):
//!
//! ```text
//!   | "HWCHECKP" | version u16 = 1 | crc32c u32 of all that follows | body length u32 | body |
//!
//!   body:       | journal retired u64 | journal generation u64 | journal bytes u64 |
//!               | partitions u32 | partition... |
//!   partition:  | topic id 16 B | topic u16 + text | partition i32 | log start i64 |
//!               | recovery point i64 | producers u8 (1: there is a snapshot at it) |
//!               | segments u32 | segment... |
//!   segment:    | base offset i64 | length u64 | first timestamp i64 | largest timestamp i64 |
//!               | its offset i64 |
//! ```
//!
//! Recovery reads only what lies behind a partition's recovery point. After a clean shutdown,
//! which the empty file `clean-shutdown` tells, nothing does, and no partition folder is touched.

use std::path::{Path, PathBuf};

use crate::cursor::{Cursor, put_text};
use crate::error::{Error, ErrorKind, Result};
use crate::storage::{OpenMode, Storage};
use crate::types::{Offset, Partition, Timestamp, TopicId, TopicName, TopicPartition};

const MAGIC: &[u8; 8] = b"HWCHECKP";
const VERSION: u16 = 1;
const CRC_AT: usize = MAGIC.len() + 2;
const BODY_AT: usize = CRC_AT + 8;
const SEGMENT_LEN: usize = 40;
const RESTORE: &str = "restore it from a copy of the folder";

/// What a data folder's checkpoint says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Checkpoint {
    /// Every journal group up to this sequence number is in the partitions' files, durably.
    pub(crate) journal_retired: u64,
    /// The journal's generation when it was written.
    pub(crate) journal_generation: u64,
    /// Each of the journal's files has at least this many bytes: a shorter one was damaged.
    pub(crate) journal_bytes: u64,
    pub(crate) partitions: Vec<PartitionCheckpoint>,
}

/// What a checkpoint says of one partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PartitionCheckpoint {
    pub(crate) id: TopicId,
    pub(crate) partition: TopicPartition,
    pub(crate) log_start: Offset,
    /// The end offset of what the segments below hold.
    pub(crate) recovery_point: Offset,
    /// Whether a snapshot of producers lies at the recovery point.
    pub(crate) has_producers: bool,
    /// In offset order; only the last may still grow.
    pub(crate) segments: Vec<SegmentCheckpoint>,
}

/// What a checkpoint says of one segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SegmentCheckpoint {
    pub(crate) base: Offset,
    /// The bytes that are durable.
    pub(crate) len: u64,
    pub(crate) first_timestamp: Timestamp,
    pub(crate) max_timestamp: Timestamp,
    pub(crate) max_timestamp_offset: Offset,
}

impl Checkpoint {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut body = Vec::with_capacity(64 + self.partitions.len() * 128);
        body.extend_from_slice(&self.journal_retired.to_be_bytes());
        body.extend_from_slice(&self.journal_generation.to_be_bytes());
        body.extend_from_slice(&self.journal_bytes.to_be_bytes());
        body.extend_from_slice(&count(self.partitions.len()).to_be_bytes());
        for partition in &self.partitions {
            partition.encode(&mut body);
        }
        let mut out = Vec::with_capacity(BODY_AT + body.len());
        out.extend_from_slice(MAGIC);
        out.extend_from_slice(&VERSION.to_be_bytes());
        out.extend_from_slice(&[0; 4]);
        out.extend_from_slice(&count(body.len()).to_be_bytes());
        out.extend_from_slice(&body);
        let crc = crc32c::crc32c(&out[CRC_AT + 4..]);
        out[CRC_AT..CRC_AT + 4].copy_from_slice(&crc.to_be_bytes());
        out
    }

    /// Reads a checkpoint; the error says what is wrong with the bytes.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Self> {
        let fault = |what: String| Error::new(ErrorKind::CorruptMessage, what);
        let mut head = Cursor::new(bytes);
        if head.take(MAGIC.len()) != Some(MAGIC) {
            return Err(fault(format!(
                "this is no checkpoint of Headwater's: {RESTORE}"
            )));
        }
        let version = head.u16().unwrap_or(0);
        if version != VERSION {
            return Err(Error::new(
                ErrorKind::UnsupportedFormat,
                format!("checkpoint version {version}; this program reads {VERSION}: use a newer"),
            ));
        }
        let crc = head.u32();
        let body = head
            .u32()
            .map(|len| len as usize)
            .filter(|len| *len == head.remaining());
        if body.is_none() || crc != Some(crc32c::crc32c(&bytes[CRC_AT + 4..])) {
            return Err(fault(format!(
                "the checkpoint fails its checksum: {RESTORE}"
            )));
        }
        Self::decode_body(head)
            .ok_or_else(|| fault(format!("the checkpoint breaks its own format: {RESTORE}")))
    }

    fn decode_body(mut body: Cursor<'_>) -> Option<Self> {
        let journal_retired = body.u64()?;
        let journal_generation = body.u64()?;
        let journal_bytes = body.u64()?;
        let mut partitions = Vec::new();
        for _ in 0..body.u32()? {
            partitions.push(PartitionCheckpoint::decode(&mut body)?);
        }
        body.is_empty().then_some(Self {
            journal_retired,
            journal_generation,
            journal_bytes,
            partitions,
        })
    }

    /// Reads the folder's checkpoint; `None` when there is none yet.
    pub(crate) fn load(storage: &dyn Storage, dir: &Path) -> Result<Option<Self>> {
        let path = file(dir);
        let Some(bytes) = read_whole(storage, &path)? else {
            return Ok(None);
        };
        Self::decode(&bytes)
            .map(Some)
            .map_err(|error| error.path(&path))
    }

    /// Replaces the folder's checkpoint; durable when it returns.
    pub(crate) fn store(&self, storage: &dyn Storage, dir: &Path) -> Result<()> {
        replace_whole(storage, dir, "checkpoint", &self.encode())
    }
}

impl PartitionCheckpoint {
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.id.0.as_bytes());
        put_text(out, self.partition.topic.as_str());
        out.extend_from_slice(&self.partition.partition.0.to_be_bytes());
        out.extend_from_slice(&self.log_start.0.to_be_bytes());
        out.extend_from_slice(&self.recovery_point.0.to_be_bytes());
        out.push(u8::from(self.has_producers));
        out.extend_from_slice(&count(self.segments.len()).to_be_bytes());
        for segment in &self.segments {
            out.extend_from_slice(&segment.base.0.to_be_bytes());
            out.extend_from_slice(&segment.len.to_be_bytes());
            out.extend_from_slice(&segment.first_timestamp.0.to_be_bytes());
            out.extend_from_slice(&segment.max_timestamp.0.to_be_bytes());
            out.extend_from_slice(&segment.max_timestamp_offset.0.to_be_bytes());
        }
    }

    fn decode(body: &mut Cursor<'_>) -> Option<Self> {
        let id = TopicId(body.uuid()?);
        let topic = TopicName::new(body.text()?).ok()?;
        let partition = TopicPartition::new(topic, Partition(body.i32()?));
        let log_start = Offset(body.i64()?);
        let recovery_point = Offset(body.i64()?);
        let has_producers = match body.take(1)? {
            [0] => false,
            [1] => true,
            _ => return None,
        };
        let segments = body.u32()? as usize;
        if segments > body.remaining() / SEGMENT_LEN {
            return None;
        }
        let mut decoded = Self {
            id,
            partition,
            log_start,
            recovery_point,
            has_producers,
            segments: Vec::with_capacity(segments),
        };
        for _ in 0..segments {
            let segment = SegmentCheckpoint {
                base: Offset(body.i64()?),
                len: body.u64()?,
                first_timestamp: Timestamp(body.i64()?),
                max_timestamp: Timestamp(body.i64()?),
                max_timestamp_offset: Offset(body.i64()?),
            };
            decoded.segments.push(segment);
        }
        let sorted = decoded.segments.is_sorted_by(|a, b| a.base < b.base);
        let sane = log_start.0 >= 0 && log_start <= recovery_point && sorted;
        sane.then_some(decoded)
    }
}

/// The checkpoint's path in a data folder.
pub(crate) fn file(dir: &Path) -> PathBuf {
    dir.join("checkpoint")
}

/// Reads a small file whole; `None` when it does not exist.
pub(crate) fn read_whole(storage: &dyn Storage, path: &Path) -> Result<Option<Vec<u8>>> {
    let file = match storage.open(path, OpenMode::Read) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(Error::io("open the file", path, error)),
    };
    let len = file
        .len()
        .map_err(|error| Error::io("measure the file", path, error))?;
    let mut bytes = vec![0; usize::try_from(len).unwrap_or(usize::MAX)];
    let read = file
        .read_at(&mut bytes, 0)
        .map_err(|error| Error::io("read the file", path, error))?;
    bytes.truncate(read);
    Ok(Some(bytes))
}

/// Replaces `dir/name` whole: written aside, synced, renamed over it, folder synced.
pub(crate) fn replace_whole(
    storage: &dyn Storage,
    dir: &Path,
    name: &str,
    bytes: &[u8],
) -> Result<()> {
    let (path, aside) = (dir.join(name), dir.join(format!("{name}.tmp")));
    let write = || -> std::io::Result<()> {
        let file = storage.open(&aside, OpenMode::CreateOrOpen)?;
        file.set_len(0)?;
        file.write_at(&[bytes], 0)?;
        file.sync()?;
        storage.rename(&aside, &path)?;
        storage.sync_dir(dir)
    };
    write().map_err(|error| Error::io("replace the file", &path, error))
}

fn count(len: usize) -> u32 {
    u32::try_from(len).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Checkpoint {
        let partition = |n: i32| PartitionCheckpoint {
            id: TopicId(uuid::Uuid::from_u128(7)),
            partition: TopicPartition::new(TopicName::new("orders").unwrap(), Partition(n)),
            log_start: Offset(3),
            recovery_point: Offset(90),
            has_producers: n == 1,
            segments: vec![
                SegmentCheckpoint {
                    base: Offset(0),
                    len: 4000,
                    first_timestamp: Timestamp(1),
                    max_timestamp: Timestamp(5),
                    max_timestamp_offset: Offset(9),
                },
                SegmentCheckpoint {
                    base: Offset(40),
                    len: 0,
                    first_timestamp: Timestamp::NONE,
                    max_timestamp: Timestamp::NONE,
                    max_timestamp_offset: Offset(-1),
                },
            ],
        };
        Checkpoint {
            journal_retired: 12,
            journal_generation: 3,
            journal_bytes: 4096,
            partitions: vec![partition(0), partition(1)],
        }
    }

    #[test]
    fn reads_what_it_wrote() {
        assert_eq!(Checkpoint::decode(&sample().encode()).unwrap(), sample());
        assert_eq!(
            Checkpoint::decode(&Checkpoint::default().encode())
                .unwrap()
                .partitions,
            []
        );
    }

    #[test]
    fn every_flipped_bit_and_every_cut_is_found() {
        let good = sample().encode();
        for at in 0..good.len() {
            assert!(Checkpoint::decode(&good[..at]).is_err(), "cut at {at}");
            for bit in 0..8 {
                let mut bad = good.clone();
                bad[at] ^= 1 << bit;
                assert!(Checkpoint::decode(&bad).is_err(), "bit {bit} of byte {at}");
            }
        }
    }

    #[test]
    fn a_newer_version_is_named() {
        let mut newer = sample().encode();
        newer[9] = 9;
        let error = Checkpoint::decode(&newer).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::UnsupportedFormat);
        assert!(error.to_string().contains("version 9"));
    }
}
