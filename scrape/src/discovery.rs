//! Discovery: where targets come from.

pub mod config;
pub mod group;

pub use group::TargetGroup;
