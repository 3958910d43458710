//! The body of an answer: collected as it comes, decompressed, cut at its limit.
//!
//! A gzip body of usual size is collected and then decompressed in one go, which takes a quarter of the time
//! that it takes piece by piece. What that can't do (a body of several streams, a broken or huge one) is done
//! piece by piece: that way has the last word, and the words.

use std::fmt;
use std::io::{self, Write};

use flate2::write::MultiGzDecoder;
use libdeflater::Decompressor;
use memchr::memmem;

use crate::error::ScrapeError;

/// What a gzip stream begins with: its magic number and the only method there is.
const GZIP_MAGIC: &[u8] = &[0x1f, 0x8b, 0x08];
/// Bytes of a gzip body that are collected; a larger one is decompressed as it comes.
const COLLECTED_BYTES_MAX: usize = 1 << 20;
/// The largest body that is decompressed in one go: its size is allocated on the word of its last four bytes.
const WHOLE_BYTES_MAX: usize = 16 << 20;

/// Decompresses whole gzip bodies.
#[derive(Default)]
pub(crate) struct Gunzip {
    decompressor: Decompressor,
    /// The body as it came.
    zipped: Vec<u8>,
}

impl fmt::Debug for Gunzip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gunzip").field("zipped", &self.zipped.len()).finish_non_exhaustive()
    }
}

impl Gunzip {
    /// Decompresses what was collected, if it is one whole stream of less than `limit` bytes.
    fn decompress(&mut self, body: &mut Vec<u8>, limit: usize) -> Option<()> {
        let (_, size) = self.zipped.split_last_chunk()?;
        let size = u32::from_le_bytes(*size) as usize;
        let others = self.zipped.get(1..)?;
        if size > WHOLE_BYTES_MAX || size >= limit || memmem::find(others, GZIP_MAGIC).is_some() {
            return None;
        }
        body.resize(size, 0);
        let written = self.decompressor.gzip_decompress(&self.zipped, body).ok()?;
        (written == size).then_some(())
    }
}

/// Takes a body.
pub(crate) enum BodySink<'a> {
    Plain(Limited<'a>),
    Collecting { gunzip: &'a mut Gunzip, body: Limited<'a> },
    Streaming(Box<MultiGzDecoder<Limited<'a>>>),
}

impl<'a> BodySink<'a> {
    /// Takes a body of less than `limit` bytes, decompressed; of any size if that is 0.
    pub(crate) fn new(body: &'a mut Vec<u8>, gunzip: &'a mut Gunzip, limit: u64, is_zipped: bool) -> Self {
        body.clear();
        gunzip.zipped.clear();
        let limit = if limit == 0 { usize::MAX } else { usize::try_from(limit).unwrap_or(usize::MAX) };
        let body = Limited { body, limit };
        if is_zipped { BodySink::Collecting { gunzip, body } } else { BodySink::Plain(body) }
    }

    /// Takes the next bytes.
    pub(crate) fn push(self, chunk: &[u8]) -> Result<Self, ScrapeError> {
        match self {
            BodySink::Plain(mut body) => {
                body.write_all(chunk).map_err(body_error)?;
                Ok(BodySink::Plain(body))
            }
            BodySink::Collecting { gunzip, body }
                if gunzip.zipped.len() + chunk.len() <= COLLECTED_BYTES_MAX =>
            {
                gunzip.zipped.extend_from_slice(chunk);
                Ok(BodySink::Collecting { gunzip, body })
            }
            BodySink::Collecting { gunzip, body } => {
                let streaming = BodySink::Streaming(Box::new(MultiGzDecoder::new(body)));
                streaming.push(&gunzip.zipped)?.push(chunk)
            }
            BodySink::Streaming(mut decoder) => {
                decoder.write_all(chunk).map_err(body_error)?;
                Ok(BodySink::Streaming(decoder))
            }
        }
    }

    /// The body is complete.
    pub(crate) fn finish(self) -> Result<(), ScrapeError> {
        match self {
            BodySink::Plain(_) => Ok(()),
            BodySink::Collecting { gunzip, body } => {
                if gunzip.decompress(body.body, body.limit).is_some() {
                    return Ok(());
                }
                body.body.clear();
                let streaming = BodySink::Streaming(Box::new(MultiGzDecoder::new(body)));
                streaming.push(&gunzip.zipped)?.finish()
            }
            BodySink::Streaming(decoder) => decoder.finish().map(drop).map_err(body_error),
        }
    }
}

fn body_error(error: io::Error) -> ScrapeError {
    match error.kind() {
        io::ErrorKind::QuotaExceeded => ScrapeError::BodySize,
        io::ErrorKind::UnexpectedEof => ScrapeError::Body("unexpected EOF".to_owned()),
        _ => ScrapeError::Body(format!("gzip: {error}")),
    }
}

/// A body that fails once it reaches its limit.
pub(crate) struct Limited<'a> {
    body: &'a mut Vec<u8>,
    limit: usize,
}

