//! What Prometheus left of its head: segments, records and head chunks of any bytes don't make the readers panic.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tsdb::prometheus::wal::{Part, Parts};
use tsdb::prometheus::{head_chunks, record};

fuzz_target!(|bytes: &[u8]| {
    for part in Parts::new(bytes) {
        if let Part::Record(record) = part {
            let _ = record::read(&record, &mut |_| {});
        }
    }
    let _ = record::read(bytes, &mut |_| {});
    let mut file = vec![0x01, 0x30, 0xbc, 0x91, 1, 0, 0, 0];
    file.extend_from_slice(bytes);
    let read: Result<_, ()> = head_chunks::read(&file, |_| Ok(()));
    assert!(read.is_ok());
});
