//! A record's headers: name and value pairs that keep their order and their duplicates.
//!
//! ```text
//!   name length (varint) | name | value length (varint, -1 is null) | value     one header
//! ```

use std::borrow::Cow;
use std::fmt;

use super::varint;

/// One header of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Header<'a> {
    /// The name; UTF-8 by convention, which no broker checks.
    pub key: &'a [u8],
    /// The value; `None` is Kafka's null.
    pub value: Option<&'a [u8]>,
}

impl<'a> Header<'a> {
    /// The name as text; what is not UTF-8 in it is replaced.
    #[must_use]
    pub fn name(&self) -> Cow<'a, str> {
        String::from_utf8_lossy(self.key)
    }
}

/// The headers of a record, as they lie in the batch: checked, parsed again on demand.
///
/// ```
/// use headwater_core::record::HeadersBuf;
/// let mut owned = HeadersBuf::new();
/// owned.push("trace", Some(b"17"));
/// owned.push("trace", None);
/// let headers = owned.as_headers();
/// assert_eq!(headers.len(), 2);
/// assert_eq!(headers.last("trace").map(|header| header.value), Some(None));
/// ```
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Headers<'a> {
    count: usize,
    raw: &'a [u8],
}

impl<'a> Headers<'a> {
    /// No headers.
    pub const EMPTY: Headers<'static> = Headers { count: 0, raw: &[] };

    /// The number of headers.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.count
    }

    /// Whether there is none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The headers in their order.
    pub fn iter(&self) -> impl Iterator<Item = Header<'a>> + use<'a> {
        let mut rest = self.raw;
        std::iter::from_fn(move || take(&mut rest))
    }

    /// The last header of this name, which is the one that counts.
    #[must_use]
    pub fn last(&self, name: &str) -> Option<Header<'a>> {
        self.iter()
            .filter(|header| header.key == name.as_bytes())
            .last()
    }

    /// The bytes of the headers, without their count.
    pub(super) const fn raw(&self) -> &'a [u8] {
        self.raw
    }

    /// Checks that `raw` is exactly `count` headers.
    #[inline]
    pub(super) fn parse(count: usize, raw: &'a [u8]) -> Option<Self> {
        if count == 0 {
            return raw.is_empty().then_some(Headers::EMPTY);
        }
        Self::parse_some(count, raw)
    }

    fn parse_some(count: usize, raw: &'a [u8]) -> Option<Self> {
        let mut rest = raw;
        for _ in 0..count {
            take(&mut rest)?;
        }
        rest.is_empty().then_some(Self { count, raw })
    }
}

impl fmt::Debug for Headers<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

/// Headers to be written, or kept beyond the batch they came from.
#[derive(Clone, Default, PartialEq, Eq, Hash)]
pub struct HeadersBuf {
    count: usize,
    raw: Vec<u8>,
}

impl HeadersBuf {
    /// No headers yet.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            count: 0,
            raw: Vec::new(),
        }
    }

    /// Adds a header after the others; `None` writes Kafka's null.
    pub fn push(&mut self, name: impl AsRef<[u8]>, value: Option<&[u8]>) {
        let name = name.as_ref();
        put_bytes(Some(name), &mut self.raw);
        put_bytes(value, &mut self.raw);
        self.count += 1;
    }

    /// Removes all headers and keeps the memory.
    pub fn clear(&mut self) {
        self.count = 0;
        self.raw.clear();
    }

    /// The headers, lent.
    #[must_use]
    pub fn as_headers(&self) -> Headers<'_> {
        Headers {
            count: self.count,
            raw: &self.raw,
        }
    }
}

impl fmt::Debug for HeadersBuf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.as_headers(), f)
    }
}

impl From<Headers<'_>> for HeadersBuf {
    fn from(headers: Headers<'_>) -> Self {
        Self {
            count: headers.count,
            raw: headers.raw.to_owned(),
        }
    }
}

/// Appends a length and the bytes; a missing value has the length -1.
#[inline]
pub(super) fn put_bytes(bytes: Option<&[u8]>, out: &mut Vec<u8>) {
    match bytes {
        None => varint::put(-1, out),
        Some(bytes) => {
            varint::put(len_as_i64(bytes.len()), out);
            out.extend_from_slice(bytes);
        }
    }
}

/// Takes a length and as many bytes; the outer `None` when they are cut off or the length makes
/// no sense, the inner one for null.
#[inline]
#[expect(clippy::option_option, reason = "null is a value of the format")]
pub(super) fn take_bytes<'a>(input: &mut &'a [u8]) -> Option<Option<&'a [u8]>> {
    let len = varint::take_i32(input)?;
    if len == -1 {
        return Some(None);
    }
    let (bytes, rest) = input.split_at_checked(usize::try_from(len).ok()?)?;
    *input = rest;
    Some(Some(bytes))
}

/// A length in memory, which always fits.
#[inline]
pub(super) const fn len_as_i64(len: usize) -> i64 {
    (len as u64).cast_signed()
}

fn take<'a>(input: &mut &'a [u8]) -> Option<Header<'a>> {
    let key = take_bytes(input)??;
    let value = take_bytes(input)?;
    Some(Header { key, value })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_duplicates_and_nulls_are_kept() {
        let mut owned = HeadersBuf::new();
        owned.push("b", Some(b"1"));
        owned.push("a", None);
        owned.push("b", Some(b""));
        owned.push([0xff], Some(b"not text"));
        let headers = owned.as_headers();
        let seen: Vec<_> = headers.iter().map(|h| (h.key, h.value)).collect();
        assert_eq!(
            seen,
            [
                (&b"b"[..], Some(&b"1"[..])),
                (b"a", None),
                (b"b", Some(b"")),
                (&[0xff], Some(b"not text")),
            ]
        );
        assert_eq!(headers.last("b").map(|h| h.value), Some(Some(&b""[..])));
        assert_eq!(headers.last("c"), None);
        assert_eq!(HeadersBuf::from(headers), owned);
        assert_eq!(Headers::parse(4, headers.raw()), Some(headers));
    }

    #[test]
    fn malformed_headers_are_refused() {
        let mut owned = HeadersBuf::new();
        owned.push("name", Some(b"value"));
        let raw = owned.as_headers().raw();
        for count in [0, 2, usize::MAX] {
            assert_eq!(Headers::parse(count, raw), None, "{count}");
        }
        for cut in 0..raw.len() {
            assert_eq!(Headers::parse(1, &raw[..cut]), None, "{cut}");
        }
        let null_name = [1, 0];
        assert_eq!(Headers::parse(1, &null_name), None);
        let negative = [0, 3];
        assert_eq!(Headers::parse(1, &negative), None);
    }
}
