//! OTLP: metrics that OpenTelemetry's SDKs and collectors push over HTTP, as protobuf or JSON.
//!
//! ```text
//! body ──► gunzip ──► message, from protobuf or JSON ──► translation: names, labels, samples ──► one Batch
//! ```
//!
//! Where a resource, a scope and a point say the same label, the point's attributes go first, then promoted
//! attributes of the resource; `otel_scope_*`, `job` and `instance` take the place of either.
//!
//! Differences to the reference: what can be translated and stored is, and the answer tells of the rest; the
//! reference stores nothing of a request with anything wrong. Deltas are added up for each series instead of for
//! each stream of OpenTelemetry's. A `target_info` that comes too late is passed over: no sender can help it.

mod delta;
mod histogram;
mod json;
mod labels;
mod message;
mod name;
mod protobuf;
mod receiver;
mod translate;

use std::ops::Not;

use serde::{Deserialize, Serialize};

pub use name::TranslationStrategy;
pub use receiver::{DeltaHandling, Headers, Outcome, Receiver, ReceiverOptions};

#[cfg(test)]
mod tests;

/// The section `otlp` of the configuration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Copy all attributes of resources into labels, but for `ignore_resource_attributes`.
    #[serde(skip_serializing_if = "Not::not")]
    pub promote_all_resource_attributes: bool,
    /// The attributes of resources to copy into labels.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub promote_resource_attributes: Vec<String>,
    /// See `promote_all_resource_attributes`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ignore_resource_attributes: Vec<String>,
    /// How names are made.
    pub translation_strategy: TranslationStrategy,
    /// `target_info` has the attributes that `job` and `instance` are made of.
    #[serde(skip_serializing_if = "Not::not")]
    pub keep_identifying_resource_attributes: bool,
    /// Histograms become native ones with custom buckets.
    #[serde(skip_serializing_if = "Not::not")]
    pub convert_histograms_to_nhcb: bool,
    /// Copy what is known of the scope into labels.
    #[serde(skip_serializing_if = "Not::not")]
    pub promote_scope_metadata: bool,
    /// Label names don't begin with a single underscore.
    pub label_name_underscore_sanitization: bool,
    /// Label names may have underscores in a row.
    pub label_name_preserve_multiple_underscores: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            promote_all_resource_attributes: false,
            promote_resource_attributes: Vec::new(),
            ignore_resource_attributes: Vec::new(),
            translation_strategy: TranslationStrategy::default(),
            keep_identifying_resource_attributes: false,
            convert_histograms_to_nhcb: false,
            promote_scope_metadata: false,
            label_name_underscore_sanitization: true,
            label_name_preserve_multiple_underscores: true,
        }
    }
}
