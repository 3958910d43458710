//! What the program tells of itself as a process: `process_*`, build information, and the few `go_*` metrics
//! that dashboards made for Go programs look at.
//!
//! Read from `/proc` when asked. Where there is none, the metrics of the process are left out.

use std::collections::HashMap;

use procfs::WithCurrentSystemInfo;
use procfs::process::{LimitValue, Process};
use prometheus::core::{Collector, Desc};
use prometheus::proto::{Counter, Gauge, Metric, MetricFamily, MetricType, Quantile, Summary};
use prometheus::{Opts, Registry};

use crate::version;

/// Stands where clients expect the version of Go.
pub(crate) const GO_VERSION: &str = "none";

/// Registers the program's metrics of itself.
pub(crate) fn register(registry: &Registry) -> prometheus::Result<()> {
    registry.register(Box::new(Readings::new()?))?;
    registry.register(Box::new(NoGarbage::new()?))?;
    let go = Opts::new("go_info", "The Go environment: there is none.").const_label("version", GO_VERSION);
    let build = Opts::new("prometheus_build_info", "Always 1; the labels say what was built.")
        .const_label("version", version::shown())
        .const_label("revision", version::REVISION)
        .const_label("branch", "unknown")
        .const_label("goversion", GO_VERSION)
        .const_label("goos", std::env::consts::OS)
        .const_label("goarch", goarch())
        .const_label("tags", "unknown");
    for opts in [go, build] {
        let gauge = prometheus::Gauge::with_opts(opts)?;
        gauge.set(1.0);
        registry.register(Box::new(gauge))?;
    }
    Ok(())
}

/// The architecture as Go names it.
fn goarch() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

/// What `/proc` says of this process at one moment. A number that can't be read is missing.
#[derive(Default)]
struct Snapshot {
    cpu_secs: Option<f64>,
    start_secs: Option<f64>,
    virtual_bytes: Option<f64>,
    resident_bytes: Option<f64>,
    /// Resident memory that belongs to no file: the heap and the stacks.
    anonymous_bytes: Option<f64>,
    threads: Option<f64>,
    open_fds: Option<f64>,
    max_fds: Option<f64>,
    virtual_max_bytes: Option<f64>,
    tasks: Option<f64>,
}

impl Snapshot {
    fn take() -> Snapshot {
        let runtime = tokio::runtime::Handle::try_current().ok();
        let tasks = runtime.map(|runtime| runtime.metrics().num_alive_tasks() as f64);
        let Ok(process) = Process::myself() else { return Snapshot { tasks, ..Snapshot::default() } };
        let (stat, status, limits) = (process.stat().ok(), process.status().ok(), process.limits().ok());
        let ticks = procfs::ticks_per_second() as f64;
        let limit = |value: LimitValue| match value {
            LimitValue::Value(value) => value as f64,
            LimitValue::Unlimited => -1.0,
        };
        Snapshot {
            cpu_secs: stat.as_ref().map(|stat| (stat.utime + stat.stime) as f64 / ticks),
            start_secs: stat
                .as_ref()
                .and_then(|stat| Some(procfs::boot_time_secs().ok()? as f64 + stat.starttime as f64 / ticks)),
            virtual_bytes: stat.as_ref().map(|stat| stat.vsize as f64),
            resident_bytes: stat.as_ref().map(|stat| stat.rss_bytes().get() as f64),
            anonymous_bytes: status.and_then(|status| Some(status.rssanon? as f64 * 1024.0)),
            threads: stat.as_ref().map(|stat| stat.num_threads as f64),
            open_fds: process.fd_count().ok().map(|count| count as f64),
            max_fds: limits.as_ref().map(|limits| limit(limits.max_open_files.soft_limit)),
            virtual_max_bytes: limits.as_ref().map(|limits| limit(limits.max_address_space.soft_limit)),
            tasks,
        }
    }
}

/// One number of a [`Snapshot`] as a metric.
struct Reading {
    name: &'static str,
    help: &'static str,
    is_counter: bool,
    read: fn(&Snapshot) -> Option<f64>,
}

const fn gauge(name: &'static str, help: &'static str, read: fn(&Snapshot) -> Option<f64>) -> Reading {
    Reading { name, help, is_counter: false, read }
}

