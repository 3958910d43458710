//! `query analyze`: how many buckets of histograms are used.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Write};

use anyhow::{Context, bail};
use serde_json::Value;

use super::{Analyze, metric};

const HEADER: &str = "\
Bucket stats for each histogram series over time
------------------------------------------------
First the min, avg, and max number of populated buckets, followed by the total
number of buckets (only if different from the max number of populated buckets
which is typical for classic but not native histograms).";

const FOOTER: &str = "\
Aggregated bucket stats
-----------------------
Each line shows min/avg/max over the series above.";

/// How many samples a series must have.
const SAMPLES_MIN: usize = 2;

/// Sends an instant query.
type Ask<'a> = &'a dyn Fn(&[(&str, String)]) -> anyhow::Result<Value>;

/// The report, as promtool words it.
pub(super) fn analyze(what: &Analyze, ask: Ask<'_>) -> anyhow::Result<String> {
    if what.kind != "histogram" {
        bail!("analyze type is {}, must be 'histogram'", what.kind);
    }
    let mut report = format!("{HEADER}\n\n");
    let (mut native, mut classic) = (Totals::default(), Totals::default());
    for selector in &what.selectors {
        let mut form = vec![("query", format!("{selector}[{}]", what.duration))];
        form.extend(what.time.iter().map(|time| ("time", time.clone())));
        let data = ask(&form)?;
        if data["resultType"] != "matrix" {
            bail!("query of buckets resulted in non-Matrix");
        }
        let series = data["result"].as_array().context("the answer has no result")?;
        let (floats, histograms): (Vec<_>, Vec<_>) = series.iter().partition(|s| s["values"].is_array());
        for one in histograms {
            let Some(usage) = native_usage(one) else { continue };
            let _ = writeln!(report, "- {} (native): {usage}", metric(&one["metric"]));
            native.add(&usage);
        }
        for (name, buckets) in classic_histograms(&floats) {
            let Some(usage) = classic_usage(&buckets)? else { continue };
            let _ = writeln!(report, "- {name} (classic): {usage}");
            classic.add(&usage);
        }
    }
    let _ = writeln!(report, "\n{FOOTER}");
    for (kind, totals) in [("Native", native), ("Classic", classic)] {
        if totals.series() > 0 {
            let _ = writeln!(report, "\n{kind} {totals}");
        }
    }
    Ok(report)
}

/// How many buckets of a histogram hold anything.
#[derive(Debug, PartialEq)]
struct Usage {
    min: usize,
    avg: f64,
    max: usize,
    /// Buckets that hold something at any time, or of a classic histogram, that there are.
    total: usize,
}

impl Usage {
    fn new(populated: &[usize], total: usize) -> Usage {
        Usage {
            min: populated.iter().copied().min().unwrap_or(0),
            avg: populated.iter().sum::<usize>() as f64 / populated.len() as f64,
            max: populated.iter().copied().max().unwrap_or(0),
            total,
        }
    }
}

impl fmt::Display for Usage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{:.3}/{}", self.min, self.avg, self.max)?;
        if self.max == self.total { Ok(()) } else { write!(f, "/{}", self.total) }
    }
}

/// The usage of a native histogram; `None` if it has too few samples.
fn native_usage(series: &Value) -> Option<Usage> {
    let samples = series["histograms"].as_array().filter(|samples| samples.len() >= SAMPLES_MIN)?;
    let mut all = BTreeSet::new();
    let mut populated = Vec::with_capacity(samples.len());
    for sample in samples {
        let buckets = sample[1]["buckets"].as_array().map_or(&[][..], Vec::as_slice);
        // A bucket is told by what its bounds include, and by them.
        all.extend(buckets.iter().map(|b| format!("{} {} {}", b[0], b[1], b[2])));
        populated.push(buckets.len());
    }
    Some(Usage::new(&populated, all.len()))
}

/// Series of the buckets of classic histograms, by the histograms' names.
fn classic_histograms<'a>(series: &[&'a Value]) -> BTreeMap<String, Vec<&'a Value>> {
    let mut found: BTreeMap<String, Vec<&Value>> = BTreeMap::new();
    for one in series {
        let Some(labels) = one["metric"].as_object() else { continue };
        let name = labels.get("__name__").and_then(Value::as_str).unwrap_or_default();
        if !labels.contains_key("le") || !name.ends_with("_bucket") {
            continue;
        }
        let pairs = labels.iter().filter(|(label, _)| !matches!(label.as_str(), "le" | "__name__"));
        let pairs: Vec<_> = pairs.map(|(label, value)| format!("{label}={value}")).collect();
        found.entry(format!("{name}{{{}}}", pairs.join(", "))).or_default().push(one);
    }
    found
}

