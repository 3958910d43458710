//! What the API shows of the program itself.

use std::collections::BTreeMap;
use std::sync::Arc;

use api::state::{BuildInfo, ConfigSource, Lifecycle, RuntimeInfo, RuntimeSource};
use model::labels::Labels;
use model::time::TimestampMs;

use super::options;
use super::storage::Storage;
use crate::config::Config;
use crate::flags::Flags;
use crate::reload::Reloader;
use crate::shutdown::Quit;
use crate::telemetry::GO_VERSION;
use crate::version;

/// The configuration and the flags.
#[derive(Debug)]
pub(super) struct Configuration {
    pub(super) reloader: Arc<Reloader>,
    pub(super) flags: Arc<Flags>,
}

impl ConfigSource for Configuration {
    fn yaml(&self) -> String {
        self.reloader.current().yaml.clone()
    }

    fn external_labels(&self) -> Labels {
        external_labels(&self.reloader.current())
    }

    fn flags(&self) -> BTreeMap<String, String> {
        self.flags.all.clone()
    }

    fn features(&self) -> BTreeMap<String, BTreeMap<String, bool>> {
        super::features::by_category(&self.flags)
    }
}

/// `global.external_labels`.
pub(super) fn external_labels(config: &Config) -> Labels {
    Labels::from_pairs(&config.global.external_labels)
}

/// How the process is doing.
#[derive(Debug)]
pub(super) struct Runtime {
    pub(super) reloader: Arc<Reloader>,
    pub(super) flags: Arc<Flags>,
    pub(super) storage: Storage,
    pub(super) started_at_ms: TimestampMs,
    pub(super) threads: usize,
    pub(super) tokio: tokio::runtime::Handle,
}

impl RuntimeSource for Runtime {
    fn runtime_info(&self) -> RuntimeInfo {
        let config = self.reloader.current();
        RuntimeInfo {
            start_time_ms: self.started_at_ms,
            cwd: std::env::current_dir().map(|dir| dir.display().to_string()).unwrap_or_default(),
            hostname: hostname::get().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default(),
            reload_config_success: self.reloader.was_successful(),
            last_config_time_ms: self.reloader.loaded_at_ms(),
            corruption_count: self.storage.corruptions() as u64,
            goroutine_count: self.tokio.metrics().num_alive_tasks() as u64,
            gomaxprocs: self.threads as u64,
            gomemlimit: i64::MAX as u64,
            storage_retention: options::retention(&self.flags, &config).to_string(),
        }
    }
}

/// Which program this is.
pub(super) fn build_info() -> BuildInfo {
    BuildInfo {
        version: version::shown(),
        revision: version::REVISION.to_owned(),
        branch: "unknown".to_owned(),
        build_user: String::new(),
        build_date: String::new(),
        go_version: GO_VERSION.to_owned(),
    }
}

/// Reloads and ends the program.
#[derive(Debug)]
pub(super) struct Life {
    pub(super) reloader: Arc<Reloader>,
    pub(super) quit: Quit,
}

impl Lifecycle for Life {
    fn reload(&self) -> Result<(), String> {
        self.reloader.reload()
    }

    fn quit(&self) -> bool {
        self.quit.request()
    }
}
