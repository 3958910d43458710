//! Any rule is refused or applied, and what comes out is a label set.
#![no_main]

use libfuzzer_sys::fuzz_target;
use model::labels::{Labels, LabelsBuilder};
use model::relabel::{Config, process};

fuzz_target!(|input: (&str, Vec<(String, String)>)| {
    let (rule, labels) = input;
    let Ok(rule) = serde_json::from_str::<Config>(rule) else { return };
    let mut builder = LabelsBuilder::from_labels(&Labels::from_pairs(labels));
    process(&[rule], &mut builder);
    assert!(builder.build().iter().all(|(name, value)| !name.is_empty() && !value.is_empty()));
});
