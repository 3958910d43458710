//! From the labels of an exposed sample to those of its series: joined with the target's labels, relabelled,
//! checked. Done once for each line; the cache remembers the result.

use std::borrow::Cow;

use model::labels::{Labels, LabelsBuilder, METRIC_NAME};
use model::names::ValidationScheme;
use model::relabel;

use crate::config::JobConfig;
use crate::error::ScrapeError;
use crate::parse::RawLabels;

/// Goes before the name of an exposed label that the target has too.
const EXPORTED_PREFIX: &str = "exported_";

/// How a job makes series labels of exposed ones.
#[derive(Debug)]
pub(crate) struct SampleLabels<'a> {
    /// The target's labels without those that begin with `__`.
    pub(crate) target: &'a Labels,
    /// The job.
    pub(crate) job: &'a JobConfig,
}

impl SampleLabels<'_> {
    /// The series' labels; `None` if relabelling drops the sample.
    pub(crate) fn resolve(&self, exposed: &RawLabels<'_>) -> Result<Option<Labels>, ScrapeError> {
        let mut builder = LabelsBuilder::new();
        for (name, value) in exposed {
            builder.set(name, value);
        }
        match self.job.honor_labels {
            true => self.add_missing(exposed, &mut builder),
            false => self.override_exposed(&mut builder),
        }
        if !relabel::process(&self.job.metric_relabel_configs, &mut builder) || builder.is_empty() {
            return Ok(None);
        }
        if let Some(name) = repeated_name(exposed) {
            return Err(ScrapeError::RepeatedLabel(name.to_owned()));
        }
        let labels = builder.build();
        self.check(&labels)?;
        Ok(Some(labels))
    }

    /// `honor_labels: true`: an exposed label stays, even if its value is empty.
    fn add_missing(&self, exposed: &RawLabels<'_>, builder: &mut LabelsBuilder) {
        for (name, value) in self.target.iter() {
            if !exposed.iter().any(|(exposed_name, _)| exposed_name == name) {
                builder.set(name, value);
            }
        }
    }

    /// `honor_labels: false`: an exposed label gives way and gets another name.
    fn override_exposed(&self, builder: &mut LabelsBuilder) {
        let mut displaced: Vec<(Cow<'_, str>, String)> = Vec::new();
        for (name, value) in self.target.iter() {
            let exposed = builder.value(name);
            if !exposed.is_empty() {
                displaced.push((Cow::Borrowed(name), exposed.to_owned()));
            }
            builder.set(name, value);
        }
        displaced.sort_by_key(|(name, _)| name.len());
        for (name, value) in displaced {
            let mut renamed = format!("{EXPORTED_PREFIX}{name}");
            while !builder.value(&renamed).is_empty() {
                renamed.insert_str(0, EXPORTED_PREFIX);
            }
            builder.set(&renamed, &value);
        }
    }

    fn check(&self, labels: &Labels) -> Result<(), ScrapeError> {
        let metric = labels.metric_name();
        if metric.is_empty() {
            return Err(ScrapeError::NoMetricName);
        }
        let scheme = self.job.metric_name_validation_scheme;
        let valid = scheme.allows_metric_name(metric)
            && labels.iter().all(|(name, _)| name == METRIC_NAME || scheme.allows_label_name(name));
        if !valid && scheme == ValidationScheme::Legacy {
            return Err(ScrapeError::InvalidNames(labels.to_string()));
        }
        self.check_limits(labels, metric)
    }

    fn check_limits(&self, labels: &Labels, metric: &str) -> Result<(), ScrapeError> {
        let exceeds = |count: usize, limit: u64| limit > 0 && count as u64 > limit;
        let job = self.job;
        let metric = first_chars(metric);
        let count = labels.len();
        if exceeds(count, job.label_limit) {
            return Err(ScrapeError::LabelLimit(format!(
                "label_limit exceeded (metric: {metric}, number of labels: {count}, limit: {})",
                job.label_limit
            )));
        }
        for (name, value) in labels.iter() {
            if exceeds(name.len(), job.label_name_length_limit) {
                return Err(ScrapeError::LabelLimit(format!(
                    "label_name_length_limit exceeded (metric: {metric}, label name: {}, length: {}, limit: {})",
                    first_chars(name),
                    name.len(),
                    job.label_name_length_limit
                )));
            }
            if exceeds(value.len(), job.label_value_length_limit) {
                return Err(ScrapeError::LabelLimit(format!(
                    "label_value_length_limit exceeded (metric: {metric}, label name: {}, value: {:?}, length: {}, limit: {})",
                    first_chars(name),
                    first_chars(value),
                    value.len(),
                    job.label_value_length_limit
                )));
            }
        }
        Ok(())
    }
}

