//! Before the start: the partitions of all topics, the internal topics made, the tasks planned.

use std::collections::BTreeMap;

use headwater_core::client::{ClusterBackend, NewTopic};
use headwater_core::types::{Partition, TopicName, TopicPartition};
use headwater_core::{Error, ErrorKind, Result};

use super::input::Input;
use super::query::QueryTarget;
use super::task::{Task, TaskId};
use crate::error::invalid_topology;
use crate::topology::{Kind, NodeId, OutKind, Topology};

/// How a topology runs on a cluster.
#[derive(Debug)]
pub(crate) struct Plan {
    /// The topics that are written, in the order of their ids, with their partitions.
    pub(crate) outs: Vec<(TopicName, i32)>,
    /// The number of tasks of each sub-topology.
    tasks: Vec<i32>,
    /// The topics that are read, by the names that the graph uses.
    sources: BTreeMap<String, (TopicName, i32)>,
}

impl Plan {
    /// Asks the cluster for the user's topics and makes the internal ones.
    pub(crate) async fn make(
        backend: &dyn ClusterBackend,
        topology: &Topology,
        app: &str,
    ) -> Result<Self> {
        let mut counts = user_topics(backend, topology).await?;
        let tasks = resolve(topology, &mut counts)?;
        let mut internal = BTreeMap::new();
        let graph = &topology.graph;
        for (number, out) in graph.outs.iter().enumerate() {
            let partitions = match out.kind {
                OutKind::User => continue,
                OutKind::Repartition => counts.get(&out.topic).copied(),
                OutKind::Changelog => {
                    let store = graph.stores.iter().position(|s| s.changelog.0 == number);
                    let owns = |sub: &crate::topology::SubTopology| {
                        sub.stores.iter().any(|id| Some(id.0) == store)
                    };
                    topology.subs.iter().position(owns).map(|sub| tasks[sub])
                }
            };
            let name = TopicName::new(&format!("{app}-{}", out.topic))?;
            internal.insert(name, (partitions.unwrap_or(1), out.kind));
        }
        make_internal(backend, &internal).await?;
        let named = |topic: &str, user: bool| match user {
            true => TopicName::new(topic),
            false => TopicName::new(&format!("{app}-{topic}")),
        };
        let mut outs = Vec::with_capacity(graph.outs.len());
        for out in &graph.outs {
            let name = named(&out.topic, out.kind == OutKind::User)?;
            let partitions = internal.get(&name).map(|(partitions, _)| *partitions);
            let known = || counts.get(&out.topic).copied().unwrap_or(1);
            outs.push((name, partitions.unwrap_or_else(known)));
        }
        let mut sources = BTreeMap::new();
        for (topic, repartition) in topology.subs.iter().flat_map(|sub| {
            let ids = sub.sources.iter();
            ids.flat_map(|id| source_topics(topology, *id))
        }) {
            let partitions = counts.get(&topic).copied().unwrap_or(1);
            sources.insert(topic.clone(), (named(&topic, !repartition)?, partitions));
        }
        Ok(Self {
            outs,
            tasks,
            sources,
        })
    }

    /// Makes the tasks, those of earlier sub-topologies first.
    pub(crate) fn tasks(&self, topology: &Topology) -> Vec<Task> {
        let mut tasks = Vec::new();
        for sub in 0..topology.subs.len() {
            for partition in (0..self.tasks[sub]).map(Partition) {
                let inputs = self.inputs(topology, sub, partition);
                tasks.push(Task::new(topology, TaskId { sub, partition }, inputs));
            }
        }
        tasks
    }

    fn inputs(&self, topology: &Topology, sub: usize, partition: Partition) -> Vec<Input> {
        let mut inputs = Vec::new();
        for (source, id) in topology.subs[sub].sources.iter().enumerate() {
            for (topic, repartition) in source_topics(topology, *id) {
                let Some((name, partitions)) = self.sources.get(&topic) else {
                    continue;
                };
                if partition.0 < *partitions {
                    let partition = TopicPartition::new(name.clone(), partition);
                    inputs.push(Input::new(partition, source, repartition));
                }
            }
        }
        inputs
    }

    /// The stores that handles may ask.
    pub(crate) fn query_targets(&self, topology: &Topology) -> Vec<QueryTarget> {
        let mut targets = Vec::new();
        for (sub, (declared, tasks)) in topology.subs.iter().zip(&self.tasks).enumerate() {
            for store in &declared.stores {
                let spec = &topology.graph.stores[store.0];
                targets.push(QueryTarget {
                    name: spec.name.clone(),
                    store: *store,
                    sub,
                    partitions: *tasks,
                    key_type: spec.key_type,
                    value_type: spec.value_type,
                });
            }
        }
        targets
    }
}

fn source_topics(topology: &Topology, id: NodeId) -> Vec<(String, bool)> {
    match &topology.graph.node(id).kind {
        Kind::Source {
            topics,
            repartition,
        } => topics
            .iter()
            .map(|topic| (topic.clone(), *repartition))
            .collect(),
        Kind::Processor | Kind::Sink(_) => Vec::new(),
    }
}

