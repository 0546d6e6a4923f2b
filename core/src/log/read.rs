//! Reading: find the batch that holds an offset, hand out whole batches from there.

use std::path::PathBuf;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};

use crate::error::{Error, ErrorKind, Result};
use crate::log::partition_log::{PartitionLog, State};
use crate::log::positions::Positions;
use crate::log::segment::log_file;
use crate::record::{Batch, BatchHeader, Scratch};
use crate::storage::File;
use crate::types::{Offset, Timestamp};

/// How far a reader may see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadLimit {
    /// To the high watermark: what consumers see.
    HighWatermark,
    /// To the last stable offset: what `read_committed` consumers see.
    LastStable,
    /// To the end: what the broker itself sees.
    LogEnd,
}

/// What was read.
#[derive(Clone, Debug)]
pub struct Read {
    /// Whole batches, one or more a chunk; the first may begin before the offset asked for.
    pub chunks: Vec<Bytes>,
    /// The partition's offsets at that moment.
    pub positions: Positions,
}

/// How many places where readers stopped are remembered for the next read.
const READ_ENDS_MAX: usize = 16;

/// A piece of a segment's file.
struct Piece {
    file: Arc<dyn File>,
    path: PathBuf,
    segment: Offset,
    position: u64,
    /// Where the segment's written bytes end.
    end: u64,
}

impl PartitionLog {
    /// Reads about `max_bytes` from `offset` on: whole batches, and at least one if there is one.
    ///
    /// Reads at most one segment a call. Blocks for a read of the page cache or, when cold, of the
    /// disk.
    ///
    /// # Errors
    /// [`ErrorKind::OffsetOutOfRange`] before the log start or beyond the limit,
    /// [`ErrorKind::CorruptMessage`] with file and position when the file is damaged,
    /// [`ErrorKind::Io`].
    pub fn read(&self, offset: Offset, max_bytes: usize, limit: ReadLimit) -> Result<Read> {
        let mut state = self.lock();
        let positions = state.positions;
        let end = match limit {
            ReadLimit::HighWatermark => positions.high_watermark,
            ReadLimit::LastStable => positions.last_stable,
            ReadLimit::LogEnd => positions.log_end,
        };
        if offset < positions.log_start || offset > positions.log_end {
            return Err(self.out_of_range(offset, &positions));
        }
        if offset >= end {
            return Ok(Read {
                chunks: Vec::new(),
                positions,
            });
        }
        if state.tail.front().is_some_and(|first| first.base <= offset) {
            let chunks = read_tail(&state, offset, max_bytes, end);
            return Ok(Read { chunks, positions });
        }
        let piece = self
            .find(&mut state, offset)
            .map_err(|e| e.partition(&self.partition))?;
        drop(state);
        let (chunk, read_end) = piece
            .read(offset, max_bytes, end)
            .map_err(|error| error.partition(&self.partition).offset(offset))?;
        if let Some((next, position)) = read_end {
            self.remember_read_end(next, piece.segment, position);
        }
        Ok(Read {
            chunks: chunk.into_iter().collect(),
            positions,
        })
    }

    /// The first record at `target` or later: its offset and timestamp.
    ///
    /// # Errors
    /// As [`PartitionLog::read`].
    pub fn offset_for_time(&self, target: Timestamp) -> Result<Option<(Offset, Timestamp)>> {
        let state = self.lock();
        let positions = state.positions;
        let first = state
            .segments
            .iter()
            .position(|segment| segment.max_timestamp >= target)
            .map(|at| state.segments[at].base);
        drop(state);
        let Some(segment) = first else {
            return Ok(None);
        };
        let mut offset = self.time_hint(segment, target)?.max(positions.log_start);
        while offset < positions.high_watermark {
            let read = self.read(offset, 1 << 20, ReadLimit::HighWatermark)?;
            let found = scan(
                &read.chunks,
                |header| header.max_timestamp >= target,
                |record| record.1 >= target && record.0 >= positions.log_start,
            )?;
            match found {
                Scan::Found(offset, timestamp) => return Ok(Some((offset, timestamp))),
                Scan::Next(next) => offset = next,
                Scan::Empty => break,
            }
        }
        Ok(None)
    }

    /// The record with the largest timestamp: its offset and timestamp.
    ///
    /// # Errors
    /// As [`PartitionLog::read`].
    pub fn max_timestamp(&self) -> Result<Option<(Offset, Timestamp)>> {
        let state = self.lock();
        let largest = state
            .segments
            .iter()
            .filter(|segment| segment.size > 0)
            .map(|segment| segment.max_timestamp)
            .max();
        drop(state);
        match largest {
            Some(largest) => self.offset_for_time(largest),
            None => Ok(None),
        }
    }

