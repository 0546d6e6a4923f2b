//! The codecs of the records in a batch, bounded on the way back.
//!
//! Snappy is written in the xerial framing that Kafka's own clients use, and read raw as well:
//!
//! ```text
//!   0x82 "SNAPPY" 0x00 | version i32 (1) | compatible i32 (1) | blocks: length i32, raw snappy
//! ```
//!
//! LZ4 is written as frames of independent blocks of 64 KiB, which Kafka's reader insists on.

use std::fmt;
use std::io::{Read, Write};
use std::str::FromStr;

use zstd::stream::raw::{DParameter, InBuffer, Operation, OutBuffer};

use super::batch::corrupt;
use crate::error::{Error, ErrorKind, Result};

/// The most bytes that a batch's records may decompress to, unless told otherwise.
pub const DECOMPRESSED_BYTES_MAX: usize = 64 << 20;

/// How the records of a batch are compressed, by Kafka's names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Compression {
    /// Not at all.
    #[default]
    None,
    /// Gzip: small, slow to write.
    Gzip,
    /// Snappy: fast.
    Snappy,
    /// LZ4: fast, fastest to read.
    Lz4,
    /// Zstandard: smallest for its speed.
    Zstd,
}

impl Compression {
    /// All of them, in the order of their numbers in a batch.
    pub const ALL: [Self; 5] = [Self::None, Self::Gzip, Self::Snappy, Self::Lz4, Self::Zstd];

    /// Kafka's name for it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Gzip => "gzip",
            Self::Snappy => "snappy",
            Self::Lz4 => "lz4",
            Self::Zstd => "zstd",
        }
    }

    pub(super) const fn id(self) -> u16 {
        self as u16
    }

    pub(super) fn from_id(id: u16) -> Result<Self> {
        match Self::ALL.get(usize::from(id)) {
            Some(compression) => Ok(*compression),
            None => Err(Error::new(
                ErrorKind::UnsupportedCompressionType,
                format!("compression {id} is unknown, the last one known is 4 (zstd)"),
            )),
        }
    }
}

impl fmt::Display for Compression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Compression {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        let found = Self::ALL.into_iter().find(|known| known.name() == name);
        found.ok_or_else(|| {
            Error::new(
                ErrorKind::InvalidConfig,
                format!("compression {name:?} is not one of none, gzip, snappy, lz4, zstd"),
            )
        })
    }
}

/// A codec and how hard it tries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Compressor {
    compression: Compression,
    level: i32,
}

impl Compressor {
    /// The codec at its default level (gzip 6, zstd 3).
    #[must_use]
    pub const fn new(compression: Compression) -> Self {
        let level = match compression {
            Compression::Gzip => GZIP_LEVEL_DEFAULT,
            Compression::Zstd => zstd::DEFAULT_COMPRESSION_LEVEL,
            Compression::None | Compression::Snappy | Compression::Lz4 => 0,
        };
        Self { compression, level }
    }

    /// The codec at `level`: 1 to 9 for gzip, -131072 to 22 for zstd.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidConfig`] for another level, and for a codec that has none: LZ4 has
    /// its fast one alone.
    pub fn with_level(compression: Compression, level: i32) -> Result<Self> {
        let levels = match compression {
            Compression::Gzip => 1..=9,
            Compression::Zstd => zstd::compression_level_range(),
            Compression::None | Compression::Snappy | Compression::Lz4 => {
                return Err(Error::new(
                    ErrorKind::InvalidConfig,
                    format!("{compression} has no levels, leave the level out"),
                ));
            }
        };
        if levels.contains(&level) {
            return Ok(Self { compression, level });
        }
        Err(Error::new(
            ErrorKind::InvalidConfig,
            format!(
                "{compression} has the levels {} to {}, not {level}",
                levels.start(),
                levels.end()
            ),
        ))
    }

    /// The codec.
    #[must_use]
    pub const fn compression(self) -> Compression {
        self.compression
    }

    /// Appends the compressed form of `input` to `out`.
    pub(super) fn compress(self, input: &[u8], out: &mut Vec<u8>) -> Result<()> {
        let done = match self.compression {
            Compression::None => {
                out.extend_from_slice(input);
                Ok(())
            }
            Compression::Gzip => gzip(input, self.level, out),
            Compression::Snappy => xerial(input, out),
            Compression::Lz4 => lz4(input, out),
            Compression::Zstd => zstd(input, self.level, out),
        };
        done.map_err(|error| {
            Error::new(
                ErrorKind::InvalidRecord,
                format!(
                    "the batch could not be compressed with {}",
                    self.compression
                ),
            )
            .source(error)
        })
    }
}

