//! The bytes of a simulated file: what readers see, what is durable, what lies between.

use crate::env::Random;
use crate::storage::blocks::Blocks;

/// A disk writes a sector whole or not at all.
const SECTOR: u64 = 512;

#[derive(Clone, Debug, Default)]
pub(super) struct Content {
    /// What readers see: the page cache.
    current: Blocks,
    durable: Blocks,
    /// What came since the last sync, in order.
    pending: Vec<Pending>,
}

#[derive(Clone, Debug)]
enum Pending {
    Write { position: u64, bytes: Vec<u8> },
    SetLen(u64),
}

impl Content {
    pub(super) fn current(&self) -> &Blocks {
        &self.current
    }

    pub(super) fn durable(&self) -> &Blocks {
        &self.durable
    }

    pub(super) fn write(&mut self, bytes: Vec<u8>, position: u64) {
        self.current.write_at(&bytes, position);
        if !bytes.is_empty() {
            self.pending.push(Pending::Write { position, bytes });
        }
    }

    pub(super) fn set_len(&mut self, len: u64) {
        self.current.set_len(len);
        self.pending.push(Pending::SetLen(len));
    }

    /// Makes all that is pending durable.
    pub(super) fn sync(&mut self) {
        for pending in std::mem::take(&mut self.pending) {
            match pending {
                Pending::Write { position, bytes } => self.durable.write_at(&bytes, position),
                Pending::SetLen(len) => self.durable.set_len(len),
            }
        }
    }

    /// Lets chance decide what of the pending changes is durable; none is pending afterwards.
    pub(super) fn settle(&mut self, random: &Random) {
        let pending = std::mem::take(&mut self.pending);
        let mood = Mood::draw(random, pending.len());
        for (index, pending) in pending.into_iter().enumerate() {
            let kept = mood.keeps(index, random);
            match pending {
                Pending::SetLen(len) if kept => self.durable.set_len(len),
                Pending::SetLen(_) => {}
                Pending::Write { position, bytes } => {
                    if mood.tears(index, random) {
                        tear(&mut self.durable, &bytes, position, random);
                    } else if kept {
                        self.durable.write_at(&bytes, position);
                    }
                }
            }
        }
    }

    /// What a power loss leaves of the file.
    pub(super) fn after_power_loss(&self, random: &Random) -> Self {
        let mut durable = Self {
            current: Blocks::default(),
            durable: self.durable.clone(),
            pending: self.pending.clone(),
        };
        durable.settle(random);
        durable.current = durable.durable.clone();
        durable
    }

    /// Flips one bit wherever the byte is held; false when there is no such byte.
    pub(super) fn flip(&mut self, position: u64, bit: u8) -> bool {
        let mask = 1 << (bit % 8);
        for pending in &mut self.pending {
            if let Pending::Write {
                position: at,
                bytes,
            } = pending
                && let Some(index) = position.checked_sub(*at)
                && let Some(byte) = usize::try_from(index).ok().and_then(|i| bytes.get_mut(i))
            {
                *byte ^= mask;
            }
        }
        flip(&mut self.durable, position, mask);
        flip(&mut self.current, position, mask)
    }
}

fn flip(blocks: &mut Blocks, position: u64, mask: u8) -> bool {
    let mut byte = [0];
    let held = blocks.read_at(&mut byte, position) == 1;
    if held {
        blocks.write_at(&[byte[0] ^ mask], position);
    }
    held
}

/// Each sector of a write is kept or not, whatever its neighbours are.
fn tear(durable: &mut Blocks, bytes: &[u8], position: u64, random: &Random) {
    let end = position + bytes.len() as u64;
    let mut rest = bytes;
    let mut at = position;
    while !rest.is_empty() {
        let left = SECTOR - at % SECTOR;
        let count = usize::try_from(left).map_or(rest.len(), |left| left.min(rest.len()));
        let (sector, later) = rest.split_at(count);
        if random.below(2) == 0 {
            durable.write_at(sector, at);
        }
        at += sector.len() as u64;
        rest = later;
    }
    // The new length may be on the disk although the bytes are not: zeros then.
    if durable.len() < end && random.below(4) == 0 {
        durable.set_len(end);
    }
}