    fn time_hint(&self, segment: Offset, target: Timestamp) -> Result<Offset> {
        let mut state = self.lock();
        let interval = state.config.index_interval_bytes;
        let storage = &*self.shared.env.storage;
        let Some(segment) = state.segment_mut(segment) else {
            return Ok(segment);
        };
        if segment.written == 0 {
            return Ok(segment.base);
        }
        let base = segment.base;
        let indexes = segment.load_indexes(storage, &self.dir, interval)?;
        Ok(indexes.times.offset_before(base, target))
    }

    fn out_of_range(&self, offset: Offset, positions: &Positions) -> Error {
        let what = format!(
            "the partition holds offsets {} to {}: reset to earliest or latest",
            positions.log_start, positions.log_end
        );
        Error::new(ErrorKind::OffsetOutOfRange, what)
            .partition(&self.partition)
            .offset(offset)
    }

    /// The place in the files from which a read of `offset` begins.
    fn find(&self, state: &mut State, offset: Offset) -> Result<Piece> {
        let storage = &*self.shared.env.storage;
        let interval = state.config.index_interval_bytes;
        let known = state
            .read_ends
            .iter()
            .rev()
            .find(|end| end.0 == offset)
            .copied();
        let at = state.segment_at(offset);
        let segment = &mut state.segments[at];
        let position = match known {
            Some((_, base, position)) if base == segment.base => position,
            _ => {
                let base = segment.base;
                let indexes = segment.load_indexes(storage, &self.dir, interval)?;
                indexes.offsets.position_before(base, offset)
            }
        };
        let file = segment.open(storage, &self.dir)?;
        let path = log_file(&self.dir, segment.base);
        Ok(Piece {
            file,
            path,
            segment: segment.base,
            position,
            end: segment.written,
        })
    }

    /// Where in its segment the batch begins whose first offset is `end` (or would).
    pub(crate) fn position_of(&self, end: Offset) -> Result<u64> {
        let mut state = self.lock();
        let positions = state.positions;
        if end < positions.log_start || end > positions.log_end {
            return Err(self.out_of_range(end, &positions));
        }
        if end == positions.log_end {
            return Ok(state.active().size);
        }
        let mut piece = self.find(&mut state, end)?;
        drop(state);
        while piece.position < piece.end {
            let bytes = piece.fetch(piece.position, BatchHeader::LEN)?;
            let header = BatchHeader::parse(&bytes)
                .map_err(|error| error.path(&piece.path).position(piece.position))?;
            if header.base_offset >= end {
                break;
            }
            if header.next_offset() > end {
                let what = "the offset lies in the middle of a batch";
                return Err(Error::new(ErrorKind::OffsetOutOfRange, what));
            }
            piece.position += header.size() as u64;
        }
        Ok(piece.position)
    }

    fn remember_read_end(&self, next: Offset, segment: Offset, position: u64) {
        let mut state = self.lock();
        if state.read_ends.len() == READ_ENDS_MAX {
            state.read_ends.pop_front();
        }
        state.read_ends.push_back((next, segment, position));
    }
}

/// Where a batch ends: the next offset, and its place in the file.
type BatchEnd = (Offset, u64);

impl Piece {
    /// Reads whole batches from `offset` on and before `limit`; with them the end of the last one,
    /// as offset and position.
    fn read(
        &self,
        offset: Offset,
        max_bytes: usize,
        limit: Offset,
    ) -> Result<(Option<Bytes>, Option<BatchEnd>)> {
        let mut position = self.position;
        loop {
            let bytes = self.fetch(position, max_bytes.max(BatchHeader::LEN))?;
            let cut = self.cut(&bytes, position, offset, max_bytes, limit)?;
            match cut {
                Cut::Batches { from, to, next } => {
                    let end = (next, position + to as u64);
                    return Ok((Some(bytes.freeze().slice(from..to)), Some(end)));
                }
                Cut::Nothing => return Ok((None, None)),
                Cut::Skip(skipped) => position += skipped as u64,
                Cut::Larger { from, size } => {
                    let bytes = self.fetch(position + from as u64, size)?.freeze();
                    if bytes.len() < size {
                        return Err(self.damaged(position + from as u64, "the batch is cut short"));
                    }
                    let header = BatchHeader::parse(&bytes)?;
                    let end = position + (from + size) as u64;
                    return Ok((Some(bytes), Some((header.next_offset(), end))));
                }
            }
        }
    }

