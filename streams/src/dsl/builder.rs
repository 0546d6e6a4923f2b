//! [`StreamsBuilder`]: where a program begins.

use std::any::{Any, TypeId};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use headwater_core::Result;

use super::options::Consumed;
use super::stream::KStream;
use crate::operator::source;
use crate::topology::{Graph, Kind, NodeId, Topology};

/// Declares streams; [`StreamsBuilder::build`] makes a [`Topology`] of what was declared.
///
/// ```
/// use headwater_streams::StreamsBuilder;
/// let builder = StreamsBuilder::new();
/// builder
///     .stream::<(), str>("text")
///     .flat_map_values(|line, out| line.split_whitespace().for_each(|word| out.emit(word)))
///     .group_by_ref(|_, word| word)
///     .count("word-counts")
///     .to_stream()
///     .to("counts");
/// let topology = builder.build()?;
/// # Ok::<(), headwater_core::Error>(())
/// ```
#[derive(Debug, Default)]
pub struct StreamsBuilder {
    declared: Declared,
}

impl StreamsBuilder {
    /// A builder with nothing declared.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A stream of the records of a topic, or of several topics with the same types.
    ///
    /// The types say how keys and values are read: `str` and `[u8]` are lent straight from the
    /// log; any type with a serde of its own works. Other serdes come by [`Consumed::with`].
    ///
    /// ```
    /// # let builder = headwater_streams::StreamsBuilder::new();
    /// let words = builder.stream::<(), str>("words");
    /// let counts = builder.stream::<str, u64>(["counts", "older-counts"]);
    /// # builder.build().unwrap();
    /// ```
    pub fn stream<K: ?Sized + 'static, V: ?Sized + 'static>(
        &self,
        topics: impl Into<Consumed<K, V>>,
    ) -> KStream<K, V> {
        let consumed = topics.into();
        let mut declared = self.declared.lock();
        let given = consumed.name.as_deref();
        let name = declared.graph.naming.choose(given, "KSTREAM-SOURCE-");
        let types = TypeId::of::<(fn(&K), fn(&V))>();
        let same = |s: &&SourceKey| s.topics == consumed.topics && s.types == types;
        let node = if let Some(same) = declared.sources.iter().find(same) {
            same.node
        } else {
            let kind = Kind::Source {
                topics: consumed.topics.clone(),
                repartition: false,
            };
            let factory = source::factory(consumed.key, consumed.value);
            let node = declared.graph.add(name, kind, &[], factory);
            declared.sources.push(SourceKey {
                topics: consumed.topics,
                types,
                node,
            });
            node
        };
        KStream::new(self.declared.clone(), node, false)
    }

    /// Checks what was declared and makes a topology of it. The builder can go on.
    ///
    /// ```
    /// # let builder = headwater_streams::StreamsBuilder::new();
    /// builder.stream::<(), str>("words").to("words-again");
    /// let topology = builder.build()?;
    /// # Ok::<(), headwater_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::InvalidTopology`](headwater_core::ErrorKind::InvalidTopology) when the
    /// declarations contradict each other; the message says how to repair them.
    pub fn build(&self) -> Result<Topology> {
        Topology::build(self.declared.lock().graph.clone())
    }
}

/// What a builder and its streams share.
#[derive(Clone, Default)]
pub(crate) struct Declared(Arc<Mutex<Declarations>>);

#[derive(Default)]
pub(crate) struct Declarations {
    pub(crate) graph: Graph,
    /// The sources so far: the same topics with the same types are read once.
    sources: Vec<SourceKey>,
}

struct SourceKey {
    topics: Vec<String>,
    types: TypeId,
    node: NodeId,
}

impl Declared {
    /// The declarations; a panic of another holder leaves them whole.
    pub(crate) fn lock(&self) -> MutexGuard<'_, Declarations> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds an operator with a generated name below one parent.
    pub(crate) fn add(
        &self,
        prefix: &str,
        parent: NodeId,
        factory: Arc<dyn Any + Send + Sync>,
    ) -> NodeId {
        let graph = &mut self.lock().graph;
        let name = graph.naming.generate(prefix);
        graph.add(name, Kind::Processor, &[parent], factory)
    }

    /// Whether two handles are of the same builder.
    pub(crate) fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl fmt::Debug for Declared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let operators = self.lock().graph.nodes.len();
        write!(f, "Declared({operators} operators)")
    }
}
