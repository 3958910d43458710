//! Reading Prometheus's write-ahead log: segments of pages, records in fragments.
//!
//! ```text
//! segment   page*            32 KiB each; the last one may be shorter
//! page      fragment* │ zeros
//! fragment  type u8 │ len u16 │ CRC-32C of the data u32 │ data, len bytes
//! type      lower 3 bits: 0 rest of the page is zero │ 1 whole record │ 2 first │ 3 middle │ 4 last fragment
//!           bit 3: the record is compressed with Snappy │ bit 4: with zstd
//! ```
//!
//! Integers are big-endian. A record is compressed as a whole, then cut into fragments; it doesn't go beyond
//! its segment. Source: tsdb/wlog of Prometheus 3.14.
//!
//! Damage costs the rest of its page at most: pages are aligned, so reading goes on with the first record
//! that begins in a later one. An end in the middle of a record is what a crash leaves, not damage.

use std::borrow::Cow;
use std::io::Read;

const PAGE_BYTES: usize = 32 << 10;
const FRAGMENT_HEADER_BYTES: usize = 7;
const TYPE_MASK: u8 = 7;
const SNAPPY: u8 = 8;
const ZSTD: u8 = 16;
/// No record is larger, compressed or not: the largest segment that Prometheus can be told to write.
const RECORD_BYTES_MAX: usize = 256 << 20;
/// A byte of Snappy makes no more than this many: a copy of 64 takes 3.
const SNAPPY_RATIO_MAX: usize = 22;

const PAGE_TERM: u8 = 0;
const FULL: u8 = 1;
const FIRST: u8 = 2;
const MIDDLE: u8 = 3;
const LAST: u8 = 4;

/// What a segment is made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part<'a> {
    /// A record, not compressed any more.
    Record(Cow<'a, [u8]>),
    /// Bytes that aren't what was written.
    Damage {
        /// Where they begin.
        from: usize,
        /// Where reading goes on.
        to: usize,
        /// What is wrong.
        what: &'static str,
    },
    /// The segment ends within a record that begins here.
    Torn {
        /// Where.
        from: usize,
    },
}

/// The parts of a segment, in order.
#[derive(Debug)]
pub struct Parts<'a> {
    bytes: &'a [u8],
    at: usize,
    /// The fragments so far of a record, and where it began.
    partial: Option<(usize, Vec<u8>)>,
}

/// What reading a fragment comes to.
enum Step<'a> {
    Part(Part<'a>),
    Continue,
    End,
}

/// A fragment whose checksum is right.
struct Fragment<'a> {
    kind: u8,
    flags: u8,
    data: &'a [u8],
}

impl<'a> Parts<'a> {
    /// The parts of the bytes of a segment.
    pub fn new(bytes: &'a [u8]) -> Self {
        Parts { bytes, at: 0, partial: None }
    }

    /// How many bytes were read.
    pub fn position(&self) -> usize {
        self.at
    }

