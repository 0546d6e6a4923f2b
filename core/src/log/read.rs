//! Reading: find the batch that holds an offset, hand out whole batches from there.

use std::path::PathBuf;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};

use crate::error::{Error, ErrorKind, Result};
use crate::log::partition_log::{PartitionLog, State};
use crate::log::positions::Positions;
use crate::log::segment::{index_file, log_file};
use crate::record::{Batch, BatchHeader, Scratch};
use crate::storage::File;
use crate::sync::lock;
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
    /// What the batch at `position` must be: the base offset lies outside its checksum, and an
    /// index has none.
    first: Expected,
    /// Where the segment's written bytes end.
    end: u64,
    /// Whether the file was opened for it.
    opened: bool,
}

/// What is known of a batch before it is read. Every batch begins where the one before it ended.
#[derive(Clone, Copy, Debug)]
enum Expected {
    /// It begins with this offset.
    Begins(Offset),
    /// It ends with this offset, says the offset index.
    Ends(Offset),
}

impl Expected {
    fn is(self, header: &BatchHeader) -> bool {
        match self {
            Self::Begins(offset) => header.base_offset == offset,
            Self::Ends(offset) => header.last_offset() == offset,
        }
    }
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
        let found = self.find(&mut state, offset);
        drop(state);
        if found.as_ref().is_ok_and(|piece| piece.opened) {
            // Not under the lock, or this partition's files would be left out.
            self.shared.count_open_file();
        }
        let read = found.and_then(|piece| match piece.read(offset, max_bytes, end) {
            Err(error) if piece.is_by_index() && error.kind() == ErrorKind::CorruptMessage => {
                // The index may be what is damaged: it has no checksum and can be built anew.
                let piece = self.find_anew(offset)?;
                Ok((piece.read(offset, max_bytes, end)?, piece.segment))
            }
            read => Ok((read?, piece.segment)),
        });
        let ((chunk, next, position), segment) =
            read.map_err(|error| self.unreadable(error).offset(offset))?;
        self.remember_read_end(next, segment, position);
        Ok(Read {
            chunks: vec![chunk],
            positions,
        })
    }

    /// The error of a read, which means nothing where the partition was deleted meanwhile.
    fn unreadable(&self, error: Error) -> Error {
        if lock(&self.files).deleted {
            return self.gone("the partition was deleted");
        }
        error.partition(&self.partition)
    }

    /// Whether [`PartitionLog::read`] would answer from memory: the file is open, its index is
    /// loaded, and the first and last of the bytes are cached. A hint.
    #[must_use]
    pub fn reads_at_once(&self, offset: Offset, max_bytes: usize) -> bool {
        let mut state = self.lock();
        let tail = state.tail.front();
        let in_tail = tail.is_some_and(|first| first.base <= offset);
        if in_tail || offset >= state.positions.log_end {
            return true;
        }
        let at = state.segment_at(offset);
        let segment = &state.segments[at];
        if segment.file.is_none() || segment.indexes.is_none() {
            return false;
        }
        let Ok(piece) = self.find(&mut state, offset) else {
            return true;
        };
        drop(state);
        let last = (piece.position + max_bytes as u64).min(piece.end);
        piece.file.is_cached(piece.position) && piece.file.is_cached(last.saturating_sub(1))
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
        let mut offset = self.time_hint(segment, target)?;
        while offset < positions.high_watermark {
            let read = self.read(offset, 1 << 20, ReadLimit::HighWatermark)?;
            let found = scan(
                &read.chunks,
                |header| header.max_timestamp >= target,
                |record| record.1 >= target && record.0 >= positions.log_start,
            )
            .map_err(|error| error.partition(&self.partition))?;
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

    /// An offset before which the segment and those before it hold nothing as late as `target`.
    fn time_hint(&self, segment: Offset, target: Timestamp) -> Result<Offset> {
        let mut state = self.lock();
        let interval = state.config.index_interval_bytes;
        let storage = &*self.shared.env.storage;
        let log_start = state.positions.log_start;
        let Some(segment) = state.segment_mut(segment) else {
            return Ok(segment.max(log_start));
        };
        let (first, base) = (segment.base, segment.base.max(log_start));
        if segment.written == 0 {
            return Ok(base);
        }
        let indexes = segment
            .load_indexes(storage, &self.dir, interval)
            .map_err(|error| error.partition(&self.partition))?;
        let entry = indexes.times.entry_before(first, target);
        drop(state);
        let Some((timestamp, offset)) = entry.filter(|entry| entry.1 > base) else {
            return Ok(base);
        };
        // The index has no checksum: its batch tells whether it is right.
        let read = self.read(offset, 1, ReadLimit::LogEnd);
        let right = read.is_ok_and(|read| {
            let header = read.chunks.first().map(|chunk| BatchHeader::parse(chunk));
            matches!(header, Some(Ok(header))
                if header.last_offset() == offset && header.max_timestamp == timestamp)
        });
        Ok(if right { offset } else { base })
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
        let base = segment.base;
        let opened = segment.file.is_none();
        let (position, first) = match known {
            Some((_, segment, position)) if segment == base => (position, Expected::Begins(offset)),
            _ => {
                let indexes = segment.load_indexes(storage, &self.dir, interval)?;
                match indexes.offsets.entry_before(base, offset) {
                    Some((last, position)) => (position, Expected::Ends(last)),
                    None => (0, Expected::Begins(base)),
                }
            }
        };
        let file = segment.open(storage, &self.dir)?;
        let path = log_file(&self.dir, base);
        Ok(Piece {
            file,
            path,
            segment: base,
            position,
            first,
            end: segment.written,
            opened,
        })
    }

    /// As [`PartitionLog::find`], with the segment's index built anew from its batches.
    fn find_anew(&self, offset: Offset) -> Result<Piece> {
        let mut state = self.lock();
        let interval = state.config.index_interval_bytes;
        let storage = &*self.shared.env.storage;
        let at = state.segment_at(offset);
        let segment = &mut state.segments[at];
        tracing::warn!(file = %index_file(&self.dir, segment.base).display(),
            "the index is damaged: it is built anew");
        let indexes = segment.rebuild_indexes(storage, &self.dir, interval)?;
        segment.indexes = Some(indexes);
        self.find(&mut state, offset)
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

impl Piece {
    fn is_by_index(&self) -> bool {
        matches!(self.first, Expected::Ends(_))
    }

    /// Reads whole batches from `offset` on and before `limit`, which the piece holds; with them
    /// the offset and the position where they end.
    fn read(
        &self,
        offset: Offset,
        max_bytes: usize,
        limit: Offset,
    ) -> Result<(Bytes, Offset, u64)> {
        let (mut position, mut first) = (self.position, self.first);
        loop {
            let bytes = self.fetch(position, max_bytes.max(BatchHeader::LEN))?;
            match self.cut(&bytes, position, first, offset, max_bytes, limit)? {
                Cut::Batches { from, to, next } => {
                    let end = position + to as u64;
                    return Ok((bytes.freeze().slice(from..to), next, end));
                }
                Cut::Nothing => {
                    let what = "no batch holds the offset, which was acknowledged: restore the \
                                file from a copy, or read on behind it";
                    return Err(self.damaged(position, what));
                }
                Cut::Skip { skipped, next } => {
                    position += skipped as u64;
                    first = Expected::Begins(next);
                }
                Cut::Larger { from, size, next } => {
                    let bytes = self.fetch(position + from as u64, size)?.freeze();
                    if bytes.len() < size {
                        return Err(self.damaged(position + from as u64, "the batch is cut short"));
                    }
                    return Ok((bytes, next, position + (from + size) as u64));
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
        mut expected: Expected,
        offset: Offset,
        max_bytes: usize,
        limit: Offset,
    ) -> Result<Cut> {
        let (mut at, mut from, mut next) = (0, None, offset);
        while let Some(header) = self.header_at(bytes, at, position, expected)? {
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
                        let (from, next) = (at, header.next_offset());
                        return Ok(Cut::Larger { from, size, next });
                    }
                    break;
                }
            }
            next = header.next_offset();
            expected = Expected::Begins(next);
            at += size;
            if at >= bytes.len() {
                break;
            }
        }
        Ok(match from {
            Some(from) => Cut::Batches { from, to: at, next },
            None if at == 0 || position + at as u64 >= self.end => Cut::Nothing,
            None => Cut::Skip { skipped: at, next },
        })
    }

    /// The header at `at`; `None` when the bytes read end before it does.
    fn header_at(
        &self,
        bytes: &[u8],
        at: usize,
        position: u64,
        expected: Expected,
    ) -> Result<Option<BatchHeader>> {
        let Some(rest) = bytes
            .get(at..)
            .filter(|rest| rest.len() >= BatchHeader::LEN)
        else {
            return Ok(None);
        };
        let place = position + at as u64;
        let header =
            BatchHeader::parse(rest).map_err(|error| error.path(&self.path).position(place))?;
        if expected.is(&header) {
            return Ok(Some(header));
        }
        let (begins, ends) = (header.base_offset, header.last_offset());
        let written = match expected {
            Expected::Begins(offset) => format!("one from {offset} on"),
            Expected::Ends(offset) => format!("one up to {offset}"),
        };
        let what = format!(
            "the batch says that it holds offsets {begins} to {ends}, {written} was written \
             there: restore the file from a copy"
        );
        Err(self.damaged(place, &what))
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
    Larger {
        from: usize,
        size: usize,
        next: Offset,
    },
    /// The wanted batch lies behind these bytes, which end before offset `next`.
    Skip { skipped: usize, next: Offset },
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
            batch.check_crc()?;
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
