//! The optional things of the verbs: names and serdes. Each converts from the simple case.

use std::fmt;
use std::marker::PhantomData;

use headwater_core::serdes::Data;

use crate::serdes::Serde;

/// What to read: topics, and the serdes of their keys and values.
#[derive(Debug)]
pub struct Consumed<K: ?Sized, V: ?Sized> {
    pub(crate) topics: Vec<String>,
    pub(crate) name: Option<String>,
    pub(crate) key: Serde<K>,
    pub(crate) value: Serde<V>,
}

impl<K: ?Sized + 'static, V: ?Sized + 'static> Consumed<K, V> {
    /// Reads `topics` with these serdes.
    pub fn with<T: Into<String>>(
        topics: impl IntoIterator<Item = T>,
        key: Serde<K>,
        value: Serde<V>,
    ) -> Self {
        Self {
            topics: topics.into_iter().map(Into::into).collect(),
            name: None,
            key,
            value,
        }
    }

    /// Names the source.
    #[must_use]
    pub fn named(mut self, name: &str) -> Self {
        self.name = Some(name.to_owned());
        self
    }
}

impl<K: ?Sized + Data, V: ?Sized + Data> From<&str> for Consumed<K, V> {
    fn from(topic: &str) -> Self {
        Self::with([topic], Serde::of(), Serde::of())
    }
}

impl<K: ?Sized + Data, V: ?Sized + Data, const N: usize> From<[&str; N]> for Consumed<K, V> {
    fn from(topics: [&str; N]) -> Self {
        Self::with(topics, Serde::of(), Serde::of())
    }
}

/// What to write: a topic, and the serdes of its keys and values.
#[derive(Debug)]
pub struct Produced<K: ?Sized, V: ?Sized> {
    pub(crate) topic: String,
    pub(crate) name: Option<String>,
    pub(crate) key: Serde<K>,
    pub(crate) value: Serde<V>,
}

impl<K: ?Sized + 'static, V: ?Sized + 'static> Produced<K, V> {
    /// Writes `topic` with these serdes.
    pub fn with(topic: impl Into<String>, key: Serde<K>, value: Serde<V>) -> Self {
        Self {
            topic: topic.into(),
            name: None,
            key,
            value,
        }
    }

    /// Names the sink.
    #[must_use]
    pub fn named(mut self, name: &str) -> Self {
        self.name = Some(name.to_owned());
        self
    }
}

impl<K: ?Sized + Data, V: ?Sized + Data> From<&str> for Produced<K, V> {
    fn from(topic: &str) -> Self {
        Self::with(topic, Serde::of(), Serde::of())
    }
}

/// How records are grouped: the name of the grouping (and so of its repartition topic), and the
/// serdes that its topics and stores use.
#[derive(Debug)]
pub struct Grouped<K: ?Sized, V: ?Sized> {
    pub(crate) name: Option<String>,
    pub(crate) key: Serde<K>,
    pub(crate) value: Serde<V>,
}

impl<K: ?Sized + 'static, V: ?Sized + 'static> Grouped<K, V> {
    /// Groups with these serdes.
    #[must_use]
    pub fn with(key: Serde<K>, value: Serde<V>) -> Self {
        Self {
            name: None,
            key,
            value,
        }
    }

    /// Names the grouping.
    #[must_use]
    pub fn named(mut self, name: &str) -> Self {
        self.name = Some(name.to_owned());
        self
    }

    pub(crate) fn unnamed() -> Self
    where
        K: Data,
        V: Data,
    {
        Self::with(Serde::of(), Serde::of())
    }
}

impl<K: ?Sized + Data, V: ?Sized + Data> From<&str> for Grouped<K, V> {
    fn from(name: &str) -> Self {
        Self::unnamed().named(name)
    }
}

/// How a table of keys `K` and values `V` is kept: the name of its store, and so of its changelog
/// topic.
pub struct Materialized<K: ?Sized, V: ?Sized> {
    pub(crate) store: String,
    types: PhantomData<fn(&K, &V)>,
}

impl<K: ?Sized, V: ?Sized> From<&str> for Materialized<K, V> {
    fn from(store: &str) -> Self {
        Self {
            store: store.to_owned(),
            types: PhantomData,
        }
    }
}

impl<K: ?Sized, V: ?Sized> Clone for Materialized<K, V> {
    fn clone(&self) -> Self {
        Self::from(self.store.as_str())
    }
}

impl<K: ?Sized, V: ?Sized> fmt::Debug for Materialized<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Materialized({})", self.store)
    }
}
