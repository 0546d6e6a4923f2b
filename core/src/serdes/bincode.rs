//! Values of serde types in bincode's first format, led by a version.
//!
//! ```text
//!   +---------+------------------------------------------------------+
//!   | 1 byte  | the value                                            |
//!   | version | numbers little-endian in full width, u64 lengths,    |
//!   |   = 1   | u32 enum variants, no names, no padding              |
//!   +---------+------------------------------------------------------+
//! ```
//!
//! The value's bytes do not describe themselves: a struct that gains, loses or reorders a field
//! reads old values wrongly or not at all. Such a change needs a new topic, or JSON.

use std::fmt;
use std::marker::PhantomData;

use ::bincode::Options;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{Deserializer, OwnedDeserializer, SerdeError, Serializer};

/// The first byte of every value.
const VERSION: u8 = 1;

/// `T` in bincode's first format (crate version 1.3), led by a version byte.
///
/// A value above the limit is refused both ways; the default is [`BincodeSerde::BYTES_MAX`].
/// Hostile bytes cannot make it allocate much more than they are long. Two kinds of type have no
/// such bound, so use JSON for them where the bytes are not your own: a recursive type (a deep nest
/// fills the stack) and a list of things that take no bytes, such as `Vec<()>`.
///
/// ```
/// use headwater_core::serdes::{BincodeSerde, OwnedDeserializer, Serializer};
/// let serde = BincodeSerde::<(u16, Option<bool>)>::default();
/// let mut out = Vec::new();
/// serde.write(&(513, Some(true)), &mut out).unwrap();
/// assert_eq!(out, [1, 1, 2, 1, 1]);
/// assert_eq!(serde.read_owned(&out), Ok((513, Some(true))));
/// ```
pub struct BincodeSerde<T> {
    bytes_max: usize,
    // Neither owns nor shares a `T`: the serde may go to any thread whatever `T` is.
    of: PhantomData<fn() -> T>,
}

impl<T> BincodeSerde<T> {
    /// The default limit of a value with its version byte: 64 MiB, far above what a topic takes
    /// unless it was told otherwise (`max.message.bytes`).
    pub const BYTES_MAX: usize = 64 << 20;

    /// A serde that refuses values longer than `bytes_max`, the version byte included.
    #[must_use]
    pub const fn with_limit(bytes_max: usize) -> Self {
        Self {
            bytes_max,
            of: PhantomData,
        }
    }

    fn check_length(&self, found: usize) -> Result<(), SerdeError> {
        if found <= self.bytes_max {
            return Ok(());
        }
        Err(SerdeError::new(format!(
            "expected {} in at most {} bytes, found {found} bytes",
            std::any::type_name::<T>(),
            self.bytes_max
        )))
    }
}

impl<T> Default for BincodeSerde<T> {
    fn default() -> Self {
        Self::with_limit(Self::BYTES_MAX)
    }
}

impl<T> Clone for BincodeSerde<T> {
    fn clone(&self) -> Self {
        Self::with_limit(self.bytes_max)
    }
}

impl<T> fmt::Debug for BincodeSerde<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BincodeSerde<{}>", std::any::type_name::<T>())
    }
}

/// The layout drawn above; bytes after the value are refused.
fn layout() -> impl Options {
    ::bincode::DefaultOptions::new()
        .with_fixint_encoding()
        .with_little_endian()
        .reject_trailing_bytes()
        .with_no_limit()
}

impl<T: Serialize + 'static> Serializer<T> for BincodeSerde<T> {
    fn write(&self, value: &T, out: &mut Vec<u8>) -> Result<(), SerdeError> {
        let start = out.len();
        out.push(VERSION);
        layout()
            .serialize_into(&mut *out, value)
            .map_err(|error| {
                SerdeError::new(format!(
                    "{} has no form in bincode: {error}",
                    std::any::type_name::<T>()
                ))
            })
            .and_then(|()| self.check_length(out.len() - start))
            .inspect_err(|_| out.truncate(start))
    }
}

impl<T: DeserializeOwned + 'static> OwnedDeserializer<T> for BincodeSerde<T> {
    fn read_owned(&self, bytes: &[u8]) -> Result<T, SerdeError> {
        self.check_length(bytes.len())?;
        let expected = std::any::type_name::<T>;
        match bytes.split_first() {
            Some((&VERSION, value)) => layout().deserialize(value).map_err(|error| {
                SerdeError::new(format!(
                    "expected {} in bincode, found {} bytes: {error}",
                    expected(),
                    value.len()
                ))
            }),
            Some((version, _)) => Err(SerdeError::new(format!(
                "expected {} in bincode after version byte {VERSION}, found version byte {version}",
                expected()
            ))),
            None => Err(SerdeError::new(format!(
                "expected {} in bincode after version byte {VERSION}, found no bytes",
                expected()
            ))),
        }
    }
}

