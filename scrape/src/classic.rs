//! Classic histograms of the text formats, gathered from consecutive lines to be converted.

use std::borrow::Cow;

use model::labels::{BUCKET_LABEL, METRIC_NAME};
use model::time::TimestampMs;

use crate::error::ScrapeError;
use crate::histograms::ClassicHistogram;
use crate::ingest::Ingest;
use crate::parse::{RawExemplar, RawLabels};

/// The histogram whose lines are being read.
#[derive(Debug)]
pub(crate) struct Gathering {
    name: String,
    labels: Vec<(String, String)>,
    classic: ClassicHistogram,
    timestamp_ms: Option<TimestampMs>,
    exemplars: Vec<RawExemplar<'static>>,
}

/// What a line says of its histogram.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Part {
    Bucket(f64),
    Count,
    Sum,
}

impl Ingest<'_> {
    /// Takes a line of a classic histogram. Says whether it was one.
    pub(crate) fn gather(
        &mut self,
        labels: &RawLabels<'_>,
        value: f64,
        timestamp_ms: Option<TimestampMs>,
        exemplar: Option<RawExemplar<'_>>,
    ) -> Result<bool, ScrapeError> {
        let Some((name, part)) = part_of(labels) else { return Ok(false) };
        let is_own =
            |(label, _): &&(Cow<'_, str>, Cow<'_, str>)| label != METRIC_NAME && label != BUCKET_LABEL;
        let own = || labels.iter().filter(is_own);
        let goes_on = self.gathering.as_ref().is_some_and(|gathering| {
            gathering.name == name
                && gathering.labels.iter().map(|(n, v)| (&**n, &**v)).eq(own().map(|(n, v)| (&**n, &**v)))
        });
        if !goes_on {
            self.finish_gathering()?;
        }
        let gathering = self.gathering.get_or_insert_with(|| Gathering {
            name: name.to_owned(),
            labels: own()
                .map(|(name, value)| (name.clone().into_owned(), value.clone().into_owned()))
                .collect(),
            classic: ClassicHistogram::default(),
            timestamp_ms: None,
            exemplars: Vec::new(),
        });
        gathering.timestamp_ms = timestamp_ms;
        gathering.exemplars.extend(exemplar.map(owned));
        match part {
            Part::Bucket(bound) => gathering.classic.set_bucket(bound, value),
            Part::Count => gathering.classic.set_count(value),
            Part::Sum => gathering.classic.set_sum(value),
        }
        Ok(true)
    }

    /// Appends the histogram whose lines have ended.
    pub(crate) fn finish_gathering(&mut self) -> Result<(), ScrapeError> {
        let Some(gathering) = self.gathering.take() else { return Ok(()) };
        let labels: RawLabels<'_> =
            gathering.labels.iter().map(|(n, v)| (Cow::Borrowed(&**n), Cow::Borrowed(&**v))).collect();
        self.gathered(
            &gathering.name,
            &labels,
            gathering.classic,
            gathering.timestamp_ms,
            gathering.exemplars,
        )
    }
}

/// The histogram's name and what the line says of it.
fn part_of<'a>(labels: &'a RawLabels<'_>) -> Option<(&'a str, Part)> {
    let value = |name: &str| labels.iter().find(|(label, _)| label == name).map(|(_, value)| &**value);
    let metric = value(METRIC_NAME)?;
    if let Some(name) = metric.strip_suffix("_bucket") {
        let bound = value(BUCKET_LABEL)?;
        return Some((name, Part::Bucket(bound.parse().ok()?)));
    }
    let count = metric.strip_suffix("_count").map(|name| (name, Part::Count));
    count.or_else(|| metric.strip_suffix("_sum").map(|name| (name, Part::Sum)))
}

fn owned(exemplar: RawExemplar<'_>) -> RawExemplar<'static> {
    let text = |text: Cow<'_, str>| Cow::Owned(text.into_owned());
    let labels = exemplar.labels.into_iter().map(|(name, value)| (text(name), text(value))).collect();
    RawExemplar { labels, value: exemplar.value, timestamp_ms: exemplar.timestamp_ms }
}
