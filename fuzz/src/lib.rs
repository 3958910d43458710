//! What several fuzz targets do alike.

use scrape::parse::{Entry, Lines};

/// Reads an exposition to its end or first error, and holds the two ways to read a sample against each other.
pub fn read_exposition<'a>(mut parser: impl Lines<'a> + Clone) {
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
}
