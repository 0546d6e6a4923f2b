//! [`KTable`]: the latest value of each key.

use std::fmt;
use std::marker::PhantomData;

use super::builder::Declared;
use super::stream::KStream;
use crate::operator::to_stream;
use crate::topology::NodeId;

/// A table of keys `K` and their latest values `V`.
pub struct KTable<K: ?Sized, V: ?Sized> {
    declared: Declared,
    node: NodeId,
    types: PhantomData<fn(&K, &V)>,
}

impl<K: ?Sized + 'static, V: ?Sized + 'static> KTable<K, V> {
    pub(crate) fn new(declared: Declared, node: NodeId) -> Self {
        Self {
            declared,
            node,
            types: PhantomData,
        }
    }

    /// The changes of the table as a stream; a deletion is a record without a value.
    ///
    /// An application holds changes back until the commit and then gives the latest of each key;
    /// with a cache of size 0, and in the test driver, each change comes at once.
    ///
    /// ```
    /// # let builder = headwater_streams::StreamsBuilder::new();
    /// # let words = builder.stream::<(), str>("words");
    /// let counts = words.group_by_ref(|_, word| word).count("word-counts");
    /// counts.to_stream().to("counts");
    /// # builder.build().unwrap();
    /// ```
    #[must_use]
    pub fn to_stream(&self) -> KStream<K, V> {
        let factory = to_stream::factory::<K, V>();
        let node = self.declared.add("KTABLE-TOSTREAM-", self.node, factory);
        KStream::new(self.declared.clone(), node, false)
    }
}

impl<K: ?Sized, V: ?Sized> Clone for KTable<K, V> {
    fn clone(&self) -> Self {
        Self {
            declared: self.declared.clone(),
            node: self.node,
            types: PhantomData,
        }
    }
}

impl<K: ?Sized, V: ?Sized> fmt::Debug for KTable<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let declared = self.declared.lock();
        let (key, value) = (std::any::type_name::<K>(), std::any::type_name::<V>());
        let name = &declared.graph.node(self.node).name;
        write!(f, "KTable<{key}, {value}>({name})")
    }
}
