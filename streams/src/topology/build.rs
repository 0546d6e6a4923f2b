//! From the logical graph to a [`Topology`]: checks, and the split into sub-topologies.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use headwater_core::Result;
use headwater_core::types::TopicName;

use super::describe::describe;
use super::graph::{Graph, Kind, NodeId, OutKind};
use crate::error::invalid_topology;
use crate::store::StoreId;

/// A program of operators that can run: in an application, or in a test driver.
///
/// `Display` (and [`Topology::describe`]) prints it as Kafka Streams does.
#[derive(Clone)]
pub struct Topology {
    pub(crate) graph: Graph,
    pub(crate) subs: Vec<SubTopology>,
}

/// Operators that run in one task: what is connected without a repartition topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SubTopology {
    pub(crate) nodes: Vec<NodeId>,
    pub(crate) sources: Vec<NodeId>,
    pub(crate) stores: Vec<StoreId>,
}

impl Topology {
    pub(crate) fn build(graph: Graph) -> Result<Self> {
        if let Some(fault) = graph.faults.first() {
            return Err(fault.clone());
        }
        check_names(&graph)?;
        check_sources(&graph)?;
        let subs = split(&graph);
        Ok(Self { graph, subs })
    }

    /// The sub-topologies with their operators, in Kafka's text form.
    ///
    /// ```
    /// use headwater_streams::StreamsBuilder;
    /// let builder = StreamsBuilder::new();
    /// builder.stream::<str, str>("in").to("out");
    /// let text = builder.build().unwrap().describe();
    /// assert!(text.contains("Source: KSTREAM-SOURCE-0000000000 (topics: [in])"));
    /// ```
    #[must_use]
    pub fn describe(&self) -> String {
        describe(&self.graph, &self.subs)
    }
}

impl fmt::Display for Topology {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.describe())
    }
}