    fn step(&mut self) -> Step<'a> {
        let from = self.at;
        let page_end = (from - from % PAGE_BYTES).saturating_add(PAGE_BYTES);
        let rest = &self.bytes[from..page_end.min(self.bytes.len())];
        let Some(first) = rest.first().copied() else { return self.end() };
        if first & TYPE_MASK == PAGE_TERM || page_end - from < FRAGMENT_HEADER_BYTES {
            self.at += rest.len();
            if rest.iter().all(|byte| *byte == 0) {
                return Step::Continue;
            }
            return self.damage(from, "padding of page isn't zero");
        }
        let Some((fragment, len)) = read_fragment(rest) else {
            // Cut short by the end of the segment, or a length that goes beyond its page.
            if page_end > self.bytes.len() {
                self.at = self.bytes.len();
                let begin = self.partial.take().map_or(from, |partial| partial.0);
                return Step::Part(Part::Torn { from: begin });
            }
            self.at = page_end;
            return self.damage(from, "fragment goes beyond its page");
        };
        let Ok(fragment) = fragment else {
            // Whether the length can be believed isn't known: the next page is.
            self.at += rest.len();
            return self.damage(from, "checksum of fragment");
        };
        self.at += len;
        self.join(from, &fragment)
    }

    fn end(&mut self) -> Step<'a> {
        match self.partial.take() {
            Some((from, _)) => Step::Part(Part::Torn { from }),
            None => Step::End,
        }
    }

    fn damage(&mut self, from: usize, what: &'static str) -> Step<'a> {
        let begin = self.partial.take().map_or(from, |partial| partial.0);
        Step::Part(Part::Damage { from: begin, to: self.at, what })
    }

    /// Adds a fragment to the record that it belongs to.
    fn join(&mut self, from: usize, fragment: &Fragment<'a>) -> Step<'a> {
        match (fragment.kind, &mut self.partial) {
            (FULL, None) => match decompress(fragment.flags, fragment.data) {
                Ok(record) => Step::Part(Part::Record(record)),
                Err(what) => self.damage(from, what),
            },
            (FIRST, None) => {
                self.partial = Some((from, fragment.data.to_vec()));
                Step::Continue
            }
            (MIDDLE | LAST, Some((_, record))) => {
                if record.len() + fragment.data.len() > RECORD_BYTES_MAX {
                    return self.damage(from, "record is longer than a segment");
                }
                record.extend_from_slice(fragment.data);
                if fragment.kind == MIDDLE { Step::Continue } else { self.complete(fragment.flags) }
            }
            // What follows lost fragments was named with them.
            (MIDDLE | LAST, None) => Step::Continue,
            (FULL | FIRST, Some(_)) => {
                let damage = self.damage(from, "record without an end");
                // The fragment is read again, as the beginning of its record.
                self.at = from;
                damage
            }
            _ => self.damage(from, "unknown type of fragment"),
        }
    }

    fn complete(&mut self, flags: u8) -> Step<'a> {
        let Some((from, record)) = self.partial.take() else { return Step::Continue };
        let decompressed = match decompress(flags, &record) {
            Ok(Cow::Borrowed(_)) => None,
            Ok(Cow::Owned(decompressed)) => Some(decompressed),
            Err(what) => return self.damage(from, what),
        };
        Step::Part(Part::Record(Cow::Owned(decompressed.unwrap_or(record))))
    }
}

impl<'a> Iterator for Parts<'a> {
    type Item = Part<'a>;

    fn next(&mut self) -> Option<Part<'a>> {
        loop {
            match self.step() {
                Step::Part(part) => return Some(part),
                Step::Continue => {}
                Step::End => return None,
            }
        }
    }
}

/// The fragment at the beginning of the rest of a page, and its length with its header; `None` if it isn't
/// whole, an error if its checksum is wrong.
fn read_fragment(page: &[u8]) -> Option<(Result<Fragment<'_>, ()>, usize)> {
    let [kind, len_high, len_low, crc @ ..] = *page.first_chunk::<FRAGMENT_HEADER_BYTES>()?;
    let len = usize::from(u16::from_be_bytes([len_high, len_low]));
    let data = page.get(FRAGMENT_HEADER_BYTES..FRAGMENT_HEADER_BYTES + len)?;
    let intact = crc32c::crc32c(data) == u32::from_be_bytes(crc);
    let fragment = Fragment { kind: kind & TYPE_MASK, flags: kind & !TYPE_MASK, data };
    Some((if intact { Ok(fragment) } else { Err(()) }, FRAGMENT_HEADER_BYTES + len))
}

fn decompress(flags: u8, data: &[u8]) -> Result<Cow<'_, [u8]>, &'static str> {
    match flags {
        0 => Ok(Cow::Borrowed(data)),
        SNAPPY => {
            const WHAT: &str = "Snappy compression of record";
            let len = snap::raw::decompress_len(data).map_err(|_| WHAT)?;
            if len > data.len().saturating_mul(SNAPPY_RATIO_MAX).min(RECORD_BYTES_MAX) {
                return Err(WHAT);
            }
            snap::raw::Decoder::new().decompress_vec(data).map(Cow::Owned).map_err(|_| WHAT)
        }
        ZSTD => {
            const WHAT: &str = "zstd compression of record";
            let mut record = Vec::new();
            let decoder = zstd::stream::read::Decoder::with_buffer(data).map_err(|_| WHAT)?;
            decoder.take(RECORD_BYTES_MAX as u64 + 1).read_to_end(&mut record).map_err(|_| WHAT)?;
            if record.len() > RECORD_BYTES_MAX { Err(WHAT) } else { Ok(Cow::Owned(record)) }
        }
        _ => Err("unknown compression of record"),
    }
}
