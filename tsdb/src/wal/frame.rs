//! Frames: what log segments and checkpoints consist of. A frame is read whole or not at all.
//!
//! ```text
//! ┌────────────┬──────────┬─────┬────────────┬──────────────┬─────────────┬─────────┬─────────┐
//! │ magic      │ flags u8 │ 3×0 │ number u64 │ stored len   │ raw len     │ crc u32 │ payload │
//! │ fe 52 4c 46│          │     │            │ u32          │ u32         │         │         │
//! └────────────┴──────────┴─────┴────────────┴──────────────┴─────────────┴─────────┴─────────┘
//!   4            1          3     8            4              4             4         stored len
//! flags    bit 0: the payload is an LZ4 block of `raw len` bytes
//! number   position in the log: one more than that of the frame before
//! crc      CRC-32 (IEEE) of flags up to raw len, and of the payload as stored
//! all integers big-endian
//! ```
//!
//! The magic lets a reader find the next frame after damage: it tries every place where the four bytes are,
//! and believes the checksum. So damage costs the frames it hits, and not those behind them.

use std::borrow::Cow;

use memchr::memmem;

use crate::codec::Cursor;

const MAGIC: [u8; 4] = [0xfe, b'R', b'L', b'F'];
/// Bytes before the payload.
pub(crate) const HEADER_BYTES: usize = 28;
const FLAG_LZ4: u8 = 1;
/// No payload is larger, stored or raw: a commit of ten million samples. Larger lengths are damage.
pub(crate) const PAYLOAD_BYTES_MAX: usize = 256 << 20;
/// Below this LZ4 has nothing to find.
const COMPRESS_BYTES_MIN: usize = 64;

/// Appends a frame of a payload to `out`.
pub(crate) fn put(out: &mut Vec<u8>, number: u64, payload: &[u8]) {
    let start = out.len();
    let body = start + HEADER_BYTES;
    out.resize(body, 0);
    let mut flags = 0;
    if payload.len() >= COMPRESS_BYTES_MIN {
        out.resize(body + lz4_flex::block::get_maximum_output_size(payload.len()), 0);
        match lz4_flex::block::compress_into(payload, &mut out[body..]) {
            Ok(len) if len < payload.len() => {
                out.truncate(body + len);
                flags = FLAG_LZ4;
            }
            _ => out.truncate(body),
        }
    }
    if flags == 0 {
        out.extend_from_slice(payload);
    }
    let stored_len = (out.len() - body) as u32;
    let header = &mut out[start..body];
    header[..4].copy_from_slice(&MAGIC);
    header[4] = flags;
    header[8..16].copy_from_slice(&number.to_be_bytes());
    header[16..20].copy_from_slice(&stored_len.to_be_bytes());
    header[20..24].copy_from_slice(&(payload.len() as u32).to_be_bytes());
    let crc = checksum(&out[start..body], &out[body..]);
    out[start + 24..body].copy_from_slice(&crc.to_be_bytes());
}

/// The checksum of a frame with this header.
fn checksum(header: &[u8], stored: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&header[4..24]);
    hasher.update(stored);
    hasher.finalize()
}

/// How many bytes a frame takes, by its header; `None` if that isn't one.
pub(crate) fn stored_bytes(bytes: &[u8]) -> Option<usize> {
    let header = bytes.first_chunk::<HEADER_BYTES>()?;
    let stored_len = Cursor::new(&header[16..]).u32().ok()? as usize;
    (header[..4] == MAGIC && stored_len <= PAYLOAD_BYTES_MAX).then_some(HEADER_BYTES + stored_len)
}

/// The number of a frame, by its header; `None` if that isn't one.
pub(crate) fn number(bytes: &[u8]) -> Option<u64> {
    let header = bytes.first_chunk::<HEADER_BYTES>()?;
    if header[..4] == MAGIC { Cursor::new(&header[8..]).u64().ok() } else { None }
}

/// What is wrong with a frame that the process was writing when it ended.
pub(crate) const SHORT: &str = "frame ends early";
const LENGTH: &str = "length of frame";

/// A frame whose checksum is right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Frame<'a> {
    /// Its number.
    pub(crate) number: u64,
    /// What was put in.
    pub(crate) payload: Cow<'a, [u8]>,
    /// Where it begins in the file.
    pub(crate) offset: usize,
}

/// A part of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Part<'a> {
    /// A frame.
    Frame(Frame<'a>),
    /// Bytes that aren't a frame, up to the next one or to the end of the file.
    Damage {
        /// Where they begin.
        from: usize,
        /// Where the next frame begins.
        to: usize,
        /// What is wrong at the beginning.
        what: &'static str,
    },
}

/// The parts of a file's bytes from an offset on.
#[derive(Clone, Debug)]
pub(crate) struct Parts<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Parts<'a> {
    pub(crate) fn new(bytes: &'a [u8], offset: usize) -> Self {
        Parts { bytes, at: offset.min(bytes.len()) }
    }
}

impl<'a> Iterator for Parts<'a> {
    type Item = Part<'a>;

    fn next(&mut self) -> Option<Part<'a>> {
        if self.at == self.bytes.len() {
            return None;
        }
        let from = self.at;
        match read(self.bytes, from) {
            Ok((frame, end)) => {
                self.at = end;
                Some(Part::Frame(frame))
            }
            Err(what) => {
                let what =
                    if what == SHORT && only_length_is_wrong(&self.bytes[from..]) { LENGTH } else { what };
                self.at = next_frame(self.bytes, from + 1);
                Some(Part::Damage { from, to: self.at, what })
            }
        }
    }
}

