//! Replaying the journal after a crash: every batch goes to the place it was meant for.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::bounded::HashMap;
use crate::error::{Error, ErrorKind, Result};
use crate::log::checkpoint::{PartitionCheckpoint, file, read_whole};
use crate::log::journal::ring_files;
use crate::log::journal_format::{ALIGN, Group, decode_group, may_begin};
use crate::log::recovery::{Key, open_for_replay};
use crate::log::store::PartitionSpec;
use crate::storage::{File, Storage};
use crate::types::Offset;

/// What a replay did.
#[derive(Debug, Default)]
pub(crate) struct Replayed {
    /// The last group found.
    pub(crate) sequence: u64,
    pub(crate) generation: u64,
    /// The end of each partition's batches in the journal: they were durable.
    pub(crate) ends: HashMap<Key, Offset>,
}

/// What is known of the journal before it is read.
pub(crate) struct ReplayStart {
    /// Its number: groups of another journal are old bytes.
    pub(crate) journal: u64,
    /// The last group that is in the partitions' files; `None` without a checkpoint.
    pub(crate) retired: Option<u64>,
    /// The bytes that each of its files has at least.
    pub(crate) bytes: u64,
}

/// A group's place in one of the files.
struct Place {
    sequence: u64,
    file: usize,
    position: usize,
}

/// Writes the batches of all groups that are not retired into the partitions' files.
pub(crate) fn replay(
    storage: &dyn Storage,
    dir: &Path,
    start: &ReplayStart,
    known: &[PartitionSpec],
    saved: &HashMap<Key, PartitionCheckpoint>,
) -> Result<Replayed> {
    let paths = ring_files(dir);
    let mut files = Vec::new();
    for path in &paths {
        let bytes = read_whole(storage, path)?.unwrap_or_default();
        if (bytes.len() as u64) < start.bytes {
            let what = format!(
                "the journal's file has {} bytes, {} were there: what was acknowledged last may \
                 be lost. Restore the data folder from a copy",
                bytes.len(),
                start.bytes
            );
            return Err(Error::new(ErrorKind::CorruptMessage, what)
                .path(path)
                .position(bytes.len() as u64));
        }
        files.push(bytes);
    }
    let retired = start.retired.unwrap_or(0);
    let mut places = Vec::new();
    for (file, bytes) in files.iter().enumerate() {
        find_groups(bytes, start.journal, retired, file, &mut places);
    }
    if start.retired.is_none() && !places.is_empty() {
        let what = "the checkpoint is gone, without which nobody knows which part of the journal \
                    counts: restore it from a copy of the folder, or remove the folder journal to \
                    open what is in the partitions' files; what was acknowledged last may be \
                    missing there";
        return Err(Error::new(ErrorKind::CorruptMessage, what).path(&file(dir)));
    }
    places.sort_by_key(|place| place.sequence);
    check_unbroken(&places, retired, &files, &paths)?;
    let dirs = known
        .iter()
        .map(|spec| {
            (
                (spec.id, spec.partition.partition),
                dir.join(spec.partition.to_string()),
            )
        })
        .collect();
    let mut writer = Writer {
        storage,
        dirs,
        saved,
        open: HashMap::default(),
    };
    let mut replayed = Replayed {
        sequence: retired,
        ..Replayed::default()
    };
    for place in &places {
        let Some(group) = decode_group(&files[place.file][place.position..]) else {
            continue;
        };
        writer.apply(&group, &mut replayed.ends)?;
        replayed.sequence = group.sequence;
        replayed.generation = group.generation;
    }
    Ok(replayed)
}

/// All whole groups of this journal after `retired`, wherever they stand.
fn find_groups(bytes: &[u8], journal: u64, retired: u64, file: usize, places: &mut Vec<Place>) {
    let mut position = 0;
    while position < bytes.len() {
        let rest = &bytes[position..];
        let group = may_begin(rest).then(|| decode_group(rest)).flatten();
        match group.filter(|group| group.journal == journal) {
            Some(group) => {
                if group.sequence > retired {
                    places.push(Place {
                        sequence: group.sequence,
                        file,
                        position,
                    });
                }
                position += group.len;
            }
            None => position += ALIGN,
        }
    }
}

/// Refuses a journal in which a group is missing before another: since each group was written only
/// once the one before it was durable, the missing one was acknowledged and is damaged.
fn check_unbroken(
    places: &[Place],
    retired: u64,
    files: &[Vec<u8>],
    paths: &[PathBuf; 2],
) -> Result<()> {
    let mut before: Option<&Place> = None;
    for place in places {
        let expected = before.map_or(retired, |before| before.sequence) + 1;
        if place.sequence != expected {
            let at =
                before
                    .filter(|before| before.file == place.file)
                    .map_or((place.file, 0), |b| {
                        let len =
                            decode_group(&files[b.file][b.position..]).map_or(0, |group| group.len);
                        (b.file, b.position + len)
                    });
            let what = format!(
                "journal group {expected} is damaged, though group {} after it is whole: records \
                 that were acknowledged would be lost. Restore the data folder from a copy",
                place.sequence
            );
            return Err(Error::new(ErrorKind::CorruptMessage, what)
                .path(&paths[at.0])
                .position(at.1 as u64));
        }
        before = Some(place);
    }
    Ok(())
}

/// Puts batches into the partitions' files.
struct Writer<'a> {
    storage: &'a dyn Storage,
    dirs: HashMap<Key, PathBuf>,
    saved: &'a HashMap<Key, PartitionCheckpoint>,
    open: HashMap<Key, (Offset, Arc<dyn File>)>,
}

impl Writer<'_> {
    fn apply(&mut self, group: &Group<'_>, ends: &mut HashMap<Key, Offset>) -> Result<()> {
        for (head, batch) in &group.entries {
            let key = (head.id, head.partition);
            // Partitions that are not in the catalog were deleted.
            let Some(dir) = self.dirs.get(&key).cloned() else {
                continue;
            };
            let log_start = self
                .saved
                .get(&key)
                .map_or(Offset(0), |saved| saved.log_start);
            if head.next_offset <= log_start {
                continue;
            }
            let file = self.file(key, &dir, head.segment)?;
            file.write_at(&[batch], head.position).map_err(|error| {
                Error::io("replay the journal into the segment", file.path(), error)
                    .position(head.position)
            })?;
            ends.insert(key, head.next_offset);
        }
        Ok(())
    }

    /// The file of a segment; the one before it is durable when a new one is begun.
    fn file(&mut self, key: Key, dir: &Path, base: Offset) -> Result<Arc<dyn File>> {
        if let Some((open, file)) = self.open.get(&key) {
            if *open == base {
                return Ok(Arc::clone(file));
            }
            file.sync()
                .map_err(|error| Error::io("sync the segment", file.path(), error))?;
        }
        let file = open_for_replay(self.storage, dir, key.0, base)?;
        self.open.insert(key, (base, Arc::clone(&file)));
        Ok(file)
    }
}
