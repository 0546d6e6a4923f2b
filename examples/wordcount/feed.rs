//! Reads a text into the topic `text`, and remembers how far each file was read.
//!
//! ```text
//!   text         one record a line; the last record of each batch carries a header
//!                "file" = Mark, so that lines and progress are stored together or not at all
//!   checkpoints  path -> Checkpoint: the mark, and how far `text` was looked through for marks
//! ```
//!
//! At the start the checkpoints are read, then what `text` holds behind the last one. A mark that
//! is found there, because its run was interrupted, gets its checkpoint before any other moves on.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom};
use std::path::Path;
use std::sync::atomic::Ordering;

use headwater::client::ProduceRequest;
use headwater::prelude::*;
use headwater::record::{BatchBuilder, BatchOptions, Headers, HeadersBuf};
use headwater::serdes::{Deserializer, Serializer};
use headwater::streams::BoxError;
use serde::{Deserialize, Serialize};

use super::progress::Progress;

/// The topic of the checkpoints.
pub(crate) const CHECKPOINTS: &str = "wordcount-files";

/// The header that carries a [`Mark`].
const MARK: &str = "file";

/// A batch of lines is produced when it has this many bytes.
const BATCH_BYTES: usize = 256 << 10;

/// A line longer than this is cut between two words.
const LINE_BYTES_MAX: usize = 128 << 10;

/// How much of a file's beginning tells it from another one under the same name.
const FINGERPRINT_BYTES: usize = 4096;

/// How far a file was read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Mark {
    version: u8,
    path: String,
    /// The bytes that were read.
    read: u64,
    /// The hash of the first `fingerprinted` bytes.
    fingerprint: u64,
    fingerprinted: u64,
}
stored_as_json!(Mark);

/// A mark in the checkpoint topic.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Checkpoint {
    mark: Mark,
    /// Every mark in `text` before this offset is in a checkpoint.
    scanned: i64,
}
stored_as_json!(Checkpoint);

/// The way into the topic `text`.
pub(crate) struct Feed {
    cluster: Cluster,
    text: TopicPartition,
    marks: BTreeMap<String, Mark>,
}

impl Feed {
    /// Learns how far files were read.
    pub(crate) async fn open(cluster: &Cluster) -> Result<Self, BoxError> {
        let checkpoints = TopicPartition::new(TopicName::new(CHECKPOINTS)?, Partition(0));
        let text = TopicPartition::new(TopicName::new("text")?, Partition(0));
        let mut marks = BTreeMap::new();
        let mut scanned = 0;
        let mut next = 0;
        let end = end(cluster, &checkpoints).await?;
        let consumer = cluster.consumer::<String, Checkpoint>();
        let mut consumer = consumer.from_beginning().assign([checkpoints]).await?;
        while next < end {
            for record in consumer.next_batch().await?.unwrap_or_default() {
                next = record.offset.0 + 1;
                scanned = scanned.max(record.value.scanned);
                marks.insert(record.key, record.value.mark);
            }
        }
        let mut feed = Self {
            cluster: cluster.clone(),
            text,
            marks,
        };
        let found = feed.scan(scanned).await?;
        let found = found.into_values();
        let found: Vec<_> = found.map(|mark| Checkpoint { mark, scanned }).collect();
        feed.keep(&found).await?;
        Ok(feed)
    }

    /// Looks for marks in `text`, from an offset on; returns the last one of each file.
    async fn scan(&mut self, mut from: i64) -> Result<BTreeMap<String, Mark>, BoxError> {
        let mut found = BTreeMap::new();
        let end = end(&self.cluster, &self.text).await?;
        if from >= end {
            return Ok(found);
        }
        let consumer = self.cluster.consumer::<(), Vec<u8>>();
        let mut consumer = consumer
            .assign_at([(self.text.clone(), Offset(from))])
            .await?;
        let serde = <Mark as Data>::Serde::default();
        while from < end {
            for record in consumer.next_batch().await?.unwrap_or_default() {
                from = record.offset.0 + 1;
                let header = record.headers.as_headers().last(MARK);
                if let Some(bytes) = header.and_then(|header| header.value) {
                    let mut slot = Default::default();
                    let mark: &Mark = serde.read(bytes, &mut slot)?;
                    found.insert(mark.path.clone(), mark.clone());
                }
            }
        }
        self.marks.extend(found.clone());
        Ok(found)
    }

    /// Stores checkpoints; they are durable when it returns.
    async fn keep(&self, checkpoints: &[Checkpoint]) -> Result<(), BoxError> {
        if checkpoints.is_empty() {
            return Ok(());
        }
        let producer = self.cluster.producer::<str, Checkpoint>(CHECKPOINTS);
        let producer = producer.build().await?;
        for checkpoint in checkpoints {
            producer.send(&checkpoint.mark.path, checkpoint).await?;
        }
        Ok(producer.close().await?)
    }

