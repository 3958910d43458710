//! A log segment of any bytes: the database opens, and what it reads is in order.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| tsdb::fuzzing::log_segment(bytes));
