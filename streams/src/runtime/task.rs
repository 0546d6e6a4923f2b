//! A task: one sub-topology over one partition of its topics, with its own nodes and stores.

use std::fmt;

use headwater_core::record::{Headers, Scratch};
use headwater_core::types::{Offset, Partition, Timestamp, TopicPartition};
use headwater_core::{Error, ErrorKind, Result};

use super::collector::Collector;
use super::input::{Cursor, Input};
use crate::operator::source::BoxSource;
use crate::processor::{Context, Joints, Stores};
use crate::store::{StateStore, StoreError, StoreId};
use crate::topology::{Instances, OutId, Topology};

/// Which task it is; printed as Kafka prints it, `1_0`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct TaskId {
    pub(crate) sub: usize,
    pub(crate) partition: Partition,
}

impl fmt::Display for TaskId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}_{}", self.sub, self.partition)
    }
}

/// The operators of a sub-topology at work on one partition.
pub(crate) struct Task {
    pub(crate) id: TaskId,
    pub(crate) inputs: Vec<Input>,
    dropped: u64,
    processed: u64,
    sources: Vec<BoxSource>,
    stores: Stores,
    /// The changelogs of the task's stores.
    changelogs: Vec<(StoreId, OutId)>,
    joints: Joints,
}

impl Task {
    /// Makes the nodes and the empty stores of a task.
    ///
    /// `inputs` are its partitions, each with the index of its source in the sub-topology.
    pub(crate) fn new(topology: &Topology, id: TaskId, inputs: Vec<Input>) -> Self {
        let sub = &topology.subs[id.sub];
        let graph = &topology.graph;
        let mut instances = Instances::new(graph);
        let sources = sub.sources.iter().map(|source| instances.node(*source));
        let sources = sources.collect();
        let stores = graph.stores.iter().enumerate();
        let stores = stores
            .map(|(number, spec)| sub.stores.contains(&StoreId(number)).then(|| (spec.make)()));
        let changelogs = sub.stores.iter();
        Self {
            id,
            inputs,
            dropped: 0,
            processed: 0,
            sources,
            stores: stores.collect(),
            changelogs: changelogs
                .map(|store| (*store, graph.stores[store.0].changelog))
                .collect(),
            joints: instances.into_joints(),
        }
    }

    /// Processes what is buffered: always the oldest head among the inputs, until one of them may
    /// hold an older record that is not here yet, or enough is sealed. Returns how many it took.
    pub(crate) fn process(&mut self, collector: &mut Collector, write_back: bool) -> Result<u64> {
        let before = self.processed;
        let mut positions: Vec<Offset> = self.inputs.iter().map(|i| i.position).collect();
        let result = self.run(&mut positions, collector, write_back);
        for (input, position) in self.inputs.iter_mut().zip(positions) {
            input.advance(position)?;
        }
        result.map(|()| self.processed - before)
    }

    fn run(
        &mut self,
        positions: &mut [Offset],
        collector: &mut Collector,
        write_back: bool,
    ) -> Result<()> {
        let inputs = &self.inputs;
        let batches = inputs
            .iter()
            .map(Input::batches)
            .collect::<Result<Vec<_>>>()?;
        let mut scratch: Vec<Vec<Scratch>> = (batches.iter())
            .map(|batches| batches.iter().map(|_| Scratch::new()).collect())
            .collect();
        let mut cursors = Vec::with_capacity(inputs.len());
        for ((input, batches), scratch) in inputs.iter().zip(batches).zip(&mut scratch) {
            let cursor = Cursor::new(input.position, batches, scratch);
            cursors.push(cursor.map_err(|error| error.partition(&input.partition))?);
        }
        let mut cx = Context {
            stores: &mut self.stores,
            joints: &mut self.joints,
            collector,
            dropped: &mut self.dropped,
            write_back,
            origin: None,
        };
        let mut result = Ok(());
        while let Some(next) = oldest(inputs, &cursors) {
            let (input, cursor) = (&inputs[next], &mut cursors[next]);
            let Some(record) = cursor.head else { break };
            if record.timestamp.0 < 0 {
                result = Err(no_timestamp(&input.partition, record.offset));
                break;
            }
            cx.origin = Some((&input.partition, record.offset));
            result = self.sources[input.source].process(&mut cx, &record);
            if result.is_err() {
                break;
            }
            self.processed += 1;
            result = cursor
                .advance()
                .map_err(|error| error.partition(&input.partition));
            if result.is_err() || cx.collector.is_full() {
                break;
            }
        }
        for (position, cursor) in positions.iter_mut().zip(&cursors) {
            *position = cursor.position;
        }
        result
    }

