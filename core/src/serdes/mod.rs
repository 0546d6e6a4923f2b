//! Keys and values as bytes: [`Serializer`], [`Deserializer`], and which of them a type uses.
//!
//! A deserializer *lends*: `str` comes straight from the fetched bytes, a `String` or a struct is
//! decoded into a slot that is used again for the next record. An [`OwnedDeserializer`] gives.
//! The bytes of the built-in types are those of Kafka's own serializers.
//!
//! | type | bytes |
//! |---|---|
//! | `[u8]`, `Vec<u8>`, `Bytes` | themselves |
//! | `str`, `String`, `Uuid` (36 characters) | UTF-8 |
//! | `i8`..`i64`, `u8`..`u64`, `f32`, `f64` | big-endian, fixed width |
//! | `bool` | one byte, 0 or 1 |
//! | `()`, `Option<T>` | null; null or `T` |
//! | your own | [JSON](crate::stored_as_json) or [bincode](crate::stored_as_bincode) |

mod bincode;
mod json;
mod null;
mod number;
mod text;

use std::fmt;

pub use bincode::BincodeSerde;
pub use json::JsonSerde;
pub use null::{OptionSerde, VoidSerde};
pub use number::{BoolSerde, NumberSerde};
pub use text::{BytesSerde, StringSerde, UuidSerde};

use crate::error::{Error, ErrorKind};

/// A key or value that a serde refuses.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct SerdeError {
    message: String,
}

impl SerdeError {
    /// An error that says what was expected and what was found.
    pub fn new(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
        }
    }
}

impl From<SerdeError> for Error {
    fn from(error: SerdeError) -> Self {
        Self::new(ErrorKind::Serialization, error.message)
    }
}

/// Writes values of type `T` as bytes.
pub trait Serializer<T: ?Sized>: Send + Sync + 'static {
    /// Appends the bytes of `value` to `out`; an error leaves `out` as it was.
    ///
    /// # Errors
    /// When the value has no form in this format.
    fn write(&self, value: &T, out: &mut Vec<u8>) -> Result<(), SerdeError>;

    /// The number of bytes that `write` will append, where it is known without writing.
    fn len(&self, value: &T) -> Option<usize> {
        let _ = value;
        None
    }

    /// Whether the value is written as Kafka's null (a tombstone).
    fn is_null(&self, value: &T) -> bool {
        let _ = value;
        false
    }
}

/// Reads values of type `T` from bytes and lends them.
pub trait Deserializer<T: ?Sized>: Send + Sync + 'static {
    /// Where a decoded value lives while it is lent; `()` when it is borrowed from the bytes.
    type Slot: Default + Send + 'static;

    /// Reads a value; it lives as long as the bytes and the slot.
    ///
    /// # Errors
    /// When the bytes are not such a value, trailing bytes included.
    fn read<'a>(&self, bytes: &'a [u8], slot: &'a mut Self::Slot) -> Result<&'a T, SerdeError>;

    /// What Kafka's null reads as, for types that have a place for it.
    fn null<'a>(&self, slot: &'a mut Self::Slot) -> Option<&'a T> {
        let _ = slot;
        None
    }
}

/// Reads values of type `T` from bytes and gives them away.
pub trait OwnedDeserializer<T>: Send + Sync + 'static {
    /// Reads a value.
    ///
    /// # Errors
    /// When the bytes are not such a value, trailing bytes included.
    fn read_owned(&self, bytes: &[u8]) -> Result<T, SerdeError>;

    /// What Kafka's null reads as, for types that have a place for it.
    fn null_owned(&self) -> Option<T> {
        None
    }
}

/// A type with a serde of its own: what `producer::<K, V>` and `stream::<K, V>` use unless told
/// otherwise.
#[diagnostic::on_unimplemented(
    message = "`{Self}` has no serde, so it cannot be a key or a value",
    note = "for a serde type say `headwater::stored_as_json!({Self});` or \
            `headwater::stored_as_bincode!({Self});` once, or pass serdes by hand"
)]
pub trait Data: 'static {
    /// The serde.
    type Serde: Serializer<Self> + Deserializer<Self> + Default + Clone + fmt::Debug;
}

#[cfg(test)]
mod testing;
