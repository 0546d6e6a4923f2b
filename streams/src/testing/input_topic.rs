//! The way in: `driver.input("text").send(key, value).at(timestamp)`.

use std::fmt;

use headwater_core::Result;
use headwater_core::record::HeadersBuf;
use headwater_core::serdes::{Data, SerdeError, Serializer};
use headwater_core::types::Timestamp;

use super::driver::TopologyTestDriver;

/// A topic that the topology reads.
#[derive(Debug)]
pub struct InputTopic<'a> {
    driver: &'a mut TopologyTestDriver,
    topic: String,
}

impl<'a> InputTopic<'a> {
    pub(super) fn new(driver: &'a mut TopologyTestDriver, topic: &str) -> Self {
        let topic = topic.to_owned();
        Self { driver, topic }
    }

    /// A record with this key and value, each `()` or `None` for Kafka's null, a reference or a
    /// number; its time follows with [`Sending::at`].
    #[expect(
        clippy::needless_pass_by_value,
        reason = "numbers and `()` are passed as they are, references as references"
    )]
    pub fn send(self, key: impl Lend, value: impl Lend) -> Sending<'a> {
        Sending {
            key: key.bytes(),
            value: value.bytes(),
            headers: HeadersBuf::new(),
            to: self,
        }
    }
}

/// A record on its way into a topic.
#[must_use = "the record goes in with `.at(timestamp)` or `.now()`"]
pub struct Sending<'a> {
    to: InputTopic<'a>,
    key: Result<Option<Vec<u8>>, SerdeError>,
    value: Result<Option<Vec<u8>>, SerdeError>,
    headers: HeadersBuf,
}

impl Sending<'_> {
    /// Adds a header.
    pub fn header(mut self, name: &str, value: Option<&[u8]>) -> Self {
        self.headers.push(name, value);
        self
    }

    /// Sends the record with this timestamp through the topology.
    ///
    /// # Panics
    /// When an operator fails; [`Sending::try_at`] returns the error instead.
    pub fn at(self, timestamp: i64) {
        self.try_at(timestamp)
            .unwrap_or_else(|error| panic!("{error}"));
    }

    /// Sends the record with the time of the driver's clock.
    ///
    /// # Panics
    /// When an operator fails.
    pub fn now(self) {
        let now = self.to.driver.now();
        self.at(now.0);
    }

    /// Sends the record with this timestamp through the topology.
    ///
    /// # Errors
    /// What an operator or a serde says, with its place; the topic when nobody reads it.
    pub fn try_at(self, timestamp: i64) -> Result<()> {
        let (key, value) = (self.key?, self.value?);
        let InputTopic { driver, topic } = self.to;
        let (key, value) = (key.as_deref(), value.as_deref());
        driver.pipe(&topic, Timestamp(timestamp), key, value, &self.headers)
    }
}

impl fmt::Debug for Sending<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sending to {}", self.to.topic)
    }
}

/// What a test may pass as a key or value.
pub trait Lend {
    /// Its bytes; `None` is Kafka's null.
    ///
    /// # Errors
    /// When the serde refuses it.
    fn bytes(&self) -> Result<Option<Vec<u8>>, SerdeError>;
}

impl<T: ?Sized + Data> Lend for &T {
    fn bytes(&self) -> Result<Option<Vec<u8>>, SerdeError> {
        let serde = T::Serde::default();
        if serde.is_null(self) {
            return Ok(None);
        }
        let mut bytes = Vec::new();
        serde.write(self, &mut bytes)?;
        Ok(Some(bytes))
    }
}

impl<T: ?Sized + Data> Lend for Option<&T> {
    fn bytes(&self) -> Result<Option<Vec<u8>>, SerdeError> {
        self.map_or(Ok(None), |value| value.bytes())
    }
}

macro_rules! lend_by_value {
    ($($type:ty),*) => {
        $(impl Lend for $type {
            fn bytes(&self) -> Result<Option<Vec<u8>>, SerdeError> {
                Lend::bytes(&self)
            }
        })*
    };
}

lend_by_value!((), bool, i16, i32, i64, u16, u32, u64, f32, f64, String);
