//! Which leader wrote from which offset on: the file `leader-epoch-checkpoint`.
//!
//! Kafka's text format, one pair a line:
//!
//! ```text
//!   0                      version
//!   2                      number of lines that follow
//!   0 0                    epoch, start offset
//!   3 1200
//! ```

use crate::types::{LeaderEpoch, Offset};

/// The epochs of a partition, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LeaderEpochs {
    entries: Vec<(LeaderEpoch, Offset)>,
}

impl LeaderEpochs {
    /// Notes that `epoch` writes from `start` on; returns whether that is news.
    pub fn assign(&mut self, epoch: LeaderEpoch, start: Offset) -> bool {
        let news = self
            .entries
            .last()
            .is_none_or(|last| last.0 < epoch && last.1 <= start);
        if news {
            self.entries.push((epoch, start));
        }
        news
    }

    /// The latest epoch.
    #[must_use]
    pub fn latest(&self) -> Option<LeaderEpoch> {
        self.entries.last().map(|entry| entry.0)
    }

    /// The largest known epoch of at most `epoch` and the offset where it ended
    /// (`OffsetForLeaderEpoch`); `log_end` is where the latest one stands.
    #[must_use]
    pub fn end_offset(&self, epoch: LeaderEpoch, log_end: Offset) -> Option<(LeaderEpoch, Offset)> {
        let after = self.entries.partition_point(|entry| entry.0 <= epoch);
        let found = self.entries.get(after.checked_sub(1)?)?;
        let end = self.entries.get(after).map_or(log_end, |next| next.1);
        Some((found.0, end))
    }

    /// Forgets what lies at or beyond a new log end.
    pub fn truncate_end(&mut self, log_end: Offset) {
        self.entries.retain(|entry| entry.1 < log_end);
    }

    /// Forgets epochs that ended before a new log start; the one it lies in begins there.
    pub fn truncate_start(&mut self, log_start: Offset) {
        let after = self.entries.partition_point(|entry| entry.1 <= log_start);
        if after > 0 {
            self.entries.drain(..after - 1);
            self.entries[0].1 = log_start;
        }
    }

    /// The file's text.
    #[must_use]
    pub fn encode(&self) -> String {
        let mut text = format!("0\n{}\n", self.entries.len());
        for (epoch, start) in &self.entries {
            text.push_str(&format!("{epoch} {start}\n"));
        }
        text
    }

    /// Reads the file's text; `None` when it breaks the format.
    #[must_use]
    pub fn decode(text: &str) -> Option<Self> {
        let mut lines = text.lines();
        if lines.next()?.trim() != "0" {
            return None;
        }
        let count: usize = lines.next()?.trim().parse().ok()?;
        let mut epochs = Self::default();
        for line in lines.by_ref() {
            let (epoch, start) = line.trim().split_once(' ')?;
            let pair = (
                LeaderEpoch(epoch.parse().ok()?),
                Offset(start.parse().ok()?),
            );
            if !epochs.assign(pair.0, pair.1) {
                return None;
            }
        }
        (epochs.entries.len() == count).then_some(epochs)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> LeaderEpochs {
        let mut epochs = LeaderEpochs::default();
        for (epoch, start) in [(0, 0), (3, 1200), (4, 1500)] {
            assert!(epochs.assign(LeaderEpoch(epoch), Offset(start)));
        }
        epochs
    }

    #[test]
    fn reads_what_it_wrote_and_refuses_the_rest() {
        assert_eq!(sample().encode(), "0\n3\n0 0\n3 1200\n4 1500\n");
        assert_eq!(LeaderEpochs::decode(&sample().encode()), Some(sample()));
        for bad in [
            "",
            "1\n0\n",
            "0\n2\n0 0\n",
            "0\n1\n0\n",
            "0\n2\n3 5\n1 9\n",
            "0\nx\n",
        ] {
            assert_eq!(LeaderEpochs::decode(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn an_epoch_ends_where_the_next_begins() {
        let end = |epoch| sample().end_offset(LeaderEpoch(epoch), Offset(2000));
        assert_eq!(end(0), Some((LeaderEpoch(0), Offset(1200))));
        assert_eq!(end(2), Some((LeaderEpoch(0), Offset(1200))));
        assert_eq!(end(3), Some((LeaderEpoch(3), Offset(1500))));
        assert_eq!(end(9), Some((LeaderEpoch(4), Offset(2000))));
        assert_eq!(end(-1), None);
    }

    #[test]
    fn truncation_keeps_the_epoch_in_force() {
        let mut epochs = sample();
        epochs.truncate_start(Offset(1300));
        assert_eq!(epochs.encode(), "0\n2\n3 1300\n4 1500\n");
        epochs.truncate_end(Offset(1500));
        assert_eq!(epochs.encode(), "0\n1\n3 1300\n");
    }
}
