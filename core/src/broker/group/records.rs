//! The records of `__consumer_offsets`, in Kafka's layout (`OffsetCommitKey`, `OffsetCommitValue`).
//!
//! ```text
//! key    version i16 (0, 1)  group str  topic str  partition i32
//! value  version i16, then
//!   0    offset i64  metadata str  committed at i64
//!   1    offset i64  metadata str  committed at i64  expires at i64
//!   2    offset i64  metadata str  committed at i64
//!   3    offset i64  leader epoch i32  metadata str  committed at i64
//!   4    offset i64  leader epoch i32  metadata compact str  committed at i64
//!        tagged fields: 0 = topic id, 16 bytes
//! str    length i16  UTF-8         compact str   length + 1 as unsigned varint  UTF-8
//! ```
//!
//! Version 1 of the key and 4 of the value are written: with the topic's id in it, the progress in
//! a deleted topic is not taken for that in a new one of the same name.

use crate::cursor::Cursor;
use crate::error::{Error, ErrorKind, Result};
use crate::types::{
    GroupId, LeaderEpoch, Offset, Partition, Timestamp, TopicId, TopicName, TopicPartition,
};

const KEY_VERSION: i16 = 1;
const VALUE_VERSION: i16 = 4;
const TAG_TOPIC_ID: usize = 0;

/// Whose progress in which partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CommitKey {
    pub(crate) group: GroupId,
    pub(crate) partition: TopicPartition,
}

/// The progress.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CommitValue {
    pub(crate) offset: Offset,
    pub(crate) leader_epoch: LeaderEpoch,
    pub(crate) metadata: String,
    pub(crate) committed_at: Timestamp,
    pub(crate) topic_id: Option<TopicId>,
}

impl CommitKey {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        out.extend_from_slice(&KEY_VERSION.to_be_bytes());
        put_str(&mut out, self.group.as_str());
        put_str(&mut out, self.partition.topic.as_str());
        out.extend_from_slice(&self.partition.partition.value().to_be_bytes());
        out
    }

    /// Reads a key; `None` when it is the key of another kind of record.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Option<Self>> {
        let mut cursor = Cursor::new(bytes);
        let version = cursor.i16().ok_or_else(malformed)?;
        if !(0..=KEY_VERSION).contains(&version) {
            return Ok(None);
        }
        let (group, topic, partition) = Self::fields(cursor).ok_or_else(malformed)?;
        Ok(Some(Self {
            group: GroupId::new(group)?,
            partition: TopicPartition::new(TopicName::new(topic)?, partition),
        }))
    }

    fn fields(mut cursor: Cursor<'_>) -> Option<(&str, &str, Partition)> {
        let (group, topic) = (str(&mut cursor)?, str(&mut cursor)?);
        let partition = Partition(cursor.i32()?);
        cursor.is_empty().then_some((group, topic, partition))
    }
}

impl CommitValue {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        out.extend_from_slice(&VALUE_VERSION.to_be_bytes());
        out.extend_from_slice(&self.offset.value().to_be_bytes());
        out.extend_from_slice(&self.leader_epoch.value().to_be_bytes());
        put_varint(&mut out, self.metadata.len() + 1);
        out.extend_from_slice(self.metadata.as_bytes());
        out.extend_from_slice(&self.committed_at.value().to_be_bytes());
        match self.topic_id {
            Some(id) => {
                // One tagged field: its tag, its size, the id.
                out.extend_from_slice(&[1, 0, 16]);
                out.extend_from_slice(id.0.as_bytes());
            }
            None => out.push(0),
        }
        out
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self> {
        let mut cursor = Cursor::new(bytes);
        let version = cursor.i16().ok_or_else(malformed)?;
        if !(0..=VALUE_VERSION).contains(&version) {
            return Err(Error::new(
                ErrorKind::UnsupportedFormat,
                format!("an offset commit of version {version}; known are 0 to {VALUE_VERSION}"),
            ));
        }
        Self::fields(version, cursor).ok_or_else(malformed)
    }

    fn fields(version: i16, mut cursor: Cursor<'_>) -> Option<Self> {
        let offset = Offset(cursor.i64()?);
        let leader_epoch = if version >= 3 { cursor.i32()? } else { -1 };
        let metadata = if version >= 4 {
            compact_str(&mut cursor)?
        } else {
            str(&mut cursor)?
        };
        let committed_at = Timestamp(cursor.i64()?);
        if version == 1 {
            cursor.i64()?;
        }
        let topic_id = if version >= 4 {
            tagged_topic_id(&mut cursor)?
        } else {
            None
        };
        cursor.is_empty().then(|| Self {
            offset,
            leader_epoch: LeaderEpoch(leader_epoch),
            metadata: metadata.to_owned(),
            committed_at,
            topic_id,
        })
    }
}

