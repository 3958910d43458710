//! Questions asked on a clock: rule groups, alerts, their templates, and the way to Alertmanager.
//!
//! # Vocabulary
//!
//! - **rule file**: YAML with groups.
//! - **group**: rules that are evaluated one after the other, for the same time, at an interval.
//! - **slot**: the time that an evaluation is for; slots of a group lie on a grid of its interval.
//! - **recording rule**: stores the value of its expression; **alerting rule**: holds an **alert** for each
//!   element of it, which is *pending*, then *firing*, then *resolved*.
//!
//! # Invariants
//!
//! - Evaluation takes its time from the slot, never from a clock: a replay sees the same states.
//! - Samples come and go through [`model::storage`] alone; this crate knows no file but rule files.

pub mod alerting;
pub mod backtest;
mod dependencies;
pub mod file;
pub mod group;
pub mod manager;
pub mod metrics;
pub mod notify;
pub mod recording;
pub mod restore;
pub mod template;
pub mod unit_test;
