//! Any bytes are read or refused; both ways to read a sample agree.
#![no_main]

use libfuzzer_sys::fuzz_target;
use scrape::parse::{Entry, Lines, OpenMetricsParser};

fuzz_target!(|input: &[u8]| {
    let mut parser = OpenMetricsParser::new(input);
    loop {
        let mut quick = parser.clone();
        match parser.next_entry() {
            Ok(Some(Entry::Sample(sample))) => {
                let _ = (parser.labels(), parser.exemplar());
                if let Some(other) = quick.sample_after(sample.series.len())
                    && other.series == sample.series
                {
                    assert_eq!(other.value.to_bits(), sample.value.to_bits());
                    assert_eq!(other.timestamp_ms, sample.timestamp_ms);
                }
            }
            Ok(Some(_)) => {}
            Ok(None) | Err(_) => return,
        }
    }
});
