//! Records of any bytes in frames that are right: the database opens, and what it reads is in order.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|records: Vec<&[u8]>| tsdb::fuzzing::log_records(&records));
