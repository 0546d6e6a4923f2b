//! Bytes, text and UUIDs: what needs no decoding, or only a check that it is UTF-8.

use bytes::Bytes;
use uuid::Uuid;

use super::{Data, Deserializer, OwnedDeserializer, SerdeError, Serializer};

/// Bytes as they are.
///
/// ```
/// use headwater_core::serdes::{BytesSerde, Deserializer};
/// let mut slot = ();
/// let lent: &[u8] = BytesSerde.read(b"\x00\xff", &mut slot).unwrap();
/// assert_eq!(lent, b"\x00\xff");
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct BytesSerde;

/// UTF-8 text.
///
/// ```
/// use headwater_core::serdes::{Deserializer, StringSerde};
/// let mut slot = ();
/// let lent: &str = StringSerde.read(b"whale", &mut slot).unwrap();
/// assert_eq!(lent, "whale");
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct StringSerde;

/// A UUID as its text of 36 characters.
///
/// ```
/// use headwater_core::serdes::{OwnedDeserializer, UuidSerde};
/// let id: uuid::Uuid = UuidSerde.read_owned(b"936da01f-9abd-4d9d-80c7-02af85c822a8").unwrap();
/// assert_eq!(id.get_version_num(), 4);
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct UuidSerde;

/// `Serializer` and `Data` for a type that is a slice of bytes underneath.
macro_rules! written_as_it_is {
    ($type:ty, $serde:ty, $bytes:expr) => {
        impl Serializer<$type> for $serde {
            fn write(&self, value: &$type, out: &mut Vec<u8>) -> Result<(), SerdeError> {
                let bytes: fn(&$type) -> &[u8] = $bytes;
                out.extend_from_slice(bytes(value));
                Ok(())
            }

            fn len(&self, value: &$type) -> Option<usize> {
                Some(value.len())
            }
        }

        impl Data for $type {
            type Serde = $serde;
        }
    };
}

written_as_it_is!([u8], BytesSerde, |value| value);
written_as_it_is!(Vec<u8>, BytesSerde, |value| value);
written_as_it_is!(Bytes, BytesSerde, |value| value);
written_as_it_is!(str, StringSerde, str::as_bytes);
written_as_it_is!(String, StringSerde, String::as_bytes);

impl Deserializer<[u8]> for BytesSerde {
    type Slot = ();

    fn read<'a>(&self, bytes: &'a [u8], (): &'a mut ()) -> Result<&'a [u8], SerdeError> {
        Ok(bytes)
    }
}

impl Deserializer<Vec<u8>> for BytesSerde {
    type Slot = Vec<u8>;

    fn read<'a>(&self, bytes: &'a [u8], slot: &'a mut Vec<u8>) -> Result<&'a Vec<u8>, SerdeError> {
        slot.clear();
        slot.extend_from_slice(bytes);
        Ok(slot)
    }
}

impl OwnedDeserializer<Vec<u8>> for BytesSerde {
    fn read_owned(&self, bytes: &[u8]) -> Result<Vec<u8>, SerdeError> {
        Ok(bytes.to_vec())
    }
}

impl Deserializer<Bytes> for BytesSerde {
    type Slot = Bytes;

    fn read<'a>(&self, bytes: &'a [u8], slot: &'a mut Bytes) -> Result<&'a Bytes, SerdeError> {
        *slot = Bytes::copy_from_slice(bytes);
        Ok(slot)
    }
}

impl OwnedDeserializer<Bytes> for BytesSerde {
    fn read_owned(&self, bytes: &[u8]) -> Result<Bytes, SerdeError> {
        Ok(Bytes::copy_from_slice(bytes))
    }
}

impl Deserializer<str> for StringSerde {
    type Slot = ();

    fn read<'a>(&self, bytes: &'a [u8], (): &'a mut ()) -> Result<&'a str, SerdeError> {
        utf8(bytes)
    }
}

impl Deserializer<String> for StringSerde {
    type Slot = String;

    fn read<'a>(&self, bytes: &'a [u8], slot: &'a mut String) -> Result<&'a String, SerdeError> {
        slot.clear();
        slot.push_str(utf8(bytes)?);
        Ok(slot)
    }
}

impl OwnedDeserializer<String> for StringSerde {
    fn read_owned(&self, bytes: &[u8]) -> Result<String, SerdeError> {
        utf8(bytes).map(str::to_owned)
    }
}

fn utf8(bytes: &[u8]) -> Result<&str, SerdeError> {
    std::str::from_utf8(bytes).map_err(|error| {
        SerdeError::new(format!(
            "expected UTF-8 text, found {} bytes of which the first {} are: {error}",
            bytes.len(),
            error.valid_up_to()
        ))
    })
}

