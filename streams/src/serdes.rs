//! Serdes with their type hidden: what the options of the DSL carry from one operator to the next.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use headwater_core::serdes::{Data, Deserializer, SerdeError, Serializer};

/// A serde of `T`.
///
/// A type that is [`Data`] has one ([`Serde::of`]); any other serde is passed to
/// [`Serde::new`].
pub struct Serde<T: ?Sized>(Arc<dyn Erased<T>>);

impl<T: ?Sized + 'static> Serde<T> {
    /// Hides the type of `serde`.
    pub fn new<S>(serde: S) -> Self
    where
        S: Serializer<T> + Deserializer<T> + Clone,
    {
        Self(Arc::new(serde))
    }

    /// The serde that the type names as its own.
    #[must_use]
    pub fn of() -> Self
    where
        T: Data,
    {
        Self::new(T::Serde::default())
    }

    /// Appends the bytes of `value` to `out`.
    #[inline]
    pub(crate) fn write(&self, value: &T, out: &mut Vec<u8>) -> Result<(), SerdeError> {
        self.0.write(value, out)
    }

    /// Whether `value` is written as Kafka's null.
    #[inline]
    pub(crate) fn is_null(&self, value: &T) -> bool {
        self.0.is_null(value)
    }

    /// A reader with a slot of its own.
    pub(crate) fn reader(&self) -> Box<dyn Reader<T>> {
        self.0.reader()
    }
}

impl<T: ?Sized> Clone for Serde<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T: ?Sized> fmt::Debug for Serde<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Serde<{}>", std::any::type_name::<T>())
    }
}

/// Reads values one after the other into the same slot and lends them.
pub(crate) trait Reader<T: ?Sized>: Send {
    /// Reads one value.
    fn read<'a>(&'a mut self, bytes: &'a [u8]) -> Result<&'a T, SerdeError>;

    /// What Kafka's null reads as, for types that have a place for it.
    fn null(&mut self) -> Option<&T>;

    /// Reads a value or Kafka's null.
    #[inline]
    fn read_nullable<'a>(
        &'a mut self,
        bytes: Option<&'a [u8]>,
    ) -> Result<Option<&'a T>, SerdeError> {
        match bytes {
            Some(bytes) => self.read(bytes).map(Some),
            None => Ok(self.null()),
        }
    }
}

trait Erased<T: ?Sized>: Send + Sync {
    fn write(&self, value: &T, out: &mut Vec<u8>) -> Result<(), SerdeError>;
    fn is_null(&self, value: &T) -> bool;
    fn reader(&self) -> Box<dyn Reader<T>>;
}

impl<T: ?Sized + 'static, S> Erased<T> for S
where
    S: Serializer<T> + Deserializer<T> + Clone,
{
    fn write(&self, value: &T, out: &mut Vec<u8>) -> Result<(), SerdeError> {
        Serializer::write(self, value, out)
    }

    fn is_null(&self, value: &T) -> bool {
        Serializer::is_null(self, value)
    }

    fn reader(&self) -> Box<dyn Reader<T>> {
        Box::new(SlotReader {
            serde: self.clone(),
            slot: S::Slot::default(),
            _type: PhantomData,
        })
    }
}

struct SlotReader<S: Deserializer<T>, T: ?Sized> {
    serde: S,
    slot: S::Slot,
    _type: PhantomData<fn(&T)>,
}

impl<T: ?Sized + 'static, S: Deserializer<T>> Reader<T> for SlotReader<S, T> {
    #[inline]
    fn read<'a>(&'a mut self, bytes: &'a [u8]) -> Result<&'a T, SerdeError> {
        self.serde.read(bytes, &mut self.slot)
    }

    #[inline]
    fn null(&mut self) -> Option<&T> {
        self.serde.null(&mut self.slot)
    }
}
