//! Chunk segment files: no panic, and a chunk that is found lies within the file.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tsdb::block::chunks::{decode_chunk, decode_header};

fuzz_target!(|input: (&[u8], u64)| {
    let (segment, offset) = input;
    let _ = decode_header(segment);
    if let Ok(chunk) = decode_chunk(segment, offset) {
        assert!(chunk.data.len() < segment.len());
    }
});
