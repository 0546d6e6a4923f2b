//! The way out: `driver.output::<K, V>("counts")`.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::marker::PhantomData;

use headwater_core::record::{HeadersBuf, Record};
use headwater_core::serdes::{Data, Deserializer};
use headwater_core::types::Timestamp;

/// A record that the topology wrote, as bytes.
#[derive(Debug)]
pub(super) struct RawRecord {
    key: Option<Vec<u8>>,
    value: Option<Vec<u8>>,
    timestamp: Timestamp,
    headers: HeadersBuf,
}

impl RawRecord {
    pub(super) fn of(record: &Record<'_>) -> Self {
        Self {
            key: record.key.map(ToOwned::to_owned),
            value: record.value.map(ToOwned::to_owned),
            timestamp: record.timestamp,
            headers: record.headers.into(),
        }
    }
}

/// A record that the topology wrote; a missing key or value is Kafka's null.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TestRecord<K, V> {
    /// The key.
    pub key: Option<K>,
    /// The value.
    pub value: Option<V>,
    /// Its time.
    pub timestamp: Timestamp,
    /// Its headers.
    pub headers: HeadersBuf,
}

/// What the topology wrote to one topic; reading takes it away.
pub struct OutputTopic<'a, K: ?Sized, V: ?Sized> {
    queue: &'a mut VecDeque<RawRecord>,
    types: PhantomData<fn(&K, &V)>,
}

impl<'a, K: ?Sized + Data, V: ?Sized + Data> OutputTopic<'a, K, V> {
    pub(super) fn new(queue: &'a mut VecDeque<RawRecord>) -> Self {
        Self {
            queue,
            types: PhantomData,
        }
    }

    /// How many records wait to be read.
    #[must_use]
    pub fn len(&self) -> usize {
        self.queue.len()
    }

    /// Whether none waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }
}

impl<K, V> OutputTopic<'_, K, V>
where
    K: ?Sized + Data + ToOwned,
    V: ?Sized + Data + ToOwned,
{
    /// The next record.
    ///
    /// # Panics
    /// When its key or value is not of the type asked for.
    pub fn read(&mut self) -> Option<TestRecord<K::Owned, V::Owned>> {
        let raw = self.queue.pop_front()?;
        Some(TestRecord {
            key: read::<K>("key", raw.key.as_deref()),
            value: read::<V>("value", raw.value.as_deref()),
            timestamp: raw.timestamp,
            headers: raw.headers,
        })
    }

    /// All records that wait.
    ///
    /// # Panics
    /// When a key or value is not of the type asked for.
    pub fn list(&mut self) -> Vec<TestRecord<K::Owned, V::Owned>> {
        std::iter::from_fn(|| self.read()).collect()
    }

    /// The latest value of each key; a record without a value removes its key.
    ///
    /// # Panics
    /// When a key or value is not of the type asked for.
    pub fn to_map(&mut self) -> BTreeMap<K::Owned, V::Owned>
    where
        K::Owned: Ord,
    {
        let mut map = BTreeMap::new();
        for record in self.list() {
            match (record.key, record.value) {
                (Some(key), Some(value)) => drop(map.insert(key, value)),
                (Some(key), None) => drop(map.remove::<K::Owned>(&key)),
                (None, _) => {}
            }
        }
        map
    }
}

impl<K: ?Sized, V: ?Sized> fmt::Debug for OutputTopic<'_, K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "OutputTopic({} records)", self.queue.len())
    }
}

fn read<T: ?Sized + Data + ToOwned>(what: &str, bytes: Option<&[u8]>) -> Option<T::Owned> {
    let serde = T::Serde::default();
    let mut slot = <T::Serde as Deserializer<T>>::Slot::default();
    let value = serde.read(bytes?, &mut slot);
    let value = value.unwrap_or_else(|error| panic!("a {what} is of another type: {error}"));
    Some(value.to_owned())
}
