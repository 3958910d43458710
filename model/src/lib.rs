//! What every part of Ferula speaks: labels, matchers, samples, histograms, time, and the seam between
//! those who keep samples and those who ask for them.
//!
//! # Vocabulary
//!
//! - **label**: a name and a value; an empty value is the same as no label.
//! - **series**: what a label set names; its samples are ordered by time, one for each timestamp.
//! - **sample**: a timestamp in milliseconds since the Unix epoch (`i64`) and a float or a native histogram.
//! - **staleness marker**: a sample with the value [`value::STALE_NAN`]: the series ended here.
//! - **matcher**: a condition on one label's value; a selector is a list of them.
//! - **series ref**: a storage's short name for a series, given out by the storage that knows it.
//!
//! # Invariants
//!
//! - This crate does no I/O, reads no clock and starts no thread.
//! - It knows neither the data directory, nor PromQL, nor any wire format.
//! - `tsdb`, `promql`, `scrape` and `remote` meet only through [`storage`] and [`log`].

pub mod byte_size;
pub mod cancel;
pub mod duration;
pub mod exemplar;
pub mod float_text;
pub mod histogram;
pub mod kahan;
pub mod labels;
pub mod log;
pub mod matcher;
pub mod metadata;
pub mod names;
pub mod regex;
pub mod relabel;
pub mod storage;
pub mod summary;
pub mod time;
pub mod value;
