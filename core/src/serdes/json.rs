//! Values of serde types as JSON.

use std::fmt;
use std::marker::PhantomData;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{Deserializer, OwnedDeserializer, SerdeError, Serializer};

/// `T` as JSON text without spaces between the tokens. A `None` at the top is the text `null`,
/// not Kafka's null: for tombstones say `Option<T>`, whose inside is JSON.
///
/// ```
/// use headwater_core::serdes::{JsonSerde, OwnedDeserializer, Serializer};
/// let serde = JsonSerde::<Vec<u8>>::default();
/// let mut out = Vec::new();
/// serde.write(&vec![1, 2], &mut out).unwrap();
/// assert_eq!(out, b"[1,2]");
/// assert_eq!(serde.read_owned(b" [1, 2] "), Ok(vec![1, 2]));
/// assert!(serde.read_owned(b"[1,2] and more").is_err());
/// ```
pub struct JsonSerde<T> {
    // Neither owns nor shares a `T`: the serde may go to any thread whatever `T` is.
    of: PhantomData<fn() -> T>,
}

impl<T> Default for JsonSerde<T> {
    fn default() -> Self {
        Self { of: PhantomData }
    }
}

impl<T> Clone for JsonSerde<T> {
    fn clone(&self) -> Self {
        Self::default()
    }
}

impl<T> fmt::Debug for JsonSerde<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "JsonSerde<{}>", std::any::type_name::<T>())
    }
}

impl<T: Serialize + 'static> Serializer<T> for JsonSerde<T> {
    fn write(&self, value: &T, out: &mut Vec<u8>) -> Result<(), SerdeError> {
        let start = out.len();
        serde_json::to_writer(&mut *out, value).map_err(|error| {
            out.truncate(start);
            SerdeError::new(format!(
                "{} has no form in JSON: {error}",
                std::any::type_name::<T>()
            ))
        })
    }
}

impl<T: DeserializeOwned + 'static> OwnedDeserializer<T> for JsonSerde<T> {
    fn read_owned(&self, bytes: &[u8]) -> Result<T, SerdeError> {
        serde_json::from_slice(bytes).map_err(|error| {
            SerdeError::new(format!(
                "expected {} as JSON, found {} bytes: {error}",
                std::any::type_name::<T>(),
                bytes.len()
            ))
        })
    }
}

impl<T: DeserializeOwned + Send + 'static> Deserializer<T> for JsonSerde<T> {
    type Slot = Option<T>;

    fn read<'a>(&self, bytes: &'a [u8], slot: &'a mut Option<T>) -> Result<&'a T, SerdeError> {
        Ok(slot.insert(self.read_owned(bytes)?))
    }
}

/// Stores a serde type as JSON wherever it is a key or a value; once for each type.
///
/// ```
/// use headwater_core::serdes::{Data, OwnedDeserializer, Serializer};
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Debug, PartialEq, Serialize, Deserialize)]
/// struct Order { product: String, pieces: u32 }
/// headwater_core::stored_as_json!(Order);
///
/// let serde = <Order as Data>::Serde::default();
/// let mut out = Vec::new();
/// serde.write(&Order { product: "lamp".to_owned(), pieces: 2 }, &mut out).unwrap();
/// assert_eq!(out, br#"{"product":"lamp","pieces":2}"#);
/// assert_eq!(serde.read_owned(&out).unwrap().pieces, 2);
/// ```
#[macro_export]
macro_rules! stored_as_json {
    ($($type:ty),+ $(,)?) => {$(
        impl $crate::serdes::Data for $type {
            type Serde = $crate::serdes::JsonSerde<$type>;
        }
    )+};
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::super::testing::{lent, owned, written};
    use super::*;

    #[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
    struct Order {
        customer: String,
        pieces: Vec<u64>,
        note: Option<String>,
    }
    crate::stored_as_json!(Order);

    #[derive(Debug, serde::Serialize, serde::Deserialize)]
    struct Nest(Vec<Self>);
    crate::stored_as_json!(Nest);

    #[test]
    fn bytes_after_the_value_are_refused() {
        let order = Order {
            customer: "ada".to_owned(),
            pieces: vec![1],
            note: None,
        };
        let mut bytes = written(&order);
        assert_eq!(lent::<Order>(&bytes), Ok(order));
        bytes.extend_from_slice(b"{}");
        let error = lent::<Order>(&bytes).unwrap_err();
        assert!(error.to_string().contains("trailing characters"), "{error}");
    }

    #[test]
    fn a_deep_nest_is_refused_before_it_fills_the_stack() {
        let error = owned::<Nest>(&vec![b'['; 1 << 20]).unwrap_err();
        assert!(error.to_string().contains("recursion"), "{error}");
    }

    #[test]
    fn a_failed_write_leaves_the_buffer_as_it_was() {
        let mut out = b"before".to_vec();
        let bad = BTreeMap::from([(vec![1_u8], 1_u8)]);
        let error = JsonSerde::default().write(&bad, &mut out).unwrap_err();
        assert!(error.to_string().contains("no form in JSON"), "{error}");
        assert_eq!(out, b"before");
    }

    proptest! {
        #[test]
        fn every_value_comes_back(
            customer: String, pieces: Vec<u64>, note: Option<String>, cut: prop::sample::Index
        ) {
            let order = Order { customer, pieces, note };
            let bytes = written(&order);
            prop_assert!(owned::<Order>(&bytes[..cut.index(bytes.len())]).is_err());
            prop_assert_eq!(owned::<Order>(&bytes).unwrap(), order);
        }

        #[test]
        fn no_bytes_make_it_panic(bytes: Vec<u8>) {
            drop(owned::<Order>(&bytes));
            drop(owned::<Nest>(&bytes));
        }
    }
}
