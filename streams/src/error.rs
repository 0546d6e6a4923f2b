//! What closures may answer, and their errors as causes of ours.

use std::fmt;

use headwater_core::{Error, ErrorKind};

/// Any error of a closure.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// What a closure gives back: a plain value, or a `Result` of it.
///
/// ```
/// use headwater_streams::StreamsBuilder;
/// let topology = StreamsBuilder::new();
/// let numbers = topology.stream::<str, str>("numbers");
/// numbers.filter(|_, text| !text.is_empty());
/// numbers.filter(|_, text| text.parse::<u64>().map(|n| n > 0));
/// ```
pub trait Outcome<T> {
    /// The value, or why there is none.
    ///
    /// # Errors
    /// What the closure gave.
    fn outcome(self) -> Result<T, BoxError>;
}

impl Outcome<()> for () {
    #[inline]
    fn outcome(self) -> Result<(), BoxError> {
        Ok(())
    }
}

impl Outcome<Self> for bool {
    #[inline]
    fn outcome(self) -> Result<Self, BoxError> {
        Ok(self)
    }
}

impl<T, E: Into<BoxError>> Outcome<T> for Result<T, E> {
    #[inline]
    fn outcome(self) -> Result<T, BoxError> {
        self.map_err(Into::into)
    }
}

/// A closure's error as the source of an [`Error`].
#[derive(Debug)]
pub(crate) struct Cause(pub(crate) BoxError);

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl std::error::Error for Cause {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source()
    }
}

/// A topology that cannot be; `message` says what is wrong and the cure.
pub(crate) fn invalid_topology(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::InvalidTopology, message)
}