/// What is shown. The numbers of Go's memory are those of this program's that come nearest.
const READINGS: [Reading; 16] = [
    Reading {
        name: "process_cpu_seconds_total",
        help: "Time of processors spent, in user and system mode.",
        is_counter: true,
        read: |now| now.cpu_secs,
    },
    gauge("process_start_time_seconds", "When the process began, since the epoch.", |now| now.start_secs),
    gauge("process_resident_memory_bytes", "Resident memory.", |now| now.resident_bytes),
    gauge("process_virtual_memory_bytes", "Virtual memory.", |now| now.virtual_bytes),
    gauge("process_virtual_memory_max_bytes", "Limit of virtual memory; -1 is none.", |now| {
        now.virtual_max_bytes
    }),
    gauge("process_open_fds", "Open file descriptors.", |now| now.open_fds),
    gauge("process_max_fds", "Limit of open file descriptors.", |now| now.max_fds),
    gauge("go_goroutines", "Tasks that run or wait.", |now| now.tasks),
    gauge("go_threads", "Threads.", |now| now.threads),
    gauge("go_memstats_alloc_bytes", "Resident memory without files.", |now| now.anonymous_bytes),
    gauge("go_memstats_heap_alloc_bytes", "Resident memory without files.", |now| now.anonymous_bytes),
    gauge("go_memstats_heap_inuse_bytes", "Resident memory without files.", |now| now.anonymous_bytes),
    gauge("go_memstats_heap_sys_bytes", "Resident memory without files.", |now| now.anonymous_bytes),
    gauge("go_memstats_sys_bytes", "Resident memory.", |now| now.resident_bytes),
    gauge("go_memstats_heap_idle_bytes", "None: what is free is given back.", |_| Some(0.0)),
    gauge("go_memstats_next_gc_bytes", "None: there is no garbage collection.", |_| Some(0.0)),
];

struct Readings {
    descs: Vec<Desc>,
}

impl Readings {
    fn new() -> prometheus::Result<Readings> {
        let desc = |reading: &Reading| {
            Desc::new(reading.name.to_owned(), reading.help.to_owned(), Vec::new(), HashMap::new())
        };
        Ok(Readings { descs: READINGS.iter().map(desc).collect::<prometheus::Result<_>>()? })
    }
}

impl Collector for Readings {
    fn desc(&self) -> Vec<&Desc> {
        self.descs.iter().collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let now = Snapshot::take();
        let family = |reading: &Reading| {
            let value = (reading.read)(&now)?;
            let mut metric = Metric::default();
            if reading.is_counter {
                let mut counter = Counter::default();
                counter.set_value(value);
                metric.set_counter(counter);
            } else {
                let mut gauge = Gauge::default();
                gauge.set_value(value);
                metric.set_gauge(gauge);
            }
            let kind = if reading.is_counter { MetricType::COUNTER } else { MetricType::GAUGE };
            Some(family(reading.name, reading.help, kind, metric))
        };
        READINGS.iter().filter_map(family).collect()
    }
}

fn family(name: &str, help: &str, kind: MetricType, metric: Metric) -> MetricFamily {
    let mut family = MetricFamily::default();
    family.set_name(name.to_owned());
    family.set_help(help.to_owned());
    family.set_field_type(kind);
    family.set_metric(vec![metric]);
    family
}

/// `go_gc_duration_seconds`: no pauses, ever.
struct NoGarbage {
    desc: Desc,
}

impl NoGarbage {
    fn new() -> prometheus::Result<NoGarbage> {
        let help = "Pauses of garbage collection: there are none.".to_owned();
        let desc = Desc::new("go_gc_duration_seconds".to_owned(), help, Vec::new(), HashMap::new())?;
        Ok(NoGarbage { desc })
    }
}

impl Collector for NoGarbage {
    fn desc(&self) -> Vec<&Desc> {
        vec![&self.desc]
    }

    fn collect(&self) -> Vec<MetricFamily> {
        /// The quantiles that Go's runtime shows.
        const QUANTILES: [f64; 5] = [0.0, 0.25, 0.5, 0.75, 1.0];
        let mut summary = Summary::default();
        let quantile = |of: f64| {
            let mut quantile = Quantile::default();
            quantile.set_quantile(of);
            quantile
        };
        summary.set_quantile(QUANTILES.map(quantile).to_vec());
        let mut metric = Metric::default();
        metric.set_summary(summary);
        vec![family(&self.desc.fq_name, &self.desc.help, MetricType::SUMMARY, metric)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_process_and_the_build_are_shown() {
        let registry = Registry::new();
        register(&registry).unwrap();
        let families = registry.gather();
        let value = |name: &str| {
            let family = families.iter().find(|family| family.name() == name)?;
            Some(family.get_metric()[0].get_gauge().get_value())
        };
        assert_eq!(value("prometheus_build_info"), Some(1.0));
        assert!(value("process_resident_memory_bytes") > Some(1e5));
        assert!(value("process_open_fds") > Some(0.0));
        assert!(value("process_start_time_seconds") > Some(1e9));
        assert!(families.iter().any(|family| family.name() == "go_gc_duration_seconds"));
    }
}
