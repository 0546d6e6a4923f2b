//! Kafka's null: `()`, which is always null, and `Option<T>`, whose `None` is null (a tombstone).

use super::{Data, Deserializer, OwnedDeserializer, SerdeError, Serializer};

/// `()`: writes null and takes whatever it reads, so that a program can read a topic whose keys
/// it does not care about. Kafka's own void deserializer refuses bytes that are not null.
#[derive(Clone, Copy, Debug, Default)]
pub struct VoidSerde;

impl Serializer<()> for VoidSerde {
    fn write(&self, (): &(), _: &mut Vec<u8>) -> Result<(), SerdeError> {
        Ok(())
    }

    fn len(&self, (): &()) -> Option<usize> {
        Some(0)
    }

    fn is_null(&self, (): &()) -> bool {
        true
    }
}

impl Deserializer<()> for VoidSerde {
    type Slot = ();

    fn read<'a>(&self, _: &'a [u8], slot: &'a mut ()) -> Result<&'a (), SerdeError> {
        Ok(slot)
    }

    fn null<'a>(&self, slot: &'a mut ()) -> Option<&'a ()> {
        Some(slot)
    }
}

impl OwnedDeserializer<()> for VoidSerde {
    fn read_owned(&self, _: &[u8]) -> Result<(), SerdeError> {
        Ok(())
    }

    fn null_owned(&self) -> Option<()> {
        Some(())
    }
}

impl Data for () {
    type Serde = VoidSerde;
}

/// `Option<T>` over the serde of `T`: `None` is null.
///
/// ```
/// use headwater_core::serdes::{OptionSerde, OwnedDeserializer, Serializer, StringSerde};
/// let serde = OptionSerde::new(StringSerde);
/// assert!(serde.is_null(&None::<String>));
/// assert_eq!(serde.null_owned(), Some(None::<String>));
/// assert_eq!(serde.read_owned(b"a"), Ok(Some("a".to_owned())));
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct OptionSerde<S> {
    inner: S,
}

impl<S> OptionSerde<S> {
    /// Writes and reads what is inside `Some` by `inner`.
    #[must_use]
    pub const fn new(inner: S) -> Self {
        Self { inner }
    }
}

impl<T, S: Serializer<T>> Serializer<Option<T>> for OptionSerde<S> {
    fn write(&self, value: &Option<T>, out: &mut Vec<u8>) -> Result<(), SerdeError> {
        value
            .as_ref()
            .map_or(Ok(()), |value| self.inner.write(value, out))
    }

    fn len(&self, value: &Option<T>) -> Option<usize> {
        value
            .as_ref()
            .map_or(Some(0), |value| self.inner.len(value))
    }

    fn is_null(&self, value: &Option<T>) -> bool {
        value.as_ref().is_none_or(|value| self.inner.is_null(value))
    }
}

impl<T: Send + 'static, S: OwnedDeserializer<T>> Deserializer<Option<T>> for OptionSerde<S> {
    type Slot = Option<T>;

    fn read<'a>(
        &self,
        bytes: &'a [u8],
        slot: &'a mut Option<T>,
    ) -> Result<&'a Option<T>, SerdeError> {
        *slot = Some(self.inner.read_owned(bytes)?);
        Ok(slot)
    }

    fn null<'a>(&self, slot: &'a mut Option<T>) -> Option<&'a Option<T>> {
        *slot = None;
        Some(slot)
    }
}

impl<T, S: OwnedDeserializer<T>> OwnedDeserializer<Option<T>> for OptionSerde<S> {
    fn read_owned(&self, bytes: &[u8]) -> Result<Option<T>, SerdeError> {
        self.inner.read_owned(bytes).map(Some)
    }

    fn null_owned(&self) -> Option<Option<T>> {
        Some(None)
    }
}

impl<T: Data + Send> Data for Option<T>
where
    T::Serde: OwnedDeserializer<T>,
{
    type Serde = OptionSerde<T::Serde>;
}

#[cfg(test)]
mod tests {
    use super::super::testing::{lent, owned, written};
    use super::*;

    #[test]
    fn void_writes_null_and_takes_everything() {
        assert!(VoidSerde.is_null(&()));
        assert!(written(&()).is_empty());
        assert_eq!(VoidSerde.null(&mut ()), Some(&()));
        assert_eq!(VoidSerde.null_owned(), Some(()));
        assert_eq!(lent::<()>(b"a key of no interest"), Ok(()));
        assert_eq!(owned::<()>(b""), Ok(()));
    }

    #[test]
    fn none_is_null_and_some_is_its_value() {
        type Serde = <Option<i32> as Data>::Serde;
        let serde = Serde::default();
        assert!(serde.is_null(&None::<i32>));
        assert!(!serde.is_null(&Some(0_i32)));
        assert_eq!(serde.len(&Some(7_i32)), Some(4));
        assert_eq!(written(&Some(7_i32)), [0, 0, 0, 7]);
        assert_eq!(lent::<Option<i32>>(&[0, 0, 0, 7]), Ok(Some(7)));
        assert_eq!(owned::<Option<i32>>(&[0, 0, 0, 7]), Ok(Some(7)));
        assert!(owned::<Option<i32>>(&[]).is_err());
    }

    #[test]
    fn null_leaves_nothing_in_the_slot() {
        let serde = OptionSerde::new(super::super::NumberSerde);
        let mut slot: Option<u8> = None;
        assert_eq!(serde.read(&[7], &mut slot), Ok(&Some(7)));
        assert_eq!(serde.null(&mut slot), Some(&None));
    }

    #[test]
    fn what_has_no_place_for_null_says_so() {
        let null: Option<String> = super::super::StringSerde.null_owned();
        assert_eq!(null, None);
    }
}
