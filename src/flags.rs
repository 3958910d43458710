//! The server's command line.
//!
//! Flags are written as the reference's parser (kingpin) takes them: `--name=value` or `--name value`,
//! switches negated as `--no-name`, `@file` for a file with an argument a line. [`table`] lists them all;
//! here they are parsed, checked and given types. A flag whose function isn't there is refused by a sentence
//! that says so, unless it is set to what is done anyway. Nobody outside `src` reads flags.

pub(crate) mod table;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use clap::builder::Styles;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Command};
use model::byte_size::ByteSize;
use model::duration::PromDuration;
use remote::otlp::DeltaHandling;
use remote::read::ReadOptions;
use remote::write::Version;

use crate::memory::QueryMemory;
use crate::version;
use table::{FEATURES, FLAGS, Flag, Kind, State};

/// How long samples are kept if no flag says how long or how many.
const DEFAULT_RETENTION: &str = "15d";

/// The flag that says which messages of remote write are accepted.
const REMOTE_WRITE_MESSAGES: &str = "web.remote-write-receiver.accepted-protobuf-messages";

/// How a parse ended that gives no flags.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Stop {
    /// Help or the version was asked for: this text, on standard output.
    Print(String),
    /// The command line is wrong: this text, on standard error.
    Usage(String),
    /// Features that exclude each other: this text, on standard error.
    Conflict(String),
}

/// The server's flags, with their types.
#[derive(Clone, Debug)]
pub(crate) struct Flags {
    pub(crate) config_file: PathBuf,
    /// `None` without `--config.auto-reload`.
    pub(crate) auto_reload_interval: Option<Duration>,
    pub(crate) web: WebFlags,
    pub(crate) storage: StorageFlags,
    /// `--storage.remote.read-*`.
    pub(crate) remote_read: ReadOptions,
    pub(crate) query: QueryFlags,
    pub(crate) scrape: ScrapeFlags,
    pub(crate) alerts: AlertFlags,
    pub(crate) features: Features,
    pub(crate) log_level: tracing::Level,
    pub(crate) log_json: bool,
    /// Every flag of the table as text, as `/api/v1/status/flags` shows them.
    pub(crate) all: BTreeMap<String, String>,
}

/// `--web.*`.
#[derive(Clone, Debug)]
pub(crate) struct WebFlags {
    pub(crate) listen_addresses: Vec<String>,
    pub(crate) read_timeout: Duration,
    pub(crate) max_connections: usize,
    pub(crate) external_url: String,
    pub(crate) route_prefix: String,
    pub(crate) enable_lifecycle: bool,
    pub(crate) enable_admin_api: bool,
    /// TLS, users and headers of the server's own HTTP.
    pub(crate) config_file: Option<PathBuf>,
    pub(crate) cors_origin: String,
    /// `None` if remote write isn't accepted.
    pub(crate) remote_write_versions: Option<Vec<Version>>,
    pub(crate) enable_otlp_receiver: bool,
    pub(crate) max_notification_subscribers: usize,
    pub(crate) page_title: String,
    pub(crate) search_limit_max: usize,
}

/// `--storage.tsdb.*`.
#[derive(Clone, Debug)]
pub(crate) struct StorageFlags {
    pub(crate) path: PathBuf,
    pub(crate) retention_time: Option<PromDuration>,
    pub(crate) retention_size: Option<ByteSize>,
    pub(crate) no_lockfile: bool,
    pub(crate) min_block_duration: PromDuration,
    pub(crate) max_block_duration: Option<PromDuration>,
    pub(crate) chunk_segment_size: ByteSize,
    pub(crate) wal_segment_size: ByteSize,
    pub(crate) wal_sync_interval: Duration,
    pub(crate) overlapping_compaction: bool,
    pub(crate) samples_per_chunk: u32,
    pub(crate) block_reload_interval: PromDuration,
    /// How long an endpoint of remote write that ends may go on sending.
    pub(crate) remote_flush_deadline: Duration,
}

/// `--query.*`.
#[derive(Clone, Debug)]
pub(crate) struct QueryFlags {
    pub(crate) lookback_delta: Duration,
    pub(crate) timeout: Duration,
    pub(crate) max_concurrency: usize,
    pub(crate) max_samples: usize,
    pub(crate) memory: QueryMemory,
}

