//! Targets: from what discovery found to a URL that is scraped and the labels of its samples.

use std::collections::BTreeMap;
use std::time::Duration;

use model::duration::PromDuration;
use model::labels::{INSTANCE_NAME, JOB_NAME, Labels, LabelsBuilder};
use model::relabel;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use url::form_urlencoded;

use crate::config::JobConfig;
use crate::discovery::config::check_target_address;
use crate::discovery::group::ADDRESS_LABEL;
use crate::error::TargetError;

const SCHEME_LABEL: &str = "__scheme__";
const METRICS_PATH_LABEL: &str = "__metrics_path__";
const INTERVAL_LABEL: &str = "__scrape_interval__";
const TIMEOUT_LABEL: &str = "__scrape_timeout__";
const NATIVE_LABEL: &str = "__scrape_native_histograms__";
const ALWAYS_CLASSIC_LABEL: &str = "__always_scrape_classic_histograms__";
const CONVERT_CLASSIC_LABEL: &str = "__convert_classic_histograms_to_nhcb__";
const UNIX_SOCKET_LABEL: &str = "__unix_socket__";
const PARAM_PREFIX: &str = "__param_";
const META_PREFIX: &str = "__meta_";
const RESERVED_PREFIX: &str = "__";

/// Characters that Go's `net/url` leaves as they are in a path.
const PATH_SAFE: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'~')
    .remove(b'$')
    .remove(b'&')
    .remove(b'+')
    .remove(b',')
    .remove(b'/')
    .remove(b':')
    .remove(b';')
    .remove(b'=')
    .remove(b'@');

/// A target that is scraped.
#[derive(Clone, Debug, PartialEq)]
pub struct Target {
    /// The labels before relabelling.
    pub discovered: Labels,
    /// The labels of the target's samples.
    pub labels: Labels,
    /// Where its samples are.
    pub url: String,
    /// A socket to dial in place of the URL's host.
    pub unix_socket: Option<String>,
    /// How often it is scraped.
    pub interval: Duration,
    /// How long a scrape may take.
    pub timeout: Duration,
    /// Which histograms are taken.
    pub histograms: HistogramPolicy,
    /// Spreads targets over the interval.
    pub hash: u64,
}

impl Target {
    /// Tells the targets of a pool apart: by what is asked for and the labels that the samples get.
    pub(crate) fn identity(&self) -> u64 {
        let socket = self.unix_socket.as_deref().unwrap_or("");
        let key = format!("{:016x}{}\0{socket}", self.labels.stable_hash(), self.url);
        fnv1a(key.as_bytes())
    }
}

/// Which histograms are taken, and as what.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HistogramPolicy {
    /// Native histograms as such.
    pub native: bool,
    /// Classic buckets beside native histograms.
    pub always_classic: bool,
    /// Classic histograms as native ones with custom buckets.
    pub convert_classic: bool,
}

/// What became of a discovered target.
#[derive(Clone, Debug, PartialEq)]
pub enum Discovered {
    /// It is scraped.
    Target(Box<Target>),
    /// Relabelling dropped it; its labels before that.
    Dropped(Labels),
}

/// Makes a target of the labels that discovery found: its own, and those of its group.
pub fn build(job: &JobConfig, own: &Labels, group: &Labels) -> Result<Discovered, TargetError> {
    let discovered = discovered_labels(job, own, group);
    let mut builder = LabelsBuilder::from_labels(&discovered);
    if !relabel::process(&job.relabel_configs, &mut builder) {
        return Ok(Discovered::Dropped(discovered));
    }
    let address = builder.value(ADDRESS_LABEL).to_owned();
    if address.is_empty() {
        return Err(TargetError::NoAddress);
    }
    check_target_address(&address).map_err(|()| TargetError::Address(address.clone()))?;
    let (interval, timeout) = times(&builder)?;
    let histograms = HistogramPolicy {
        native: flag(&builder, NATIVE_LABEL, "scrape native histograms")?,
        always_classic: flag(&builder, ALWAYS_CLASSIC_LABEL, "always scrape classic histograms")?,
        convert_classic: flag(&builder, CONVERT_CLASSIC_LABEL, "convert classic histograms to NHCB")?,
    };
    builder.retain(|name, _| !name.starts_with(META_PREFIX));
    if builder.value(INSTANCE_NAME).is_empty() {
        builder.set(INSTANCE_NAME, &address);
    }
    let all = builder.build();
    let unix_socket = all.get(UNIX_SOCKET_LABEL).map(str::to_owned);
    let url = target_url(job, &all)?;
    builder.retain(|name, _| !name.starts_with(RESERVED_PREFIX));
    let hash = target_hash(&all, &url);
    let labels = builder.build();
    Ok(Discovered::Target(Box::new(Target {
        discovered,
        labels,
        url,
        unix_socket,
        interval,
        timeout,
        histograms,
        hash,
    })))
}

