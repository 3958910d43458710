//! Any request of OTLP, in protobuf or JSON, is refused or translated.
#![no_main]

use std::sync::Arc;

use libfuzzer_sys::fuzz_target;
use model::storage::{Appender, Batch, Committed, StorageError};
use model::time::SystemClock;
use prometheus::Registry;
use remote::otlp::{DeltaHandling, Headers, Receiver, ReceiverOptions, Settings, TranslationStrategy};

#[derive(Debug)]
struct Checked;

impl Appender for Checked {
    fn commit(&self, batch: &Batch) -> Result<Committed, StorageError> {
        assert!(batch.new_series.iter().all(|labels| !labels.metric_name().is_empty()));
        Ok(Committed::default())
    }
}

fuzz_target!(|input: (bool, bool, &[u8])| {
    let (is_json, is_plain, body) = input;
    let options = ReceiverOptions { deltas: DeltaHandling::Cumulative, lookback_ms: 300_000 };
    let receiver =
        Receiver::new(options, Arc::new(Checked), Arc::new(SystemClock), &Registry::new()).unwrap();
    receiver.apply(Settings {
        translation_strategy: match is_plain {
            true => TranslationStrategy::NoTranslation,
            false => TranslationStrategy::UnderscoreEscapingWithSuffixes,
        },
        convert_histograms_to_nhcb: is_plain,
        promote_all_resource_attributes: true,
        promote_scope_metadata: true,
        ..Settings::default()
    });
    let content_type = if is_json { "application/json" } else { "application/x-protobuf" };
    let outcome = receiver.receive(Headers { content_type, content_encoding: "" }, body);
    assert!(matches!(outcome.status, 200 | 400 | 413 | 500));
});
