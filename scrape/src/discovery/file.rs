//! Discovery from files: lists of target groups in JSON or YAML, read again when they change.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use model::regex::AnchoredRegex;
use notify::{RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::mpsc;
use tokio::time::{Duration, Instant, sleep, timeout_at};

use super::config::FileSdConfig;
use super::group::{TargetGroup, Written};
use super::http::with_label;
use super::metrics::set_mtime;
use super::{Context, Output};

const FILE_LABEL: &str = "__meta_filepath";
/// How long to wait after a change for others that belong to it: editors write a file in several steps.
const SETTLE: Duration = Duration::from_millis(50);

/// Reads the files, then again after each change and interval.
pub(super) async fn run(config: FileSdConfig, context: Context, output: Output) {
    let (changes, mut changed) = mpsc::channel(1);
    let _watcher = watch(&config, changes)
        .inspect_err(|error| {
            tracing::error!(config = %context.job_name, %error, "Error adding file watcher");
            if let Some(metrics) = &context.metrics {
                metrics.file_watcher_errors.inc();
            }
        })
        .ok();
    let mut reader = Reader { config, context, known: BTreeMap::new() };
    loop {
        if !output.send(reader.read_all()).await {
            return;
        }
        let next = Instant::now() + reader.config.refresh_interval.0;
        // Without a watcher the channel is closed, and only the interval counts.
        match timeout_at(next, changed.recv()).await {
            Ok(Some(())) => {
                sleep(SETTLE).await;
                let _ = changed.try_recv();
            }
            Ok(None) => tokio::time::sleep_until(next).await,
            Err(_) => {}
        }
    }
}

/// Watches the directories of the files, because files are often replaced rather than written.
fn watch(config: &FileSdConfig, changes: mpsc::Sender<()>) -> notify::Result<RecommendedWatcher> {
    let mut watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
        let matters = event.map_or(true, |event| !event.kind.is_access());
        if matters {
            // A full channel says already that something has changed.
            let _ = changes.try_send(());
        }
    })?;
    let directories: BTreeSet<PathBuf> = config.files.iter().map(|file| directory_of(file)).collect();
    for directory in directories {
        watcher.watch(&directory, RecursiveMode::NonRecursive)?;
    }
    Ok(watcher)
}

fn directory_of(pattern: &str) -> PathBuf {
    match Path::new(pattern).parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        _ => PathBuf::from("."),
    }
}

struct Reader {
    config: FileSdConfig,
    context: Context,
    /// Files that were read well, and how many groups they had.
    known: BTreeMap<String, usize>,
}

impl Reader {
    /// The groups of all files; those of a file that can't be read are left out, so that the last good ones
    /// stand; for those of a file that is gone there are empty ones.
    fn read_all(&mut self) -> Vec<TargetGroup> {
        let paths: BTreeSet<String> =
            self.config.files.iter().flat_map(|pattern| matching(pattern)).collect();
        let mut groups = Vec::new();
        for path in &paths {
            match read_groups(path) {
                Ok(read) => {
                    let before = self.known.insert(path.clone(), read.len()).unwrap_or(0);
                    groups.extend((read.len()..before).map(|index| empty_group(path, index)));
                    groups.extend(read);
                    self.set_mtime(path, true);
                }
                Err(error) => {
                    tracing::error!(config = %self.context.job_name, file = %path, %error, "Error reading file");
                    if let Some(metrics) = &self.context.metrics {
                        metrics.file_read_errors.inc();
                    }
                }
            }
        }
        let gone: Vec<String> = self.known.keys().filter(|path| !paths.contains(*path)).cloned().collect();
        for path in gone {
            let count = self.known.remove(&path).unwrap_or(0);
            groups.extend((0..count).map(|index| empty_group(&path, index)));
            self.set_mtime(&path, false);
        }
        groups
    }

    fn set_mtime(&self, path: &str, exists: bool) {
        let Some(metrics) = &self.context.metrics else { return };
        let modified = std::fs::metadata(path).and_then(|metadata| metadata.modified()).ok();
        let since = modified.and_then(|time| time.duration_since(UNIX_EPOCH).ok());
        let seconds = since.filter(|_| exists).map(|since| since.as_secs_f64());
        set_mtime(&metrics.file_mtimes, path, seconds);
    }
}

fn source(path: &str, index: usize) -> String {
    format!("{path}:{index}")
}

fn empty_group(path: &str, index: usize) -> TargetGroup {
    TargetGroup { source: source(path, index), ..TargetGroup::default() }
}

