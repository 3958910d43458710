//! The configuration in force, and taking another in its place.
//!
//! A reload reads the file, checks the whole of it, and hands it to every part, which changes what differs and
//! leaves the rest alone. A file with an error changes nothing but a metric, a notice and a line in the log.

use std::fmt::Debug;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use api::notifications::{CONFIGURATION_UNSUCCESSFUL, Notifications};
use arc_swap::ArcSwap;
use model::time::{Clock, TimestampMs};
use parking_lot::Mutex;
use prometheus::{Gauge, Registry};
use promql::features::Features;

use crate::config::Config;

/// A part of the program that a new configuration changes.
pub(crate) trait Part: Debug + Send + Sync {
    /// What the log calls it.
    fn name(&self) -> &'static str;

    /// Takes the configuration. May block. The error is a sentence for the log; other parts go on.
    fn apply(&self, config: &Config) -> Result<(), String>;
}

/// Holds the configuration and loads it again.
#[derive(Debug)]
pub(crate) struct Reloader {
    file: PathBuf,
    /// Which experimental parts of PromQL rules may use.
    features: Features,
    current: ArcSwap<Config>,
    clock: Arc<dyn Clock>,
    notifications: Notifications,
    successful: Gauge,
    success_secs: Gauge,
    loaded_at_ms: AtomicI64,
    /// Locked while a reload is under way: parts see one configuration at a time.
    parts: Mutex<Vec<Box<dyn Part>>>,
}

impl Reloader {
    /// Holds the first configuration, loaded from `file`, which no part has seen yet.
    pub(crate) fn new(
        file: PathBuf,
        features: Features,
        config: Config,
        clock: Arc<dyn Clock>,
        notifications: Notifications,
        registry: &Registry,
    ) -> prometheus::Result<Self> {
        let successful = Gauge::new(
            "prometheus_config_last_reload_successful",
            "1 if the configuration was loaded without an error the last time, else 0.",
        )?;
        let success_secs = Gauge::new(
            "prometheus_config_last_reload_success_timestamp_seconds",
            "When the configuration was last loaded without an error, since the epoch.",
        )?;
        registry.register(Box::new(successful.clone()))?;
        registry.register(Box::new(success_secs.clone()))?;
        let current = ArcSwap::from_pointee(config);
        let (loaded_at_ms, parts) = (AtomicI64::new(0), Mutex::new(Vec::new()));
        Ok(Reloader {
            file,
            features,
            current,
            clock,
            notifications,
            successful,
            success_secs,
            loaded_at_ms,
            parts,
        })
    }

    /// The configuration in force.
    pub(crate) fn current(&self) -> Arc<Config> {
        self.current.load_full()
    }

    /// Whether the last load succeeded.
    pub(crate) fn was_successful(&self) -> bool {
        self.successful.get() == 1.0
    }

    /// When the configuration in force was loaded; 0 if no part has seen any.
    pub(crate) fn loaded_at_ms(&self) -> TimestampMs {
        self.loaded_at_ms.load(Ordering::Relaxed)
    }

    /// Hands the first configuration to the parts, which get all later ones too.
    pub(crate) fn start(&self, parts: Vec<Box<dyn Part>>) -> Result<(), String> {
        let mut all = self.parts.lock();
        *all = parts;
        self.finish(self.apply(&all, &self.current()))
    }

    /// Loads the file again and hands it to the parts.
    pub(crate) fn reload(&self) -> Result<(), String> {
        let parts = self.parts.lock();
        tracing::info!(filename = %self.file.display(), "Loading configuration file");
        self.finish(Config::load_to_run(&self.file, self.features).and_then(|config| {
            let config = Arc::new(config);
            self.current.store(Arc::clone(&config));
            self.apply(&parts, &config)
        }))
    }

    fn apply(&self, parts: &[Box<dyn Part>], config: &Config) -> Result<(), String> {
        for warning in &config.warnings {
            tracing::warn!("{warning}");
        }
        let mut failed = false;
        for part in parts {
            if let Err(error) = part.apply(config) {
                tracing::error!(part = part.name(), err = error, "Failed to apply configuration");
                failed = true;
            }
        }
        if failed {
            let file = self.file.display();
            return Err(format!(
                "one or more errors occurred while applying the new configuration (--config.file=\"{file}\")"
            ));
        }
        tracing::info!(filename = %self.file.display(), "Completed loading of configuration file");
        Ok(())
    }

    /// Tells metrics, notices and the log how a load ended.
    fn finish(&self, result: Result<(), String>) -> Result<(), String> {
        self.successful.set(f64::from(u8::from(result.is_ok())));
        match &result {
            Ok(()) => {
                let now_ms = self.clock.now_ms();
                self.loaded_at_ms.store(now_ms, Ordering::Relaxed);
                self.success_secs.set(now_ms as f64 / 1e3);
                self.notifications.remove(CONFIGURATION_UNSUCCESSFUL);
            }
            Err(error) => {
                self.notifications.add(CONFIGURATION_UNSUCCESSFUL, error);
                tracing::error!(err = error, "Error reloading config");
            }
        }
        result
    }

