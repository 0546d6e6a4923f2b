//! Settings of the log: those of one partition, which Kafka names, and those of a data folder.

use std::time::Duration;

/// The settings of one partition's log; each is a topic config of Kafka's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogConfig {
    /// `segment.bytes`: a segment is closed before it grows larger; 14 to 2^31-1, default 1 GiB.
    pub segment_bytes: u64,
    /// `segment.ms`: a segment is closed when its records span more; default 7 days.
    pub segment_ms: i64,
    /// `index.interval.bytes`: at least this many bytes lie between index entries; default 4096.
    pub index_interval_bytes: u64,
    /// `retention.bytes`: old segments go when the partition is larger; `None` (-1) keeps all.
    pub retention_bytes: Option<u64>,
    /// `retention.ms`: segments go when all their records are older; `None` (-1) keeps all.
    pub retention_ms: Option<i64>,
    /// `message.timestamp.type=LogAppendTime`: the log stamps records with its own clock.
    pub log_append_time: bool,
    /// Whether `cleanup.policy` contains `delete`: without it retention removes nothing.
    pub delete: bool,
}

impl Default for LogConfig {
    /// Kafka's defaults.
    fn default() -> Self {
        Self {
            segment_bytes: 1 << 30,
            segment_ms: 7 * 24 * 3600 * 1000,
            index_interval_bytes: 4096,
            retention_bytes: None,
            retention_ms: Some(7 * 24 * 3600 * 1000),
            log_append_time: false,
            delete: true,
        }
    }
}

/// The settings of a data folder's machinery.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogOptions {
    /// Whether anything is to survive the process. When `false` (memory), `acks=all` is answered
    /// like `acks=1`, and there is no journal.
    pub durable: bool,
    /// The size of each of the journal's two files at first; it grows with the load. Default
    /// 1 MiB, so that a log opened inside a test costs neither disk nor time.
    pub journal_bytes_min: u64,
    /// The size that each of the two files may grow to; default 256 MiB, two seconds at 250 MB/s.
    pub journal_bytes_max: u64,
    /// How long a sync waits for more batches when fewer wait than the last groups held;
    /// default 150 us, about the time of one sync. A lone producer never waits.
    pub gather_max: Duration,
    /// A group that brings this many bytes a partition, to two partitions at most, is written to
    /// the partitions' own files instead of the journal; default 256 KiB (measured: at 1 MiB the
    /// file alone is as fast, with half the bytes on the disk).
    pub direct_bytes_min: usize,
    /// Partition files are written when this many bytes wait; default 1 MiB.
    pub flush_bytes: usize,
    /// ... or this long after the first of them; default 5 ms.
    pub flush_delay: Duration,
    /// Appends wait while this many bytes are not yet in partition files; default 64 MiB.
    pub unflushed_bytes_max: usize,
    /// Bytes under `acks=1` that are not synced before a checkpoint syncs them; default 64 MiB,
    /// which bounds what recovery has to read.
    pub unsynced_bytes_max: usize,
    /// Segment files that stay open; more are closed when nothing in them is unsynced, and opened
    /// again when they are used. `None`, the default, is half of what the process may open
    /// (`ulimit -n`): raise that limit where more partitions than this are written all the time.
    pub open_files_max: Option<usize>,
}

impl Default for LogOptions {
    fn default() -> Self {
        Self {
            durable: true,
            journal_bytes_min: 1 << 20,
            journal_bytes_max: 256 << 20,
            gather_max: Duration::from_micros(150),
            direct_bytes_min: 256 << 10,
            flush_bytes: 1 << 20,
            flush_delay: Duration::from_millis(5),
            unflushed_bytes_max: 64 << 20,
            unsynced_bytes_max: 64 << 20,
            open_files_max: None,
        }
    }
}