/// The numbers of partitions of the user's topics; the broker makes those that are missing, if it
/// may.
async fn user_topics(
    backend: &dyn ClusterBackend,
    topology: &Topology,
) -> Result<BTreeMap<String, i32>> {
    let mut names = Vec::new();
    for (_, node) in topology.graph.iter() {
        if let Kind::Source {
            topics,
            repartition: false,
        } = &node.kind
        {
            names.extend(topics.iter().map(String::as_str));
        }
    }
    let outs = topology.graph.outs.iter();
    names.extend(
        outs.filter(|out| out.kind == OutKind::User)
            .map(|out| out.topic.as_str()),
    );
    names.sort_unstable();
    names.dedup();
    let names = names
        .into_iter()
        .map(TopicName::new)
        .collect::<Result<Vec<_>>>()?;
    let mut counts = BTreeMap::new();
    let answers = backend.metadata(Some(&names), true).await?;
    for (name, answer) in names.iter().zip(answers) {
        let topic = answer.map_err(|error| {
            let message = format!(
                "the topology reads or writes topic {name}, which cannot be used: create it first"
            );
            Error::new(error.kind(), message).source(error)
        })?;
        counts.insert(name.as_str().to_owned(), topic.partitions);
    }
    Ok(counts)
}

/// The number of tasks of each sub-topology: the most partitions among its topics. A repartition
/// topic has as many partitions as the sub-topology that writes it has tasks.
fn resolve(topology: &Topology, counts: &mut BTreeMap<String, i32>) -> Result<Vec<i32>> {
    let mut tasks: Vec<Option<i32>> = vec![None; topology.subs.len()];
    loop {
        let mut progress = false;
        for (sub, count) in topology.subs.iter().zip(&mut tasks) {
            let ids = sub.sources.iter();
            let topics = ids.flat_map(|id| source_topics(topology, *id));
            let known: Option<Vec<i32>> = topics
                .map(|(topic, _)| counts.get(&topic).copied())
                .collect();
            let (None, Some(known)) = (&count, known) else {
                continue;
            };
            let most = known.into_iter().max().unwrap_or(1);
            *count = Some(most);
            progress = true;
            for id in &sub.nodes {
                let Kind::Sink(out) = topology.graph.node(*id).kind else {
                    continue;
                };
                let out = &topology.graph.outs[out.0];
                if out.kind == OutKind::Repartition {
                    counts.insert(out.topic.clone(), most);
                }
            }
        }
        if let Some(tasks) = tasks.iter().copied().collect() {
            return Ok(tasks);
        }
        if !progress {
            return Err(invalid_topology(
                "repartition topics feed each other in a circle: write to a topic of your own in \
                 between",
            ));
        }
    }
}

/// Makes the internal topics that are missing; those that are there must fit.
async fn make_internal(
    backend: &dyn ClusterBackend,
    wanted: &BTreeMap<TopicName, (i32, OutKind)>,
) -> Result<()> {
    if wanted.is_empty() {
        return Ok(());
    }
    let names: Vec<TopicName> = wanted.keys().cloned().collect();
    let answers = backend.metadata(Some(&names), false).await?;
    let mut missing = Vec::new();
    for (name, answer) in names.iter().zip(answers) {
        let (partitions, kind) = wanted[name];
        match answer {
            Ok(topic) => fits(name, partitions, topic.partitions)?,
            Err(error) if error.kind() == ErrorKind::UnknownTopicOrPartition => {
                missing.push(NewTopic {
                    name: name.clone(),
                    partitions: Some(partitions),
                    configs: configs(kind),
                });
            }
            Err(error) => return Err(error),
        }
    }
    if missing.is_empty() {
        return Ok(());
    }
    let made: Vec<TopicName> = missing.iter().map(|topic| topic.name.clone()).collect();
    for (name, answer) in made
        .iter()
        .zip(backend.create_topics(missing, false).await?)
    {
        match answer {
            Ok(topic) => fits(name, wanted[name].0, topic.partitions)?,
            // Another instance of the application was faster.
            Err(error) if error.kind() == ErrorKind::TopicAlreadyExists => {}
            Err(error) => {
                let message = format!("internal topic {name} cannot be made");
                return Err(Error::new(error.kind(), message).source(error));
            }
        }
    }
    Ok(())
}

fn fits(name: &TopicName, wanted: i32, found: i32) -> Result<()> {
    if wanted == found {
        return Ok(());
    }
    Err(invalid_topology(format!(
        "internal topic {name} has {found} partitions, the topology needs {wanted}: the partitions \
         of a source topic were changed since the application first ran; give the application a \
         new name, or delete its internal topics to begin anew"
    )))
}

/// A changelog keeps the latest entry of each key; a repartition topic keeps everything until the
/// application has processed it and deletes it.
fn configs(kind: OutKind) -> BTreeMap<String, String> {
    let configs: &[(&str, &str)] = match kind {
        OutKind::Changelog => &[("cleanup.policy", "compact")],
        OutKind::Repartition | OutKind::User => {
            &[("cleanup.policy", "delete"), ("retention.ms", "-1")]
        }
    };
    let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    configs.iter().map(owned).collect()
}