/// A name that stands twice in the exposition.
fn repeated_name<'a>(exposed: &'a RawLabels<'_>) -> Option<&'a str> {
    let names = || exposed.iter().map(|(name, _)| &**name);
    names()
        .enumerate()
        .find(|(i, name)| names().take(*i).any(|earlier| earlier == *name))
        .map(|(_, name)| name)
}

/// Characters of a name or value that an error text shows.
const SHOWN_CHARS: usize = 50;

fn first_chars(text: &str) -> String {
    text.chars().take(SHOWN_CHARS).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{GlobalScrapeDefaults, ScrapeConfig};

    fn resolve(
        job: &str,
        target: &[(&str, &str)],
        exposed: &[(&str, &str)],
    ) -> Result<Option<String>, String> {
        let config: ScrapeConfig = serde_saphyr::from_str(job).unwrap();
        let job = config.resolve(&GlobalScrapeDefaults::default()).unwrap();
        let target = Labels::from_pairs(target.iter().copied());
        let exposed = exposed.iter().map(|(n, v)| (Cow::Borrowed(*n), Cow::Borrowed(*v))).collect();
        let labels = SampleLabels { target: &target, job: &job }.resolve(&exposed);
        labels.map(|labels| labels.map(|l| l.to_string())).map_err(|error| error.to_string())
    }

    #[test]
    fn exposed_labels_give_way_or_are_honoured() {
        let exposed = [("__name__", "a"), ("job", "x"), ("exported_job", "y"), ("zone", "")];
        let target = [("job", "t"), ("zone", "z")];
        assert_eq!(
            resolve("job_name: j", &target, &exposed).unwrap().unwrap(),
            r#"{__name__="a", exported_exported_job="x", exported_job="y", job="t", zone="z"}"#
        );
        assert_eq!(
            resolve("{job_name: j, honor_labels: true}", &target, &exposed).unwrap().unwrap(),
            r#"{__name__="a", exported_job="y", job="x"}"#
        );
    }

    #[test]
    fn what_is_wrong_with_labels_fails_the_scrape_unless_relabelling_drops_them() {
        let drop =
            "{job_name: j, metric_relabel_configs: [{source_labels: [__name__], regex: a, action: drop}]}";
        let twice = [("__name__", "a"), ("b", "1"), ("b", "2")];
        assert_eq!(resolve(drop, &[], &twice), Ok(None));
        for (job, exposed, error) in [
            ("job_name: j", &twice[..], r#"label name "b" is not unique: invalid sample"#),
            (
                "{job_name: j, metric_relabel_configs: [{regex: __name__, action: labeldrop}]}",
                &twice[..2],
                "missing metric name (__name__ label)",
            ),
            (
                "{job_name: j, metric_name_validation_scheme: legacy}",
                &[("__name__", "a.b")],
                r#"invalid metric name or label names: {__name__="a.b"}"#,
            ),
            (
                "{job_name: j, label_limit: 1}",
                &twice[..2],
                "label_limit exceeded (metric: a, number of labels: 2, limit: 1)",
            ),
            (
                "{job_name: j, label_name_length_limit: 7}",
                &twice[..2],
                "label_name_length_limit exceeded (metric: a, label name: __name__, length: 8, limit: 7)",
            ),
            (
                "{job_name: j, label_value_length_limit: 1}",
                &[("__name__", "ab")],
                r#"label_value_length_limit exceeded (metric: ab, label name: __name__, value: "ab", length: 2, limit: 1)"#,
            ),
        ] {
            assert_eq!(resolve(job, &[], exposed), Err(error.to_owned()), "{job}");
        }
    }
}
