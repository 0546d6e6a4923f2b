//! Numbers as big-endian bytes of fixed width, and `bool` as one byte.

use super::{Data, Deserializer, OwnedDeserializer, SerdeError, Serializer};

/// A number, big-endian, in as many bytes as its type has. Any other length is refused.
///
/// ```
/// use headwater_core::serdes::{NumberSerde, Serializer};
/// let mut out = Vec::new();
/// NumberSerde.write(&1_i32, &mut out).unwrap();
/// assert_eq!(out, [0, 0, 0, 1]);
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct NumberSerde;

/// A `bool` as one byte, 0 or 1. Any other byte is refused.
///
/// ```
/// use headwater_core::serdes::{BoolSerde, OwnedDeserializer};
/// assert!(BoolSerde.read_owned(&[1]).unwrap());
/// assert!(BoolSerde.read_owned(&[2]).is_err());
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct BoolSerde;

macro_rules! number {
    ($($type:ident)*) => {$(
        impl Serializer<$type> for NumberSerde {
            fn write(&self, value: &$type, out: &mut Vec<u8>) -> Result<(), SerdeError> {
                out.extend_from_slice(&value.to_be_bytes());
                Ok(())
            }

            fn len(&self, _: &$type) -> Option<usize> {
                Some(size_of::<$type>())
            }
        }

        impl OwnedDeserializer<$type> for NumberSerde {
            fn read_owned(&self, bytes: &[u8]) -> Result<$type, SerdeError> {
                exactly(bytes, stringify!($type)).map($type::from_be_bytes)
            }
        }

        impl Deserializer<$type> for NumberSerde {
            type Slot = $type;

            fn read<'a>(
                &self,
                bytes: &'a [u8],
                slot: &'a mut $type,
            ) -> Result<&'a $type, SerdeError> {
                *slot = self.read_owned(bytes)?;
                Ok(slot)
            }
        }

        impl Data for $type {
            type Serde = NumberSerde;
        }
    )*};
}

number!(i8 i16 i32 i64 u8 u16 u32 u64 f32 f64);

fn exactly<const N: usize>(bytes: &[u8], name: &str) -> Result<[u8; N], SerdeError> {
    bytes.try_into().map_err(|_not_so_long| {
        SerdeError::new(format!(
            "expected {name} in {N} bytes, found {} bytes",
            bytes.len()
        ))
    })
}

impl Serializer<bool> for BoolSerde {
    fn write(&self, value: &bool, out: &mut Vec<u8>) -> Result<(), SerdeError> {
        out.push(u8::from(*value));
        Ok(())
    }

    fn len(&self, _: &bool) -> Option<usize> {
        Some(1)
    }
}

impl OwnedDeserializer<bool> for BoolSerde {
    fn read_owned(&self, bytes: &[u8]) -> Result<bool, SerdeError> {
        match exactly(bytes, "bool")? {
            [0] => Ok(false),
            [1] => Ok(true),
            [other] => Err(SerdeError::new(format!(
                "expected bool as 0 or 1, found {other}"
            ))),
        }
    }
}

impl Deserializer<bool> for BoolSerde {
    type Slot = bool;

    fn read<'a>(&self, bytes: &'a [u8], slot: &'a mut bool) -> Result<&'a bool, SerdeError> {
        *slot = self.read_owned(bytes)?;
        Ok(slot)
    }
}

impl Data for bool {
    type Serde = BoolSerde;
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::testing::{lent, owned, written};

    #[test]
    fn numbers_have_the_bytes_of_kafkas_serializers() {
        assert_eq!(written(&-2_i16), [0xff, 0xfe]);
        assert_eq!(written(&0x0102_0304_i32), [1, 2, 3, 4]);
        assert_eq!(written(&-1_i32), [0xff; 4]);
        assert_eq!(written(&i64::MIN), [0x80, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(
            written(&1_732_000_000_000_i64),
            [0, 0, 1, 0x93, 0x43, 0x3e, 0xa8, 0]
        );
        assert_eq!(written(&1.5_f32), [0x3f, 0xc0, 0, 0]);
        assert_eq!(written(&1.0_f64), [0x3f, 0xf0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(
            written(&-0.1_f64),
            [0xbf, 0xb9, 0x99, 0x99, 0x99, 0x99, 0x99, 0x9a]
        );
        assert_eq!(written(&f64::NAN), [0x7f, 0xf8, 0, 0, 0, 0, 0, 0]);
        assert_eq!(written(&true), [1]);
        assert_eq!(written(&false), [0]);
    }

    #[test]
    fn another_length_is_refused_with_both_lengths() {
        for len in (0..20).filter(|len| *len != 8) {
            let error = owned::<i64>(&vec![0; len]).unwrap_err();
            assert_eq!(
                error.to_string(),
                format!("expected i64 in 8 bytes, found {len} bytes")
            );
        }
        assert!(owned::<bool>(&[]).is_err());
        assert!(owned::<bool>(&[1, 0]).is_err());
    }

    #[test]
    fn a_bool_is_0_or_1() {
        for byte in 2..=u8::MAX {
            assert!(lent::<bool>(&[byte]).is_err());
        }
        assert!(!lent::<bool>(&[0]).unwrap());
    }

    macro_rules! comes_back {
        ($($name:ident: $type:ty)*) => {
            proptest! {$(
                #[test]
                fn $name(value: $type) {
                    let bytes = written(&value);
                    prop_assert_eq!(bytes.len(), size_of::<$type>());
                    prop_assert_eq!(written(&owned::<$type>(&bytes).unwrap()), bytes.clone());
                    prop_assert_eq!(lent::<$type>(&bytes).unwrap(), value);
                }
            )*}
        };
    }

    comes_back! {
        i8_comes_back: i8 i16_comes_back: i16 i32_comes_back: i32 i64_comes_back: i64
        u8_comes_back: u8 u16_comes_back: u16 u32_comes_back: u32 u64_comes_back: u64
        f32_comes_back: f32 f64_comes_back: f64 bool_comes_back: bool
    }
}