/// The usage of a classic histogram; `None` if it has too few samples.
fn classic_usage(buckets: &[&Value]) -> anyhow::Result<Option<Usage>> {
    let bound = |series: &Value| -> f64 {
        series["metric"]["le"].as_str().and_then(|le| le.parse().ok()).unwrap_or_default()
    };
    let mut buckets = buckets.to_vec();
    buckets.sort_by(|a, b| bound(a).total_cmp(&bound(b)));
    let columns: Vec<Vec<(f64, f64)>> = buckets.iter().map(|series| column(series)).collect();
    let Some(first) = columns.first().filter(|first| first.len() >= SAMPLES_MIN) else { return Ok(None) };
    let mut populated = Vec::with_capacity(first.len());
    for (at, (time, _)) in first.iter().enumerate() {
        let (mut below, mut count) = (0.0, 0);
        // Those that end sooner are left out, and so is what is above them.
        for sample in columns.iter().map_while(|column| column.get(at)) {
            if sample.0 != *time {
                bail!("matrix result is not time aligned");
            }
            count += usize::from((sample.1 - below).trunc() != 0.0);
            below = sample.1;
        }
        populated.push(count);
    }
    Ok(Some(Usage::new(&populated, buckets.len())))
}

/// Times and values.
fn column(series: &Value) -> Vec<(f64, f64)> {
    let samples = series["values"].as_array().into_iter().flatten();
    samples
        .map(|pair| {
            let value = pair[1].as_str().and_then(|value| value.parse().ok());
            (pair[0].as_f64().unwrap_or_default(), value.unwrap_or_default())
        })
        .collect()
}

/// What the series of a kind have in common.
#[derive(Default)]
struct Totals {
    min: Spread,
    avg: Spread,
    max: Spread,
    total: Spread,
}

impl Totals {
    fn add(&mut self, usage: &Usage) {
        self.min.0.push(usage.min);
        self.avg.0.push(usage.avg as usize);
        self.max.0.push(usage.max);
        self.total.0.push(usage.total);
    }

    fn series(&self) -> usize {
        self.min.0.len()
    }
}

impl fmt::Display for Totals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Totals { min, avg, max, total } = self;
        writeln!(f, "histogram series ({} in total):", self.series())?;
        write!(f, "- min populated: {min}\n- avg populated: {avg}\n- max populated: {max}")?;
        if max == total { Ok(()) } else { write!(f, "\n- total: {total}") }
    }
}

/// Numbers of buckets, shown as the least, the mean and the most.
#[derive(Default, PartialEq)]
struct Spread(Vec<usize>);

impl fmt::Display for Spread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Usage { min, avg, max, .. } = Usage::new(&self.0, 0);
        write!(f, "{min}/{avg:.3}/{max}")
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn classic_and_native_histograms_are_counted() {
        let bucket = |le: &str, values: [&str; 2]| {
            json!({
                "metric": {"__name__": "took_bucket", "job": "a", "le": le},
                "values": [[1, values[0]], [2, values[1]]],
            })
        };
        let buckets = |count: usize| -> Vec<Value> {
            (0..count).map(|n| json!([0, n.to_string(), (n + 1).to_string(), "1"])).collect()
        };
        let native = json!({
            "metric": {"__name__": "took", "job": "a"},
            "histograms": [[1, {"buckets": buckets(3)}], [2, {"buckets": buckets(5)}]],
        });
        let short = json!({"metric": {"__name__": "once"}, "histograms": [[1, {"buckets": buckets(3)}]]});
        let gauge = json!({"metric": {"__name__": "depth"}, "values": [[1, "1"], [2, "2"]]});
        let result = [
            bucket("+Inf", ["4", "9"]),
            bucket("1", ["4", "6"]),
            bucket("0.5", ["0", "6"]),
            native,
            short,
            gauge,
        ];
        let what = Analyze {
            server: String::new(),
            kind: "histogram".to_owned(),
            duration: "1h".parse().unwrap(),
            time: Some("7".to_owned()),
            selectors: vec!["{job=\"a\"}".to_owned()],
        };
        let report = analyze(&what, &|form| {
            assert_eq!(form, [("query", "{job=\"a\"}[1h]".to_owned()), ("time", "7".to_owned())]);
            Ok(json!({"resultType": "matrix", "result": result}))
        });
        let expected = format!(
            "{HEADER}\n\n- took{{job=\"a\"}} (native): 3/4.000/5\n- took_bucket{{job=\"a\"}} (classic): \
             1/1.500/2/3\n\n{FOOTER}\n\nNative histogram series (1 in total):\n- min populated: 3/3.000/3\n- avg \
             populated: 4/4.000/4\n- max populated: 5/5.000/5\n\nClassic histogram series (1 in total):\n- min \
             populated: 1/1.000/1\n- avg populated: 1/1.000/1\n- max populated: 2/2.000/2\n- total: 3/3.000/3\n"
        );
        assert_eq!(report.unwrap(), expected);
    }
}