    /// Adds the lines of a file that were not added before.
    pub(crate) async fn file(self, path: &Path, progress: &Progress) -> Result<(), BoxError> {
        let named = |error| format!("{}: {error}", path.display());
        let full = path.canonicalize().map_err(named)?;
        let mut file = File::open(&full).map_err(named)?;
        let mut beginning = Vec::new();
        let limit = u64::try_from(FINGERPRINT_BYTES)?;
        (&mut file).take(limit).read_to_end(&mut beginning)?;
        let len = file.metadata()?.len();
        let path = full.to_string_lossy().into_owned();
        let known = self
            .marks
            .get(&path)
            .filter(|mark| is_same(mark, &beginning, len));
        let begin = known.map_or(0, |mark| mark.read);
        file.seek(SeekFrom::Start(begin))?;
        let mark = Mark {
            version: 1,
            path,
            read: begin,
            fingerprint: hash(&beginning),
            fingerprinted: u64::try_from(beginning.len())?,
        };
        let mark = self
            .produce(BufReader::new(file), Some(mark), progress)
            .await?;
        let Some(mark) = mark else { return Ok(()) };
        let scanned = end(&self.cluster, &self.text).await?;
        self.keep(&[Checkpoint { mark, scanned }]).await
    }

    /// Adds all of standard input.
    pub(crate) async fn stdin(self, progress: &Progress) -> Result<(), BoxError> {
        let stdin = BufReader::new(std::io::stdin());
        self.produce(stdin, None, progress).await.map(drop)
    }

    /// Produces the lines of `input`, each batch with the mark that is true behind it.
    async fn produce(
        &self,
        input: impl BufRead,
        mut mark: Option<Mark>,
        progress: &Progress,
    ) -> Result<Option<Mark>, BoxError> {
        let mut pieces = Pieces::new(input);
        let mut batch = BatchBuilder::new(BatchOptions::default());
        let (mut piece, mut next) = (Vec::new(), Vec::new());
        let mut more = pieces.read(&mut piece)?;
        while more {
            more = pieces.read(&mut next)?;
            let full = !more || batch.len() + piece.len() + next.len() > BATCH_BYTES;
            let mut headers = HeadersBuf::new();
            if let Some(mark) = &mut mark {
                mark.read += u64::try_from(piece.len())?;
                if full {
                    let mut bytes = Vec::new();
                    <Mark as Data>::Serde::default().write(mark, &mut bytes)?;
                    headers.push(MARK, Some(&bytes));
                }
            }
            let line = piece.strip_suffix(b"\n").unwrap_or(&piece);
            let now = self.cluster.env().clock.now();
            let headers: Headers<'_> = headers.as_headers();
            batch.append(now, None, Some(line), headers)?;
            progress.lines.fetch_add(1, Ordering::Relaxed);
            if full {
                let request = ProduceRequest {
                    acks: Acks::All,
                    batches: vec![(self.text.clone(), batch.finish()?)],
                };
                for produced in self.cluster.backend().produce(request).await? {
                    produced?;
                }
            }
            std::mem::swap(&mut piece, &mut next);
        }
        Ok(mark)
    }
}

/// The end of a partition.
async fn end(cluster: &Cluster, partition: &TopicPartition) -> headwater::Result<i64> {
    let end = cluster
        .admin()
        .list_offset(partition, OffsetSpec::Latest)
        .await?;
    Ok(end.offset.0)
}

/// Whether a file of this beginning and length is the marked one, perhaps grown.
fn is_same(mark: &Mark, beginning: &[u8], len: u64) -> bool {
    let fingerprinted = usize::try_from(mark.fingerprinted).unwrap_or(usize::MAX);
    mark.read <= len
        && (beginning.get(..fingerprinted)).is_some_and(|bytes| hash(bytes) == mark.fingerprint)
}

/// FNV-1a of 64 bits.
fn hash(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

/// Lines with their line ends; very long ones are cut between two words.
struct Pieces<R> {
    input: R,
    carry: Vec<u8>,
}

impl<R: BufRead> Pieces<R> {
    fn new(input: R) -> Self {
        Self {
            input,
            carry: Vec::new(),
        }
    }

    /// The next piece; false at the end.
    fn read(&mut self, piece: &mut Vec<u8>) -> Result<bool, BoxError> {
        piece.clear();
        piece.append(&mut self.carry);
        let room = u64::try_from(LINE_BYTES_MAX - piece.len())?;
        (&mut self.input).take(room).read_until(b'\n', piece)?;
        if piece.len() == LINE_BYTES_MAX && !piece.ends_with(b"\n") {
            let cut = piece.iter().rposition(|byte| !byte.is_ascii_alphabetic());
            let cut = cut.ok_or("a word of more than 128 KiB is no word")?;
            self.carry.extend_from_slice(&piece[cut + 1..]);
            piece.truncate(cut + 1);
        }
        Ok(!piece.is_empty())
    }
}