/// How a disk treats a file's pending changes. Coins thrown for each change alone would hardly
/// ever lose all, keep all, or lose just the end.
#[derive(Debug)]
enum Mood {
    /// Each is kept with this chance in a hundred.
    Each { percent: u64 },
    /// As many are kept as reached the disk in order; the next is torn.
    Prefix { count: usize },
}

impl Mood {
    fn draw(random: &Random, pending: usize) -> Self {
        match random.below(6) {
            0 => Self::Each { percent: 0 },
            1 => Self::Each { percent: 100 },
            2 => Self::Each { percent: 50 },
            3 => Self::Each { percent: 90 },
            _ => Self::Prefix {
                count: usize::try_from(random.below(pending as u64 + 1)).unwrap_or(pending),
            },
        }
    }

    fn keeps(&self, index: usize, random: &Random) -> bool {
        match self {
            Self::Each { percent } => random.below(100) < *percent,
            Self::Prefix { count } => index < *count,
        }
    }

    fn tears(&self, index: usize, random: &Random) -> bool {
        match self {
            Self::Each { percent: 0 | 100 } => false,
            Self::Each { .. } => random.below(4) == 0,
            Self::Prefix { count } => index == *count && random.below(2) == 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(blocks: &Blocks) -> Vec<u8> {
        let mut bytes = vec![0; usize::try_from(blocks.len()).unwrap()];
        blocks.read_at(&mut bytes, 0);
        bytes
    }

    #[test]
    fn what_was_synced_survives_and_the_rest_is_torn_at_sectors_only() {
        let mut content = Content::default();
        content.write(vec![1; 4000], 0);
        content.sync();
        content.write(vec![2; 3000], 100);
        let mut seen = std::collections::BTreeSet::new();
        for seed in 0..200 {
            let image = bytes(content.after_power_loss(&Random::seeded(seed)).current());
            assert_eq!(image.len(), 4000);
            let untouched = image[..100].iter().chain(&image[3100..]);
            assert!(untouched.into_iter().all(|byte| *byte == 1));
            for sector in image.chunks(512) {
                let inside = |byte: &&u8| **byte == 2;
                let written = sector.iter().filter(inside).count();
                // The write covers 412 bytes of the first sector and 28 of the last.
                assert!(
                    [0, 412, 512, 28].contains(&written),
                    "{written} bytes of a sector"
                );
            }
            seen.insert(image);
        }
        assert!(seen.len() > 20, "only {} different images", seen.len());
        assert!(
            seen.iter().any(|image| !image.contains(&2)),
            "it is never lost"
        );
        assert!(
            seen.iter().any(|image| image[100..3100] == [2; 3000]),
            "it is never kept"
        );
    }

    #[test]
    fn writes_of_one_file_may_reach_the_disk_out_of_order() {
        let mut content = Content::default();
        content.write(vec![1; 512], 0);
        content.write(vec![2; 512], 512);
        let reordered = (0..200).any(|seed| {
            let image = bytes(content.after_power_loss(&Random::seeded(seed)).current());
            image.len() == 1024 && image[..512] == [0; 512] && image[512..] == [2; 512]
        });
        assert!(reordered);
    }

    #[test]
    fn a_settled_file_has_nothing_left_to_sync() {
        let (mut kept, mut lost) = (0, 0);
        for seed in 0..100 {
            let mut content = Content::default();
            content.write(vec![1; 8], 0);
            content.settle(&Random::seeded(seed));
            content.sync();
            assert_eq!(bytes(content.current()), [1; 8], "readers still see it");
            match content.durable().len() {
                0 => lost += 1,
                _ => kept += 1,
            }
        }
        assert!(kept > 10 && lost > 10, "{kept} kept, {lost} lost");
    }
}
