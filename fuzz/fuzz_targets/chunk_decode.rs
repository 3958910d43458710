//! Chunks of every encoding: no panic, samples inside the range asked for, and going on with what is read.
#![no_main]

use libfuzzer_sys::fuzz_target;
use model::storage::SampleColumns;
use tsdb::chunk::{self, Encoding, histogram::HistogramAppender, xor};

fuzz_target!(|input: (u8, i64, i64, &[u8])| {
    let (encoding, mint, maxt, bytes) = input;
    let Ok(encoding) = Encoding::from_u8(encoding % 8) else { return };
    let mut columns = SampleColumns::default();
    if chunk::decode_into(encoding, bytes, mint, maxt, &mut columns).is_ok() {
        let mut timestamps = columns.timestamps.iter().chain(&columns.histogram_timestamps);
        assert!(timestamps.all(|timestamp| (mint..=maxt).contains(timestamp)));
        assert_eq!(columns.timestamps.len(), columns.values.len());
        assert_eq!(columns.histogram_timestamps.len(), columns.histograms.len());
    } else {
        assert!(columns.is_empty());
    }
    let _ = xor::AppendState::resume(bytes);
    let _ = HistogramAppender::resume(encoding, bytes);
});