/// A target's labels before relabelling: its own over its group's over the job's.
pub fn discovered_labels(job: &JobConfig, own: &Labels, group: &Labels) -> Labels {
    let mut builder = LabelsBuilder::from_labels(group);
    for (name, value) in own {
        builder.set(name, value);
    }
    let mut default = |name: &str, value: &str| {
        if builder.value(name).is_empty() {
            builder.set(name, value);
        }
    };
    let text = |flag: bool| if flag { "true" } else { "false" };
    default(JOB_NAME, &job.job_name);
    default(INTERVAL_LABEL, &job.scrape_interval.to_string());
    default(TIMEOUT_LABEL, &job.scrape_timeout.to_string());
    default(METRICS_PATH_LABEL, &job.metrics_path);
    default(SCHEME_LABEL, &job.scheme);
    default(NATIVE_LABEL, text(job.scrape_native_histograms));
    default(ALWAYS_CLASSIC_LABEL, text(job.always_scrape_classic_histograms));
    default(CONVERT_CLASSIC_LABEL, text(job.convert_classic_histograms_to_nhcb));
    for (name, values) in &job.params {
        if let Some(first) = values.first() {
            default(&format!("{PARAM_PREFIX}{name}"), first);
        }
    }
    builder.build()
}

fn times(labels: &LabelsBuilder) -> Result<(Duration, Duration), TargetError> {
    let duration = |label: &str, what: &'static str| {
        let parsed: Result<PromDuration, _> = labels.value(label).parse();
        match parsed {
            Ok(duration) if duration.is_zero() => Err(TargetError::Zero(what)),
            Ok(duration) => Ok(duration.0),
            Err(reason) => Err(TargetError::Duration { what, reason }),
        }
    };
    let interval = duration(INTERVAL_LABEL, "scrape interval")?;
    let timeout = duration(TIMEOUT_LABEL, "scrape timeout")?;
    if timeout > interval {
        return Err(TargetError::TimeoutOverInterval {
            timeout: labels.value(TIMEOUT_LABEL).to_owned(),
            interval: labels.value(INTERVAL_LABEL).to_owned(),
        });
    }
    Ok((interval, timeout))
}

fn flag(labels: &LabelsBuilder, label: &str, what: &'static str) -> Result<bool, TargetError> {
    match labels.value(label) {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(true),
        "" | "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(false),
        other => Err(TargetError::Bool { what, value: other.to_owned() }),
    }
}

fn target_url(job: &JobConfig, labels: &Labels) -> Result<String, TargetError> {
    let mut params: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (name, values) in &job.params {
        params.insert(name, values.iter().map(String::as_str).collect());
    }
    for (name, value) in labels {
        if let Some(param) = name.strip_prefix(PARAM_PREFIX) {
            let values = params.entry(param).or_default();
            match values.first_mut() {
                Some(first) => *first = value,
                None => values.push(value),
            }
        }
    }
    let mut query = form_urlencoded::Serializer::new(String::new());
    for (name, values) in &params {
        for value in values {
            query.append_pair(name, value);
        }
    }
    let query = query.finish();
    let path = utf8_percent_encode(labels.value(METRICS_PATH_LABEL), PATH_SAFE).to_string();
    let slash = if path.is_empty() || path.starts_with('/') { "" } else { "/" };
    let mut url = format!("{}://{}{slash}{path}", labels.value(SCHEME_LABEL), labels.value(ADDRESS_LABEL));
    if !query.is_empty() {
        url.push('?');
        url.push_str(&query);
    }
    match url::Url::parse(&url) {
        Ok(_) => Ok(url),
        Err(_) => Err(TargetError::Url(url)),
    }
}

