//! Answers out: the HTTP server, the JSON of its API, federation, the program's own metrics and its pages.
//!
//! # Vocabulary
//!
//! - **endpoint**: a route pattern with its methods and its handler; [`endpoints`] lists them all.
//! - **call**: a request whose body has been read and whose form has been parsed.
//! - **answer**: what a handler gives back: data, warnings and infos, or an error with a type.
//! - **envelope**: the JSON around an answer: `{"status":"success","data":…}`.
//! - **readiness**: starting, ready or stopping; gated endpoints answer only in between.
//!
//! # Invariants
//!
//! - Only this crate knows HTTP status codes and JSON envelopes.
//! - It never meets `tsdb` or `scrape`: what it shows comes through the traits of [`state`], which the
//!   program implements.
//! - A handler runs on a thread that may block. Its answer is encoded there, piece by piece, no faster than
//!   the client reads; when the client goes away, the call's cancellation flag is set.
//! - Whether a call fails is decided before the first byte of its answer is sent.

mod call;
mod compress;
mod cors;
mod endpoints;
mod envelope;
mod error;
mod exposition;
mod federate;
mod go_text;
mod http_metrics;
pub mod json;
mod management;
mod metrics_page;
pub mod notifications;
mod openapi;
pub mod options;
mod pages;
pub mod params;
pub mod readiness;
mod respond;
mod running;
mod selector;
pub mod server;
pub mod state;
mod stream;
mod usage;
mod v1;
pub mod web_config;

pub use options::ApiOptions;
pub use server::{Parts, Server, ServerError};