impl From<Compression> for Compressor {
    fn from(compression: Compression) -> Self {
        Self::new(compression)
    }
}

/// Memory to decompress records into, used again for each batch, and its bound.
pub struct Scratch {
    buffer: Vec<u8>,
    pub(super) bytes_max: usize,
    /// Kept, because making one costs more than decompressing a small batch.
    zstd: Option<zstd::stream::raw::Decoder<'static>>,
}

impl fmt::Debug for Scratch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scratch")
            .field("bytes_max", &self.bytes_max)
            .finish_non_exhaustive()
    }
}

impl Default for Scratch {
    fn default() -> Self {
        Self::new()
    }
}

impl Scratch {
    /// Takes batches of up to [`DECOMPRESSED_BYTES_MAX`].
    #[must_use]
    pub const fn new() -> Self {
        Self::with_limit(DECOMPRESSED_BYTES_MAX)
    }

    /// Takes batches of up to `bytes_max` when decompressed.
    #[must_use]
    pub const fn with_limit(bytes_max: usize) -> Self {
        Self {
            buffer: Vec::new(),
            bytes_max,
            zstd: None,
        }
    }

    /// How much memory is kept.
    #[cfg(test)]
    pub(super) const fn capacity(&self) -> usize {
        self.buffer.capacity()
    }

    /// Lends what `input` decompresses to; uncompressed bytes are lent as they are.
    pub(super) fn decompress<'s>(
        &'s mut self,
        compression: Compression,
        input: &'s [u8],
    ) -> Result<&'s [u8]> {
        let (out, bytes_max) = (&mut self.buffer, self.bytes_max);
        out.clear();
        let done = match compression {
            Compression::None => return Ok(input),
            Compression::Gzip => {
                read_all(flate2::bufread::MultiGzDecoder::new(input), bytes_max, out)
            }
            Compression::Snappy => unsnappy(input, bytes_max, out),
            Compression::Lz4 => read_all(lz4_flex::frame::FrameDecoder::new(input), bytes_max, out),
            Compression::Zstd => unzstd(&mut self.zstd, input, bytes_max, out),
        };
        match done {
            Ok(()) if out.len() <= bytes_max => Ok(out),
            Ok(()) => {
                // What a bomb made grow is not kept.
                *out = Vec::new();
                Err(corrupt(&format!(
                    "the batch's {} bytes of {compression} decompress to more than the {bytes_max} \
                     that are allowed",
                    input.len()
                )))
            }
            Err(error) => Err(corrupt(&format!(
                "the batch's {} bytes of {compression} do not decompress",
                input.len()
            ))
            .source(error)),
        }
    }
}

const GZIP_LEVEL_DEFAULT: i32 = 6;

fn gzip(input: &[u8], level: i32, out: &mut Vec<u8>) -> std::io::Result<()> {
    let level = flate2::Compression::new(level.unsigned_abs());
    let mut encoder = flate2::write::GzEncoder::new(out, level);
    encoder.write_all(input)?;
    encoder.finish()?;
    Ok(())
}

fn lz4(input: &[u8], out: &mut Vec<u8>) -> std::io::Result<()> {
    let info = lz4_flex::frame::FrameInfo::new()
        .block_size(lz4_flex::frame::BlockSize::Max64KB)
        .block_mode(lz4_flex::frame::BlockMode::Independent);
    let mut encoder = lz4_flex::frame::FrameEncoder::with_frame_info(info, out);
    encoder.write_all(input)?;
    encoder.finish()?;
    Ok(())
}

const XERIAL_MAGIC: [u8; 8] = *b"\x82SNAPPY\0";
const XERIAL_VERSION: u32 = 1;
const XERIAL_BLOCK: usize = 32 << 10;

