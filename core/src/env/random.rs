//! Chance: one seeded generator per [`Env`](super::Env), so that a simulation repeats.

use std::sync::{Arc, Mutex, PoisonError};

/// A shared generator of random numbers (SplitMix64: fast and seedable, not for secrets).
#[derive(Clone, Debug)]
pub struct Random {
    state: Arc<Mutex<u64>>,
    /// Whether secrets come from the operating system.
    system: bool,
}

impl Random {
    /// A generator that gives the same numbers for the same seed.
    #[must_use]
    pub fn seeded(seed: u64) -> Self {
        Self {
            state: Arc::new(Mutex::new(seed)),
            system: false,
        }
    }

    /// A generator that the operating system seeds.
    #[must_use]
    pub fn from_system() -> Self {
        Self {
            system: true,
            ..Self::seeded(system_u64())
        }
    }

    /// 64 bits that nobody can tell from the other numbers of this generator; under
    /// [`Random::seeded`] they repeat with the seed like all others.
    #[must_use]
    pub fn secret_u64(&self) -> u64 {
        if self.system {
            system_u64()
        } else {
            self.next_u64()
        }
    }

    /// The next 64 random bits.
    #[must_use]
    pub fn next_u64(&self) -> u64 {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        *state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = *state;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number below `bound`.
    ///
    /// # Panics
    /// When `bound` is 0.
    #[must_use]
    pub fn below(&self, bound: u64) -> u64 {
        assert!(bound > 0, "a random number below 0 does not exist");
        self.next_u64() % bound
    }

    /// A random (version 4) UUID.
    #[must_use]
    pub fn uuid(&self) -> uuid::Uuid {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&self.next_u64().to_be_bytes());
        bytes[8..].copy_from_slice(&self.next_u64().to_be_bytes());
        uuid::Builder::from_random_bytes(bytes).into_uuid()
    }
}

/// 64 bits of the operating system's: the standard library keys its hashers with them.
#[expect(clippy::disallowed_types, reason = "this is where seeds come from")]
fn system_u64() -> u64 {
    let keyed = std::collections::hash_map::RandomState::new();
    std::hash::BuildHasher::hash_one(&keyed, std::process::id())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_numbers() {
        let draw = |seed| {
            let random = Random::seeded(seed);
            (random.next_u64(), random.below(1000), random.uuid())
        };
        assert_eq!(draw(7), draw(7));
        assert_ne!(draw(7), draw(8));
        assert_eq!(draw(7).2.get_version_num(), 4);
        assert_ne!(
            Random::from_system().next_u64(),
            Random::from_system().next_u64()
        );
    }
}
