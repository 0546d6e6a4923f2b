//! The bytes of a file in memory: sparse, cheap to append to, cut and read anywhere.

/// A growing array of bytes that never moves what it holds; what was never written is zero
/// and costs nothing.
#[derive(Clone, Debug, Default)]
pub(super) struct Blocks {
    /// Each covers `BLOCK` bytes of the file; what lies behind its end is zero.
    blocks: Vec<Vec<u8>>,
    len: u64,
}

/// Large enough for sequential speed; a small file pays only for what it holds.
const BLOCK: usize = 256 * 1024;

impl Blocks {
    pub(super) fn len(&self) -> u64 {
        self.len
    }

    /// The bytes in memory, which sparse parts do not count into.
    pub(super) fn stored(&self) -> u64 {
        self.blocks.iter().map(|block| block.len() as u64).sum()
    }

    /// Reads into `buf` from `position`, less at the end; returns the count.
    pub(super) fn read_at(&self, buf: &mut [u8], position: u64) -> usize {
        let available = usize::try_from(self.len.saturating_sub(position)).unwrap_or(usize::MAX);
        let wanted = buf.len().min(available);
        let mut done = 0;
        while done < wanted {
            let (index, start) = place(position + done as u64);
            let count = (BLOCK - start).min(wanted - done);
            let part = &mut buf[done..done + count];
            let block = self.blocks.get(index).map_or(&[][..], Vec::as_slice);
            let held = block.get(start..).unwrap_or_default();
            let copied = held.len().min(count);
            part[..copied].copy_from_slice(&held[..copied]);
            part[copied..].fill(0);
            done += count;
        }
        wanted
    }

    /// Writes `bytes` at `position`; a gap before it reads as zeros. No bytes change nothing.
    pub(super) fn write_at(&mut self, mut bytes: &[u8], mut position: u64) {
        if bytes.is_empty() {
            return;
        }
        self.len = self.len.max(position + bytes.len() as u64);
        while !bytes.is_empty() {
            let (index, start) = place(position);
            let (now, later) = bytes.split_at(bytes.len().min(BLOCK - start));
            if self.blocks.len() <= index {
                self.blocks.resize_with(index + 1, Vec::new);
            }
            let block = &mut self.blocks[index];
            if block.len() < start {
                block.resize(start, 0);
            }
            let overwritten = now.len().min(block.len() - start);
            block[start..start + overwritten].copy_from_slice(&now[..overwritten]);
            block.extend_from_slice(&now[overwritten..]);
            position += now.len() as u64;
            bytes = later;
        }
    }

    /// Cuts, or extends with zeros.
    pub(super) fn set_len(&mut self, len: u64) {
        if len < self.len {
            let (index, start) = place(len);
            self.blocks.truncate(index + 1);
            if let Some(last) = self.blocks.get_mut(index) {
                last.truncate(start);
            }
        }
        self.len = len;
    }
}

/// The block and the place in it of a position in the file.
fn place(position: u64) -> (usize, usize) {
    let position = usize::try_from(position).unwrap_or(usize::MAX);
    (position / BLOCK, position % BLOCK)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[derive(Clone, Debug)]
    enum Step {
        Write(u64, Vec<u8>),
        SetLen(u64),
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        // Around a block's edge, where mistakes live.
        let position = prop_oneof![0..40_u64, BLOCK as u64 - 20..BLOCK as u64 + 40];
        let bytes = prop::collection::vec(any::<u8>(), 0..60);
        let write = (position.clone(), bytes).prop_map(|(at, bytes)| Step::Write(at, bytes));
        prop::collection::vec(prop_oneof![write, position.prop_map(Step::SetLen)], 1..20)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn behaves_as_one_vec(steps in steps()) {
            let mut blocks = Blocks::default();
            let mut model: Vec<u8> = Vec::new();
            for step in steps {
                match step {
                    Step::Write(at, bytes) => {
                        let at = usize::try_from(at).unwrap();
                        blocks.write_at(&bytes, at as u64);
                        if !bytes.is_empty() {
                            model.resize(model.len().max(at + bytes.len()), 0);
                            model[at..at + bytes.len()].copy_from_slice(&bytes);
                        }
                    }
                    Step::SetLen(len) => {
                        blocks.set_len(len);
                        model.resize(usize::try_from(len).unwrap(), 0);
                    }
                }
                prop_assert_eq!(blocks.len(), model.len() as u64);
                let mut read = vec![7; model.len() + 3];
                prop_assert_eq!(blocks.read_at(&mut read, 0), model.len());
                prop_assert!(read[..model.len()] == model[..]);
                let (edge, mut few) = (model.len() / 2, [0; 9]);
                let count = blocks.read_at(&mut few, edge as u64);
                prop_assert_eq!(&few[..count], &model[edge..model.len().min(edge + 9)]);
            }
        }
    }

    #[test]
    fn a_hole_costs_nothing() {
        let mut blocks = Blocks::default();
        blocks.set_len(1 << 40);
        assert_eq!(blocks.stored(), 0);
        assert_eq!(blocks.len(), 1 << 40);
    }
}
