//! Tombstones with a right checksum: no panic, and what is read is written and read again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tsdb::block::tombstones::Tombstones;

fuzz_target!(|entries: &[u8]| {
    let mut file = vec![0x01, 0x30, 0xba, 0x30, 1];
    file.extend_from_slice(entries);
    file.extend_from_slice(&crc32c::crc32c(entries).to_be_bytes());
    let _ = Tombstones::decode(entries);
    if let Ok(tombstones) = Tombstones::decode(&file) {
        assert_eq!(Tombstones::decode(&tombstones.encode()), Ok(tombstones));
    }
});
