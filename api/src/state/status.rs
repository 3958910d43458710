//! What the program tells of itself, and how it is told to reload or end.

use std::collections::BTreeMap;
use std::fmt::Debug;

use model::time::TimestampMs;
use serde::Serialize;

/// Which program this is. `/version`, `/api/v1/status/buildinfo`.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct BuildInfo {
    /// The version of Prometheus whose behaviour is served: clients choose their requests by it.
    pub version: String,
    /// Commit.
    pub revision: String,
    /// Branch.
    pub branch: String,
    /// Who built it.
    pub build_user: String,
    /// When it was built, `20060102-15:04:05`.
    pub build_date: String,
    /// The toolchain, where the reference has that of Go.
    pub go_version: String,
}

/// How the process is doing. `/api/v1/status/runtimeinfo`.
#[derive(Clone, Debug, Default)]
pub struct RuntimeInfo {
    /// When the process started.
    pub start_time_ms: TimestampMs,
    /// Its working directory.
    pub cwd: String,
    /// The machine's name.
    pub hostname: String,
    /// Whether the last reload of the configuration succeeded.
    pub reload_config_success: bool,
    /// When the configuration was last loaded.
    pub last_config_time_ms: TimestampMs,
    /// Corruptions that the storage has met.
    pub corruption_count: u64,
    /// Threads and tasks, where the reference has goroutines.
    pub goroutine_count: u64,
    /// Processors in use.
    pub gomaxprocs: u64,
    /// The memory limit in bytes.
    pub gomemlimit: u64,
    /// The retention, such as `15d or 10GiB`.
    pub storage_retention: String,
}

/// Knows how the process is doing.
pub trait RuntimeSource: Debug + Send + Sync {
    /// A snapshot.
    fn runtime_info(&self) -> RuntimeInfo;
}

/// Knows the configuration.
pub trait ConfigSource: Debug + Send + Sync {
    /// The configuration in force as YAML, defaults filled in, secrets blanked out.
    fn yaml(&self) -> String;

    /// `global.external_labels`.
    fn external_labels(&self) -> model::labels::Labels;

    /// All flags and their values.
    fn flags(&self) -> BTreeMap<String, String>;

    /// What is switched on, by category; `/api/v1/features`.
    fn features(&self) -> BTreeMap<String, BTreeMap<String, bool>>;
}

/// Reloads and ends the program.
pub trait Lifecycle: Debug + Send + Sync {
    /// Loads the configuration again and returns when that is done. The error is a sentence for the client.
    fn reload(&self) -> Result<(), String>;

    /// Begins an orderly end. Returns false if that has begun already.
    fn quit(&self) -> bool;
}
