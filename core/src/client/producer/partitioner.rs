//! Which partition a record goes to: by its key (murmur2), or one batch long to the same
//! partition when it has none (KIP-794).

use crate::env::Random;
use crate::types::Partition;

/// Kafka's 32-bit murmur2 (`org.apache.kafka.common.utils.Utils.murmur2`).
///
/// ```
/// use headwater_core::client::producer::partitioner::murmur2;
/// assert_eq!(murmur2(b"21"), -973_932_308);
/// ```
#[must_use]
pub fn murmur2(data: &[u8]) -> i32 {
    const M: u32 = 0x5bd1_e995;
    const SEED: u32 = 0x9747_b28c;
    // Java's length is an i32; longer keys cannot exist.
    let length = u32::try_from(data.len()).unwrap_or(u32::MAX);
    let mut h = SEED ^ length;
    let words = data.chunks_exact(4);
    let rest = words.remainder();
    for word in words {
        let mut k = little_endian(word);
        k = k.wrapping_mul(M);
        k ^= k >> 24;
        k = k.wrapping_mul(M);
        h = h.wrapping_mul(M) ^ k;
    }
    if !rest.is_empty() {
        h = (h ^ little_endian(rest)).wrapping_mul(M);
    }
    h ^= h >> 13;
    h = h.wrapping_mul(M);
    h ^= h >> 15;
    h.cast_signed()
}

/// The partition of a key, the same that Kafka's Java clients choose.
///
/// # Panics
/// When `partitions` is not positive.
///
/// ```
/// use headwater_core::client::producer::partitioner::partition_for_key;
/// use headwater_core::types::Partition;
/// assert_eq!(partition_for_key(b"21", 1), Partition(0));
/// ```
#[must_use]
pub fn partition_for_key(key: &[u8], partitions: i32) -> Partition {
    assert!(partitions > 0, "a topic has at least one partition");
    Partition((murmur2(key) & 0x7fff_ffff) % partitions)
}

fn little_endian(bytes: &[u8]) -> u32 {
    bytes
        .iter()
        .rev()
        .fold(0, |word, byte| (word << 8) | u32::from(*byte))
}

/// Where records without a key go: to one partition until it got a batch's worth of bytes, then
/// to another by chance, a long queue making it less likely (KIP-794).
#[derive(Debug)]
pub(crate) struct Sticky {
    partition: usize,
    bytes: usize,
    batch_size: usize,
}

impl Sticky {
    /// Starts at a random partition of `partitions`.
    pub(crate) fn new(random: &Random, partitions: usize, batch_size: usize) -> Self {
        Self {
            partition: pick(random, partitions, |_| 0),
            bytes: 0,
            batch_size,
        }
    }

    /// The partition of the next record, moving on first if this one has had its share.
    /// `queued` tells how many batches wait for a partition.
    pub(crate) fn next(
        &mut self,
        random: &Random,
        partitions: usize,
        queued: impl Fn(usize) -> usize,
    ) -> usize {
        if self.bytes >= self.batch_size {
            self.bytes = 0;
            self.partition = pick(random, partitions, queued);
        }
        self.partition
    }

    /// Counts what went to the partition.
    pub(crate) fn sent(&mut self, bytes: usize) {
        self.bytes += bytes;
    }
}

/// Draws two and takes the one with the shorter queue: what weighing all of them gives, at a cost
/// that does not grow with their number.
fn pick(random: &Random, partitions: usize, queued: impl Fn(usize) -> usize) -> usize {
    assert!(partitions > 0, "a topic has at least one partition");
    let draw = || {
        let drawn = random.below(u64::try_from(partitions).unwrap_or(u64::MAX));
        usize::try_from(drawn).unwrap_or(0)
    };
    let (one, other) = (draw(), draw());
    if queued(other) < queued(one) {
        other
    } else {
        one
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn murmur2_gives_what_java_gives() {
        // The vectors of org.apache.kafka.common.utils.UtilsTest.testMurmur2.
        for (key, hash) in [
            ("21", -973_932_308),
            ("foobar", -790_332_482),
            ("a-little-bit-long-string", -985_981_536),
            ("a-little-bit-longer-string", -1_486_304_829),
            (
                "lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8",
                -58_897_971,
            ),
            ("abc", 479_470_107),
        ] {
            assert_eq!(murmur2(key.as_bytes()), hash, "{key}");
        }
    }

    #[test]
    fn a_keyless_record_sticks_for_one_batch_and_prefers_short_queues() {
        let random = Random::seeded(7);
        let mut sticky = Sticky::new(&random, 4, 100);
        let first = sticky.next(&random, 4, |_| 0);
        for _ in 0..10 {
            assert_eq!(sticky.next(&random, 4, |_| 0), first);
            sticky.sent(10);
        }
        let mut hits = [0; 4];
        for _ in 0..1000 {
            sticky.sent(100);
            hits[sticky.next(&random, 4, |p| if p == 2 { 9 } else { 0 })] += 1;
        }
        assert!(hits[2] < 100, "{hits:?}");
        assert!([0, 1, 3].iter().all(|p| hits[*p] > 200), "{hits:?}");
    }
}