    fn fetch(&self, position: u64, len: usize) -> Result<BytesMut> {
        let there = usize::try_from(self.end.saturating_sub(position)).unwrap_or(usize::MAX);
        let mut bytes = BytesMut::zeroed(len.min(there));
        let read = self
            .file
            .read_at(&mut bytes, position)
            .map_err(|error| Error::io("read the segment", &self.path, error).position(position))?;
        bytes.truncate(read);
        Ok(bytes)
    }

    /// Decides which of the bytes read at `position` to hand out.
    fn cut(
        &self,
        bytes: &[u8],
        position: u64,
        offset: Offset,
        max_bytes: usize,
        limit: Offset,
    ) -> Result<Cut> {
        let (mut at, mut from, mut next) = (0, None, offset);
        while let Some(header) = self.header_at(bytes, at, position)? {
            let size = header.size();
            let wanted = header.last_offset() >= offset;
            if header.base_offset >= limit {
                break;
            }
            if wanted {
                let begin = *from.get_or_insert(at);
                let first = begin == at;
                if at + size > bytes.len() || (!first && at + size - begin > max_bytes) {
                    if first {
                        return Ok(Cut::Larger { from: at, size });
                    }
                    break;
                }
                next = header.next_offset();
            }
            at += size;
            if at >= bytes.len() {
                break;
            }
        }
        Ok(match from {
            Some(from) => Cut::Batches { from, to: at, next },
            None if at == 0 => Cut::Nothing,
            None if position + at as u64 >= self.end => Cut::Nothing,
            None => Cut::Skip(at),
        })
    }

    /// The header at `at`; `None` when the bytes read end before it does.
    fn header_at(&self, bytes: &[u8], at: usize, position: u64) -> Result<Option<BatchHeader>> {
        let Some(rest) = bytes
            .get(at..)
            .filter(|rest| rest.len() >= BatchHeader::LEN)
        else {
            return Ok(None);
        };
        BatchHeader::parse(rest).map(Some).map_err(|error| {
            let place = position + at as u64;
            error.path(&self.path).position(place)
        })
    }

    fn damaged(&self, position: u64, what: &str) -> Error {
        Error::new(ErrorKind::CorruptMessage, what)
            .path(&self.path)
            .position(position)
    }
}

/// What to do with bytes that were read.
enum Cut {
    /// Hand out this part, which ends before offset `next`.
    Batches {
        from: usize,
        to: usize,
        next: Offset,
    },
    /// The wanted batch is larger than what was read.
    Larger { from: usize, size: usize },
    /// The wanted batch lies behind these bytes.
    Skip(usize),
    /// There is no such batch.
    Nothing,
}

/// Batches of the tail from `offset` on and before `limit`.
fn read_tail(state: &State, offset: Offset, max_bytes: usize, limit: Offset) -> Vec<Bytes> {
    let first = state.tail.partition_point(|batch| batch.next <= offset);
    let mut bytes = 0;
    let mut chunks = Vec::new();
    for batch in state.tail.range(first..) {
        bytes += batch.bytes.len();
        if batch.base >= limit || (bytes > max_bytes && !chunks.is_empty()) {
            break;
        }
        chunks.push(batch.bytes.clone());
    }
    chunks
}

/// The outcome of looking through chunks for a record.
enum Scan {
    Found(Offset, Timestamp),
    /// Not among them; they end before this offset.
    Next(Offset),
    Empty,
}

fn scan(
    chunks: &[Bytes],
    batch_wanted: impl Fn(&BatchHeader) -> bool,
    record_wanted: impl Fn((Offset, Timestamp)) -> bool,
) -> Result<Scan> {
    let mut scratch = Scratch::default();
    let mut outcome = Scan::Empty;
    for chunk in chunks {
        let mut rest = &chunk[..];
        while !rest.is_empty() {
            let batch = Batch::parse(rest)?;
            rest = &rest[batch.bytes().len()..];
            outcome = Scan::Next(batch.header.next_offset());
            if !batch_wanted(&batch.header) {
                continue;
            }
            for record in batch.records(&mut scratch)? {
                let record = record?;
                if record_wanted((record.offset, record.timestamp)) {
                    return Ok(Scan::Found(record.offset, record.timestamp));
                }
            }
        }
    }
    Ok(outcome)
}