fn str<'a>(cursor: &mut Cursor<'a>) -> Option<&'a str> {
    let length = usize::try_from(cursor.i16()?).ok()?;
    cursor.str(length)
}

fn compact_str<'a>(cursor: &mut Cursor<'a>) -> Option<&'a str> {
    let length = varint(cursor)?.checked_sub(1)?;
    cursor.str(length)
}

fn varint(cursor: &mut Cursor<'_>) -> Option<usize> {
    let mut value = 0_u32;
    for shift in [0, 7, 14, 21, 28] {
        let byte = cursor.u8()?;
        let bits = u32::from(byte & 0x7f);
        if shift == 28 && bits > 0xf {
            return None;
        }
        value |= bits << shift;
        if byte & 0x80 == 0 {
            return usize::try_from(value).ok();
        }
    }
    None
}

/// The outer `None` is a malformed field, the inner one an absent field.
fn tagged_topic_id(cursor: &mut Cursor<'_>) -> Option<Option<TopicId>> {
    let mut id = None;
    for _ in 0..varint(cursor)? {
        let tag = varint(cursor)?;
        let size = varint(cursor)?;
        let mut field = Cursor::new(cursor.take(size)?);
        if tag == TAG_TOPIC_ID {
            id = Some(TopicId(field.uuid().filter(|_| field.is_empty())?));
        }
    }
    Some(id)
}

fn malformed() -> Error {
    Error::new(
        ErrorKind::CorruptMessage,
        "a record of __consumer_offsets is malformed: it ends too early, or says too much",
    )
}

fn put_str(out: &mut Vec<u8>, text: &str) {
    // Group ids and topic names from clients are shorter; see `broker::groups`.
    let length = i16::try_from(text.len()).unwrap_or(i16::MAX);
    out.extend_from_slice(&length.to_be_bytes());
    out.extend_from_slice(text.as_bytes());
}

fn put_varint(out: &mut Vec<u8>, mut value: usize) {
    loop {
        let low = u8::try_from(value & 0x7f).unwrap_or(0);
        value >>= 7;
        if value == 0 {
            out.push(low);
            return;
        }
        out.push(low | 0x80);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> CommitKey {
        CommitKey {
            group: GroupId::new("g").unwrap(),
            partition: TopicPartition::new(TopicName::new("t").unwrap(), Partition(3)),
        }
    }

    fn value(metadata: &str, topic_id: Option<TopicId>) -> CommitValue {
        CommitValue {
            offset: Offset(258),
            leader_epoch: LeaderEpoch(-1),
            metadata: metadata.to_owned(),
            committed_at: Timestamp(1),
            topic_id,
        }
    }

    #[test]
    fn the_bytes_are_kafkas() {
        assert_eq!(key().encode(), b"\0\x01\0\x01g\0\x01t\0\0\0\x03");
        let expect = b"\0\x04\0\0\0\0\0\0\x01\x02\xff\xff\xff\xff\x03ab\0\0\0\0\0\0\0\x01\0";
        assert_eq!(value("ab", None).encode(), expect);
    }

    #[test]
    fn they_read_what_they_wrote() {
        assert_eq!(CommitKey::decode(&key().encode()).unwrap(), Some(key()));
        let id = TopicId(uuid::Uuid::from_u128(9));
        for value in [value("", Some(id)), value(&"x".repeat(300), None)] {
            assert_eq!(CommitValue::decode(&value.encode()).unwrap(), value);
        }
    }

    #[test]
    fn older_versions_are_read_and_other_kinds_passed_over() {
        for bytes in [
            b"\0\0\0\0\0\0\0\0\0\x07\0\x01m\0\0\0\0\0\0\0\x05".to_vec(),
            b"\0\x01\0\0\0\0\0\0\0\x07\0\x01m\0\0\0\0\0\0\0\x05\0\0\0\0\0\0\0\x06".to_vec(),
            b"\0\x02\0\0\0\0\0\0\0\x07\0\x01m\0\0\0\0\0\0\0\x05".to_vec(),
            b"\0\x03\0\0\0\0\0\0\0\x07\0\0\0\x02\0\x01m\0\0\0\0\0\0\0\x05".to_vec(),
        ] {
            let value = CommitValue::decode(&bytes).unwrap();
            assert_eq!(value.offset, Offset(7));
            assert_eq!(value.metadata, "m");
            assert_eq!(value.committed_at, Timestamp(5));
        }
        assert_eq!(CommitKey::decode(b"\0\x02\0\x01g").unwrap(), None);
    }

    #[test]
    fn every_cut_is_an_error() {
        let id = TopicId(uuid::Uuid::from_u128(9));
        let (key, value) = (key().encode(), value("note", Some(id)).encode());
        for cut in 0..key.len() {
            assert!(CommitKey::decode(&key[..cut]).is_err());
        }
        for cut in 0..value.len() {
            assert!(CommitValue::decode(&value[..cut]).is_err());
        }
    }
}
