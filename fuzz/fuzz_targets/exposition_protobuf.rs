//! Any bytes are read or refused.
#![no_main]

use libfuzzer_sys::fuzz_target;
use scrape::parse::ProtobufParser;

fuzz_target!(|input: &[u8]| {
    let mut parser = ProtobufParser::new(input);
    while let Ok(Some(_)) = parser.next_entry() {}
});