/// `--scrape.*`.
#[derive(Clone, Debug)]
pub(crate) struct ScrapeFlags {
    pub(crate) adjust_timestamps: bool,
    pub(crate) timestamp_tolerance: Duration,
    pub(crate) discovery_reload_interval: Duration,
}

/// `--rules.alert.*` and `--alertmanager.*`.
#[derive(Clone, Debug)]
pub(crate) struct AlertFlags {
    pub(crate) outage_tolerance: Duration,
    pub(crate) grace_period: Duration,
    pub(crate) resend_delay: Duration,
    /// `None` without `--enable-feature=concurrent-rule-eval`.
    pub(crate) max_concurrent_evals: Option<usize>,
    pub(crate) queue_capacity: usize,
    pub(crate) batch_size: usize,
    pub(crate) drains_on_shutdown: bool,
}

/// `--enable-feature`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Features {
    pub(crate) extra_scrape_metrics: bool,
    pub(crate) exemplar_storage: bool,
    pub(crate) search_api: bool,
    pub(crate) otlp_deltas: DeltaHandling,
    /// Rules that don't build on each other are evaluated at the same time.
    pub(crate) concurrent_rule_eval: bool,
    pub(crate) promql: promql::features::Features,
    /// Names that no feature has: a warning in the log.
    pub(crate) unknown: Vec<String>,
}

impl Flags {
    /// Parses the arguments after the program's name.
    pub(crate) fn parse(args: Vec<String>) -> Result<Flags, Stop> {
        let args = expand_files(args).map_err(|error| usage(&error))?;
        let matches = command().try_get_matches_from(args).map_err(|error| stop(&error))?;
        if matches.get_flag("version") {
            return Err(Stop::Print(version::lines("ferula")));
        }
        let values = Values::new(&matches)?;
        values.refuse_missing()?;
        let features = values.features()?;
        Ok(values.typed(features))
    }
}