impl Write for Limited<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.body.len().saturating_add(bytes.len()) >= self.limit {
            return Err(io::ErrorKind::QuotaExceeded.into());
        }
        self.body.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn zip(plain: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(plain).unwrap();
        encoder.finish().unwrap()
    }

    /// Reads a body that comes in pieces.
    fn read(bytes: &[u8], limit: u64) -> Result<Vec<u8>, ScrapeError> {
        let (mut body, mut gunzip) = (b"of another target".to_vec(), Gunzip::default());
        let mut sink = BodySink::new(&mut body, &mut gunzip, limit, true);
        for piece in bytes.chunks(1000) {
            sink = sink.push(piece)?;
        }
        sink.finish()?;
        Ok(body)
    }

    /// Bytes that don't get smaller.
    fn noise(len: usize) -> Vec<u8> {
        let mut state = 1u32;
        let mut next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as u8
        };
        (0..len).map(|_| next()).collect()
    }

    #[test]
    fn a_body_is_cut_at_its_limit() {
        let zipped = zip(&vec![b'a'; 1 << 20]);
        assert!(matches!(read(&zipped, 1000), Err(ScrapeError::BodySize)));
        assert!(matches!(read(&zipped, 1 << 20), Err(ScrapeError::BodySize)), "the limit itself is too much");
        assert_eq!(read(&zipped, (1 << 20) + 1).unwrap().len(), 1 << 20);
        assert!(read(&zipped[..zipped.len() / 2], 0).unwrap_err().to_string().starts_with("gzip: "));
    }

    #[test]
    fn a_usual_body_is_decompressed_in_one_go_and_others_are_left_to_the_slow_way() {
        let whole = |zipped: Vec<u8>, limit| {
            let (mut gunzip, mut body) = (Gunzip { zipped, ..Gunzip::default() }, Vec::new());
            gunzip.decompress(&mut body, limit).map(|()| body)
        };
        assert_eq!(whole(zip(b"a 1\n"), usize::MAX).unwrap(), b"a 1\n");
        assert_eq!(whole(zip(b"a 1\n"), 4), None, "the limit");
        assert_eq!(whole([zip(b"a 1\n"), zip(b"a 1\n")].concat(), usize::MAX), None, "two streams");
        assert_eq!(whole(zip(&vec![b'a'; WHOLE_BYTES_MAX + 1]), usize::MAX), None, "a huge body");
    }

    #[test]
    fn bodies_of_several_streams_and_large_ones_are_read_too() {
        let two = [zip(b"a 1\n"), zip(b"a 1\n")].concat();
        assert_eq!(read(&two, 0).unwrap(), b"a 1\na 1\n");
        for plain in [noise(COLLECTED_BYTES_MAX + 5000), vec![b'a'; WHOLE_BYTES_MAX + 1]] {
            assert!(read(&zip(&plain), 0).unwrap() == plain);
        }
        assert_eq!(read(&zip(b""), 0).unwrap(), b"");
    }

    #[test]
    fn a_body_that_lies_of_its_size_or_sum_is_refused() {
        let good = zip(b"a 1\n");
        for at in good.len() - 8..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 0x40;
            assert!(read(&bad, 0).is_err(), "byte {at}");
        }
        assert!(read(&[&good[..], b"trailing"].concat(), 0).is_err());
        assert!(read(b"a 1\n", 0).is_err(), "not zipped at all");
    }
}
