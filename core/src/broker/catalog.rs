//! The catalog: which topics there are, in one small file of the data folder.
//!
//! ```text
//! catalog     "HWCATLG\n"  version u32  crc u32  length u64  body
//! body        count u32, then for each topic, sorted by name:
//!             name str  id 16 bytes  partitions u32  count u16  (name str  value str)*
//! str         length u16  UTF-8
//! ```
//!
//! All numbers are big-endian; the CRC-32C covers the body. A change writes the whole file under
//! another name, syncs it, renames it and syncs the folder: a crash leaves the old or the new one.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::topic_config::TopicConfig;
use crate::cursor::{Cursor, put_text};
use crate::error::{Error, ErrorKind, Result};
use crate::storage::{OpenMode, Storage};
use crate::types::{TopicId, TopicName};

const FILE: &str = "catalog";
const FILE_NEW: &str = "catalog.new";
const MAGIC: &[u8; 8] = b"HWCATLG\n";
const VERSION: u32 = 1;
const HEADER: usize = MAGIC.len() + 4 + 4 + 8;
/// A catalog larger than this is not one of ours: about two million topics.
const BODY_MAX: u64 = 256 << 20;

/// One topic of the catalog.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) id: TopicId,
    pub(crate) partitions: i32,
    pub(crate) config: TopicConfig,
}

/// All topics, by name.
pub(crate) type Catalog = BTreeMap<TopicName, Entry>;

/// Reads the catalog of a folder; a folder that was not in use before gets an empty one. Blocks.
pub(crate) fn load(storage: &dyn Storage, dir: &Path) -> Result<Catalog> {
    let path = dir.join(FILE);
    let failed = |error| Error::io("open the catalog", &path, error);
    let file = match storage.open(&path, OpenMode::Read) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let entries = storage.list(dir).map_err(failed)?;
            if entries.iter().any(|entry| entry.name == "checkpoint") {
                return Err(corrupt(&path, 0, "it is gone"));
            }
            store(storage, dir, &Catalog::new())?;
            return Ok(Catalog::new());
        }
        Err(error) => return Err(failed(error)),
    };
    let length = file
        .len()
        .map_err(|error| Error::io("read the catalog's length", &path, error))?;
    if length > BODY_MAX {
        return Err(corrupt(&path, 0, "it is larger than any catalog"));
    }
    let mut bytes = vec![0; usize::try_from(length).unwrap_or(0)];
    let read = file
        .read_at(&mut bytes, 0)
        .map_err(|error| Error::io("read the catalog", &path, error))?;
    bytes.truncate(read);
    decode(&bytes, &path)
}

/// Replaces the catalog of a folder; durable when it returns. Blocks.
///
/// # Errors
/// `Io` when the old catalog stands; `KafkaStorageError` when nobody can tell which of the two a
/// crash would leave.
pub(crate) fn store(storage: &dyn Storage, dir: &Path, catalog: &Catalog) -> Result<()> {
    let new = dir.join(FILE_NEW);
    let bytes = encode(catalog);
    let failed = |error| Error::io("write the catalog", &new, error);
    let file = storage.open(&new, OpenMode::CreateOrOpen).map_err(failed)?;
    file.set_len(0).map_err(failed)?;
    file.write_at(&[&bytes], 0).map_err(failed)?;
    file.sync().map_err(failed)?;
    drop(file);
    let renamed = storage.rename(&new, &dir.join(FILE));
    renamed
        .and_then(|()| storage.sync_dir(dir))
        .map_err(|error| {
            let what = "put the catalog in its place; the log takes no writes until it is opened \
                        again, for the topics on the disk may not be those in memory";
            Error::io(what, &dir.join(FILE), error).with_kind(ErrorKind::KafkaStorageError)
        })
}

fn encode(catalog: &Catalog) -> Vec<u8> {
    let mut body = Vec::new();
    put_u32(&mut body, catalog.len());
    for (name, entry) in catalog {
        put_text(&mut body, name.as_str());
        body.extend_from_slice(entry.id.0.as_bytes());
        body.extend_from_slice(&entry.partitions.to_be_bytes());
        put_u16(&mut body, entry.config.set().len());
        for (name, value) in entry.config.set() {
            put_text(&mut body, name);
            put_text(&mut body, value);
        }
    }
    let mut file = Vec::with_capacity(HEADER + body.len());
    file.extend_from_slice(MAGIC);
    file.extend_from_slice(&VERSION.to_be_bytes());
    file.extend_from_slice(&crc32c::crc32c(&body).to_be_bytes());
    file.extend_from_slice(&u64::try_from(body.len()).unwrap_or(u64::MAX).to_be_bytes());
    file.extend_from_slice(&body);
    file
}

