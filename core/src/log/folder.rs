//! A data folder: whose it is, and which format its files have.
//!
//! ```text
//!   DATA/
//!     lock                      held by the one process that has the folder open; holds its pid
//!     meta.properties           version of the folder's format, cluster id
//!     catalog                   topics and their settings (the broker's)
//!     checkpoint                up to where the partitions' files are durable
//!     clean-shutdown            there only while the folder is closed and whole
//!     journal/a  journal/b      what was acknowledged and may not be in the files yet
//!     TOPIC-PARTITION/          one partition, in Kafka's file formats
//! ```

use std::path::{Path, PathBuf};
use std::sync::Mutex;

use crate::env::Env;
use crate::error::{Error, ErrorKind, Result};
use crate::log::checkpoint::{read_whole, replace_whole};
use crate::storage::{Lock, LockError};
use crate::sync::lock;

/// The version of the folder's layout that this program writes.
pub const FORMAT_VERSION: u32 = 1;
const META: &str = "meta.properties";

/// A data folder that this process has locked.
#[derive(Debug)]
pub struct DataFolder {
    pub(crate) env: Env,
    pub(crate) dir: PathBuf,
    meta: Meta,
    /// Held until the folder is released or dropped.
    lock: Mutex<Option<Box<dyn Lock>>>,
}

impl DataFolder {
    /// Makes the folder if need be, locks it and reads whose it is.
    ///
    /// # Errors
    /// [`ErrorKind::DataFolderLocked`] when another process has it (the message names its pid),
    /// [`ErrorKind::UnsupportedFormat`] when a newer or foreign program wrote it,
    /// [`ErrorKind::Io`] when it cannot be written.
    pub fn open(env: &Env, dir: &Path) -> Result<Self> {
        make_durably(env, dir)?;
        let held = Self::lock(env, dir)?;
        let meta = match read_whole(&*env.storage, &dir.join(META))? {
            Some(bytes) => parse_meta(&bytes).map_err(|error| error.path(&dir.join(META)))?,
            None => Self::found(env, dir)?,
        };
        Ok(Self {
            env: env.clone(),
            dir: dir.to_owned(),
            meta,
            lock: Mutex::new(Some(held)),
        })
    }

    /// The identity of the cluster whose data this is.
    #[must_use]
    pub fn cluster_id(&self) -> uuid::Uuid {
        self.meta.cluster_id
    }

    /// Lets others open the folder: nothing is written to it any more.
    pub(crate) fn release(&self) {
        drop(lock(&self.lock).take());
    }

    /// A number that tells this folder's journal from any other's.
    pub(crate) fn journal_id(&self) -> u64 {
        self.meta.journal_id
    }

    /// The folder's path.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    fn lock(env: &Env, dir: &Path) -> Result<Box<dyn Lock>> {
        let path = dir.join("lock");
        env.storage.lock(&path).map_err(|error| match error {
            LockError::Held { pid } => {
                let holder = pid.map_or_else(
                    || "another process".to_owned(),
                    |pid| format!("the process with pid {pid}"),
                );
                let what =
                    format!("the data folder is in use by {holder}: stop it, or use another");
                Error::new(ErrorKind::DataFolderLocked, what).path(&path)
            }
            LockError::Io(error) => Error::io("lock the data folder", &path, error),
        })
    }

    /// Makes an empty folder ours.
    fn found(env: &Env, dir: &Path) -> Result<Meta> {
        let entries = env
            .storage
            .list(dir)
            .map_err(|error| Error::io("list the data folder", dir, error))?;
        let ours = ["catalog", "checkpoint", "journal"];
        if let Some(entry) = entries.iter().find(|entry| ours.contains(&&*entry.name)) {
            let what = format!(
                "the folder holds {:?} but no {META}, which says whose it is: restore that file \
                 from a copy of the folder",
                entry.name
            );
            return Err(Error::new(ErrorKind::CorruptMessage, what).path(&dir.join(META)));
        }
        let foreign = entries
            .iter()
            .find(|entry| !entry.name.starts_with("lock") && entry.name != tmp_name());
        if let Some(entry) = foreign {
            let what = format!(
                "the folder holds {:?} but no {META}: it is not a data folder of Headwater's. \
                 Give an empty folder or one that does not exist",
                entry.name
            );
            return Err(Error::new(ErrorKind::UnsupportedFormat, what).path(dir));
        }
        let meta = Meta {
            cluster_id: env.random.uuid(),
            journal_id: env.random.secret_u64(),
        };
        let text = meta_text(meta);
        replace_whole(&*env.storage, dir, META, text.as_bytes())?;
        sync_parent(env, dir)?;
        Ok(meta)
    }
}