fn xerial(input: &[u8], out: &mut Vec<u8>) -> std::io::Result<()> {
    out.extend_from_slice(&XERIAL_MAGIC);
    out.extend_from_slice(&XERIAL_VERSION.to_be_bytes());
    out.extend_from_slice(&XERIAL_VERSION.to_be_bytes());
    let mut encoder = snap::raw::Encoder::new();
    for block in input.chunks(XERIAL_BLOCK) {
        let at = out.len();
        out.resize(at + 4 + snap::raw::max_compress_len(block.len()), 0);
        let (length, body) = out[at..].split_at_mut(4);
        let written = encoder.compress(block, body)?;
        let written_u32 = u32::try_from(written).map_err(std::io::Error::other)?;
        length.copy_from_slice(&written_u32.to_be_bytes());
        out.truncate(at + 4 + written);
    }
    Ok(())
}

/// A byte of snappy stands for at most 64 / 3 bytes.
const SNAPPY_RATIO_MAX: usize = 32;

fn unsnappy(input: &[u8], bytes_max: usize, out: &mut Vec<u8>) -> std::io::Result<()> {
    let Some(mut blocks) = input
        .strip_prefix(&XERIAL_MAGIC)
        .and_then(|rest| rest.get(8..))
    else {
        return unsnappy_block(input, bytes_max, out);
    };
    while !blocks.is_empty() && out.len() <= bytes_max {
        let (length, rest) = blocks.split_first_chunk().ok_or_else(cut_off)?;
        let length = usize::try_from(u32::from_be_bytes(*length)).map_err(std::io::Error::other)?;
        let (block, rest) = rest.split_at_checked(length).ok_or_else(cut_off)?;
        unsnappy_block(block, bytes_max, out)?;
        blocks = rest;
    }
    Ok(())
}

/// Appends one block; beyond the bound it appends nothing but leaves `out` over it.
fn unsnappy_block(block: &[u8], bytes_max: usize, out: &mut Vec<u8>) -> std::io::Result<()> {
    let length = snap::raw::decompress_len(block)?;
    if length / SNAPPY_RATIO_MAX > block.len() {
        return Err(cut_off());
    }
    let at = out.len();
    out.resize((at + length).min(bytes_max + 1), 0);
    if out.len() <= bytes_max {
        snap::raw::Decoder::new().decompress(block, &mut out[at..])?;
    }
    Ok(())
}

fn cut_off() -> std::io::Error {
    std::io::Error::new(std::io::ErrorKind::UnexpectedEof, "the bytes are cut off")
}

/// The whole input is given at once, so that the codec fits its tables to it.
fn zstd(input: &[u8], level: i32, out: &mut Vec<u8>) -> std::io::Result<()> {
    let at = out.len();
    out.resize(at + zstd::zstd_safe::compress_bound(input.len()), 0);
    let written = zstd::bulk::Compressor::new(level)?
        .compress_to_buffer(input, out.get_mut(at..).unwrap_or_default())?;
    out.truncate(at + written);
    Ok(())
}

/// The largest window that any level writes, 128 MiB, and so the most memory that a frame can
/// ask the decoder to reserve.
const ZSTD_WINDOW_LOG_MAX: u32 = 27;
/// What a frame's blocks decompress to at most, each.
const ZSTD_BLOCK: usize = 128 << 10;

fn unzstd(
    decoder: &mut Option<zstd::stream::raw::Decoder<'static>>,
    input: &[u8],
    bytes_max: usize,
    out: &mut Vec<u8>,
) -> std::io::Result<()> {
    let decoder = match decoder {
        Some(decoder) => {
            decoder.reinit()?;
            decoder
        }
        None => {
            let mut new = zstd::stream::raw::Decoder::new()?;
            new.set_parameter(DParameter::WindowLogMax(ZSTD_WINDOW_LOG_MAX))?;
            decoder.insert(new)
        }
    };
    let mut from = InBuffer::around(input);
    loop {
        out.reserve(ZSTD_BLOCK.min(bytes_max.saturating_add(1) - out.len()));
        let (taken, filled) = (from.pos(), out.len());
        let mut to = OutBuffer::around_pos(out, filled);
        let wanted = decoder.run(&mut from, &mut to)?;
        let ended = wanted == 0 && from.pos() == input.len();
        if ended || out.len() > bytes_max {
            return Ok(());
        }
        if from.pos() == taken && out.len() == filled {
            return Err(cut_off());
        }
    }
}

