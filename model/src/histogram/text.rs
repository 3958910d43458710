//! Histograms as text.

use std::fmt;

use super::{CounterResetHint, FloatHistogram, Span};
use crate::float_text::general;

impl fmt::Display for FloatHistogram {
    /// `{count:…, sum:…, [lower,upper):n, …}`, from the lowest bucket up, without empty ones.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{{count:{}, sum:{}", general(self.count), general(self.sum))?;
        let zero = (self.zero_count != 0.0).then(|| self.zero_bucket());
        let buckets = self.negative().rev().chain(zero).chain(self.positive());
        for bucket in buckets.filter(|bucket| bucket.count != 0.0) {
            write!(f, ", {bucket}")?;
        }
        f.write_str("}")
    }
}

/// How far apart buckets may be to be listed together: as far as those of any schema are.
const LISTED_GAP_MAX: u32 = 1 << 20;

impl FloatHistogram {
    /// The histogram as test scripts and unit tests of rules write it: `{{schema:1 count:4 …}}`. Buckets of
    /// one sign are listed from the first to the last that isn't empty.
    pub fn test_expression(&self) -> String {
        let mut all = self.clone();
        all.compact(LISTED_GAP_MAX);
        let mut fields = Vec::new();
        if all.schema != 0 {
            fields.push(format!("schema:{}", all.schema));
        }
        for (name, number) in [
            ("count", all.count),
            ("sum", all.sum),
            ("z_bucket", all.zero_count),
            ("z_bucket_w", all.zero_threshold),
        ] {
            if number != 0.0 {
                fields.push(format!("{name}:{}", general(number)));
            }
        }
        if all.has_custom_buckets() {
            fields.push(format!("custom_values:{}", list(&all.custom_values)));
        }
        fields.extend(match all.counter_reset_hint {
            CounterResetHint::Unknown => None,
            CounterResetHint::CounterReset => Some("counter_reset_hint:reset".to_owned()),
            CounterResetHint::NotCounterReset => Some("counter_reset_hint:not_reset".to_owned()),
            CounterResetHint::Gauge => Some("counter_reset_hint:gauge".to_owned()),
        });
        let mut push_buckets = |offset_name: &str, name: &str, spans: &[Span], counts: &[f64]| {
            match spans.first() {
                Some(Span { offset, .. }) if *offset != 0 => fields.push(format!("{offset_name}:{offset}")),
                _ => {}
            }
            if !counts.is_empty() {
                fields.push(format!("{name}:{}", list(counts)));
            }
        };
        push_buckets("offset", "buckets", &all.positive_spans, &all.positive_buckets);
        push_buckets("n_offset", "n_buckets", &all.negative_spans, &all.negative_buckets);
        format!("{{{{{}}}}}", fields.join(" "))
    }
}

/// `[1 2.5 3]`.
fn list(numbers: &[f64]) -> String {
    let texts: Vec<String> = numbers.iter().map(|number| general(*number)).collect();
    format!("[{}]", texts.join(" "))
}
