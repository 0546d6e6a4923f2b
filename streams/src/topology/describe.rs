//! A topology as text, in the form of Kafka's `Topology.describe()`.
//!
//! Operators stand in the order of the number of operators below them, largest first, then by
//! name. Lists of names are sorted; Kafka's own order follows a hash there now and then.

use super::build::SubTopology;
use super::graph::{Graph, Kind, NodeId};

pub(super) fn describe(graph: &Graph, subs: &[SubTopology]) -> String {
    let mut text = String::from("Topologies:\n");
    let sizes = sizes(graph);
    for (number, sub) in subs.iter().enumerate() {
        // Kafka's text indents the first one by a column more.
        let indent = if number == 0 { "   " } else { "  " };
        text.push_str(&format!("{indent}Sub-topology: {number}\n"));
        let mut nodes = sub.nodes.clone();
        nodes.sort_by_key(|id| (std::cmp::Reverse(sizes[id.0]), &graph.node(*id).name));
        for id in nodes {
            describe_node(graph, id, &mut text);
        }
        text.push('\n');
    }
    text
}

fn describe_node(graph: &Graph, id: NodeId, text: &mut String) {
    let node = graph.node(id);
    let name = &node.name;
    match &node.kind {
        Kind::Source { topics, .. } => {
            let topics = topics.join(", ");
            text.push_str(&format!("    Source: {name} (topics: [{topics}])\n"));
        }
        Kind::Processor => {
            let stores = node
                .stores
                .iter()
                .map(|id| graph.stores[id.0].name.as_str());
            let stores = stores.collect::<Vec<_>>().join(", ");
            text.push_str(&format!("    Processor: {name} (stores: [{stores}])\n"));
        }
        Kind::Sink(out) => {
            let topic = &graph.outs[out.0].topic;
            text.push_str(&format!("    Sink: {name} (topic: {topic})\n"));
        }
    }
    if !matches!(node.kind, Kind::Sink(_)) {
        text.push_str(&format!("      --> {}\n", names(graph, &node.children)));
    }
    if !matches!(node.kind, Kind::Source { .. }) {
        text.push_str(&format!("      <-- {}\n", names(graph, &node.parents)));
    }
}

fn names(graph: &Graph, ids: &[NodeId]) -> String {
    if ids.is_empty() {
        return "none".to_owned();
    }
    let mut names: Vec<&str> = ids.iter().map(|id| graph.node(*id).name.as_str()).collect();
    names.sort_unstable();
    names.join(", ")
}

/// For each node the number of paths that begin there, as Kafka counts its size.
fn sizes(graph: &Graph) -> Vec<usize> {
    let mut sizes = vec![1_usize; graph.nodes.len()];
    for (id, node) in graph.iter().collect::<Vec<_>>().into_iter().rev() {
        // Children are declared after their parents.
        let below = node.children.iter().map(|child| sizes[child.0]);
        sizes[id.0] = below.fold(1, usize::saturating_add);
    }
    sizes
}
