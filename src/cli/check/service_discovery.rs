//! `check service-discovery`.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use model::labels::Labels;
use scrape::config::JobConfig;
use scrape::discovery::{Context, Discovery};
use scrape::target::{self, Discovered};
use serde::Serialize;
use tokio::time::{Instant, timeout, timeout_at};

use crate::cli::EXIT_FAILURE;
use crate::config::Config;
use crate::version;

/// How long nothing more has to come before what came is taken as everything, once each mechanism has said something.
const QUIET: Duration = Duration::from_secs(1);

/// A target that was found, and what became of it.
#[derive(Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
struct Found {
    discovered_labels: BTreeMap<String, String>,
    labels: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

/// Looks for the targets of a job and prints them as JSON.
pub(super) fn run(file: &Path, job_name: &str, patience: Duration) -> ExitCode {
    match find(file, job_name, patience) {
        Ok(json) => {
            print!("{json}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::from(EXIT_FAILURE)
        }
    }
}

fn find(file: &Path, job_name: &str, patience: Duration) -> Result<String, String> {
    let config = Config::load(file, &|name| std::env::var(name).ok());
    let config = config.map_err(|error| format!("Cannot load config {error}"))?;
    let Some(job) = config.jobs.iter().find(|job| job.job_name == job_name) else {
        let names = config.jobs.iter().map(|job| format!("\n\t{}", job.job_name));
        return Err(format!("Job {job_name} not found. Select one of:{}", names.collect::<String>()));
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.map_err(|error| error.to_string())?;
    let found = runtime.block_on(discover(job, patience))?;
    serde_json::to_string_pretty(&found).map_err(|error| error.to_string())
}

/// Everything that is found in time.
async fn discover(job: &JobConfig, patience: Duration) -> Result<Vec<Found>, String> {
    let client = client::Options {
        name: job.job_name.clone(),
        user_agent: format!("promtool/{}", version::SPOKEN),
        unix_socket: None,
        round_robin_dns: false,
        metrics: None,
    };
    let context = Context { job_name: job.job_name.clone(), client, metrics: None };
    let discovery = Discovery::start(&job.discovery, &context);
    let mut discovery = discovery.map_err(|error| format!("Could not create new discoverer {error}"))?;
    let end = Instant::now() + patience;
    while timeout_at(end, discovery.changed()).await.is_ok() {
        if !discovery.complete() {
            continue;
        }
        while timeout(QUIET.min(end - Instant::now()), discovery.changed()).await.is_ok() {}
        break;
    }
    let mut found = Vec::new();
    for group in discovery.groups() {
        for own in &group.targets {
            let target = found_target(job, own, &group.labels);
            if !found.contains(&target) {
                found.push(target);
            }
        }
    }
    Ok(found)
}

fn found_target(job: &JobConfig, own: &Labels, group: &Labels) -> Found {
    let discovered_labels = map(&target::discovered_labels(job, own, group));
    let (labels, error) = match target::build(job, own, group) {
        Ok(Discovered::Target(target)) => (map(&target.labels), None),
        Ok(Discovered::Dropped(_)) => (BTreeMap::new(), None),
        Err(error) => (BTreeMap::new(), Some(error.to_string())),
    };
    Found { discovered_labels, labels, error }
}

fn map(labels: &Labels) -> BTreeMap<String, String> {
    labels.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}
