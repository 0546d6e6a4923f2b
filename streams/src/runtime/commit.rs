//! The commit, and where an application goes on after it.
//!
//! ```text
//!   1  flush: tables hand on their changes, changed state goes to the changelogs
//!   2  produce everything, wait until it is durable
//!   3  read back what went to the application's repartition topics; again from 1 until nothing
//!      is left
//!   4  commit the positions of all inputs to the application's group
//! ```
//!
//! A crash between 2 and 4 leaves results and state that are ahead of the positions: the records
//! in between are processed again. That is what at least once means.
//!
//! A repartition topic is written before the commit as well. What lies in it behind its end at the
//! last commit is left out after a crash: the positions of the sources are of that commit too, so
//! it is made again. The commit keeps that end in the metadata of the partition's position:
//!
//! ```text
//!   own-end=OFFSET      the offset in decimal digits; nothing else, and nothing for other topics
//! ```
//!
//! Without it, everything in the topic is processed. Records that were deleted from the sources
//! before the application came back cannot be made again: they count no more than other deleted
//! ones.

use headwater_core::Result;
use headwater_core::client::{CommittedOffset, IsolationLevel, OffsetSpec};
use headwater_core::types::{Offset, TopicPartition};

use super::input::Input;
use super::thread::StreamThread;

impl StreamThread {
    pub(super) async fn commit(&mut self) -> Result<()> {
        let clock = std::sync::Arc::clone(&self.backend.env().clock);
        if self.uncommitted || self.is_behind_own() {
            loop {
                self.flush()?;
                self.produce_all().await?;
                if !self.drain_own().await? {
                    break;
                }
            }
            let offsets = self.positions();
            self.backend
                .commit_offsets(&self.group, None, offsets)
                .await?;
            self.uncommitted = false;
        }
        self.last_commit = clock.monotonic();
        if self.last_commit >= self.last_purge + self.config.purge_interval {
            self.last_purge = self.last_commit;
            self.purge().await;
        }
        Ok(())
    }

    fn positions(&self) -> Vec<(TopicPartition, CommittedOffset)> {
        let inputs = self.tasks.iter().flat_map(|task| &task.inputs);
        let committed = inputs.map(|input| {
            let committed = CommittedOffset {
                offset: input.position,
                metadata: self.own_end(input).map_or_else(String::new, write_own_end),
            };
            (input.partition.clone(), committed)
        });
        committed.collect()
    }

    /// The end of a repartition topic's partition, as far as this thread wrote it or found it.
    fn own_end(&self, input: &Input) -> Option<Offset> {
        let known = self.own_ends.get(&input.partition);
        known.copied().filter(|_| input.repartition)
    }

    /// Deletes from the repartition topics what is processed and committed. A failure costs only
    /// space, and the next purge tries again.
    async fn purge(&mut self) {
        let inputs = self.tasks.iter().flat_map(|task| &task.inputs);
        let own = inputs.filter(|input| input.repartition && input.position > 0.into());
        let before: Vec<_> = own.map(|i| (i.partition.clone(), i.position)).collect();
        if before.is_empty() {
            return;
        }
        match self.backend.delete_records(&before).await {
            Ok(answers) => {
                for error in answers.into_iter().filter_map(Result::err) {
                    tracing::warn!(%error, "processed records could not be deleted");
                }
            }
            Err(error) => tracing::warn!(%error, "processed records could not be deleted"),
        }
    }

    /// Puts every input where the last commit was, or at the beginning.
    pub(super) async fn seek_to_committed(&mut self) -> Result<()> {
        let mut partitions = Vec::new();
        let mut wanted = Vec::new();
        for input in self.tasks.iter().flat_map(|task| &task.inputs) {
            partitions.push(input.partition.clone());
            if input.repartition {
                wanted.push((input.partition.clone(), OffsetSpec::Latest));
            }
        }
        let backend = std::sync::Arc::clone(&self.backend);
        let committed = backend
            .committed_offsets(&self.group, Some(&partitions))
            .await?;
        let mut ends = Vec::new();
        for (partition, committed) in committed {
            match committed {
                Some(committed) => {
                    self.seek(&partition, committed.offset);
                    if let Some(end) = read_own_end(&committed.metadata) {
                        ends.push((partition, end));
                    }
                }
                None => wanted.push((partition, OffsetSpec::Earliest)),
            }
        }
        let isolation = IsolationLevel::ReadUncommitted;
        let listed = backend.list_offsets(&wanted, isolation).await?;
        for ((partition, spec), listed) in wanted.into_iter().zip(listed) {
            let offset = listed.map_err(|error| error.partition(&partition))?.offset;
            if spec == OffsetSpec::Latest {
                // What a crash left behind uncommitted is drained by the next commit.
                self.own_ends.insert(partition, offset);
            } else {
                self.seek(&partition, offset);
                if self.own_ends.contains_key(&partition) {
                    // There was no commit: the sources are read from their beginning.
                    ends.push((partition, offset));
                }
            }
        }
        for (partition, committed) in ends {
            let end = self.own_ends.get(&partition).copied();
            if let (Some(end), Some(input)) = (end, self.input_of(&partition)) {
                input.leave_out(committed..end);
            }
        }
        Ok(())
    }

    /// Whether repartition topics hold records of this application that are not processed.
    fn is_behind_own(&self) -> bool {
        let mut inputs = self.tasks.iter().flat_map(|task| &task.inputs);
        inputs.any(|input| {
            let end = self.own_ends.get(&input.partition);
            end.is_some_and(|end| input.position < *end)
        })
    }

    fn seek(&mut self, partition: &TopicPartition, offset: Offset) {
        if let Some(input) = self.input_of(partition) {
            input.seek(offset);
        }
    }

    fn input_of(&mut self, partition: &TopicPartition) -> Option<&mut Input> {
        let mut inputs = self.tasks.iter_mut().flat_map(|task| &mut task.inputs);
        inputs.find(|input| input.partition == *partition)
    }
}

/// What stands before the offset in the metadata.
const OWN_END: &str = "own-end=";

fn write_own_end(end: Offset) -> String {
    format!("{OWN_END}{}", end.0)
}

fn read_own_end(metadata: &str) -> Option<Offset> {
    let end = metadata.strip_prefix(OWN_END)?.parse().ok()?;
    (end >= 0).then_some(Offset(end))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_comes_back_and_other_metadata_is_none() {
        for end in [Offset(0), Offset(7), Offset(i64::MAX)] {
            assert_eq!(read_own_end(&write_own_end(end)), Some(end));
        }
        for other in ["", "7", "own-end=", "own-end=x", "own-end=-1", "own-end=7 "] {
            assert_eq!(read_own_end(other), None, "{other}");
        }
        assert_eq!(read_own_end("own-end=9223372036854775808"), None);
    }
}
