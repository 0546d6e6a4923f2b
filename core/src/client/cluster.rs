//! [`Cluster`]: the handle that users hold, whatever the cluster behind it is.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::admin::Admin;
use super::backend::ClusterBackend;
use super::consumer::ConsumerBuilder;
use super::embedded::{BrokerConfig, Embedded};
use super::producer::ProducerBuilder;
use crate::env::Env;
use crate::error::{Error, ErrorKind, Result};
use crate::serdes::{Data, OwnedDeserializer, Serializer};

/// A cluster; cheap to clone. From it come producers, consumers and the [`Admin`].
#[derive(Clone)]
pub struct Cluster {
    backend: Arc<dyn ClusterBackend>,
}

/// Opens a [`Cluster`] in this process with settings and components of one's own.
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct ClusterBuilder {
    env: Option<Env>,
    broker: Option<BrokerConfig>,
}

impl ClusterBuilder {
    /// With this time, storage, chance and these tasks.
    pub fn env(mut self, env: Env) -> Self {
        self.env = Some(env);
        self
    }

    /// With these settings of the broker.
    pub fn broker(mut self, config: BrokerConfig) -> Self {
        self.broker = Some(config);
        self
    }

    /// Opens a data folder; it is made if need be.
    ///
    /// # Errors
    /// As [`Cluster::open`].
    pub async fn open(self, dir: impl AsRef<Path>) -> Result<Cluster> {
        let env = self.env.unwrap_or_else(Env::system);
        let config = self.broker.unwrap_or_default();
        let embedded = Embedded::new(env, dir.as_ref().to_owned(), config);
        embedded.broker().await?;
        Ok(Cluster::from_backend(Arc::new(embedded)))
    }

    /// A cluster in memory.
    #[must_use]
    pub fn memory(self) -> Cluster {
        let env = self.env.unwrap_or_else(Env::memory);
        let config = self.broker.unwrap_or_else(BrokerConfig::memory);
        let embedded = Embedded::new(env, PathBuf::from("memory"), config);
        Cluster::from_backend(Arc::new(embedded))
    }
}

impl Cluster {
    /// Opens a data folder in this process; it is made if need be.
    ///
    /// # Errors
    /// `DataFolderLocked` when another process has it; `UnsupportedFormat` when a newer or foreign
    /// program wrote it; `CorruptMessage` and `Io` with the file.
    pub async fn open(dir: impl AsRef<Path>) -> Result<Self> {
        Self::builder().open(dir).await
    }

    /// A cluster in memory, which ends with its last handle: for tests.
    ///
    /// It is opened when it is first used, on the runtime of the caller of this function.
    #[must_use]
    pub fn memory() -> Self {
        Self::builder().memory()
    }

    /// A cluster in this process with settings of one's own.
    pub fn builder() -> ClusterBuilder {
        ClusterBuilder::default()
    }

    /// Opens what a text names, as it stands in configuration: `headwater:./data` a folder,
    /// `headwater::memory` a cluster in memory.
    ///
    /// # Errors
    /// `InvalidConfig` when the text has another form; as [`Cluster::open`].
    pub async fn open_text(text: &str) -> Result<Self> {
        match text.split_once(':') {
            Some(("headwater", ":memory")) => Ok(Self::memory()),
            Some(("headwater", dir)) if !dir.is_empty() => Self::open(dir).await,
            Some(("kafka", _)) => Err(Error::new(
                ErrorKind::InvalidConfig,
                format!("{text:?}: clusters of Apache Kafka cannot be reached yet"),
            )),
            _ => Err(Error::new(
                ErrorKind::InvalidConfig,
                format!("{text:?} is neither headwater:FOLDER nor headwater::memory"),
            )),
        }
    }

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