fn decode(bytes: &[u8], path: &Path) -> Result<Catalog> {
    let early = || corrupt(path, bytes.len(), "it ends too early");
    let mut cursor = Cursor::new(bytes);
    if cursor.take(MAGIC.len()) != Some(MAGIC) {
        return Err(corrupt(path, 0, "it does not begin as a catalog does"));
    }
    let version = cursor.u32().ok_or_else(early)?;
    if version != VERSION {
        let message = format!(
            "the catalog has version {version}, this program knows {VERSION}: \
             open the folder with a newer Headwater"
        );
        return Err(Error::new(ErrorKind::UnsupportedFormat, message).path(path));
    }
    let crc = cursor.u32().ok_or_else(early)?;
    let length = cursor.u64().ok_or_else(early)?;
    let body = bytes.get(HEADER..).unwrap_or_default();
    if u64::try_from(body.len()).ok() != Some(length) {
        return Err(corrupt(path, HEADER, "its length is not what it says"));
    }
    if crc32c::crc32c(body) != crc {
        return Err(corrupt(path, HEADER, "its checksum does not match"));
    }
    let mut catalog = Catalog::new();
    for _ in 0..cursor.u32().ok_or_else(early)? {
        let at = bytes.len() - cursor.remaining();
        let topic = decode_topic(&mut cursor)
            .ok_or_else(|| corrupt(path, at, "a topic's entry is malformed"))?;
        let name = TopicName::new(topic.name).map_err(|error| error.path(path))?;
        let entry = Entry {
            id: topic.id,
            partitions: topic.partitions,
            config: TopicConfig::new(topic.set).map_err(|error| error.path(path))?,
        };
        catalog.insert(name, entry);
    }
    if !cursor.is_empty() {
        let at = bytes.len() - cursor.remaining();
        return Err(corrupt(path, at, "bytes are left over"));
    }
    Ok(catalog)
}

/// A topic as the file has it.
struct Stored<'a> {
    name: &'a str,
    id: TopicId,
    partitions: i32,
    set: BTreeMap<String, String>,
}

fn decode_topic<'a>(cursor: &mut Cursor<'a>) -> Option<Stored<'a>> {
    let name = cursor.text()?;
    let id = TopicId(cursor.uuid()?);
    let partitions = cursor.i32().filter(|count| *count >= 1)?;
    let mut set = BTreeMap::new();
    for _ in 0..cursor.u16()? {
        let name = cursor.text()?.to_owned();
        set.insert(name, cursor.text()?.to_owned());
    }
    Some(Stored {
        name,
        id,
        partitions,
        set,
    })
}

fn put_u16(out: &mut Vec<u8>, count: usize) {
    let count = u16::try_from(count).unwrap_or(u16::MAX);
    out.extend_from_slice(&count.to_be_bytes());
}

fn put_u32(out: &mut Vec<u8>, count: usize) {
    let count = u32::try_from(count).unwrap_or(u32::MAX);
    out.extend_from_slice(&count.to_be_bytes());
}

fn corrupt(path: &Path, position: usize, what: &str) -> Error {
    let path = PathBuf::from(path);
    Error::new(
        ErrorKind::CorruptMessage,
        format!("the catalog is damaged: {what}; restore it from a copy of the folder"),
    )
    .path(&path)
    .position(u64::try_from(position).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Catalog {
        let set = [("retention.ms".to_owned(), "5".to_owned())].into();
        let entry = |partitions, config| Entry {
            id: TopicId(uuid::Uuid::from_u128(7)),
            partitions,
            config,
        };
        [
            (
                TopicName::new("a").unwrap(),
                entry(3, TopicConfig::default()),
            ),
            (
                TopicName::new("b").unwrap(),
                entry(1, TopicConfig::new(set).unwrap()),
            ),
        ]
        .into()
    }

    #[test]
    fn it_reads_what_it_wrote() {
        for catalog in [Catalog::new(), sample()] {
            let bytes = encode(&catalog);
            assert_eq!(decode(&bytes, Path::new("catalog")).unwrap(), catalog);
        }
    }

    #[test]
    fn every_cut_and_every_flipped_bit_is_noticed() {
        let bytes = encode(&sample());
        for cut in 0..bytes.len() {
            assert!(
                decode(&bytes[..cut], Path::new("catalog")).is_err(),
                "{cut}"
            );
        }
        for bit in 0..bytes.len() * 8 {
            let mut bytes = bytes.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            let error = decode(&bytes, Path::new("catalog")).unwrap_err();
            assert!(error.file().is_some(), "{error}");
        }
    }
}
