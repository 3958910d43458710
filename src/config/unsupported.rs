//! What a configuration may ask for that there is no part for yet. This is the one place that lists it: when a
//! part lands, its line here goes.

use std::fmt;
use std::path::Path;

use serde_json::Value;
use serde_saphyr::{Location, Spanned};

use super::file::{File, Opaque};
use super::remote_write::RemoteWrite;
use super::yaml::ConfigError;

/// A field whose work can't be done yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Unsupported(ConfigError);

impl fmt::Display for Unsupported {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

struct Found<'a> {
    file: &'a Path,
    all: Vec<Unsupported>,
}

/// Everything in a file that can't be done. What has no effect in the reference either, such as an empty list,
/// is none of it.
pub(super) fn find(file: &Path, written: &File, remote_write: &[Spanned<RemoteWrite>]) -> Vec<Unsupported> {
    let mut found = Found { file, all: Vec::new() };
    for (index, section) in remote_write.iter().enumerate() {
        for field in section.value.unsupported() {
            let field = format!("remote_write[{index}].{field}");
            found.add(section.referenced, &field, "there is no such way to sign in yet");
        }
    }
    found.opaque(&written.tracing, "tracing", "no traces are made yet");
    found.storage(written);
    found.all
}

impl Found<'_> {
    fn storage(&mut self, written: &File) {
        let Some(tsdb) = written.storage.as_ref().and_then(|storage| storage.tsdb.as_ref()) else { return };
        if let Some(threshold) = tsdb.stale_series_compaction_threshold.as_ref().filter(|t| t.value != 0.0) {
            let field = "storage.tsdb.stale_series_compaction_threshold";
            self.add(threshold.referenced, field, "stale series aren't compacted early yet");
        }
        let floats = tsdb.chunk_encoding.as_ref().and_then(|encoding| encoding.floats.as_ref());
        if let Some(floats) = floats.filter(|floats| floats.value == "xor2") {
            self.add(
                floats.referenced,
                "storage.tsdb.chunk_encoding.floats",
                "chunks are encoded as xor only",
            );
        }
    }

    fn opaque(&mut self, section: &Opaque, field: &str, why: &str) {
        self.section(section.as_ref().filter(|section| !is_empty(&section.value)), field, why);
    }

    fn section(&mut self, section: Option<&Spanned<Value>>, field: &str, why: &str) {
        if let Some(section) = section {
            self.add(section.referenced, field, why);
        }
    }

    fn add(&mut self, at: Location, field: &str, why: &str) {
        self.all.push(Unsupported(ConfigError::at(self.file, at, field, why)));
    }
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        _ => false,
    }
}
