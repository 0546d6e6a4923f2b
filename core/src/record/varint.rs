//! Zigzag varints: the small numbers inside a record.
//!
//! Seven bits a byte, the lowest first, the high bit set on all bytes but the last; the sign is
//! folded into the lowest bit. An `int` takes at most 5 bytes and a `long` at most 10; bytes that
//! say more than the type holds are refused.

/// The longest `int`.
pub(super) const I32_LEN_MAX: usize = 5;
/// The longest `long`.
pub(super) const I64_LEN_MAX: usize = 10;

/// Takes an `int` off the front of `input`; `None` when it is cut off or too large.
#[inline]
pub(super) fn take_i32(input: &mut &[u8]) -> Option<i32> {
    let folded = match **input {
        [a, ..] if a < 0x80 => {
            *input = input.get(1..)?;
            u32::from(a)
        }
        [a, b, ..] if b < 0x80 => {
            *input = input.get(2..)?;
            u32::from(a & 0x7f) | u32::from(b) << 7
        }
        _ => {
            let (folded, rest) = split_long(input, I32_LEN_MAX)?;
            let folded = u32::try_from(folded).ok()?;
            *input = rest;
            folded
        }
    };
    Some((folded >> 1).cast_signed() ^ -(folded & 1).cast_signed())
}

/// Takes a `long` off the front of `input`; `None` when it is cut off or too large.
#[inline]
pub(super) fn take_i64(input: &mut &[u8]) -> Option<i64> {
    let folded = match **input {
        [a, ..] if a < 0x80 => {
            *input = input.get(1..)?;
            u64::from(a)
        }
        [a, b, ..] if b < 0x80 => {
            *input = input.get(2..)?;
            u64::from(a & 0x7f) | u64::from(b) << 7
        }
        _ => {
            let (folded, rest) = split_long(input, I64_LEN_MAX)?;
            *input = rest;
            folded
        }
    };
    Some((folded >> 1).cast_signed() ^ -(folded & 1).cast_signed())
}

/// Appends an `int` or a `long`: both are written alike.
#[inline]
pub(super) fn put(value: i64, out: &mut Vec<u8>) {
    let mut folded = fold(value);
    while folded >= 0x80 {
        out.push(low_bits(folded) | 0x80);
        folded >>= 7;
    }
    out.push(low_bits(folded));
}

/// The number of bytes that `put` appends.
#[inline]
pub(super) const fn len(value: i64) -> usize {
    let bits = u64::BITS - (fold(value) | 1).leading_zeros();
    bits.div_ceil(7) as usize
}

const fn fold(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)).cast_unsigned()
}

const fn low_bits(folded: u64) -> u8 {
    (folded & 0x7f) as u8
}

#[cold]
fn split_long(input: &[u8], len_max: usize) -> Option<(u64, &[u8])> {
    let mut folded = 0_u64;
    for (i, byte) in input.iter().take(len_max).enumerate() {
        // The tenth byte has room for the last of 64 bits alone.
        if i == I64_LEN_MAX - 1 && *byte > 1 {
            return None;
        }
        folded |= u64::from(byte & 0x7f) << (7 * i);
        if *byte < 0x80 {
            return Some((folded, input.get(i + 1..)?));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn written(value: i64) -> Vec<u8> {
        let mut out = Vec::new();
        put(value, &mut out);
        assert_eq!(out.len(), len(value), "{value}");
        out
    }

    #[test]
    fn known_forms() {
        for (value, bytes) in [
            (0, &[0][..]),
            (-1, &[1]),
            (1, &[2]),
            (63, &[126]),
            (-64, &[127]),
            (64, &[0x80, 1]),
            (8191, &[0xfe, 0x7f]),
            (8192, &[0x80, 0x80, 1]),
            (i32::MAX.into(), &[0xfe, 0xff, 0xff, 0xff, 0x0f]),
            (i32::MIN.into(), &[0xff, 0xff, 0xff, 0xff, 0x0f]),
            (
                i64::MIN,
                &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1],
            ),
        ] {
            assert_eq!(written(value), bytes);
        }
    }

    #[test]
    fn too_large_and_cut_off_are_refused() {
        for bad in [
            &[][..],
            &[0x80],
            &[0xff, 0xff, 0xff, 0xff],
            &[0xff, 0xff, 0xff, 0xff, 0x1f],
            &[0x80, 0x80, 0x80, 0x80, 0x80, 0],
        ] {
            let mut input = bad;
            assert_eq!(take_i32(&mut input), None, "{bad:x?}");
            assert_eq!(input, bad, "a refusal takes nothing");
        }
        for bad in [&[0xff; 9][..], &[0xff; 10], &[0x80; 11]] {
            assert_eq!(take_i64(&mut { bad }), None, "{bad:x?}");
        }
        let over = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2];
        assert_eq!(take_i64(&mut &over[..]), None);
    }

    proptest! {
        #[test]
        fn longs_round_trip(value: i64, shift in 0..64, tail: u8) {
            let value: i64 = value >> shift;
            let mut bytes = written(value);
            bytes.push(tail);
            let mut input = &bytes[..];
            prop_assert_eq!(take_i64(&mut input), Some(value));
            prop_assert_eq!(input, &[tail]);
        }

        #[test]
        fn ints_round_trip(value: i32, shift in 0..32) {
            let value: i32 = value >> shift;
            let bytes = written(value.into());
            let mut input = &bytes[..];
            prop_assert_eq!(take_i32(&mut input), Some(value));
            prop_assert!(input.is_empty());
            for cut in 0..bytes.len() {
                prop_assert_eq!(take_i32(&mut &bytes[..cut]), None);
            }
        }
    }
}