    /// Hands on what operators held back, then writes the changed entries of all stores to their
    /// changelogs.
    pub(crate) fn flush(&mut self, collector: &mut Collector, write_back: bool) -> Result<()> {
        let mut cx = Context {
            stores: &mut self.stores,
            joints: &mut self.joints,
            collector,
            dropped: &mut self.dropped,
            write_back,
            origin: None,
        };
        for source in &mut self.sources {
            source.flush(&mut cx)?;
        }
        for (store, changelog) in &self.changelogs {
            let Some(store) = self.stores.get_mut(store.0).and_then(Option::as_mut) else {
                continue;
            };
            let partition = Some(self.id.partition);
            let mut write = |key: &[u8], value: Option<&[u8]>, timestamp| {
                let to = &mut *collector;
                to.append(
                    *changelog,
                    partition,
                    timestamp,
                    Some(key),
                    value,
                    Headers::EMPTY,
                )
                .map_err(StoreError::Core)
            };
            store
                .write_changes(&mut write)
                .map_err(|error| match error {
                    StoreError::Core(error) => error,
                    StoreError::Serde(cause) => Error::new(
                        ErrorKind::Serialization,
                        format!("task {}: the serde of a store refuses a value", self.id),
                    )
                    .source(cause),
                })?;
        }
        Ok(())
    }

    /// About how much memory the changes take that wait for the commit.
    pub(crate) fn changed_bytes(&self) -> usize {
        self.stores
            .iter()
            .flatten()
            .map(|store| store.changed_bytes())
            .sum()
    }

    /// A store of the task.
    pub(crate) fn store(&self, id: StoreId) -> Option<&dyn StateStore> {
        self.stores.get(id.0)?.as_deref()
    }

    /// A store of the task, to be restored.
    pub(crate) fn store_mut(&mut self, id: StoreId) -> Option<&mut Box<dyn StateStore>> {
        self.stores.get_mut(id.0)?.as_mut()
    }

    /// The stores with their changelogs.
    pub(crate) fn changelogs(&self) -> &[(StoreId, OutId)] {
        &self.changelogs
    }

    /// The number of records that operators could not use.
    pub(crate) fn dropped(&self) -> u64 {
        self.dropped
    }
}

impl fmt::Debug for Task {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Task({}, {} records)", self.id, self.processed)
    }
}

