//! Questions to a running application: the state stores, answered by the stream thread.

use std::any::{Any, TypeId, type_name};
use std::fmt;
use std::marker::PhantomData;

use headwater_core::client::producer::partitioner::partition_for_key;
use headwater_core::serdes::Data;
use headwater_core::types::Timestamp;
use headwater_core::{Error, ErrorKind, Result};
use tokio::sync::{mpsc, oneshot, watch};

use super::app::failure;
use super::task::TaskId;
use crate::serdes::Serde;
use crate::store::{Entries, StoreId};

/// What handles ask of the stream thread.
pub(crate) enum Command {
    /// The value of a key: a boxed `Option<V>`.
    Get {
        store: StoreId,
        task: TaskId,
        key: Vec<u8>,
        reply: oneshot::Sender<Box<dyn Any + Send>>,
    },
    /// All entries of a store, one boxed `Entries<V>` a task.
    Entries {
        store: StoreId,
        reply: oneshot::Sender<Vec<Box<dyn Any + Send>>>,
    },
    /// An answer when all that is in the source topics now is committed.
    CaughtUp { reply: oneshot::Sender<()> },
    /// A last commit, then the end.
    Close,
}

/// A store that can be asked.
#[derive(Clone, Debug)]
pub(crate) struct QueryTarget {
    pub(crate) name: String,
    pub(crate) store: StoreId,
    pub(crate) sub: usize,
    pub(crate) partitions: i32,
    pub(crate) key_type: (TypeId, &'static str),
    pub(crate) value_type: (TypeId, &'static str),
}

impl QueryTarget {
    /// The store of this name, if its types are `K` and `V`.
    pub(crate) fn find<K: ?Sized + 'static, V: 'static>(
        targets: &[Self],
        name: &str,
    ) -> Result<Self> {
        let Some(target) = targets.iter().find(|target| target.name == name) else {
            let names: Vec<&str> = targets.iter().map(|target| target.name.as_str()).collect();
            return Err(Error::new(
                ErrorKind::InvalidRequest,
                format!("there is no state store {name}; the topology has {names:?}"),
            ));
        };
        if target.key_type.0 == TypeId::of::<K>() && target.value_type.0 == TypeId::of::<V>() {
            return Ok(target.clone());
        }
        let (has_key, has_value) = (target.key_type.1, target.value_type.1);
        let (key, value) = (type_name::<K>(), type_name::<V>());
        Err(Error::new(
            ErrorKind::InvalidRequest,
            format!("state store {name} is a <{has_key}, {has_value}>, not a <{key}, {value}>"),
        ))
    }
}

/// A state store of a running application.
///
/// Answers come from the stream thread between two batches: they show what it has processed, also
/// what is not committed yet.
pub struct ReadOnlyKeyValueStore<K: ?Sized, V> {
    target: QueryTarget,
    /// Weak, so that the application ends with its own handle.
    commands: mpsc::WeakSender<Command>,
    status: watch::Receiver<Option<Result<()>>>,
    types: PhantomData<fn(&K, &V)>,
}

impl<K: ?Sized + Data, V: Data + Clone + Send> ReadOnlyKeyValueStore<K, V> {
    pub(super) fn new(
        target: QueryTarget,
        commands: mpsc::WeakSender<Command>,
        status: watch::Receiver<Option<Result<()>>>,
    ) -> Self {
        Self {
            target,
            commands,
            status,
            types: PhantomData,
        }
    }

    /// The value of a key.
    ///
    /// # Errors
    /// When the serde refuses the key; the failure that ended the application.
    pub async fn get(&self, key: &K) -> Result<Option<V>> {
        let mut bytes = Vec::new();
        Serde::<K>::of().write(key, &mut bytes)?;
        let task = TaskId {
            sub: self.target.sub,
            partition: partition_for_key(&bytes, self.target.partitions),
        };
        let (reply, answer) = oneshot::channel();
        let store = self.target.store;
        self.send(Command::Get {
            store,
            task,
            key: bytes,
            reply,
        })
        .await?;
        match answer.await.map(|value| value.downcast::<Option<V>>()) {
            Ok(Ok(value)) => Ok(*value),
            _ => Err(failure(&mut self.status.clone()).await),
        }
    }

    /// All entries with their timestamps, in the order of their keys' bytes.
    ///
    /// # Errors
    /// When the serde refuses the bytes of a key; the failure that ended the application.
    pub async fn all(&self) -> Result<Vec<(K::Owned, V, Timestamp)>>
    where
        K: ToOwned,
    {
        let (reply, answer) = oneshot::channel();
        let store = self.target.store;
        self.send(Command::Entries { store, reply }).await?;
        let Ok(answers) = answer.await else {
            return Err(failure(&mut self.status.clone()).await);
        };
        let mut entries = Entries::<V>::new();
        for answer in answers {
            if let Ok(part) = answer.downcast::<Entries<V>>() {
                entries.extend(*part);
            }
        }
        if self.target.partitions > 1 {
            entries.sort_unstable_by(|a, b| a.0.cmp(&b.0));
        }
        let mut reader = Serde::<K>::of().reader();
        let decode = |(key, value, timestamp): (Box<[u8]>, V, Timestamp)| {
            Ok((reader.read(&key)?.to_owned(), value, timestamp))
        };
        entries.into_iter().map(decode).collect()
    }

    async fn send(&self, command: Command) -> Result<()> {
        if let Some(commands) = self.commands.upgrade()
            && commands.send(command).await.is_ok()
        {
            return Ok(());
        }
        Err(failure(&mut self.status.clone()).await)
    }
}

impl<K: ?Sized, V> fmt::Debug for ReadOnlyKeyValueStore<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ReadOnlyKeyValueStore({})", self.target.name)
    }
}