/// Whether the bytes are a whole frame but for its length: one that was flipped, not one that was being written.
fn only_length_is_wrong(bytes: &[u8]) -> bool {
    let Some((header, stored)) = bytes.split_first_chunk::<HEADER_BYTES>() else { return false };
    let mut mended = *header;
    mended[16..20].copy_from_slice(&(stored.len() as u32).to_be_bytes());
    header[24..] == checksum(&mended, stored).to_be_bytes()
}

/// Where the next frame that reads begins; the end of the bytes if there is none.
fn next_frame(bytes: &[u8], from: usize) -> usize {
    memmem::find_iter(&bytes[from..], &MAGIC)
        .map(|at| from + at)
        .find(|&at| read(bytes, at).is_ok())
        .unwrap_or(bytes.len())
}

fn read(bytes: &[u8], offset: usize) -> Result<(Frame<'_>, usize), &'static str> {
    let mut cursor = Cursor::new(&bytes[offset..]);
    let header = cursor.take(HEADER_BYTES).map_err(|_| SHORT)?;
    if header[..4] != MAGIC {
        return Err("no frame begins here");
    }
    let mut fields = Cursor::new(&header[8..]);
    let mut word = || fields.u32().map_err(|_| SHORT);
    let number = u64::from(word()?) << 32 | u64::from(word()?);
    let (stored_len, raw_len, crc) = (word()? as usize, word()? as usize, word()?);
    if stored_len > PAYLOAD_BYTES_MAX || raw_len > PAYLOAD_BYTES_MAX {
        return Err(LENGTH);
    }
    let stored = cursor.take(stored_len).map_err(|_| SHORT)?;
    if checksum(header, stored) != crc {
        return Err("checksum of frame");
    }
    let payload = match header[4] {
        0 => Cow::Borrowed(stored),
        FLAG_LZ4 => Cow::Owned(decompress(stored, raw_len)?),
        _ => return Err("unknown flags of frame"),
    };
    Ok((Frame { number, payload, offset }, offset + HEADER_BYTES + stored_len))
}

fn decompress(stored: &[u8], raw_len: usize) -> Result<Vec<u8>, &'static str> {
    // LZ4 makes at most 255 bytes of one, so a length that was made up isn't allocated.
    if raw_len / 255 > stored.len() {
        return Err("raw length of frame");
    }
    match lz4_flex::block::decompress(stored, raw_len) {
        Ok(raw) if raw.len() == raw_len => Ok(raw),
        _ => Err("compressed payload of frame"),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn frames(parts: Parts<'_>) -> Vec<(u64, Vec<u8>)> {
        parts
            .filter_map(|part| match part {
                Part::Frame(frame) => Some((frame.number, frame.payload.into_owned())),
                Part::Damage { .. } => None,
            })
            .collect()
    }

    fn payloads() -> impl Strategy<Value = Vec<Vec<u8>>> {
        let payload = prop_oneof![
            proptest::collection::vec(any::<u8>(), 0..300),
            (any::<u8>(), 0usize..3000).prop_map(|(byte, len)| vec![byte; len]),
        ];
        proptest::collection::vec(payload, 1..8)
    }

    #[test]
    fn a_last_frame_with_a_flipped_length_is_not_one_that_was_being_written() {
        let mut file = Vec::new();
        put(&mut file, 1, b"first");
        let last = file.len();
        put(&mut file, 2, b"second");
        let damage = |file: &[u8]| match Parts::new(file, last).next() {
            Some(Part::Damage { what, .. }) => what,
            other => panic!("{other:?}"),
        };
        for bit in 0..32 {
            let mut flipped = file.clone();
            flipped[last + 16 + bit / 8] ^= 1 << (bit % 8);
            assert_ne!(damage(&flipped), SHORT, "bit {bit}");
        }
        for end in last + 1..file.len() {
            assert_eq!(damage(&file[..end]), SHORT);
        }
    }

    proptest! {
        #[test]
        fn frames_read_back(payloads in payloads()) {
            let mut file = Vec::new();
            for (i, payload) in payloads.iter().enumerate() {
                put(&mut file, i as u64, payload);
            }
            let expected: Vec<_> = payloads.into_iter().enumerate().map(|(i, p)| (i as u64, p)).collect();
            prop_assert_eq!(frames(Parts::new(&file, 0)), expected);
        }

        #[test]
        fn a_flipped_bit_costs_one_frame(payloads in payloads(), at in any::<prop::sample::Index>(), bit in 0u8..8) {
            let mut file = Vec::new();
            let mut hit = 0;
            let mut ends = Vec::new();
            for (i, payload) in payloads.iter().enumerate() {
                put(&mut file, i as u64, payload);
                ends.push(file.len());
            }
            let at = at.index(file.len());
            while ends[hit] <= at {
                hit += 1;
            }
            file[at] ^= 1_u8 << bit;
            let mut expected: Vec<_> = payloads.into_iter().enumerate().map(|(i, p)| (i as u64, p)).collect();
            // The three unused bytes are under the checksum too.
            expected.remove(hit);
            prop_assert_eq!(frames(Parts::new(&file, 0)), expected);
            prop_assert_eq!(Parts::new(&file, 0).filter(|p| matches!(p, Part::Damage { .. })).count(), 1);
        }

        #[test]
        fn no_bytes_make_a_reader_panic(mut bytes in proptest::collection::vec(any::<u8>(), 0..200), magic in any::<bool>()) {
            if magic && bytes.len() > 4 {
                bytes[..4].copy_from_slice(&MAGIC);
            }
            let mut end = 0;
            for part in Parts::new(&bytes, 0) {
                if let Part::Damage { from, to, .. } = part {
                    prop_assert!(from >= end && to > from);
                    end = to;
                }
            }
        }
    }
}
