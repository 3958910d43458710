//! A checkpoint of any payloads in frames that are right: the database opens, and can be read.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|payloads: Vec<&[u8]>| tsdb::fuzzing::checkpoint(&payloads));
