//! A record and a table's change, as operators see them: by reference.

use headwater_core::record::Headers;
use headwater_core::types::Timestamp;

/// One record on its way through the operators; its key and value are lent.
pub(crate) struct Record<'a, K: ?Sized, V: ?Sized> {
    pub(crate) key: Option<&'a K>,
    pub(crate) value: Option<&'a V>,
    pub(crate) timestamp: Timestamp,
    pub(crate) headers: Headers<'a>,
}

impl<'a, K: ?Sized, V: ?Sized> Record<'a, K, V> {
    /// The same record with another key.
    #[inline]
    pub(crate) fn with_key<'b, K2: ?Sized>(&self, key: Option<&'b K2>) -> Record<'b, K2, V>
    where
        'a: 'b,
    {
        Record {
            key,
            value: self.value,
            timestamp: self.timestamp,
            headers: self.headers,
        }
    }

    /// The same record with another value.
    #[inline]
    pub(crate) fn with_value<'b, V2: ?Sized>(&self, value: Option<&'b V2>) -> Record<'b, K, V2>
    where
        'a: 'b,
    {
        Record {
            key: self.key,
            value,
            timestamp: self.timestamp,
            headers: self.headers,
        }
    }
}

impl<K: ?Sized, V: ?Sized> Clone for Record<'_, K, V> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<K: ?Sized, V: ?Sized> Copy for Record<'_, K, V> {}

/// One change of a table: the key, the value that the operators below know (`None` if they know of
/// none) and the new one (`None` for a deletion).
pub(crate) struct Change<'a, K: ?Sized, V: ?Sized> {
    pub(crate) key: &'a K,
    pub(crate) old: Option<&'a V>,
    pub(crate) new: Option<&'a V>,
    pub(crate) timestamp: Timestamp,
    pub(crate) headers: Headers<'a>,
}

impl<K: ?Sized, V: ?Sized> Clone for Change<'_, K, V> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<K: ?Sized, V: ?Sized> Copy for Change<'_, K, V> {}