/// The input with the oldest head; none when an input is empty that may hold an older one, or
/// when all are empty.
#[inline]
fn oldest(inputs: &[Input], cursors: &[Cursor<'_>]) -> Option<usize> {
    if let [cursor] = cursors {
        return cursor.head.is_some().then_some(0);
    }
    let mut oldest: Option<(usize, Timestamp)> = None;
    for (index, (input, cursor)) in inputs.iter().zip(cursors).enumerate() {
        match &cursor.head {
            None if input.lags() => return None,
            None => {}
            Some(head) if oldest.is_some_and(|(_, timestamp)| timestamp <= head.timestamp) => {}
            Some(head) => oldest = Some((index, head.timestamp)),
        }
    }
    oldest.map(|(index, _)| index)
}

#[cold]
fn no_timestamp(partition: &TopicPartition, offset: Offset) -> Error {
    Error::new(
        ErrorKind::InvalidTimestamp,
        "the record has no timestamp, which stream processing needs: produce it with one",
    )
    .partition(partition)
    .offset(offset)
}

#[cfg(test)]
mod tests {
    use headwater_core::record::{BatchBuilder, BatchHeader, BatchOptions, Batches, assign};
    use headwater_core::types::{LeaderEpoch, TopicName};

    use super::*;
    use crate::StreamsBuilder;

    fn batch(base: Offset, timestamps: &[i64]) -> bytes::Bytes {
        let mut builder = BatchBuilder::new(BatchOptions::default());
        for timestamp in timestamps {
            let value = timestamp.to_string();
            let timestamp = Timestamp(*timestamp);
            builder
                .append(timestamp, None, Some(value.as_bytes()), Headers::EMPTY)
                .unwrap();
        }
        let mut bytes = builder.finish().unwrap().to_vec();
        let header = BatchHeader::parse(&bytes).unwrap();
        assign(&mut bytes, &header, base, LeaderEpoch(0), None);
        bytes.into()
    }

    fn written(collector: &mut Collector) -> Vec<i64> {
        collector.seal_all().unwrap();
        let mut timestamps = Vec::new();
        for sealed in collector.take_sealed() {
            for batch in Batches::new(&sealed.batch) {
                let mut scratch = Scratch::new();
                let batch = batch.unwrap();
                let records = batch.records(&mut scratch).unwrap();
                timestamps.extend(records.map(|record| record.unwrap().timestamp.0));
            }
        }
        timestamps
    }

    /// Two inputs with the offsets 0.. each, and a collector for the one topic that is written.
    fn two_inputs() -> (Task, Collector) {
        let builder = StreamsBuilder::new();
        builder.stream::<[u8], [u8]>(["left", "right"]).to("out");
        let topology = builder.build().unwrap();
        let topic = |name| TopicName::new(name).unwrap();
        let input = |name| Input::new(TopicPartition::new(topic(name), Partition(0)), 0, false);
        let partition = Partition(0);
        let inputs = vec![input("left"), input("right")];
        let task = Task::new(&topology, TaskId { sub: 0, partition }, inputs);
        (
            task,
            Collector::new(vec![(topic("out"), 1)], usize::MAX, usize::MAX),
        )
    }

    #[test]
    fn the_oldest_head_goes_first_and_nothing_overtakes_what_is_not_here_yet() {
        let (mut task, mut collector) = two_inputs();
        task.inputs[0]
            .push(batch(Offset(0), &[10, 30, 20]))
            .unwrap();
        task.inputs[1].push(batch(Offset(0), &[15])).unwrap();
        task.inputs[1].push(batch(Offset(1), &[25, 40])).unwrap();
        // A fourth record is known to be in the left one: what is younger than it cannot be told.
        task.inputs[0].high_watermark = Offset(4);
        assert_eq!(task.process(&mut collector, false).unwrap(), 5);
        assert_eq!(written(&mut collector), [10, 15, 25, 30, 20]);
        assert_eq!(task.inputs[1].position, 2);
        assert!(task.inputs[1].buffered() > 0);

        task.inputs[0].push(batch(Offset(3), &[35])).unwrap();
        assert_eq!(task.process(&mut collector, false).unwrap(), 2);
        assert_eq!(written(&mut collector), [35, 40]);
        assert_eq!(task.inputs[1].buffered(), 0);
        assert_eq!(task.process(&mut collector, false).unwrap(), 0);
    }

    #[test]
    fn a_batch_that_begins_before_the_position_gives_only_its_rest() {
        let (mut task, mut collector) = two_inputs();
        task.inputs[0].seek(Offset(7));
        task.inputs[0]
            .push(batch(Offset(5), &[1, 2, 3, 4]))
            .unwrap();
        assert_eq!(task.process(&mut collector, false).unwrap(), 2);
        assert_eq!(written(&mut collector), [3, 4]);
        assert_eq!(task.inputs[0].position, 9);
    }

    #[test]
    fn a_task_stops_when_enough_is_sealed_and_goes_on_where_it_was() {
        let (mut task, _) = two_inputs();
        let out = vec![(TopicName::new("out").unwrap(), 1)];
        let mut collector = Collector::new(out, 1, 1);
        let times = [1, 2, 3, 4];
        task.inputs[0].push(batch(Offset(0), &times)).unwrap();
        assert_eq!(task.process(&mut collector, false).unwrap(), 2);
        assert_eq!(task.inputs[0].position, 2);
        assert_eq!(written(&mut collector), [1, 2]);
        while task.process(&mut collector, false).unwrap() > 0 {
            collector.take_sealed();
        }
        assert_eq!(task.inputs[0].position, 4);
    }

    #[test]
    fn records_in_memory_are_processed_though_their_topic_lost_them() {
        let (mut task, mut collector) = two_inputs();
        let input = &mut task.inputs[0];
        input.push(batch(Offset(0), &[1, 2])).unwrap();
        input.skip_to(Offset(7));
        assert_eq!((input.fetch_from(), input.position), (Offset(7), Offset(0)));
        assert_eq!(task.process(&mut collector, false).unwrap(), 2);
        assert_eq!(written(&mut collector), [1, 2]);
        let input = &mut task.inputs[0];
        assert_eq!(input.position, 7, "nothing is left before it");
        input.skip_to(Offset(9));
        assert_eq!(input.position, 9);
        assert!(!input.lags());
    }

    #[test]
    fn what_is_left_out_is_never_processed() {
        let (mut task, mut collector) = two_inputs();
        let input = &mut task.inputs[0];
        input.leave_out(Offset(2)..Offset(5));
        assert_eq!(input.position, 0);
        let mut chunk = batch(Offset(0), &[1, 2]).to_vec();
        chunk.extend(batch(Offset(2), &[3, 4]));
        input.push(chunk.into()).unwrap();
        assert_eq!(task.process(&mut collector, false).unwrap(), 2);
        let input = &mut task.inputs[0];
        assert_eq!((input.position, input.buffered()), (Offset(5), 0));
        input.push(batch(Offset(4), &[5])).unwrap();
        input.push(batch(Offset(5), &[6])).unwrap();
        assert_eq!(task.process(&mut collector, false).unwrap(), 1);
        assert_eq!(written(&mut collector), [1, 2, 6]);

        let input = &mut task.inputs[1];
        input.seek(Offset(3));
        input.leave_out(Offset(3)..Offset(7));
        assert_eq!((input.position, input.fetch_from()), (Offset(7), Offset(7)));
    }

    #[test]
    fn a_damaged_batch_and_a_missing_timestamp_stop_the_task_at_their_place() {
        let (mut task, mut collector) = two_inputs();
        let mut bytes = batch(Offset(0), &[1]).to_vec();
        let last = bytes.len() - 1;
        bytes[last] ^= 1;
        task.inputs[0].push(bytes.into()).unwrap();
        let error = task.process(&mut collector, false).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::CorruptMessage);
        assert_eq!(error.topic_partition().unwrap().to_string(), "left-0");

        let (mut task, mut collector) = two_inputs();
        task.inputs[1].push(batch(Offset(0), &[-1])).unwrap();
        let error = task.process(&mut collector, false).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidTimestamp);
        assert_eq!(error.at_offset().unwrap(), 0);
    }
}