/// One text for each flag, checked to be of the flag's kind.
struct Values(BTreeMap<&'static str, Given>);

struct Given {
    texts: Vec<String>,
    by_user: bool,
}

impl Values {
    fn new(matches: &ArgMatches) -> Result<Values, Stop> {
        let mut values = BTreeMap::new();
        for flag in FLAGS {
            let given = given(matches, flag);
            for text in &given.texts {
                check(flag, text).map_err(|error| usage(&error))?;
            }
            values.insert(flag.name, given);
        }
        let values = Values(values);
        values.check_ranges()?;
        Ok(values)
    }

    /// Values that are of the right kind but can't be used.
    fn check_ranges(&self) -> Result<(), Stop> {
        let second = Duration::from_secs(1);
        let mib = |count: u64| ByteSize(count << 20);
        let wal_segment = self.bytes("storage.tsdb.wal-segment-size");
        let conditions = [
            (
                self.duration("config.auto-reload-interval") < second,
                "minimum value of --config.auto-reload-interval is 1s",
            ),
            (
                self.duration("storage.tsdb.block-reload-interval") < second,
                "minimum value of --storage.tsdb.block-reload-interval is 1s",
            ),
            (
                wal_segment < mib(10) || wal_segment > mib(256),
                "flag 'storage.tsdb.wal-segment-size' must be set between 10MB and 256MB",
            ),
            (
                self.bytes("storage.tsdb.max-block-chunk-segment-size") < mib(1),
                "flag 'storage.tsdb.max-block-chunk-segment-size' must be set over 1MB",
            ),
            (
                self.duration("storage.tsdb.wal-sync-interval") > second,
                "maximum value of --storage.tsdb.wal-sync-interval is 1s",
            ),
        ];
        let messages = &self.0[REMOTE_WRITE_MESSAGES].texts;
        if let Some(unknown) = messages
            .iter()
            .flat_map(|list| list.split(','))
            .find(|name| [Version::V1, Version::V2].iter().all(|version| version.message() != *name))
        {
            return Err(usage(&format!("unknown remote write protobuf message {unknown}")));
        }
        match conditions.iter().find(|(wrong, _)| *wrong) {
            Some((_, message)) => Err(usage(message)),
            None => Ok(()),
        }
    }

    fn refuse_missing(&self) -> Result<(), Stop> {
        for flag in FLAGS {
            if let (State::Missing(why), true) = (flag.state, self.0[flag.name].by_user)
                && self.shown(flag) != flag.default
            {
                return Err(usage(&format!("flag --{} is not supported yet: {why}", flag.name)));
            }
        }
        Ok(())
    }

    fn features(&self) -> Result<Features, Stop> {
        let mut features = Features::default();
        for name in self.0["enable-feature"].texts.iter().flat_map(|list| list.split(',')) {
            match FEATURES.iter().find(|(known, _)| *known == name) {
                Some((_, State::Missing(why))) => {
                    return Err(usage(&format!("feature {name} is not supported yet: {why}")));
                }
                Some(_) if name == "extra-scrape-metrics" => features.extra_scrape_metrics = true,
                Some(_) if name == "exemplar-storage" => features.exemplar_storage = true,
                Some(_) if name == "search-api" => features.search_api = true,
                Some(_) if name == "concurrent-rule-eval" => features.concurrent_rule_eval = true,
                Some(_) if name == "otlp-deltatocumulative" => {
                    set_deltas(&mut features, DeltaHandling::Cumulative)?;
                }
                Some(_) if name == "otlp-native-delta-ingestion" => {
                    set_deltas(&mut features, DeltaHandling::Native)?;
                }
                Some(_) => {
                    enable_promql_feature(name, &mut features.promql);
                }
                None if name.is_empty() => {}
                None => features.unknown.push(name.to_owned()),
            }
        }
        Ok(features)
    }

    fn typed(&self, features: Features) -> Flags {
        let enabled = &self.0["enable-feature"].texts;
        let auto_reload = self.switch("config.auto-reload")
            || enabled.iter().flat_map(|list| list.split(',')).any(|name| name == "auto-reload-config");
        Flags {
            config_file: self.text("config.file").into(),
            auto_reload_interval: auto_reload.then(|| self.duration("config.auto-reload-interval")),
            web: WebFlags {
                listen_addresses: self.0["web.listen-address"].texts.clone(),
                read_timeout: self.duration("web.read-timeout"),
                max_connections: self.integer("web.max-connections"),
                external_url: self.text("web.external-url").to_owned(),
                route_prefix: self.text("web.route-prefix").to_owned(),
                enable_lifecycle: self.switch("web.enable-lifecycle"),
                enable_admin_api: self.switch("web.enable-admin-api"),
                config_file: Some(self.text("web.config.file"))
                    .filter(|file| !file.is_empty())
                    .map(PathBuf::from),
                cors_origin: self.text("web.cors.origin").to_owned(),
                remote_write_versions: self
                    .switch("web.enable-remote-write-receiver")
                    .then(|| self.remote_write_versions()),
                enable_otlp_receiver: self.switch("web.enable-otlp-receiver"),
                max_notification_subscribers: self.integer("web.max-notifications-subscribers"),
                search_limit_max: self.integer("web.search.max-limit"),
                page_title: self.text("web.page-title").to_owned(),
            },
            storage: StorageFlags {
                path: self.text("storage.tsdb.path").into(),
                retention_time: self.optional_duration("storage.tsdb.retention.time"),
                retention_size: self.text("storage.tsdb.retention.size").parse().ok(),
                no_lockfile: self.switch("storage.tsdb.no-lockfile"),
                min_block_duration: PromDuration(self.duration("storage.tsdb.min-block-duration")),
                max_block_duration: self.optional_duration("storage.tsdb.max-block-duration"),
                chunk_segment_size: self.bytes("storage.tsdb.max-block-chunk-segment-size"),
                wal_segment_size: self.bytes("storage.tsdb.wal-segment-size"),
                wal_sync_interval: self.duration("storage.tsdb.wal-sync-interval"),
                overlapping_compaction: self.switch("storage.tsdb.allow-overlapping-compaction"),
                samples_per_chunk: u32::try_from(self.integer("storage.tsdb.samples-per-chunk"))
                    .unwrap_or(u32::MAX),
                block_reload_interval: PromDuration(self.duration("storage.tsdb.block-reload-interval")),
                remote_flush_deadline: self.duration("storage.remote.flush-deadline"),
            },
            remote_read: ReadOptions {
                // As much as there can be where the number is too large for a count.
                samples_max: self.text("storage.remote.read-sample-limit").parse::<f64>().unwrap_or(0.0)
                    as usize,
                concurrent_max: self.integer("storage.remote.read-concurrent-limit"),
                frame_bytes: self.integer("storage.remote.read-max-bytes-in-frame"),
            },
            query: QueryFlags {
                lookback_delta: self.duration("query.lookback-delta"),
                timeout: self.duration("query.timeout"),
                max_concurrency: self.integer("query.max-concurrency"),
                max_samples: self.integer("query.max-samples"),
                memory: self.query_memory(),
            },
            scrape: ScrapeFlags {
                adjust_timestamps: self.switch("scrape.adjust-timestamps"),
                timestamp_tolerance: self.duration("scrape.timestamp-tolerance"),
                discovery_reload_interval: self.duration("scrape.discovery-reload-interval"),
            },
            alerts: AlertFlags {
                outage_tolerance: self.duration("rules.alert.for-outage-tolerance"),
                grace_period: self.duration("rules.alert.for-grace-period"),
                resend_delay: self.duration("rules.alert.resend-delay"),
                max_concurrent_evals: features
                    .concurrent_rule_eval
                    .then(|| self.integer("rules.max-concurrent-evals")),
                queue_capacity: self.integer("alertmanager.notification-queue-capacity"),
                batch_size: self.integer("alertmanager.notification-batch-size"),
                drains_on_shutdown: self.switch("alertmanager.drain-notification-queue-on-shutdown"),
            },
            features,
            log_level: self.text("log.level").parse().expect("a checked choice"),
            log_json: self.text("log.format") == "json",
            all: self.all(),
        }
    }

    /// All flags as they are in force. Those whose default depends on others show what it comes to, as in the
    /// reference.
    fn all(&self) -> BTreeMap<String, String> {
        let mut all: BTreeMap<String, String> =
            FLAGS.iter().map(|flag| (flag.name.to_owned(), self.shown(flag))).collect();
        let size = all.get_mut("storage.tsdb.retention.size").expect("a flag of the table");
        let has_size = !size.is_empty();
        if !has_size {
            "0B".clone_into(size);
        }
        let time = all.get_mut("storage.tsdb.retention.time").expect("a flag of the table");
        if time.is_empty() {
            (if has_size { "0s" } else { DEFAULT_RETENTION }).clone_into(time);
        }
        let memory = self.query_memory();
        all.insert("query.max-memory".to_owned(), memory.each.to_string());
        all.insert("query.max-total-memory".to_owned(), memory.total.to_string());
        all
    }

    /// 0 is no limit.
    fn query_memory(&self) -> QueryMemory {
        let machine = QueryMemory::of_machine();
        QueryMemory {
            each: self.text("query.max-memory").parse().unwrap_or(machine.each),
            total: self.text("query.max-total-memory").parse().unwrap_or(machine.total),
        }
    }

    fn remote_write_versions(&self) -> Vec<Version> {
        let all = [Version::V1, Version::V2];
        let names = self.0[REMOTE_WRITE_MESSAGES].texts.iter().flat_map(|list| list.split(','));
        names.filter_map(|name| all.into_iter().find(|version| version.message() == name)).collect()
    }

    fn shown(&self, flag: &Flag) -> String {
        self.0[flag.name].texts.join(",")
    }

    fn text(&self, name: &str) -> &str {
        self.0[name].texts.first().map_or("", String::as_str)
    }

    fn switch(&self, name: &str) -> bool {
        self.text(name) == "true"
    }

    fn optional_duration(&self, name: &str) -> Option<PromDuration> {
        self.text(name).parse().ok()
    }

    fn duration(&self, name: &str) -> Duration {
        self.optional_duration(name).unwrap_or_default().0
    }

    fn bytes(&self, name: &str) -> ByteSize {
        self.text(name).parse().unwrap_or_default()
    }

    fn integer(&self, name: &str) -> usize {
        self.text(name).parse().unwrap_or(0)
    }
}

/// Says what becomes of OTLP's deltas, unless another feature has said otherwise.
fn set_deltas(features: &mut Features, deltas: DeltaHandling) -> Result<(), Stop> {
    if ![DeltaHandling::Refuse, deltas].contains(&features.otlp_deltas) {
        let what =
            "cannot enable otlp-deltatocumulative and otlp-native-delta-ingestion features at the same time";
        return Err(Stop::Conflict(format!("Error parsing feature list: {what}")));
    }
    features.otlp_deltas = deltas;
    Ok(())
}

/// Switches on a feature of PromQL; false if it has none of this name.
pub(crate) fn enable_promql_feature(name: &str, features: &mut promql::features::Features) -> bool {
    let switch = match name {
        "promql-experimental-functions" => &mut features.experimental_functions,
        "promql-extended-range-selectors" => &mut features.extended_range_selectors,
        "promql-binop-fill-modifiers" => &mut features.binop_fill_modifiers,
        "promql-delayed-name-removal" => &mut features.delayed_name_removal,
        "promql-per-step-stats" => &mut features.per_step_stats,
        _ => return false,
    };
    *switch = true;
    true
}

/// What the command line, or else the default, says of a flag.
fn given(matches: &ArgMatches, flag: &Flag) -> Given {
    if matches!(flag.kind, Kind::Switch) {
        let (on, off) = (matches.get_flag(flag.name), matches.get_flag(&negated(flag.name)));
        let text = if on || off { on.to_string() } else { flag.default.to_owned() };
        return Given { texts: vec![text], by_user: on || off };
    }
    let texts = matches.get_many::<String>(flag.name).into_iter().flatten().cloned().collect();
    Given { texts, by_user: matches.value_source(flag.name) == Some(ValueSource::CommandLine) }
}

/// Whether a text is what a flag takes. Only flags without a default may be empty.
fn check(flag: &Flag, text: &str) -> Result<(), String> {
    if text.is_empty() && flag.default.is_empty() {
        return Ok(());
    }
    match flag.kind {
        Kind::Duration => text.parse::<PromDuration>().map(drop).map_err(|error| error.to_string()),
        Kind::Integer => text.parse::<u64>().map(drop).map_err(|_| format!("not a valid number: {text:?}")),
        Kind::Float => text.parse::<f64>().map(drop).map_err(|_| format!("not a valid number: {text:?}")),
        Kind::Bytes => text.parse::<ByteSize>().map(drop).map_err(|error| error.to_string()),
        Kind::Choice(what, choices) if !choices.contains(&text) => Err(format!("{what} {text}")),
        Kind::Choice(..) | Kind::Switch | Kind::Text | Kind::Many => Ok(()),
    }
}

fn negated(name: &str) -> String {
    format!("no-{name}")
}

/// The parser.
fn command() -> Command {
    let mut command = Command::new("ferula")
        .no_binary_name(true)
        .styles(Styles::plain())
        .about("A time-series database, scraper and PromQL engine that takes a Prometheus server's place")
        .override_usage("ferula [<flags>]\n       ferula <command> [<flags>] [<args> …]")
        .after_help(COMMANDS)
        .disable_version_flag(true)
        .arg(Arg::new("version").long("version").action(ArgAction::SetTrue).help("Print the version"));
    for flag in FLAGS {
        for arg in args(flag) {
            command = command.arg(arg);
        }
    }
    command
}

/// The other half of the program, which [`crate::cli`] takes care of.
const COMMANDS: &str = "Commands (those of promtool; each has its own --help):\n  \
    check    Check configuration, metrics, and whether a server is healthy or ready\n  \
    query    Ask a server\n  \
    test     Run scripts of PromQL tests\n  \
    tsdb     Look at a data directory\n  \
    promql   Format and explain expressions";

fn args(flag: &'static Flag) -> Vec<Arg> {
    let arg = Arg::new(flag.name).long(flag.name).hide(flag.help.is_empty());
    if matches!(flag.kind, Kind::Switch) {
        let off = negated(flag.name);
        let on = arg.action(ArgAction::SetTrue).overrides_with(off.clone()).help(help_of(flag));
        let off = Arg::new(off.clone()).long(off).action(ArgAction::SetTrue).hide(true);
        return vec![on, off.overrides_with(flag.name)];
    }
    let mut arg = arg.help(flag.help).value_name(match flag.kind {
        Kind::Duration => "DURATION",
        Kind::Integer | Kind::Float => "NUMBER",
        Kind::Bytes => "BYTES",
        _ => "VALUE",
    });
    if matches!(flag.kind, Kind::Many) {
        arg = arg.action(ArgAction::Append);
    }
    if !flag.default.is_empty() {
        arg = arg.default_value(flag.default);
    }
    vec![arg]
}

fn help_of(flag: &Flag) -> String {
    match flag.default {
        "true" => format!("{} (default; switch off with --no-{})", flag.help, flag.name),
        _ => flag.help.to_owned(),
    }
}

/// Puts the lines of `file` in the place of each `@file`; lines that begin with `#` are left out.
fn expand_files(args: Vec<String>) -> Result<Vec<String>, String> {
    let mut expanded = Vec::with_capacity(args.len());
    for arg in args {
        match arg.strip_prefix('@') {
            None => expanded.push(arg),
            Some(file) => {
                let text = std::fs::read_to_string(file).map_err(|error| format!("open {file}: {error}"))?;
                expanded.extend(text.lines().filter(|line| !line.starts_with('#')).map(str::to_owned));
            }
        }
    }
    Ok(expanded)
}

fn usage(error: &str) -> Stop {
    Stop::Usage(format!(
        "Error parsing command line arguments: {error}\nusage: ferula [<flags>]\nSee ferula --help."
    ))
}

/// What a parser's error means, in kingpin's words.
fn stop(error: &clap::Error) -> Stop {
    let context = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => text.clone(),
        _ => String::new(),
    };
    let arg = context(ContextKind::InvalidArg);
    let name = arg.split([' ', '=']).next().unwrap_or_default();
    match error.kind() {
        ErrorKind::DisplayHelp => Stop::Print(error.render().to_string()),
        ErrorKind::UnknownArgument if name.starts_with("--") => usage(&format!("unknown long flag '{name}'")),
        ErrorKind::UnknownArgument if name.starts_with('-') => usage(&format!("unknown short flag '{name}'")),
        ErrorKind::UnknownArgument => usage(&format!("unexpected {name}")),
        ErrorKind::TooManyValues => usage(&format!("unexpected {}", context(ContextKind::InvalidValue))),
        ErrorKind::InvalidValue => usage(&format!("expected argument for flag '{name}'")),
        ErrorKind::ArgumentConflict => usage(&format!("flag '{name}' cannot be repeated")),
        _ => usage(error.to_string().trim_start_matches("error: ").lines().next().unwrap_or_default()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(args: &[&str]) -> Result<Flags, Stop> {
        Flags::parse(args.iter().map(|arg| (*arg).to_owned()).collect())
    }

    /// The message of a command line that isn't understood.
    fn refused(args: &[&str]) -> String {
        match parse(args) {
            Err(Stop::Usage(text)) => {
                let line = text.lines().next().unwrap();
                line.strip_prefix("Error parsing command line arguments: ").unwrap().to_owned()
            }
            other => panic!("{args:?} gave {other:?}"),
        }
    }

    #[test]
    fn every_default_in_the_table_is_what_its_flag_takes() {
        for flag in FLAGS {
            assert_eq!(check(flag, flag.default), Ok(()), "{}", flag.name);
            if matches!(flag.kind, Kind::Switch) {
                assert!(["true", "false"].contains(&flag.default), "{}", flag.name);
            }
        }
        let flags = parse(&[]).unwrap();
        assert_eq!(flags.all.len(), FLAGS.len());
        assert_eq!(flags.query.lookback_delta, Duration::from_secs(300));
        assert_eq!(flags.web.listen_addresses, ["0.0.0.0:9090"]);
        assert_eq!(flags.storage.retention_time, None);
    }

    #[test]
    fn flags_are_written_with_an_equals_sign_or_a_space_and_switches_are_negated() {
        let flags = parse(&[
            "--config.file=a.yml",
            "--storage.tsdb.path",
            "/d",
            "--web.enable-lifecycle",
            "--no-scrape.adjust-timestamps",
            "--web.listen-address=:1",
            "--web.listen-address=:2",
            "--storage.tsdb.retention.time=30d",
            "--storage.tsdb.retention.size=512MB",
        ])
        .unwrap();
        assert_eq!(flags.config_file, PathBuf::from("a.yml"));
        assert_eq!(flags.storage.path, PathBuf::from("/d"));
        assert!(flags.web.enable_lifecycle && !flags.scrape.adjust_timestamps);
        assert_eq!(flags.web.listen_addresses, [":1", ":2"]);
        assert_eq!(flags.all["web.listen-address"], ":1,:2");
        assert_eq!(flags.storage.retention_time, Some(PromDuration::from_secs(30 * 86_400)));
        assert_eq!(flags.storage.retention_size, Some(ByteSize(512 << 20)));
    }

    #[test]
    fn what_is_no_command_line_is_refused_in_the_words_of_the_reference() {
        for (args, message) in [
            (&["--foo"][..], "unknown long flag '--foo'"),
            (&["-x"], "unknown short flag '-x'"),
            (&["extra"], "unexpected extra"),
            (&["--config.file"], "expected argument for flag '--config.file'"),
            (&["--query.timeout=abc"], "not a valid duration string: \"abc\""),
            (&["--query.max-samples=-1"], "not a valid number: \"-1\""),
            (&["--log.level=loud"], "unrecognized log level loud"),
            (&["--log.level=info", "--log.level=info"], "flag '--log.level' cannot be repeated"),
            (&["--storage.tsdb.retention.size=5"], "units: missing unit in 5"),
            (
                &["--storage.tsdb.wal-segment-size=1MB"],
                "flag 'storage.tsdb.wal-segment-size' must be set between 10MB and 256MB",
            ),
            (&["@/no/such/file"], "open /no/such/file: No such file or directory (os error 2)"),
        ] {
            assert_eq!(refused(args), message, "{args:?}");
        }
    }

    #[test]
    fn flags_whose_function_is_missing_are_refused_unless_they_change_nothing() {
        assert_eq!(refused(&["--agent"]), "flag --agent is not supported yet: there is no agent mode");
        assert!(parse(&["--no-agent", "--rules.alert.resend-delay=1m"]).is_ok());
        assert!(parse(&["--auto-gomemlimit.ratio=0.5", "--no-auto-gomaxprocs"]).is_ok());
    }

    #[test]
    fn features_are_switched_on_refused_or_unknown() {
        let flags = parse(&["--enable-feature=extra-scrape-metrics,native-histograms,nonsense"]).unwrap();
        assert!(flags.features.extra_scrape_metrics);
        assert_eq!(flags.features.unknown, ["nonsense"]);
        let flags = parse(&["--enable-feature=auto-reload-config"]).unwrap();
        assert_eq!(flags.auto_reload_interval, Some(Duration::from_secs(30)));
        let flags = parse(&["--enable-feature=otlp-deltatocumulative"]).unwrap();
        assert_eq!(flags.features.otlp_deltas, DeltaHandling::Cumulative);
        assert_eq!(
            parse(&["--enable-feature=otlp-deltatocumulative,otlp-native-delta-ingestion"]).unwrap_err(),
            Stop::Conflict(
                "Error parsing feature list: cannot enable otlp-deltatocumulative and \
                 otlp-native-delta-ingestion features at the same time"
                    .to_owned()
            )
        );
        assert!(refused(&["--enable-feature=old-ui"]).starts_with("feature old-ui is not supported yet"));
    }

    #[test]
    fn arguments_come_from_files_a_line_each() {
        let file = std::env::temp_dir().join(format!("ferula-args-{}", std::process::id()));
        std::fs::write(&file, "# a comment\n--query.timeout\n5s\n").unwrap();
        let flags = parse(&[&format!("@{}", file.display())]).unwrap();
        std::fs::remove_file(&file).unwrap();
        assert_eq!(flags.query.timeout, Duration::from_secs(5));
    }

    #[test]
    fn help_names_the_flags_but_not_the_hidden_ones() {
        let Err(Stop::Print(help)) = parse(&["--help"]) else { panic!("no help") };
        assert!(help.contains("--storage.tsdb.retention.time") && !help.contains("wal-segment-size"));
        let Err(Stop::Print(version)) = parse(&["--version"]) else { panic!("no version") };
        assert!(version.starts_with("ferula, version 3.14.0+ferula."), "{version}");
    }
}