/// Reads to the end, or to one byte over the bound.
fn read_all(from: impl Read, bytes_max: usize, out: &mut Vec<u8>) -> std::io::Result<()> {
    let bound = u64::try_from(bytes_max)
        .unwrap_or(u64::MAX)
        .saturating_add(1);
    from.take(bound).read_to_end(out)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn compressed(compressor: Compressor, input: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        compressor.compress(input, &mut out).unwrap();
        out
    }

    /// Compressible but not trivial, and longer than the blocks of every codec.
    fn sample() -> Vec<u8> {
        (0..40_000_u32)
            .flat_map(|i| (i * i % 1009).to_be_bytes())
            .collect()
    }

    #[test]
    fn names_and_numbers_are_kafkas() {
        for (id, compression) in (0..).zip(Compression::ALL) {
            assert_eq!(compression.id(), id);
            assert_eq!(Compression::from_id(id).unwrap(), compression);
            let parsed: Compression = compression.to_string().parse().unwrap();
            assert_eq!(parsed, compression);
        }
        let error = Compression::from_id(5).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::UnsupportedCompressionType);
        let error = "brotli".parse::<Compression>().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidConfig);
    }

    #[test]
    fn every_codec_round_trips_at_its_levels() {
        let mut scratch = Scratch::new();
        for input in [&b""[..], b"x", &sample()] {
            for compression in Compression::ALL {
                let mut all = vec![Compressor::new(compression)];
                for level in [-5, 1, 9, 19] {
                    all.extend(Compressor::with_level(compression, level).ok());
                }
                for compressor in all {
                    let bytes = compressed(compressor, input);
                    let back = scratch.decompress(compression, &bytes).unwrap();
                    assert!(back == input, "{compressor:?}");
                }
            }
        }
    }

    #[test]
    fn levels_are_bounded() {
        for (compression, level) in [
            (Compression::Gzip, 0),
            (Compression::Gzip, 10),
            (Compression::Zstd, 23),
            (Compression::Lz4, 9),
            (Compression::Snappy, 1),
            (Compression::None, 1),
        ] {
            let error = Compressor::with_level(compression, level).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidConfig);
        }
    }

    #[test]
    fn snappy_is_read_in_both_framings() {
        let input = sample();
        let raw = snap::raw::Encoder::new().compress_vec(&input).unwrap();
        let framed = compressed(Compression::Snappy.into(), &input);
        assert!(framed.starts_with(b"\x82SNAPPY\0\0\0\0\x01\0\0\0\x01"));
        let mut scratch = Scratch::new();
        for bytes in [raw, framed] {
            let back = scratch.decompress(Compression::Snappy, &bytes).unwrap();
            assert!(back == input);
        }
    }

    #[test]
    fn lz4_frames_have_independent_blocks_of_64_kib() {
        let frame = compressed(Compression::Lz4.into(), &sample());
        assert_eq!(
            frame[4] & 0b1110_0000,
            0b0110_0000,
            "version 1, independent"
        );
        assert_eq!(frame[5], 4 << 4, "64 KiB");
    }

    #[test]
    fn the_bound_is_exact() {
        let input = sample();
        for compression in &Compression::ALL[1..] {
            let bytes = compressed((*compression).into(), &input);
            let mut scratch = Scratch::with_limit(input.len());
            assert!(scratch.decompress(*compression, &bytes).is_ok());
            scratch = Scratch::with_limit(input.len() - 1);
            assert!(scratch.decompress(*compression, &bytes).is_err());
        }
    }

    #[test]
    fn a_length_that_the_bytes_cannot_hold_reserves_nothing() {
        let claims_a_gigabyte = [0x80, 0x80, 0x80, 0x80, 4, 0, 0];
        let mut scratch = Scratch::with_limit(usize::MAX);
        let error = scratch.decompress(Compression::Snappy, &claims_a_gigabyte);
        assert!(error.is_err());
        assert!(scratch.capacity() < 1 << 20);
    }

    #[test]
    fn several_frames_are_read_as_one() {
        for compression in [Compression::Gzip, Compression::Zstd] {
            let mut bytes = compressed(compression.into(), b"first ");
            bytes.extend(compressed(compression.into(), b"second"));
            let mut scratch = Scratch::new();
            let back = scratch.decompress(compression, &bytes).unwrap();
            assert_eq!(back, b"first second");
        }
    }
}
