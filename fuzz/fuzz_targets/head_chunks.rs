//! A file of head chunks of any bytes, read from any offset: a chunk or an error.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (u32, &[u8])| tsdb::fuzzing::head_chunks(input.1, input.0));
