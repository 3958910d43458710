//! Indexes whose checksums are right and whose contents are anything: no panic, and no allocation that the
//! bytes don't back.
#![no_main]

use libfuzzer_sys::fuzz_target;
use model::cancel::Cancel;
use model::matcher::{MatchOp, Matcher};
use tsdb::block::index::IndexReader;
use tsdb::codec::put_uvarint;
use tsdb::fs::ByteView;
use tsdb::select::{label_names, label_values, postings_for_matchers};

/// Appends a section and returns its place.
fn section(index: &mut Vec<u8>, alignment: usize, content: &[u8]) -> u64 {
    index.resize(index.len().next_multiple_of(alignment), 0);
    let at = index.len() as u64;
    index.extend_from_slice(&(content.len() as u32).to_be_bytes());
    index.extend_from_slice(content);
    index.extend_from_slice(&crc32c::crc32c(content).to_be_bytes());
    at
}

fuzz_target!(|parts: (&[u8], &[u8], &[u8], &[u8])| {
    let (symbols, series, postings, offsets) = parts;
    let mut index = vec![0xba, 0xaa, 0xd7, 0x00, 2];
    let symbols = section(&mut index, 1, symbols);
    index.resize(index.len().next_multiple_of(16), 0);
    let series_at = index.len() as u64;
    put_uvarint(&mut index, series.len() as u64);
    index.extend_from_slice(series);
    index.extend_from_slice(&crc32c::crc32c(series).to_be_bytes());
    let postings = section(&mut index, 4, postings);
    let offsets = section(&mut index, 1, offsets);
    let toc: Vec<u8> = [symbols, series_at, postings, offsets, postings, offsets]
        .into_iter()
        .flat_map(u64::to_be_bytes)
        .collect();
    index.extend_from_slice(&toc);
    index.extend_from_slice(&crc32c::crc32c(&toc).to_be_bytes());

    let Ok(reader) = IndexReader::from_view(ByteView::from_vec(index), "index".into()) else { return };
    let cancel = Cancel::new();
    let _ = reader.labels((series_at / 16) as u32);
    let _ = reader.chunks((series_at / 16) as u32, &mut Vec::new());
    for name in label_names(&reader, &[], 0, &cancel).unwrap_or_default() {
        let _ = label_values(&reader, &name, &[], 0, &cancel);
        let matcher = Matcher::new(MatchOp::Regex, name, "a.+").expect("a valid expression");
        let _ = postings_for_matchers(&reader, &[matcher], &cancel);
    }
});