impl Serializer<Uuid> for UuidSerde {
    fn write(&self, value: &Uuid, out: &mut Vec<u8>) -> Result<(), SerdeError> {
        let mut text = Uuid::encode_buffer();
        out.extend_from_slice(value.hyphenated().encode_lower(&mut text).as_bytes());
        Ok(())
    }

    fn len(&self, _: &Uuid) -> Option<usize> {
        Some(uuid::fmt::Hyphenated::LENGTH)
    }
}

impl OwnedDeserializer<Uuid> for UuidSerde {
    fn read_owned(&self, bytes: &[u8]) -> Result<Uuid, SerdeError> {
        // The parser knows other spellings, none of which has this length.
        if bytes.len() != uuid::fmt::Hyphenated::LENGTH {
            return Err(SerdeError::new(format!(
                "expected a UUID as text of {} bytes, found {} bytes",
                uuid::fmt::Hyphenated::LENGTH,
                bytes.len()
            )));
        }
        Uuid::try_parse_ascii(bytes)
            .map_err(|error| SerdeError::new(format!("expected a UUID as text: {error}")))
    }
}

impl Deserializer<Uuid> for UuidSerde {
    type Slot = Uuid;

    fn read<'a>(&self, bytes: &'a [u8], slot: &'a mut Uuid) -> Result<&'a Uuid, SerdeError> {
        *slot = self.read_owned(bytes)?;
        Ok(slot)
    }
}

impl Data for Uuid {
    type Serde = UuidSerde;
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::testing::{lent, owned, written};
    use super::*;

    #[test]
    fn text_that_is_not_utf8_is_refused() {
        let error = lent::<String>(b"ab\xff").unwrap_err();
        assert!(
            error.to_string().contains("3 bytes of which the first 2"),
            "{error}"
        );
    }

    #[test]
    fn a_slot_keeps_nothing_of_the_value_before() {
        let mut slot = String::new();
        let long: &String = StringSerde.read(b"a longer text", &mut slot).unwrap();
        assert_eq!(long, "a longer text");
        let short: &String = StringSerde.read(b"ab", &mut slot).unwrap();
        assert_eq!(short, "ab");
    }

    #[test]
    fn a_uuid_has_the_bytes_of_kafkas_serializer() {
        let id = Uuid::from_u128(0x936d_a01f_9abd_4d9d_80c7_02af_85c8_22a8);
        assert_eq!(written(&id), b"936da01f-9abd-4d9d-80c7-02af85c822a8");
        let upper = b"936DA01F-9ABD-4D9D-80C7-02AF85C822A8";
        assert_eq!(owned::<Uuid>(upper).unwrap(), id);
    }

    #[test]
    fn other_spellings_of_a_uuid_are_refused() {
        for bad in [
            &b"936da01f9abd4d9d80c702af85c822a8"[..],
            b"{936da01f-9abd-4d9d-80c7-02af85c822a8}",
            b"936da01f-9abd-4d9d-80c7-02af85c822a",
            b"936da01f-9abd-4d9d-80c7-02af85c822ag",
            b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\
              \xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff",
            b"",
        ] {
            let error = owned::<Uuid>(bad).unwrap_err();
            assert!(error.to_string().starts_with("expected a UUID"), "{error}");
        }
    }

    proptest! {
        #[test]
        fn every_value_comes_back(
            bytes: Vec<u8>, text: String, id in any::<u128>().prop_map(Uuid::from_u128)
        ) {
            prop_assert_eq!(&written(&bytes), &bytes);
            prop_assert_eq!(&written(bytes.as_slice()), &bytes);
            prop_assert_eq!(&lent::<Vec<u8>>(&bytes).unwrap(), &bytes);
            prop_assert_eq!(&owned::<Vec<u8>>(&bytes).unwrap(), &bytes);
            prop_assert_eq!(&owned::<Bytes>(&bytes).unwrap(), &bytes);
            prop_assert_eq!(&lent::<Bytes>(&bytes).unwrap(), &bytes);
            prop_assert_eq!(owned::<String>(&written(&text)).unwrap(), text.clone());
            prop_assert_eq!(lent::<String>(&written(text.as_str())).unwrap(), text);
            prop_assert_eq!(lent::<Uuid>(&written(&id)).unwrap(), id);
        }

        #[test]
        fn no_bytes_make_it_panic(bytes: Vec<u8>) {
            drop(lent::<String>(&bytes));
            drop(owned::<String>(&bytes));
            drop(lent::<Uuid>(&bytes));
        }
    }
}
