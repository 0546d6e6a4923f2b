//! [`Cluster`]: the handle that users hold, whatever the cluster behind it is.

use std::fmt;
use std::sync::Arc;

use super::admin::Admin;
use super::backend::ClusterBackend;
use super::consumer::ConsumerBuilder;
use super::producer::ProducerBuilder;
use crate::env::Env;
use crate::error::Result;
use crate::serdes::{Data, OwnedDeserializer, Serializer};

/// A cluster; cheap to clone. From it come producers, consumers and the [`Admin`].
#[derive(Clone)]
pub struct Cluster {
    backend: Arc<dyn ClusterBackend>,
}

impl Cluster {
    /// A cluster over any backend.
    #[must_use]
    pub fn from_backend(backend: Arc<dyn ClusterBackend>) -> Self {
        Self { backend }
    }

    /// The batch-wise calls that all clients are made of.
    #[must_use]
    pub fn backend(&self) -> &Arc<dyn ClusterBackend> {
        &self.backend
    }

    /// The components that clients of this cluster use.
    #[must_use]
    pub fn env(&self) -> &Env {
        self.backend.env()
    }

    /// Topics, their settings, offsets.
    #[must_use]
    pub fn admin(&self) -> Admin {
        Admin::new(Arc::clone(&self.backend))
    }

    /// A producer of records with the key `K` and the value `V`, which say how they are stored.
    pub fn producer<K, V>(&self, topic: &str) -> ProducerBuilder<K, V>
    where
        K: Data + ?Sized,
        V: Data + ?Sized,
    {
        self.producer_with(topic, K::Serde::default(), V::Serde::default())
    }

    /// A producer that stores keys and values as the given serdes say.
    pub fn producer_with<K, V>(
        &self,
        topic: &str,
        key: impl Serializer<K>,
        value: impl Serializer<V>,
    ) -> ProducerBuilder<K, V>
    where
        K: ?Sized + 'static,
        V: ?Sized + 'static,
    {
        let backend = Arc::clone(&self.backend);
        ProducerBuilder::new(backend, topic, Arc::new(key), Arc::new(value))
    }

    /// A consumer of records with the key `K` and the value `V`, which say how they are stored.
    pub fn consumer<K, V>(&self) -> ConsumerBuilder<K, V>
    where
        K: Data,
        V: Data,
        K::Serde: OwnedDeserializer<K>,
        V::Serde: OwnedDeserializer<V>,
    {
        self.consumer_with(K::Serde::default(), V::Serde::default())
    }

    /// A consumer that reads keys and values as the given serdes say.
    pub fn consumer_with<K: 'static, V: 'static>(
        &self,
        key: impl OwnedDeserializer<K>,
        value: impl OwnedDeserializer<V>,
    ) -> ConsumerBuilder<K, V> {
        ConsumerBuilder::new(Arc::clone(&self.backend), Arc::new(key), Arc::new(value))
    }

    /// Ends the cluster in order: what was written is made durable, the data folder is let go.
    /// Every later call on any handle fails with [`ErrorKind::Closed`](crate::ErrorKind::Closed).
    ///
    /// # Errors
    /// When something could not be written or synced.
    pub async fn close(&self) -> Result<()> {
        self.backend.close().await
    }
}

impl fmt::Debug for Cluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Cluster").field(&self.backend).finish()
    }
}
