//! The key-value store in memory: a slab of decoded values, a hash table of slot numbers, and the
//! numbers of the slots whose changes are not yet handed on, or not yet in the changelog.

use std::any::Any;
use std::hash::BuildHasher;

use foldhash::fast::FixedState;
use hashbrown::HashTable;
use headwater_core::Result;
use headwater_core::serdes::SerdeError;
use headwater_core::types::Timestamp;

use super::{StateStore, StoreError, WriteEntry};
use crate::serdes::{Reader, Serde};

/// A copy of a store's entries: key bytes, value, timestamp.
pub(crate) type Entries<V> = Vec<(Box<[u8]>, V, Timestamp)>;

/// What a changed entry takes beside its key and value, about.
const SLOT_BYTES: usize = 100;

/// Values by the bytes of their keys.
pub(crate) struct KeyValueStore<V> {
    serde: Serde<V>,
    reader: Box<dyn Reader<V>>,
    hasher: FixedState,
    index: HashTable<u32>,
    slots: Vec<Slot<V>>,
    /// The slots that changed since the changelog was written, each once.
    dirty: Vec<u32>,
    /// The slots whose change waits to be handed on, each once, with the value that the operators
    /// below know.
    held: Vec<(u32, Option<V>)>,
    dirty_bytes: usize,
    encoded: Vec<u8>,
}

struct Slot<V> {
    hash: u64,
    key: Box<[u8]>,
    /// `None` is a deleted entry.
    value: Option<V>,
    timestamp: Timestamp,
    dirty: bool,
    held: bool,
}

impl<V: Clone + Send + 'static> KeyValueStore<V> {
    pub(crate) fn new(serde: Serde<V>) -> Self {
        Self {
            reader: serde.reader(),
            serde,
            hasher: FixedState::default(),
            index: HashTable::new(),
            slots: Vec::new(),
            dirty: Vec::new(),
            held: Vec::new(),
            dirty_bytes: 0,
            encoded: Vec::new(),
        }
    }

    /// Changes the value of `key` in place: `change` gets the old one (`None` if there is none).
    /// The entry's timestamp becomes the larger of its own and the record's. With `hold`, the
    /// change waits for [`KeyValueStore::hand_on`].
    #[inline]
    pub(crate) fn update(
        &mut self,
        key: &[u8],
        timestamp: Timestamp,
        hold: bool,
        change: impl FnOnce(&mut Option<V>),
    ) -> (Option<&V>, Timestamp) {
        let number = self.slot_of(key);
        let Some(slot) = slot_mut(&mut self.slots, number) else {
            unreachable!("the index holds numbers of slots");
        };
        slot.timestamp = match slot.value {
            Some(_) => slot.timestamp.max(timestamp),
            None => timestamp,
        };
        if hold && !slot.held {
            slot.held = true;
            self.held.push((number, slot.value.clone()));
        }
        change(&mut slot.value);
        if !slot.dirty {
            slot.dirty = true;
            self.dirty.push(number);
            self.dirty_bytes += SLOT_BYTES + key.len() + 2 * size_of::<V>();
        }
        (slot.value.as_ref(), slot.timestamp)
    }

    /// Gives each change that was held, once: key, old value, new value, timestamp. A key that was
    /// not there before and is not there now has no change.
    pub(crate) fn hand_on(
        &mut self,
        mut take: impl FnMut(&[u8], Option<&V>, Option<&V>, Timestamp) -> Result<()>,
    ) -> Result<()> {
        for (number, old) in self.held.drain(..) {
            let Some(slot) = slot_mut(&mut self.slots, number) else {
                continue;
            };
            slot.held = false;
            if old.is_some() || slot.value.is_some() {
                take(&slot.key, old.as_ref(), slot.value.as_ref(), slot.timestamp)?;
            }
        }
        Ok(())
    }

    fn find(&self, key: &[u8]) -> Option<&Slot<V>> {
        let hash = self.hasher.hash_one(key);
        let equal = |number: &u32| slot(&self.slots, *number).is_some_and(|s| *s.key == *key);
        let number = self.index.find(hash, equal)?;
        slot(&self.slots, *number)
    }

    /// The number of the slot of `key`, a new and empty one if there is none.
    #[inline]
    fn slot_of(&mut self, key: &[u8]) -> u32 {
        let hash = self.hasher.hash_one(key);
        let slots = &mut self.slots;
        let equal = |number: &u32| slot(slots, *number).is_some_and(|s| *s.key == *key);
        if let Some(number) = self.index.find(hash, equal) {
            return *number;
        }
        let Ok(number) = u32::try_from(slots.len()) else {
            unreachable!("a store of four billion keys does not fit into memory");
        };
        slots.push(Slot {
            hash,
            key: key.into(),
            value: None,
            timestamp: Timestamp::NONE,
            dirty: false,
            held: false,
        });
        let rehash = |number: &u32| slot(slots, *number).map_or(0, |s| s.hash);
        self.index.insert_unique(hash, number, rehash);
        number
    }
}

impl<V: Clone + Send + 'static> StateStore for KeyValueStore<V> {
    fn restore(
        &mut self,
        key: &[u8],
        value: Option<&[u8]>,
        timestamp: Timestamp,
    ) -> Result<(), SerdeError> {
        let value = match value {
            Some(bytes) => Some(self.reader.read(bytes)?.clone()),
            None => None,
        };
        let number = self.slot_of(key);
        if let Some(slot) = slot_mut(&mut self.slots, number) {
            slot.value = value;
            slot.timestamp = timestamp;
        }
        Ok(())
    }

    fn write_changes(&mut self, write: &mut WriteEntry<'_>) -> Result<(), StoreError> {
        for number in &self.dirty {
            let Some(slot) = slot_mut(&mut self.slots, *number) else {
                continue;
            };
            self.encoded.clear();
            if let Some(value) = &slot.value {
                let encoded = self.serde.write(value, &mut self.encoded);
                encoded.map_err(StoreError::Serde)?;
            }
            let value = slot.value.is_some().then_some(&*self.encoded);
            write(&slot.key, value, slot.timestamp)?;
            slot.dirty = false;
        }
        self.dirty.clear();
        self.dirty_bytes = 0;
        Ok(())
    }

    fn changed_bytes(&self) -> usize {
        self.dirty_bytes
    }

    fn get(&self, key: &[u8]) -> Box<dyn Any + Send> {
        let value: Option<V> = self.find(key).and_then(|slot| slot.value.clone());
        Box::new(value)
    }

    fn entries(&self) -> Box<dyn Any + Send> {
        let live = self.slots.iter().filter_map(|slot| {
            let value = slot.value.clone()?;
            Some((slot.key.clone(), value, slot.timestamp))
        });
        let mut entries: Entries<V> = live.collect();
        entries.sort_unstable_by(|a, b| a.0.cmp(&b.0));
        Box::new(entries)
    }
}

#[inline]
fn slot<V>(slots: &[Slot<V>], number: u32) -> Option<&Slot<V>> {
    slots.get(usize::try_from(number).ok()?)
}

#[inline]
fn slot_mut<V>(slots: &mut [Slot<V>], number: u32) -> Option<&mut Slot<V>> {
    slots.get_mut(usize::try_from(number).ok()?)
}