impl<T: DeserializeOwned + Send + 'static> Deserializer<T> for BincodeSerde<T> {
    type Slot = Option<T>;

    fn read<'a>(&self, bytes: &'a [u8], slot: &'a mut Option<T>) -> Result<&'a T, SerdeError> {
        Ok(slot.insert(self.read_owned(bytes)?))
    }
}

/// Stores a serde type in bincode wherever it is a key or a value; once for each type.
///
/// ```
/// use headwater_core::serdes::{Data, OwnedDeserializer, Serializer};
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Debug, PartialEq, Serialize, Deserialize)]
/// struct Sample { millis: i64, celsius: f64 }
/// headwater_core::stored_as_bincode!(Sample);
///
/// let serde = <Sample as Data>::Serde::default();
/// let mut out = Vec::new();
/// serde.write(&Sample { millis: 1, celsius: 21.5 }, &mut out).unwrap();
/// assert_eq!(out.len(), 1 + 8 + 8);
/// assert_eq!(serde.read_owned(&out).unwrap().celsius, 21.5);
/// ```
#[macro_export]
macro_rules! stored_as_bincode {
    ($($type:ty),+ $(,)?) => {$(
        impl $crate::serdes::Data for $type {
            type Serde = $crate::serdes::BincodeSerde<$type>;
        }
    )+};
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::testing::{lent, owned, written};
    use super::*;

    #[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
    enum Event {
        Opened { by: String },
        Moved(i32, Vec<u64>),
        Closed,
    }
    crate::stored_as_bincode!(Event);

    #[test]
    fn the_layout_stays() {
        let opened = Event::Opened {
            by: "ada".to_owned(),
        };
        assert_eq!(written(&opened), b"\x01\0\0\0\0\x03\0\0\0\0\0\0\0ada");
        let moved = Event::Moved(-2, vec![1]);
        let bytes = b"\x01\x01\0\0\0\xfe\xff\xff\xff\x01\0\0\0\0\0\0\0\x01\0\0\0\0\0\0\0";
        assert_eq!(written(&moved), bytes);
        assert_eq!(owned::<Event>(bytes), Ok(moved.clone()));
        assert_eq!(bytes[1..], ::bincode::serialize(&moved).unwrap());
    }

    #[test]
    fn versions_and_trailing_bytes_are_told_apart() {
        let refused = |bytes: &[u8]| owned::<Event>(bytes).unwrap_err().to_string();
        assert!(refused(b"").contains("found no bytes"));
        assert!(refused(b"\x02\x02\0\0\0").contains("found version byte 2"));
        assert!(refused(b"\x01\x02\0\0\0\0").contains("found 5 bytes"));
        assert!(refused(b"\x01\x09\0\0\0").contains("variant index"));
        assert_eq!(lent::<Event>(b"\x01\x02\0\0\0"), Ok(Event::Closed));
    }

    #[test]
    fn a_length_that_lies_is_refused_without_allocating_it() {
        let lie = b"\x01\x01\0\0\0\0\0\0\0\xff\xff\xff\xff\xff\xff\xff\x0f\0\0\0\0\0\0\0\0";
        assert!(owned::<Event>(lie).is_err());
        let text = b"\x01\0\0\0\0\xff\xff\xff\xff\xff\xff\xff\x7fabc";
        assert!(owned::<Event>(text).is_err());
    }

    #[test]
    fn a_value_above_the_limit_is_refused_both_ways() {
        let serde = BincodeSerde::<Vec<u8>>::with_limit(12);
        let mut out = b"before".to_vec();
        serde.write(&vec![7; 3], &mut out).unwrap();
        assert_eq!(serde.read_owned(&out[6..]), Ok(vec![7; 3]));
        out.truncate(6);
        let error = serde.write(&vec![7; 4], &mut out).unwrap_err();
        assert!(
            error.to_string().contains("at most 12 bytes, found 13"),
            "{error}"
        );
        assert_eq!(out, b"before");
        assert!(serde.read_owned(&written_by_default(&vec![7; 4])).is_err());
    }

    fn written_by_default(value: &Vec<u8>) -> Vec<u8> {
        let mut out = Vec::new();
        BincodeSerde::default().write(value, &mut out).unwrap();
        out
    }

    fn any_event() -> impl Strategy<Value = Event> {
        prop_oneof![
            any::<String>().prop_map(|by| Event::Opened { by }),
            any::<(i32, Vec<u64>)>().prop_map(|(to, via)| Event::Moved(to, via)),
            Just(Event::Closed),
        ]
    }

    proptest! {
        #[test]
        fn every_value_comes_back(event in any_event(), cut: prop::sample::Index) {
            let bytes = written(&event);
            prop_assert!(owned::<Event>(&bytes[..cut.index(bytes.len())]).is_err());
            prop_assert_eq!(owned::<Event>(&bytes).unwrap(), event);
        }

        #[test]
        fn no_bytes_make_it_panic(mut bytes: Vec<u8>, variant in 0..4_u8) {
            drop(owned::<Event>(&bytes));
            bytes.splice(0..0, [VERSION, variant, 0, 0, 0]);
            drop(owned::<Event>(&bytes));
        }
    }
}
