//! What a seed picks: the limits of the log and the faults of each life.

use std::time::Duration;

use headwater_core::client::BrokerConfig;
use headwater_core::log::LogOptions;
use headwater_core::storage::{Fault, Faults};

use crate::dice::Dice;

/// What goes wrong in a life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// Nothing but how it ends.
    Nothing,
    /// The power goes in the middle of a change.
    Power,
    /// Syncs of files fail.
    Sync,
    /// Syncs of folders fail; the machine has to start anew then.
    SyncDir,
    /// Writes fail.
    Write,
    /// Reads fail.
    Read,
    /// The disk is full, until space is freed.
    Full,
}

/// How a life ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// The process is killed.
    Kill,
    /// The machine loses its power.
    PowerLoss,
    /// The cluster is closed, and then the process ends.
    Close,
    /// The cluster is closed, and then the machine loses its power.
    CloseAndPowerLoss,
}

/// One life of the broker's process.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LifePlan {
    pub(crate) trouble: Trouble,
    /// Whether the trouble is there already when the folder is opened.
    pub(crate) at_open: bool,
    pub(crate) ending: Ending,
    pub(crate) millis: u64,
    pub(crate) producers: usize,
    pub(crate) readers: usize,
    pub(crate) groups: usize,
}

impl LifePlan {
    pub(crate) fn draw(dice: &Dice, troubles: &[Trouble]) -> Self {
        let trouble = dice.pick(troubles);
        let ending = dice.pick(&[
            Ending::Kill,
            Ending::Kill,
            Ending::PowerLoss,
            Ending::PowerLoss,
            Ending::Close,
            Ending::CloseAndPowerLoss,
        ]);
        Self {
            trouble,
            at_open: dice.one_in(5),
            // Names that a failed sync left in memory only are not on the disk, and the next
            // process could not know: the machine has to start anew.
            ending: match trouble {
                Trouble::SyncDir => Ending::PowerLoss,
                _ => ending,
            },
            millis: dice.between(1, dice.pick(&[20, 200, 2000])),
            producers: 1 + dice.below(4),
            readers: dice.below(3),
            groups: dice.below(3),
        }
    }

    /// The last life: nothing goes wrong, and everything must be done.
    pub(crate) fn calm(dice: &Dice) -> Self {
        Self {
            trouble: Trouble::Nothing,
            at_open: false,
            ending: Ending::CloseAndPowerLoss,
            millis: u64::MAX,
            ..Self::draw(dice, &[Trouble::Nothing])
        }
    }

    /// The faults of the trouble; `used` is how much the disk holds now.
    pub(crate) fn faults(&self, dice: &Dice, used: u64) -> Faults {
        let often = Fault::OneIn(dice.between(5, 200));
        let mut faults = Faults::default();
        match self.trouble {
            Trouble::Nothing => {}
            Trouble::Power => faults.power_off_at = Some(dice.between(1, dice.pick(&[30, 400]))),
            Trouble::Sync => faults.sync = often,
            Trouble::SyncDir => faults.sync_dir = Fault::OneIn(dice.between(2, 30)),
            Trouble::Write => faults.write = often,
            Trouble::Read => faults.read = Fault::OneIn(dice.between(2, 20)),
            Trouble::Full => faults.disk_bytes_max = Some(used + dice.between(0, 60_000)),
        }
        faults
    }
}

/// The troubles that a seed has at all: a few of them, so that each combination comes up.
pub(crate) fn troubles(dice: &Dice) -> Vec<Trouble> {
    let all = [
        Trouble::Power,
        Trouble::Sync,
        Trouble::SyncDir,
        Trouble::Write,
        Trouble::Read,
        Trouble::Full,
    ];
    let mut troubles = vec![Trouble::Nothing];
    troubles.extend(all.into_iter().filter(|_| dice.one_in(3)));
    troubles
}

/// The broker's settings: small limits, so that every boundary is met.
pub(crate) fn broker(dice: &Dice) -> BrokerConfig {
    let size = |low: u64, high: u64| usize::try_from(dice.between(low, high)).unwrap();
    let journal = dice.pick(&[4 << 10, 16 << 10, 64 << 10]);
    BrokerConfig {
        num_partitions: 1,
        auto_create_topics: false,
        retention_check_interval: Duration::from_millis(dice.between(5, 500)),
        offsets_topic_partitions: dice.pick(&[1, 3]),
        log: LogOptions {
            durable: true,
            journal_bytes_min: journal,
            journal_bytes_max: journal * dice.pick(&[1, 4, 16]),
            gather_max: dice.pause(1),
            direct_bytes_min: size(1 << 10, 64 << 10),
            flush_bytes: size(1, 64 << 10),
            flush_delay: dice.pause(20),
            unflushed_bytes_max: size(1 << 10, 256 << 10),
            unsynced_bytes_max: size(1 << 10, 64 << 10),
            open_files_max: Some(size(2, 40)),
        },
    }
}