/// Makes the folder and those above it; their names are durable when it returns.
fn make_durably(env: &Env, dir: &Path) -> Result<()> {
    let storage = &*env.storage;
    let missing = |dir: &&Path| {
        let listed = storage.list(dir);
        listed.is_err_and(|error| error.kind() == std::io::ErrorKind::NotFound)
    };
    let made: Vec<_> = dir
        .ancestors()
        .filter(|dir| !dir.as_os_str().is_empty())
        .take_while(missing)
        .collect();
    storage
        .create_dir_all(dir)
        .map_err(|error| Error::io("make the data folder", dir, error))?;
    made.into_iter().try_for_each(|made| sync_parent(env, made))
}

/// Makes a folder's own name durable.
fn sync_parent(env: &Env, dir: &Path) -> Result<()> {
    let parent = match dir.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    env.storage
        .sync_dir(parent)
        .map_err(|error| Error::io("sync the folder", parent, error))
}

fn tmp_name() -> String {
    format!("{META}.tmp")
}

/// What `meta.properties` says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Meta {
    cluster_id: uuid::Uuid,
    /// A secret: whoever knew it could put groups of the journal into the values of records.
    journal_id: u64,
}

/// The text of `meta.properties`. The journal is told from others by its id, so a damaged one must
/// be noticed.
fn meta_text(meta: Meta) -> String {
    let (cluster, journal) = (meta.cluster_id, meta.journal_id);
    let text =
        format!("version={FORMAT_VERSION}\ncluster.id={cluster}\njournal.id={journal:016x}\n");
    format!("{text}crc32c={:08x}\n", crc32c::crc32c(text.as_bytes()))
}

fn parse_meta(bytes: &[u8]) -> Result<Meta> {
    let damaged = || {
        let what = "the file is damaged: restore it from a copy of the folder";
        Error::new(ErrorKind::CorruptMessage, what)
    };
    let text = std::str::from_utf8(bytes).ok().ok_or_else(damaged)?;
    let find = |key: &str| {
        text.lines()
            .find_map(|line| line.strip_prefix(key)?.strip_prefix('='))
            .map(str::trim)
    };
    let version: u32 = find("version")
        .and_then(|text| text.parse().ok())
        .ok_or_else(damaged)?;
    if version != FORMAT_VERSION {
        let what = format!(
            "the data folder has format version {version}, this program knows {FORMAT_VERSION}: \
             use the version of Headwater that wrote it, or a newer one"
        );
        return Err(Error::new(ErrorKind::UnsupportedFormat, what));
    }
    let cluster_id = find("cluster.id").and_then(|id| id.parse().ok());
    let journal_id = find("journal.id").and_then(|id| u64::from_str_radix(id, 16).ok());
    cluster_id
        .zip(journal_id)
        .map(|(cluster_id, journal_id)| Meta {
            cluster_id,
            journal_id,
        })
        .filter(|meta| meta_text(*meta) == text)
        .ok_or_else(damaged)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_cut_and_every_flipped_bit_is_noticed() {
        let meta = Meta {
            cluster_id: uuid::Uuid::from_u128(0x1234_5678_9abc_def0),
            journal_id: 0xfeed,
        };
        let good = meta_text(meta);
        assert_eq!(parse_meta(good.as_bytes()).unwrap(), meta);
        for at in 0..good.len() {
            assert!(parse_meta(&good.as_bytes()[..at]).is_err(), "cut at {at}");
            for bit in 0..8 {
                let mut bad = good.clone().into_bytes();
                bad[at] ^= 1 << bit;
                assert!(parse_meta(&bad).is_err(), "bit {bit} of byte {at}");
            }
        }
    }

    #[test]
    fn a_newer_version_is_named() {
        let newer = "version=2\nsomething=else\n";
        let error = parse_meta(newer.as_bytes()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::UnsupportedFormat);
        assert!(error.to_string().contains("version 2"));
    }
}