/// FNV-1a over the hash of the labels, in 16 digits, and the URL.
fn target_hash(labels: &Labels, url: &str) -> u64 {
    fnv1a([format!("{:016}", labels.stable_hash()).as_bytes(), url.as_bytes()].concat().as_slice())
}

/// FNV-1a with 64 bits.
pub(crate) fn fnv1a(bytes: &[u8]) -> u64 {
    const OFFSET_BASIS: u64 = 0xcbf2_9ce4_8422_2325;
    const PRIME: u64 = 0x0100_0000_01b3;
    bytes.iter().fold(OFFSET_BASIS, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(PRIME))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{GlobalScrapeDefaults, ScrapeConfig};

    fn job(yaml: &str) -> JobConfig {
        let config: ScrapeConfig = serde_saphyr::from_str(yaml).unwrap();
        config.resolve(&GlobalScrapeDefaults::default()).unwrap()
    }

    fn target(yaml: &str, own: &[(&str, &str)]) -> Result<Target, TargetError> {
        match build(&job(yaml), &Labels::from_pairs(own.iter().copied()), &Labels::empty())? {
            Discovered::Target(target) => Ok(*target),
            Discovered::Dropped(_) => panic!("dropped"),
        }
    }

    #[test]
    fn a_target_has_the_url_and_labels_of_the_reference() {
        let yaml = "{job_name: j, scheme: https, metrics_path: /a b, params: {x: ['1', '2'], y: [z&]}}";
        let own = [("__address__", "h:1"), ("__param_x", "3"), ("__meta_a", "b"), ("c", "d")];
        let target = target(yaml, &own).unwrap();
        assert_eq!(target.url, "https://h:1/a%20b?x=3&x=2&y=z%26");
        assert_eq!(target.labels.to_string(), r#"{c="d", instance="h:1", job="j"}"#);
        assert_eq!(target.discovered.value("__param_y"), "z&");
        assert_eq!(target.discovered.value("__scrape_timeout__"), "10s");
    }

    #[test]
    fn labels_of_the_target_go_over_those_of_the_group_and_the_job() {
        let own = Labels::from_pairs([("__address__", "a"), ("x", "own")]);
        let group = Labels::from_pairs([("x", "group"), ("job", "group")]);
        let labels = discovered_labels(&job("job_name: j"), &own, &group);
        assert_eq!((labels.value("x"), labels.value("job")), ("own", "group"));
    }

    #[test]
    fn targets_that_cannot_be_scraped_are_refused_in_the_words_of_the_reference() {
        for (own, text) in [
            (&[("a", "b")][..], "no address"),
            (&[("__address__", "a/b")], r#""a/b" is not a valid hostname"#),
            (
                &[("__address__", "a"), ("__scrape_interval__", "x")],
                r#"error parsing scrape interval: not a valid duration string: "x""#,
            ),
            (&[("__address__", "a"), ("__scrape_timeout__", "0")], "scrape timeout cannot be 0"),
            (
                &[("__address__", "a"), ("__scrape_interval__", "1s"), ("__scrape_timeout__", "2s")],
                r#"scrape timeout cannot be greater than scrape interval ("2s" > "1s")"#,
            ),
            (
                &[("__address__", "a"), ("__scrape_native_histograms__", "yes")],
                r#"error parsing scrape native histograms: strconv.ParseBool: parsing "yes": invalid syntax"#,
            ),
        ] {
            assert_eq!(target("job_name: j", own).unwrap_err().to_string(), text);
        }
    }

    #[test]
    fn a_dropped_target_keeps_its_labels_for_those_who_wonder() {
        let job = job("{job_name: j, relabel_configs: [{source_labels: [x], regex: y, action: drop}]}");
        let own = Labels::from_pairs([("__address__", "a"), ("x", "y")]);
        let built = build(&job, &own, &Labels::empty()).unwrap();
        assert!(matches!(built, Discovered::Dropped(labels) if labels.value("x") == "y"));
    }
}
