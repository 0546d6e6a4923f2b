//! One partition that a task reads: chunks as they were fetched, and how far they are processed.

use std::collections::VecDeque;
use std::ops::Range;

use bytes::Bytes;
use headwater_core::Result;
use headwater_core::record::{Batch, Batches, Record, Records, Scratch};
use headwater_core::types::{Offset, TopicPartition};

/// An input partition of a task.
#[derive(Debug)]
pub(crate) struct Input {
    pub(crate) partition: TopicPartition,
    /// The task's source that reads it.
    pub(crate) source: usize,
    /// Whether the topic is the application's own.
    pub(crate) repartition: bool,
    /// The next record to process.
    pub(crate) position: Offset,
    /// The end that readers may see, as far as it is known.
    pub(crate) high_watermark: Offset,
    chunks: VecDeque<Bytes>,
    buffered: usize,
    /// The offset behind the last record that is buffered.
    fetched: Offset,
    /// Whole batches that are never processed: see [`Input::leave_out`].
    left_out: Range<Offset>,
}

impl Input {
    pub(crate) fn new(partition: TopicPartition, source: usize, repartition: bool) -> Self {
        Self {
            partition,
            source,
            repartition,
            position: Offset(0),
            high_watermark: Offset(0),
            chunks: VecDeque::new(),
            buffered: 0,
            fetched: Offset(0),
            left_out: Offset(0)..Offset(0),
        }
    }

    /// Begins at `offset`.
    pub(crate) fn seek(&mut self, offset: Offset) {
        self.position = offset;
        self.fetched = offset;
        self.chunks.clear();
        self.buffered = 0;
    }

    /// Never processes these records: a crash left them behind, and they are made again from the
    /// records that they were made of.
    pub(crate) fn leave_out(&mut self, left_out: Range<Offset>) {
        assert!(self.chunks.is_empty(), "it is known before the first fetch");
        if left_out.contains(&self.position) {
            self.seek(left_out.end);
        }
        self.left_out = left_out;
    }

    /// The records from here to `offset` are gone from the topic: goes on behind them with what is
    /// fetched next. What is buffered is still processed.
    pub(crate) fn skip_to(&mut self, offset: Offset) {
        assert!(self.fetched <= offset, "a task never goes back");
        self.fetched = offset;
        self.high_watermark = self.high_watermark.max(offset);
        if self.chunks.is_empty() {
            self.position = offset;
        }
    }

    /// Takes whole batches that follow the buffered ones.
    pub(crate) fn push(&mut self, chunk: Bytes) -> Result<()> {
        for batch in Batches::new(&chunk) {
            let header = batch
                .map_err(|error| error.partition(&self.partition))?
                .header;
            self.fetched = self.fetched.max(header.next_offset());
        }
        self.high_watermark = self.high_watermark.max(self.fetched);
        self.buffered += chunk.len();
        self.chunks.push_back(chunk);
        Ok(())
    }

    /// The next offset to fetch.
    pub(crate) fn fetch_from(&self) -> Offset {
        self.fetched
    }

    /// The bytes that wait to be processed.
    pub(crate) fn buffered(&self) -> usize {
        self.buffered
    }

    /// Whether records are known to be there that were not fetched yet: until they are, nobody
    /// knows whether one of them is older than those of the task's other inputs.
    pub(crate) fn lags(&self) -> bool {
        self.fetched < self.high_watermark
    }

    /// The buffered batches that are not processed yet.
    pub(crate) fn batches(&self) -> Result<Vec<Batch<'_>>> {
        let mut waiting = Vec::new();
        for batch in self.chunks.iter().flat_map(|chunk| Batches::new(chunk)) {
            let batch = batch.map_err(|error| error.partition(&self.partition))?;
            let is_left_out = self.left_out.contains(&batch.header.base_offset);
            if batch.header.next_offset() > self.position && !is_left_out {
                waiting.push(batch);
            }
        }
        Ok(waiting)
    }

    /// Everything before `position` is processed; drops the chunks that lie before it. When none is
    /// left, the position is behind everything that was fetched or is known to be gone.
    pub(crate) fn advance(&mut self, position: Offset) -> Result<()> {
        assert!(self.position <= position, "a task never goes back");
        let position = if self.left_out.contains(&position) {
            self.left_out.end
        } else {
            position
        };
        self.position = position;
        while let Some(chunk) = self.chunks.front() {
            if position < self.fetched {
                let last = Batches::new(chunk).last().transpose()?;
                if last.is_some_and(|batch| batch.header.next_offset() > position) {
                    break;
                }
            }
            self.buffered -= chunk.len();
            self.chunks.pop_front();
        }
        if self.chunks.is_empty() {
            self.position = self.position.max(self.fetched);
        }
        Ok(())
    }
}

/// Reads the records of an input's batches one by one, from a position.
pub(crate) struct Cursor<'a> {
    batches: std::iter::Zip<std::vec::IntoIter<Batch<'a>>, std::slice::IterMut<'a, Scratch>>,
    records: Option<(Records<'a>, Offset)>,
    /// The next record, not yet processed.
    pub(crate) head: Option<Record<'a>>,
    /// Everything before it is processed.
    pub(crate) position: Offset,
}

impl<'a> Cursor<'a> {
    /// A cursor over `batches`, each with memory to decompress into.
    pub(crate) fn new(
        position: Offset,
        batches: Vec<Batch<'a>>,
        scratch: &'a mut [Scratch],
    ) -> Result<Self> {
        assert!(batches.len() == scratch.len(), "one scratch a batch");
        let mut cursor = Self {
            batches: batches.into_iter().zip(scratch.iter_mut()),
            records: None,
            head: None,
            position,
        };
        cursor.step()?;
        Ok(cursor)
    }

    /// The head was processed: goes to the next record.
    #[inline]
    pub(crate) fn advance(&mut self) -> Result<()> {
        if let Some(head) = self.head.take() {
            self.position = head.offset.next();
        }
        self.step()
    }

    #[inline]
    fn step(&mut self) -> Result<()> {
        loop {
            if let Some((records, end)) = &mut self.records {
                for record in records.by_ref() {
                    let record = record?;
                    if record.offset >= self.position {
                        self.head = Some(record);
                        return Ok(());
                    }
                }
                // A compacted batch may end behind its last record.
                self.position = self.position.max(*end);
            }
            let Some((batch, scratch)) = self.batches.next() else {
                return Ok(());
            };
            batch.check_crc()?;
            let end = batch.header.next_offset();
            // Control batches mark ends of transactions; they hold no records of users.
            self.records = if batch.header.attributes.is_control() {
                self.position = self.position.max(end);
                None
            } else {
                Some((batch.records(scratch)?, end))
            };
        }
    }
}
