//! Dice for the choices of a seed, apart from those of the system under test.

use std::time::Duration;

use headwater_core::env::Random;

/// A generator of choices.
#[derive(Clone, Debug)]
pub(crate) struct Dice(Random);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(Random::seeded(seed))
    }

    /// Other dice, whose throws do not change those of these.
    pub(crate) fn fork(&self) -> Self {
        Self::new(self.seed())
    }

    pub(crate) fn seed(&self) -> u64 {
        self.0.next_u64()
    }

    /// A number from 0 to `bound` - 1.
    pub(crate) fn below(&self, bound: usize) -> usize {
        let bound = u64::try_from(bound).unwrap_or(u64::MAX);
        usize::try_from(self.0.below(bound)).unwrap_or_default()
    }

    /// A number from `low` to `high`.
    pub(crate) fn between(&self, low: u64, high: u64) -> u64 {
        low + self.0.below(high - low + 1)
    }

    pub(crate) fn one_in(&self, chance: u64) -> bool {
        self.0.below(chance) == 0
    }

    pub(crate) fn pick<T: Clone>(&self, choices: &[T]) -> T {
        choices[self.below(choices.len())].clone()
    }

    /// A time of up to `millis`, most often a short one.
    pub(crate) fn pause(&self, millis: u64) -> Duration {
        let scale = self.pick(&[1, 10, 100, 1000]);
        Duration::from_micros(self.0.below(millis * scale + 1))
    }
}