/// Files that a pattern stands for, which has wildcards in its last part at most.
fn matching(pattern: &str) -> Vec<String> {
    let name = Path::new(pattern).file_name().map(|name| name.to_string_lossy().into_owned());
    let Some(name) = name.filter(|name| name.contains(['*', '?', '['])) else {
        return if Path::new(pattern).exists() { vec![pattern.to_owned()] } else { Vec::new() };
    };
    let Ok(regex) = AnchoredRegex::new(&glob_to_regex(&name)) else { return Vec::new() };
    let Ok(entries) = std::fs::read_dir(directory_of(pattern)) else { return Vec::new() };
    let names = entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned());
    let parent = Path::new(pattern).parent().unwrap_or(Path::new(""));
    names
        .filter(|name| regex.is_match(name))
        .map(|name| parent.join(name).to_string_lossy().into_owned())
        .collect()
}

/// The groups of the files that a pattern stands for; nothing if there is no such file.
///
/// # Errors
///
/// A file can't be read, or isn't one of target groups.
pub fn groups_of_files(pattern: &str) -> Result<Option<Vec<TargetGroup>>, String> {
    let paths = matching(pattern);
    if paths.is_empty() {
        return Ok(None);
    }
    let groups = paths.iter().map(|path| read_groups(path)).collect::<Result<Vec<_>, _>>()?;
    Ok(Some(groups.into_iter().flatten().collect()))
}

fn glob_to_regex(glob: &str) -> String {
    let mut regex = String::new();
    for c in glob.chars() {
        match c {
            '*' => regex.push_str(".*"),
            '?' => regex.push('.'),
            '[' | ']' | '-' | '^' => regex.push(c),
            c if c.is_ascii_punctuation() => regex.extend(['\\', c]),
            c => regex.push(c),
        }
    }
    regex
}

fn read_groups(path: &str) -> Result<Vec<TargetGroup>, String> {
    let text = std::fs::read_to_string(path).map_err(|error| error.to_string())?;
    let is_json = path.to_ascii_lowercase().ends_with(".json");
    let written: Vec<Option<Written>> = if is_json {
        serde_json::from_str(&text).map_err(|error| error.to_string())?
    } else if text.trim().is_empty() {
        Vec::new()
    } else {
        serde_saphyr::from_str(&text).map_err(|error| error.to_string())?
    };
    let mut groups = Vec::with_capacity(written.len());
    for (index, written) in written.into_iter().enumerate() {
        let written = written.ok_or_else(|| format!("nil target group item found (index {index})"))?;
        let mut group = written.into_group(source(path, index))?;
        group.labels = with_label(&group.labels, FILE_LABEL, path);
        groups.push(group);
    }
    Ok(groups)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reader(files: &[&Path]) -> Reader {
        let files = files.iter().map(|file| file.to_string_lossy().into_owned()).collect();
        let refresh_interval = model::duration::PromDuration::from_secs(60);
        let client = client::Options {
            name: String::new(),
            user_agent: "test".to_owned(),
            unix_socket: None,
            round_robin_dns: false,
            metrics: None,
        };
        let context = Context { job_name: "j".to_owned(), client, metrics: None };
        Reader { config: FileSdConfig { files, refresh_interval }, context, known: BTreeMap::new() }
    }

    fn summary(groups: &[TargetGroup]) -> Vec<(String, usize)> {
        let name = |source: &str| source.rsplit('/').next().unwrap().to_owned();
        groups.iter().map(|group| (name(&group.source), group.targets.len())).collect()
    }

    #[test]
    fn a_bad_file_keeps_its_groups_and_a_removed_one_loses_them() {
        let directory = tempfile::tempdir().unwrap();
        let (yaml, json) = (directory.path().join("a.yml"), directory.path().join("b.json"));
        std::fs::write(&yaml, "- targets: [a:1]\n- targets: [b:1, b:2]\n  labels: {x: y}\n").unwrap();
        std::fs::write(&json, r#"[{"targets": ["c:1"]}]"#).unwrap();
        let mut reader = reader(&[&directory.path().join("*.yml"), &json]);
        let groups = reader.read_all();
        assert_eq!(summary(&groups), [("a.yml:0".into(), 1), ("a.yml:1".into(), 2), ("b.json:0".into(), 1)]);
        assert_eq!(groups[1].labels.value("__meta_filepath"), yaml.to_string_lossy());
        std::fs::write(&yaml, "- targets: [a:1]\n").unwrap();
        std::fs::write(&json, "{broken").unwrap();
        assert_eq!(summary(&reader.read_all()), [("a.yml:1".into(), 0), ("a.yml:0".into(), 1)]);
        std::fs::remove_file(&json).unwrap();
        assert_eq!(summary(&reader.read_all()), [("a.yml:0".into(), 1), ("b.json:0".into(), 0)]);
    }

    #[test]
    fn patterns_match_file_names() {
        let directory = tempfile::tempdir().unwrap();
        for name in ["a1.yml", "a2.yml", "b.yml", "a.json"] {
            std::fs::write(directory.path().join(name), "").unwrap();
        }
        let count = |pattern: &str| matching(&directory.path().join(pattern).to_string_lossy()).len();
        assert_eq!((count("*.yml"), count("a?.yml"), count("a[1].yml"), count("x.yml")), (3, 2, 1, 0));
    }
}
