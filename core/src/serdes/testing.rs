//! What the tests of every serde do: write by a type's own serde, and read in both ways.

use super::{Data, Deserializer, OwnedDeserializer, SerdeError, Serializer};

/// The bytes of `value`; checks that a length told in advance is the true one.
pub(super) fn written<T: Data + ?Sized>(value: &T) -> Vec<u8> {
    let serde = T::Serde::default();
    let mut out = b"before".to_vec();
    serde.write(value, &mut out).unwrap();
    let bytes = out.split_off(6);
    assert_eq!(out, b"before", "a serializer appends");
    if let Some(len) = serde.len(value) {
        assert_eq!(len, bytes.len(), "the length told in advance");
    }
    bytes
}

/// A value as it is lent, copied out.
pub(super) fn lent<T: Data + Clone>(bytes: &[u8]) -> Result<T, SerdeError> {
    let mut slot = <T::Serde as Deserializer<T>>::Slot::default();
    T::Serde::default().read(bytes, &mut slot).cloned()
}

/// A value as it is given away.
pub(super) fn owned<T: Data>(bytes: &[u8]) -> Result<T, SerdeError>
where
    T::Serde: OwnedDeserializer<T>,
{
    T::Serde::default().read_owned(bytes)
}
