//! `meta.json`: no panic, and what is read is written and read again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tsdb::block::meta::BlockMeta;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(meta) = BlockMeta::decode(bytes) {
        assert_eq!(BlockMeta::decode(&meta.encode()), Ok(meta));
    }
});