impl fmt::Debug for Topology {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

fn check_sources(graph: &Graph) -> Result<()> {
    let mut readers = BTreeMap::new();
    for (_, node) in graph.iter() {
        let Kind::Source { topics, .. } = &node.kind else {
            continue;
        };
        if topics.is_empty() {
            return Err(invalid_topology(format!(
                "source {} reads no topic: name at least one",
                node.name
            )));
        }
        for topic in topics {
            if let Some(other) = readers.insert(topic, &node.name) {
                return Err(invalid_topology(format!(
                    "topic {topic} is read by the sources {other} and {}, with other types or \
                     beside other topics: declare one stream and use it twice",
                    node.name
                )));
            }
        }
    }
    if readers.is_empty() {
        return Err(invalid_topology(
            "the topology reads no topic: begin with StreamsBuilder::stream",
        ));
    }
    Ok(())
}

fn check_names(graph: &Graph) -> Result<()> {
    let mut nodes = BTreeSet::new();
    for (_, node) in graph.iter() {
        if !nodes.insert(&node.name) {
            return Err(invalid_topology(format!(
                "two operators are named {}: give one of them another name",
                node.name
            )));
        }
        if let Kind::Source { topics, .. } = &node.kind {
            topics
                .iter()
                .try_for_each(|topic| TopicName::new(topic).map(drop))?;
        }
    }
    for out in &graph.outs {
        TopicName::new(&out.topic)?;
        let clash = |other: &&super::Out| other.topic == out.topic && other.kind != out.kind;
        if out.kind == OutKind::User && graph.outs.iter().any(|other| clash(&other)) {
            return Err(invalid_topology(format!(
                "topic {} is written by a sink and is an internal topic as well: rename one",
                out.topic
            )));
        }
    }
    let mut stores = BTreeSet::new();
    for store in &graph.stores {
        if !stores.insert(&store.name) {
            return Err(invalid_topology(format!(
                "two state stores are named {}: their changelogs would be one topic; give one of \
                 them another name",
                store.name
            )));
        }
    }
    Ok(())
}

/// Groups what is connected, by edges or by stores; numbered by the name of the first source, as
/// Kafka does, so that numbers do not depend on anything but names.
fn split(graph: &Graph) -> Vec<SubTopology> {
    let mut group: Vec<usize> = (0..graph.nodes.len()).collect();
    for (id, node) in graph.iter() {
        for child in &node.children {
            join(&mut group, id.0, child.0);
        }
        for (other, _) in graph.iter().filter(|(other, _)| *other > id) {
            let shared = |store| graph.node(other).stores.contains(store);
            if node.stores.iter().any(shared) {
                join(&mut group, id.0, other.0);
            }
        }
    }
    let mut sources: Vec<NodeId> = (graph.iter())
        .filter(|(_, node)| matches!(node.kind, Kind::Source { .. }))
        .map(|(id, _)| id)
        .collect();
    sources.sort_by_key(|id| &graph.node(*id).name);
    let mut order = Vec::new();
    for source in &sources {
        let group = group[source.0];
        if !order.contains(&group) {
            order.push(group);
        }
    }
    let member = |id: &NodeId, of: usize| group[id.0] == of;
    (order.into_iter())
        .map(|of| {
            let nodes = graph.iter().map(|(id, _)| id).filter(|id| member(id, of));
            let nodes: Vec<NodeId> = nodes.collect();
            let used = |store: &StoreId| {
                nodes
                    .iter()
                    .any(|node| graph.node(*node).stores.contains(store))
            };
            SubTopology {
                sources: sources
                    .iter()
                    .copied()
                    .filter(|id| member(id, of))
                    .collect(),
                stores: (0..graph.stores.len()).map(StoreId).filter(used).collect(),
                nodes,
            }
        })
        .collect()
}

fn join(group: &mut [usize], a: usize, b: usize) {
    let (a, b) = (group[a], group[b]);
    for member in group {
        if *member == a {
            *member = b;
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::{KStream, StreamsBuilder};

    fn check(declare: impl Fn(&StreamsBuilder), expect: &str) {
        let builder = StreamsBuilder::new();
        declare(&builder);
        let error = builder.build().unwrap_err().to_string();
        assert!(error.contains(expect), "{error}");
    }

    #[test]
    fn what_cannot_be_is_refused_with_the_cure() {
        check(|_| (), "begin with StreamsBuilder::stream");
        check(|b| drop(b.stream::<str, str>([""; 0])), "name at least one");
        check(|b| b.stream::<str, str>("in").to("out/2"), "out/2");
        check(|b| drop(b.stream::<str, str>("a b")), "a b");
        check(
            |b| {
                b.stream::<str, str>("in").to("out");
                b.stream::<str, u64>("in").to("out");
            },
            "declare one stream and use it twice",
        );
        check(
            |b| {
                let stream: KStream<str, str> = b.stream("in");
                drop(stream.group_by_key().count("s"));
                drop(stream.group_by_key().count("s"));
            },
            "two state stores are named s",
        );
        check(
            |b| {
                drop(
                    b.stream::<str, str>("in")
                        .merge(&StreamsBuilder::new().stream("in")),
                );
            },
            "declare both on one",
        );
        check(
            |b| {
                let stream: KStream<str, str> = b.stream("in");
                drop(stream.group_by_ref_with("g", |_, value| value).count("a"));
                drop(stream.group_by_ref_with("g", |_, value| value).count("b"));
            },
            "two operators are named g",
        );
    }

    #[test]
    fn the_same_topics_with_the_same_types_are_read_once() {
        let builder = StreamsBuilder::new();
        builder.stream::<str, str>("in").to("a");
        builder.stream::<str, str>("in").to("b");
        let text = builder.build().unwrap().describe();
        assert_eq!(text.matches("Source:").count(), 1, "{text}");
        assert!(
            text.contains("--> KSTREAM-SINK-0000000001, KSTREAM-SINK-0000000003"),
            "{text}"
        );
    }
}
