//! State stores: what operators remember, one store a task.
//!
//! A store keeps decoded values and two lists: the changes that operators below have not seen, and
//! those that the store's changelog topic does not hold. A flush hands on the first, then writes
//! the second; a restart reads the topic back.

mod key_value;

use std::any::Any;

pub(crate) use key_value::{Entries, KeyValueStore};

use headwater_core::Result;
use headwater_core::serdes::SerdeError;
use headwater_core::types::Timestamp;

/// The number of a store in its topology.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct StoreId(pub(crate) usize);

/// Gets an entry of the changelog: the key, the value (`None` deletes), the timestamp.
pub(crate) type WriteEntry<'a> =
    dyn FnMut(&[u8], Option<&[u8]>, Timestamp) -> Result<(), StoreError> + 'a;

/// Why an entry could not be written.
#[derive(Debug)]
pub(crate) enum StoreError {
    /// The serde refused the value.
    Serde(SerdeError),
    /// The changelog refused the entry.
    Core(headwater_core::Error),
}

/// A store as the runtime sees it; its operators know its type.
pub(crate) trait StateStore: Any + Send {
    /// Takes back an entry of the changelog.
    fn restore(
        &mut self,
        key: &[u8],
        value: Option<&[u8]>,
        timestamp: Timestamp,
    ) -> Result<(), SerdeError>;

    /// Gives every entry that changed since the last call, and takes them as written.
    fn write_changes(&mut self, write: &mut WriteEntry<'_>) -> Result<(), StoreError>;

    /// About how much memory the changes take that wait for the commit.
    fn changed_bytes(&self) -> usize;

    /// The value of a key, boxed: an `Option<V>`.
    fn get(&self, key: &[u8]) -> Box<dyn Any + Send>;

    /// All entries in the order of their keys' bytes, boxed: an [`Entries`] of `V`.
    fn entries(&self) -> Box<dyn Any + Send>;
}
