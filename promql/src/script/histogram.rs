//! Native histograms as tests write them: `{{schema:1 sum:5 count:4 buckets:[1 2] offset:-1}}`.

use model::histogram::{CounterResetHint, FloatHistogram, Span};

use super::series::{Fault, Found, expect, number, skip_spaces};

/// What a description has said so far.
#[derive(Default)]
struct Description {
    seen: Vec<String>,
    histogram: FloatHistogram,
    offset: i32,
    negative_offset: i32,
    hint_is_written: bool,
}

/// A histogram in double braces, and whether its counter-reset hint was written.
pub(super) fn histogram(text: &str) -> Found<'_, (FloatHistogram, bool)> {
    let mut rest = text.strip_prefix("{{").ok_or_else(|| Fault::new(text, "expected a histogram"))?;
    let mut description = Description::default();
    loop {
        rest = skip_spaces(rest);
        if let Some(after) = rest.strip_prefix("}}") {
            return Ok((after, description.finish()));
        }
        rest = description.field(rest)?;
    }
}

impl Description {
    /// Takes in a field such as `sum:5` and returns what follows it.
    fn field<'a>(&mut self, text: &'a str) -> Result<&'a str, Fault<'a>> {
        let end = text.find(|c: char| !c.is_ascii_alphabetic() && c != '_').unwrap_or(text.len());
        let (key, rest) = text.split_at(end);
        let key_lower = key.to_ascii_lowercase();
        let value = expect(rest, ':', "histogram description")?;
        if self.seen.contains(&key_lower) {
            return Err(Fault::new(text, format!("duplicate key \"{key}\" in histogram")));
        }
        let into = &mut self.histogram;
        let rest = match key_lower.as_str() {
            "schema" => read(value, integer, &mut into.schema)?,
            "sum" => read(value, number, &mut into.sum)?,
            "count" => read(value, number, &mut into.count)?,
            "z_bucket" => read(value, number, &mut into.zero_count)?,
            "z_bucket_w" => read(value, number, &mut into.zero_threshold)?,
            "custom_values" => read(value, list, &mut into.custom_values)?,
            "buckets" => read(value, list, &mut into.positive_buckets)?,
            "n_buckets" => read(value, list, &mut into.negative_buckets)?,
            "offset" => read(value, integer, &mut self.offset)?,
            "n_offset" => read(value, integer, &mut self.negative_offset)?,
            "counter_reset_hint" => {
                self.hint_is_written = true;
                read(value, hint, &mut into.counter_reset_hint)?
            }
            _ => return Err(Fault::new(text, format!("bad histogram descriptor found: {key:?}"))),
        };
        self.seen.push(key_lower);
        Ok(rest)
    }

    fn finish(self) -> (FloatHistogram, bool) {
        let mut histogram = self.histogram;
        histogram.positive_spans = span(self.offset, histogram.positive_buckets.len());
        histogram.negative_spans = span(self.negative_offset, histogram.negative_buckets.len());
        (histogram, self.hint_is_written)
    }
}

fn span(offset: i32, buckets: usize) -> Vec<Span> {
    match u32::try_from(buckets) {
        Ok(0) | Err(_) => Vec::new(),
        Ok(length) => vec![Span { offset, length }],
    }
}

/// Reads a value with a rule and puts it where it belongs.
fn read<'a, T>(
    text: &'a str,
    rule: impl Fn(&'a str) -> Found<'a, T>,
    place: &mut T,
) -> Result<&'a str, Fault<'a>> {
    let (rest, value) = rule(text)?;
    *place = value;
    Ok(rest)
}

fn integer(text: &str) -> Found<'_, i32> {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '-').unwrap_or(text.len());
    let value =
        text[..end].parse().map_err(|_| Fault::new(text, "expected an integer in histogram description"));
    value.map(|value| (&text[end..], value))
}

/// Numbers in brackets, between spaces.
fn list(text: &str) -> Found<'_, Vec<f64>> {
    let mut rest = skip_spaces(expect(text, '[', "histogram description")?);
    let mut values = Vec::new();
    loop {
        if let Some(after) = rest.strip_prefix(']') {
            return Ok((after, values));
        }
        let (after, value) = number(rest)?;
        values.push(value);
        rest = skip_spaces(after);
    }
}

fn hint(text: &str) -> Found<'_, CounterResetHint> {
    let end = text.find(|c: char| !c.is_ascii_alphabetic() && c != '_').unwrap_or(text.len());
    let hint = match text[..end].to_ascii_lowercase().as_str() {
        "unknown" => CounterResetHint::Unknown,
        "reset" => CounterResetHint::CounterReset,
        "not_reset" => CounterResetHint::NotCounterReset,
        "gauge" => CounterResetHint::Gauge,
        other => return Err(Fault::new(text, format!("bad histogram descriptor found: {other:?}"))),
    };
    Ok((&text[end..], hint))
}
