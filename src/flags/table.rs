//! Every flag of the reference's server, in the order of its documentation, and Ferula's own.
//!
//! This is the one place that says which flags do their work, which have nothing to do here, and which aren't
//! there yet. When a feature lands, its flag's [`State::Missing`] becomes [`State::Works`].

use Kind::{Bytes, Choice, Duration, Float, Integer, Many, Switch, Text};
use State::{Missing, NoOp, Works};

/// What a flag takes.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Kind {
    /// Nothing: on as `--name`, off as `--no-name`.
    Switch,
    /// Any text.
    Text,
    /// Any text, any number of times.
    Many,
    /// A duration such as `1h30m`.
    Duration,
    /// A whole number, not negative.
    Integer,
    /// A number.
    Float,
    /// A number of bytes with its unit, such as `512MB`.
    Bytes,
    /// One of these; what the reference calls the choice in its message.
    Choice(&'static str, &'static [&'static str]),
}

/// Whether a flag does its work.
#[derive(Clone, Copy, Debug)]
pub(crate) enum State {
    /// It does.
    Works,
    /// It tunes something that isn't in this program; any value is right.
    NoOp,
    /// Any value but the default is refused by this sentence: what can't be done yet.
    Missing(&'static str),
}

/// A flag.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Flag {
    /// The name without dashes.
    pub(crate) name: &'static str,
    /// What it takes.
    pub(crate) kind: Kind,
    /// Its value if it isn't given; `""` is none. Of a switch `true` or `false`.
    pub(crate) default: &'static str,
    /// Whether it works.
    pub(crate) state: State,
    /// What it is for; empty hides it from `--help`.
    pub(crate) help: &'static str,
}

const fn flag(
    name: &'static str,
    kind: Kind,
    default: &'static str,
    state: State,
    help: &'static str,
) -> Flag {
    Flag { name, kind, default, state, help }
}

const NO_AGENT: State = Missing("there is no agent mode");
const NO_CONSOLES: State = Missing("there are no console templates");
const OWN_WAL: State =
    Missing("Ferula's log and head chunks have formats of their own, without this setting");

/// The flags.
pub(crate) const FLAGS: &[Flag] = &[
    flag("config.file", Text, "prometheus.yml", Works, "Configuration file"),
    flag("config.auto-reload", Switch, "false", Works, "Reload when the configuration's files change"),
    flag(
        "config.auto-reload-interval",
        Duration,
        "30s",
        Works,
        "How often to look whether they changed, at least 1s",
    ),
    flag("web.listen-address", Many, "0.0.0.0:9090", Works, "Address to serve HTTP on; can be repeated"),
    flag("auto-gomaxprocs", Switch, "true", NoOp, "For Go programs; no effect"),
    flag("auto-gomemlimit", Switch, "true", NoOp, "For Go programs; no effect"),
    flag("auto-gomemlimit.ratio", Float, "0.9", NoOp, "For Go programs; no effect"),
    flag("auto-gomemlimit.refresh-interval", Duration, "0s", NoOp, "For Go programs; no effect"),
    flag("web.config.file", Text, "", Works, "File that sets up TLS and authentication"),
    flag(
        "web.read-timeout",
        Duration,
        "5m",
        Works,
        "How long a request may take to arrive, and a connection may idle",
    ),
    flag("web.max-connections", Integer, "512", Works, "Connections at a time, over all addresses"),
    flag(
        "web.max-notifications-subscribers",
        Integer,
        "16",
        Works,
        "Clients that live notifications are sent to",
    ),
    flag(
        "web.external-url",
        Text,
        "",
        Works,
        "URL under which others reach this server; its path prefixes all routes",
    ),
    flag(
        "web.route-prefix",
        Text,
        "",
        Works,
        "Prefix of all routes; by default the path of --web.external-url",
    ),
    flag("web.user-assets", Text, "", Missing("there are no user assets"), "Directory served at /user"),
    flag("web.enable-lifecycle", Switch, "false", Works, "Allow to reload and to quit over HTTP"),
    flag(
        "web.enable-admin-api",
        Switch,
        "false",
        Works,
        "Allow to delete series and to make snapshots over HTTP",
    ),
    flag("web.enable-remote-write-receiver", Switch, "false", Works, "Accept remote write at /api/v1/write"),
    flag(
        "web.remote-write-receiver.accepted-protobuf-messages",
        Many,
        "prometheus.WriteRequest,io.prometheus.write.v2.Request",
        Works,
        "Messages that the remote-write receiver accepts",
    ),
    flag(
        "web.enable-otlp-receiver",
        Switch,
        "false",
        Works,
        "Accept OTLP metrics at /api/v1/otlp/v1/metrics",
    ),
    flag(
        "web.console.templates",
        Text,
        "consoles",
        NO_CONSOLES,
        "Directory of console templates, served at /consoles",
    ),
    flag("web.console.libraries", Text, "console_libraries", NO_CONSOLES, "Directory of console libraries"),
    flag(
        "web.page-title",
        Text,
        "Prometheus Time Series Collection and Processing Server",
        Works,
        "Title of the web pages",
    ),
    flag(
        "web.cors.origin",
        Text,
        ".*",
        Works,
        "Regular expression that matches the whole of an allowed CORS origin",
    ),
    flag("storage.tsdb.path", Text, "data/", Works, "Data directory"),
    flag(
        "storage.tsdb.retention.time",
        Duration,
        "",
        Works,
        "How long samples are kept, 15d if no retention is set; better set in the configuration file",
    ),
    flag(
        "storage.tsdb.retention.size",
        Bytes,
        "",
        Works,
        "Bytes that blocks may take, with unit; better set in the configuration file",
    ),
    flag("storage.tsdb.no-lockfile", Switch, "false", Works, "Don't lock the data directory"),
    flag(
        "storage.tsdb.head-chunks-write-queue-size",
        Integer,
        "0",
        OWN_WAL,
        "Length of the queue to the head-chunk writer",
    ),
    flag(
        "storage.tsdb.delay-compact-file.path",
        Text,
        "",
        Missing("compaction doesn't wait for uploads"),
        "File that lists the blocks that were uploaded",
    ),
    flag("storage.agent.path", Text, "data-agent/", NO_AGENT, "Data directory of agent mode"),
    flag("storage.agent.wal-compression", Switch, "true", NO_AGENT, "Compress the agent's log"),
    flag(
        "storage.agent.retention.min-time",
        Duration,
        "5m",
        NO_AGENT,
        "How old samples in the agent's log must be to be removed",
    ),
    flag(
        "storage.agent.retention.max-time",
        Duration,
        "4h",
        NO_AGENT,
        "How old samples in the agent's log may get",
    ),
    flag(
        "storage.agent.checkpoint-from-in-memory-series",
        Switch,
        "false",
        NO_AGENT,
        "Write the agent's checkpoints from memory",
    ),
    flag("storage.agent.checkpoint-batch-size", Integer, "1000", NO_AGENT, "Series of a checkpoint record"),
    flag("storage.agent.no-lockfile", Switch, "false", NO_AGENT, "Don't lock the agent's data directory"),
    flag(
        "storage.remote.flush-deadline",
        Duration,
        "1m",
        Works,
        "How long to wait for remote write at shutdown and reload",
    ),
    flag("storage.remote.read-sample-limit", Float, "5e7", Works, "Samples that a remote read may return"),
    flag("storage.remote.read-concurrent-limit", Integer, "10", Works, "Remote reads at a time"),
    flag(
        "storage.remote.read-max-bytes-in-frame",
        Integer,
        "1048576",
        Works,
        "Bytes in a frame of a streamed remote read",
    ),
    flag("web.search.max-limit", Integer, "10000", Works, "Results that a search may ask for"),
    flag(
        "rules.alert.for-outage-tolerance",
        Duration,
        "1h",
        Works,
        "How long an outage may last for the 'for' state of alerts to be restored",
    ),
    flag(
        "rules.alert.for-grace-period",
        Duration,
        "10m",
        Works,
        "Least time between restoring an alert's state and firing",
    ),
    flag("rules.alert.resend-delay", Duration, "1m", Works, "Least time before an alert is sent again"),
    flag("rules.max-concurrent-evals", Integer, "4", Works, "Independent rules evaluated at a time"),
    flag(
        "alertmanager.notification-queue-capacity",
        Integer,
        "10000",
        Works,
        "Notifications that may wait for Alertmanagers",
    ),
    flag(
        "alertmanager.notification-batch-size",
        Integer,
        "256",
        Works,
        "Notifications in a request to an Alertmanager",
    ),
    flag(
        "alertmanager.drain-notification-queue-on-shutdown",
        Switch,
        "true",
        Works,
        "Send waiting notifications before the end",
    ),
    flag("query.lookback-delta", Duration, "5m", Works, "How far back a sample may be to stand for now"),
    flag("query.timeout", Duration, "2m", Works, "How long a query may take"),
    flag("query.max-concurrency", Integer, "20", Works, "Queries at a time"),
    flag(
        "query.max-memory",
        Bytes,
        "",
        Works,
        "Bytes of memory that a query may hold, with unit; 0B for no limit; by default a quarter of what there is",
    ),
    flag(
        "query.max-total-memory",
        Bytes,
        "",
        Works,
        "Bytes of memory that all running queries may hold; 0B for no limit; by default half of what there is",
    ),
    flag("query.max-samples", Integer, "50000000", Works, "Samples that a query may hold in memory"),
    flag("enable-feature", Many, "", Works, "Features to switch on, comma-separated; can be repeated"),
    flag("agent", Switch, "false", NO_AGENT, "Only scrape and forward"),
    flag(
        "log.level",
        Choice("unrecognized log level", &["debug", "info", "warn", "error"]),
        "info",
        Works,
        "Least severe level to log: debug, info, warn or error",
    ),
    flag(
        "log.format",
        Choice("unrecognized log format", &["logfmt", "json"]),
        "logfmt",
        Works,
        "Form of log lines: logfmt or json",
    ),
    flag("storage.tsdb.min-block-duration", Duration, "2h", Works, ""),
    flag("storage.tsdb.max-block-duration", Duration, "", Works, ""),
    flag("storage.tsdb.max-block-chunk-segment-size", Bytes, "512MB", Works, ""),
    flag("storage.tsdb.wal-segment-size", Bytes, "128MB", Works, ""),
    flag("storage.tsdb.allow-overlapping-compaction", Switch, "true", Works, ""),
    flag("storage.tsdb.wal-compression", Switch, "true", OWN_WAL, ""),
    flag(
        "storage.tsdb.wal-compression-type",
        Choice("unrecognized compression type", &["snappy", "zstd"]),
        "snappy",
        OWN_WAL,
        "",
    ),
    flag("storage.tsdb.samples-per-chunk", Integer, "120", Works, ""),
    flag(
        "storage.tsdb.delayed-compaction.max-percent",
        Integer,
        "10",
        Missing("compaction isn't delayed"),
        "",
    ),
    flag("storage.tsdb.block-reload-interval", Duration, "1m", Works, ""),
    flag("storage.agent.wal-segment-size", Bytes, "128MB", NO_AGENT, ""),
    flag(
        "storage.agent.wal-compression-type",
        Choice("unrecognized compression type", &["snappy", "zstd"]),
        "snappy",
        NO_AGENT,
        "",
    ),
    flag("storage.agent.wal-truncate-frequency", Duration, "2h", NO_AGENT, ""),
    flag(
        "storage.tsdb.wal-sync-interval",
        Duration,
        "1s",
        Works,
        "Ferula's own: how long a power loss may be after samples were accepted and still lose them; 0s makes \
         acceptance wait for the disk",
    ),
    flag("scrape.adjust-timestamps", Switch, "true", Works, ""),
    flag("scrape.timestamp-tolerance", Duration, "2ms", Works, ""),
    flag("scrape.discovery-reload-interval", Duration, "5s", Works, ""),
];

/// The features of `--enable-feature`, with what becomes of each.
pub(crate) const FEATURES: &[(&str, State)] = &[
    ("auto-reload-config", Works),
    ("concurrent-rule-eval", Works),
    ("created-timestamp-zero-ingestion", Missing("no samples are made of start timestamps")),
    ("delayed-compaction", Missing("compaction isn't delayed")),
    ("exemplar-storage", Works),
    ("extra-scrape-metrics", Works),
    ("fast-startup", Missing("scraping starts when the log was replayed")),
    ("histograms-st-encoding", Missing("start timestamps aren't stored")),
    ("memory-snapshot-on-shutdown", NoOp),
    ("metadata-wal-records", NoOp),
    ("native-histograms", NoOp),
    ("old-ui", Missing("there is no old web page")),
    ("ooo-native-histograms", NoOp),
    ("otlp-deltatocumulative", Works),
    ("otlp-native-delta-ingestion", Works),
    ("promql-binop-fill-modifiers", Works),
    ("promql-delayed-name-removal", Works),
    ("promql-duration-expr", NoOp),
    ("promql-experimental-functions", Works),
    ("promql-extended-range-selectors", Works),
    ("promql-per-step-stats", Works),
    ("search-api", Works),
    ("st-storage", Missing("start timestamps aren't stored")),
    ("st-synthesis", Missing("start timestamps aren't stored")),
    ("type-and-unit-labels", Missing("there are no type and unit labels")),
    ("use-start-timestamps", Missing("start timestamps aren't stored")),
    ("use-uncached-io", Missing("files are written through the page cache")),
    ("xor2-encoding", Missing("chunks of floats are encoded as XOR")),
];
