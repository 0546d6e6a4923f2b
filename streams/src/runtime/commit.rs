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

use headwater_core::Result;
use headwater_core::client::{CommittedOffset, IsolationLevel, OffsetSpec};
use headwater_core::types::{Offset, TopicPartition};

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
                metadata: String::new(),
            };
            (input.partition.clone(), committed)
        });
        committed.collect()
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
        for (partition, committed) in committed {
            match committed {
                Some(committed) => self.seek(&partition, committed.offset),
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
        let mut inputs = self.tasks.iter_mut().flat_map(|task| &mut task.inputs);
        if let Some(input) = inputs.find(|input| input.partition == *partition) {
            input.seek(offset);
        }
    }
}
