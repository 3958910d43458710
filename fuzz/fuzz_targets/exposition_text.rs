//! Any bytes are read or refused; both ways to read a sample agree.
#![no_main]

use libfuzzer_sys::fuzz_target;
use scrape::parse::TextParser;

fuzz_target!(|input: &[u8]| ferula_fuzz::read_exposition(TextParser::new(input)));