    /// A number that changes when a file of the configuration does, or when one more is matched.
    pub(crate) fn checksum(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        for file in &self.current().files {
            (file, std::fs::read(file).ok()).hash(&mut hasher);
        }
        hasher.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::time::ManualClock;

    /// A part that remembers the jobs it was given, and refuses a job named `bad`.
    #[derive(Clone, Debug, Default)]
    struct Seen(Arc<Mutex<Vec<String>>>);

    impl Part for Seen {
        fn name(&self) -> &'static str {
            "seen"
        }

        fn apply(&self, config: &Config) -> Result<(), String> {
            let names: Vec<_> = config.jobs.iter().map(|job| job.job_name.clone()).collect();
            self.0.lock().push(names.join(","));
            if names.iter().any(|name| name == "bad") { Err("bad job".to_owned()) } else { Ok(()) }
        }
    }

    struct Setup {
        _dir: tempfile::TempDir,
        file: PathBuf,
        clock: Arc<ManualClock>,
        notifications: Notifications,
        reloader: Reloader,
        seen: Seen,
    }

    fn setup() -> Setup {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("p.yml");
        std::fs::write(&file, "scrape_configs: [{job_name: a}]\n").unwrap();
        let clock = Arc::new(ManualClock::new(1_000));
        let registry = Registry::new();
        let notifications = Notifications::new(clock.clone(), 1, &registry).unwrap();
        let config = Config::load(&file, &|_| None).unwrap();
        let reloader = Reloader::new(
            file.clone(),
            Features::default(),
            config,
            clock.clone(),
            notifications.clone(),
            &registry,
        )
        .unwrap();
        let seen = Seen::default();
        reloader.start(vec![Box::new(seen.clone())]).unwrap();
        Setup { _dir: dir, file, clock, notifications, reloader, seen }
    }

    #[test]
    fn a_changed_file_reaches_the_parts() {
        let setup = setup();
        let before = setup.reloader.checksum();
        std::fs::write(&setup.file, "scrape_configs: [{job_name: b}]\n").unwrap();
        assert_ne!(setup.reloader.checksum(), before);
        setup.clock.set(2_000);
        assert_eq!(setup.reloader.reload(), Ok(()));
        assert_eq!(*setup.seen.0.lock(), ["a", "b"]);
        assert_eq!(setup.reloader.loaded_at_ms(), 2_000);
        assert_eq!(setup.reloader.success_secs.get(), 2.0);
    }

    #[test]
    fn a_file_with_an_error_leaves_the_old_configuration_in_force() {
        let setup = setup();
        std::fs::write(&setup.file, "scrape_configs: [{job: b}]\n").unwrap();
        setup.clock.set(2_000);
        let error = setup.reloader.reload().unwrap_err();
        assert!(error.contains("p.yml:1:19: scrape_configs[0].job: unknown field `job`"), "{error}");
        assert_eq!(*setup.seen.0.lock(), ["a"]);
        assert_eq!(setup.reloader.current().jobs[0].job_name, "a");
        assert!(!setup.reloader.was_successful() && setup.reloader.loaded_at_ms() == 1_000);
        assert_eq!(setup.notifications.current()[0].text, CONFIGURATION_UNSUCCESSFUL);

        std::fs::write(&setup.file, "tracing: {endpoint: x}\n").unwrap();
        assert!(setup.reloader.reload().unwrap_err().contains("tracing: no traces are made yet"));

        let rules = setup.file.with_file_name("rules.yml");
        std::fs::write(&rules, "groups: [{name: g, rules: [{record: a, expr: 'b +'}]}]\n").unwrap();
        std::fs::write(&setup.file, "rule_files: [rules.yml]\n").unwrap();
        assert!(setup.reloader.reload().unwrap_err().contains("group \"g\", rule 1, \"a\": could not parse"));

        std::fs::write(&setup.file, "scrape_configs: [{job_name: b}]\n").unwrap();
        assert_eq!(setup.reloader.reload(), Ok(()));
        assert!(setup.reloader.was_successful() && setup.notifications.current().is_empty());
    }

    #[test]
    fn a_part_that_fails_makes_the_reload_fail() {
        let setup = setup();
        std::fs::write(&setup.file, "scrape_configs: [{job_name: bad}]\n").unwrap();
        let error = setup.reloader.reload().unwrap_err();
        assert!(
            error.starts_with("one or more errors occurred while applying the new configuration"),
            "{error}"
        );
        assert!(!setup.reloader.was_successful());
    }
}
