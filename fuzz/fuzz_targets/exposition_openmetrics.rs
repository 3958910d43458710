//! Any bytes are read or refused; both ways to read a sample agree.
#![no_main]

use libfuzzer_sys::fuzz_target;
use scrape::parse::OpenMetricsParser;

fuzz_target!(|input: &[u8]| ferula_fuzz::read_exposition(OpenMetricsParser::new(input)));
