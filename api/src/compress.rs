//! Compression of answers: the first of `gzip`, `deflate` and `zstd` in the request's `Accept-Encoding`.
//!
//! As in the reference, quality values aren't weighed: a token counts only if it stands bare.

use std::fmt;
use std::io::Write;

use flate2::Compression;
use flate2::write::{GzEncoder, ZlibEncoder};
use http::HeaderMap;
use http::header::ACCEPT_ENCODING;
use zstd::stream::write::Encoder as ZstdEncoder;

use crate::json::{CHUNK_BYTES, Sink};

/// Answers below this size are sent as they are: compressing them saves no packet.
pub(crate) const COMPRESSED_BYTES_MIN: usize = 1 << 10;
/// JSON compresses to a tenth at the fastest level already; higher ones cost more time than they save.
const LEVEL: Compression = Compression::fast();
/// Likewise for zstd.
const ZSTD_LEVEL: i32 = 1;

/// How an answer is encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Encoding {
    /// Not at all.
    Identity,
    /// RFC 1952.
    Gzip,
    /// RFC 1950, which HTTP calls "deflate".
    Deflate,
    /// RFC 8878.
    Zstd,
}

impl Encoding {
    /// What the request's headers ask for.
    pub(crate) fn accepted(headers: &HeaderMap) -> Encoding {
        let lists = headers.get_all(ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok());
        for token in lists.flat_map(|list| list.split(',')) {
            match token.trim() {
                "gzip" => return Encoding::Gzip,
                "deflate" => return Encoding::Deflate,
                "zstd" => return Encoding::Zstd,
                _ => {}
            }
        }
        Encoding::Identity
    }

    /// The value of `Content-Encoding`.
    pub(crate) fn name(self) -> Option<&'static str> {
        match self {
            Encoding::Identity => None,
            Encoding::Gzip => Some("gzip"),
            Encoding::Deflate => Some("deflate"),
            Encoding::Zstd => Some("zstd"),
        }
    }

    /// `bytes`, compressed.
    pub(crate) fn compress(self, bytes: Vec<u8>) -> Vec<u8> {
        Compressor::new(self).finish(bytes)
    }
}

/// Compresses a stream of chunks.
pub(crate) enum Compressor {
    Identity,
    Gzip(GzEncoder<Vec<u8>>),
    Deflate(ZlibEncoder<Vec<u8>>),
    Zstd(ZstdEncoder<'static, Vec<u8>>),
}

impl fmt::Debug for Compressor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Compressor::Identity => "Identity",
            Compressor::Gzip(_) => "Gzip",
            Compressor::Deflate(_) => "Deflate",
            Compressor::Zstd(_) => "Zstd",
        })
    }
}

impl Compressor {
    pub(crate) fn new(encoding: Encoding) -> Self {
        match encoding {
            Encoding::Identity => Compressor::Identity,
            Encoding::Gzip => Compressor::Gzip(GzEncoder::new(Vec::new(), LEVEL)),
            Encoding::Deflate => Compressor::Deflate(ZlibEncoder::new(Vec::new(), LEVEL)),
            Encoding::Zstd => Compressor::Zstd(
                ZstdEncoder::new(Vec::new(), ZSTD_LEVEL).expect("the level is one of zstd's"),
            ),
        }
    }

    /// Takes a chunk in and hands what is worth sending to the sink.
    pub(crate) fn push(&mut self, mut chunk: Vec<u8>, sink: &mut dyn Sink) -> Option<Vec<u8>> {
        let compressed = match self {
            Compressor::Identity => return sink.take(chunk),
            Compressor::Gzip(encoder) => {
                write_all(encoder, &chunk);
                encoder.get_mut()
            }
            Compressor::Deflate(encoder) => {
                write_all(encoder, &chunk);
                encoder.get_mut()
            }
            Compressor::Zstd(encoder) => {
                write_all(encoder, &chunk);
                encoder.get_mut()
            }
        };
        if compressed.len() >= CHUNK_BYTES {
            sink.take(std::mem::take(compressed))?;
        }
        chunk.clear();
        Some(chunk)
    }

    /// Takes the last chunk in and returns the last bytes to send.
    pub(crate) fn finish(self, rest: Vec<u8>) -> Vec<u8> {
        const TO_MEMORY: &str = "writing to memory doesn't fail";
        match self {
            Compressor::Identity => rest,
            Compressor::Gzip(mut encoder) => {
                write_all(&mut encoder, &rest);
                encoder.finish().expect(TO_MEMORY)
            }
            Compressor::Deflate(mut encoder) => {
                write_all(&mut encoder, &rest);
                encoder.finish().expect(TO_MEMORY)
            }
            Compressor::Zstd(mut encoder) => {
                write_all(&mut encoder, &rest);
                encoder.finish().expect(TO_MEMORY)
            }
        }
    }
}

fn write_all(encoder: &mut impl Write, bytes: &[u8]) {
    encoder.write_all(bytes).expect("writing to memory doesn't fail");
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    #[test]
    fn the_first_known_bare_token_wins() {
        for (header, encoding) in [
            ("gzip", Encoding::Gzip),
            ("deflate, gzip", Encoding::Deflate),
            ("br, gzip, deflate", Encoding::Gzip),
            ("gzip;q=1.0, deflate", Encoding::Deflate),
            ("br, zstd", Encoding::Zstd),
            ("identity", Encoding::Identity),
            ("", Encoding::Identity),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(ACCEPT_ENCODING, header.parse().unwrap());
            assert_eq!(Encoding::accepted(&headers), encoding, "{header}");
        }
    }
    #[test]
    fn what_is_compressed_is_what_was_written() {
        struct Pieces(Vec<u8>);
        impl Sink for Pieces {
            fn take(&mut self, chunk: Vec<u8>) -> Option<Vec<u8>> {
                self.0.extend(chunk);
                Some(Vec::new())
            }
        }
        let text = (0..100_000).map(|n| format!("{n},")).collect::<String>().into_bytes();
        for encoding in [Encoding::Gzip, Encoding::Deflate, Encoding::Zstd] {
            let (mut compressor, mut pieces) = (Compressor::new(encoding), Pieces(Vec::new()));
            let (chunks, rest) = text.split_at(text.len() - 10);
            for chunk in chunks.chunks(CHUNK_BYTES) {
                compressor.push(chunk.to_vec(), &mut pieces).unwrap();
            }
            let rest = compressor.finish(rest.to_vec());
            pieces.0.extend(rest);
            let mut read = Vec::new();
            let bytes = pieces.0.as_slice();
            match encoding {
                Encoding::Identity => unreachable!("it isn't compressed"),
                Encoding::Gzip => flate2::read::GzDecoder::new(bytes).read_to_end(&mut read),
                Encoding::Deflate => flate2::read::ZlibDecoder::new(bytes).read_to_end(&mut read),
                Encoding::Zstd => zstd::stream::read::Decoder::new(bytes).unwrap().read_to_end(&mut read),
            }
            .unwrap();
            assert!(read == text, "{encoding:?}");
        }
    }
}
