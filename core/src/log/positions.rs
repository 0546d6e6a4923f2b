//! The offsets of a partition that must stay in order, behind one setter.

use crate::types::Offset;

/// `log_start <= last_stable <= high_watermark <= log_end`, always.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Positions {
    /// The first offset held.
    pub log_start: Offset,
    /// The end of what `read_committed` readers see: no open transaction begins before it.
    pub last_stable: Offset,
    /// The end of what readers see.
    pub high_watermark: Offset,
    /// The offset that the next record gets.
    pub log_end: Offset,
}

impl Positions {
    /// The positions of a log that holds `log_start..log_end` and lets all of it be read.
    #[must_use]
    pub fn new(log_start: Offset, log_end: Offset) -> Self {
        let all = Self {
            log_start,
            last_stable: log_end,
            high_watermark: log_end,
            log_end,
        };
        all.checked()
    }

    /// Changes some of them, keeping the order: the one place where they move.
    pub(crate) fn update(&mut self, change: impl FnOnce(&mut Self)) {
        let mut next = *self;
        change(&mut next);
        *self = next.checked();
    }

    fn checked(self) -> Self {
        assert!(
            self.log_start <= self.last_stable,
            "log start beyond last stable: {self:?}"
        );
        assert!(
            self.last_stable <= self.high_watermark,
            "last stable beyond watermark: {self:?}"
        );
        assert!(
            self.high_watermark <= self.log_end,
            "watermark beyond log end: {self:?}"
        );
        self
    }
}
