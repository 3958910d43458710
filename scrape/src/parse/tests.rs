use proptest::prelude::*;

use super::*;

/// Everything that a parser reads, one line for each entry, and the error that ended it.
fn entries<'a>(mut parser: impl Lines<'a>) -> Vec<String> {
    let mut lines = Vec::new();
    loop {
        lines.push(match parser.next_entry() {
            Ok(None) => return lines,
            Err(error) => {
                lines.push(format!("error: {error}"));
                return lines;
            }
            Ok(Some(Entry::Sample(sample))) => {
                let series = String::from_utf8_lossy(sample.series);
                let labels = pairs(parser.labels());
                let mut line = format!("{series} -> {labels} {}", sample.value);
                if let Some(timestamp) = sample.timestamp_ms {
                    line += &format!(" @{timestamp}");
                }
                if let Some(exemplar) = parser.exemplar() {
                    let timestamp = exemplar.timestamp_ms;
                    line += &format!(" # {} {} {timestamp:?}", pairs(exemplar.labels), exemplar.value);
                }
                line
            }
            Ok(Some(Entry::Help { family, help })) => format!("help {family}: {help:?}"),
            Ok(Some(Entry::Type { family, metric_type })) => format!("type {family}: {metric_type}"),
            Ok(Some(Entry::Unit { family, unit })) => format!("unit {family}: {unit}"),
            Ok(Some(Entry::Comment)) => "comment".to_owned(),
        });
    }
}

fn pairs(labels: RawLabels<'_>) -> String {
    let pairs: Vec<_> = labels.iter().map(|(name, value)| format!("{name}={value:?}")).collect();
    pairs.join(",")
}

fn text(input: &str) -> Vec<String> {
    entries(TextParser::new(input.as_bytes()))
}

fn openmetrics(input: &str) -> Vec<String> {
    entries(OpenMetricsParser::new(input.as_bytes()))
}

#[test]
fn the_text_format_is_read() {
    let input = r##"
# HELP a_total What \\ it\n is.
# TYPE a_total counter
# 	TYPE h histogram
# just words
#
a_total 1
a_total{b="c",} -2.5e3 123
 a_total { b = "x\"\\\n" , c="d" e="f"} NaN
h_bucket{le="1"} 3
h_bucket{le="+Inf"} 4
h_bucket{quantile="1"} +Inf
{"a.b","q.r"="s"} 0
{b="c","name"} 1
last	7"##;
    let expected = [
        r#"help a_total: "What \\ it\n is.""#,
        "type a_total: counter",
        "type h: histogram",
        "comment",
        "comment",
        r#"a_total -> __name__="a_total" 1"#,
        r#"a_total{b="c",} -> __name__="a_total",b="c" -2500 @123"#,
        r#"a_total { b = "x\"\\\n" , c="d" e="f"} -> __name__="a_total",b="x\"\\\n",c="d",e="f" NaN"#,
        r#"h_bucket{le="1"} -> __name__="h_bucket",le="1.0" 3"#,
        r#"h_bucket{le="+Inf"} -> __name__="h_bucket",le="+Inf" 4"#,
        r#"h_bucket{quantile="1"} -> __name__="h_bucket",quantile="1" inf"#,
        r#"{"a.b","q.r"="s"} -> __name__="a.b",q.r="s" 0"#,
        r#"{b="c","name"} -> __name__="name",b="c" 1"#,
        r#"last -> __name__="last" 7"#,
    ];
    assert_eq!(text(input), expected);
}

#[test]
fn lines_that_are_no_text_format_are_refused_in_the_words_of_the_reference() {
    for (input, error) in [
        ("a", r#"expected value after metric, got "" ("INVALID") while parsing: "a""#),
        ("a\n", "expected value after metric, got \"\\n\" (\"INVALID\") while parsing: \"a\\n\""),
        ("a{b='c'} 1\n", r#"expected label value, got "'" ("INVALID") while parsing: "a{b='""#),
        ("a{b} 1\n", r#"metric name already set while parsing: "a{b}""#),
        ("a{b=\"c\" 1\n", r#"expected label name, got "1" ("INVALID") while parsing: "a{b=\"c\" 1""#),
        (
            r#"empty_label_name{=""} 0"#,
            r#"expected label name, got "=\"" ("EQUAL") while parsing: "empty_label_name{=\"""#,
        ),
        ("1a 1\n", r#"expected a valid start token, got "1" ("INVALID") while parsing: "1""#),
        ("a true\n", r#"strconv.ParseFloat: parsing "true": invalid syntax while parsing: "a true""#),
        ("a 0x1p-3\n", r#"unsupported character in float while parsing: "a 0x1p-3""#),
        ("a 1 -5\n", r#"expected timestamp or new record, got "-" ("INVALID") while parsing: "a 1 -""#),
        (
            "a 1 1 1\n",
            r#"expected next entry after timestamp, got "1\n" ("TIMESTAMP") while parsing: "a 1 1 1\n""#,
        ),
        ("# TYPE a nope\n", r#"invalid metric type "nope""#),
        (
            "# TYPE 1 gauge\n",
            r##"expected metric name after TYPE, got "1" ("INVALID") while parsing: "# TYPE 1""##,
        ),
        ("{b=\"c\"} 1\n", r#"metric name not set while parsing: "{b=\"c\"} 1""#),
        ("a{\"b\"} 1\n", r#"metric name already set while parsing: "a{\"b\"}""#),
        ("a 99999999999999999999999\n", ""),
        ("a 1 99999999999999999999999\n", "value out of range"),
    ] {
        let last = text(input).pop().unwrap_or_default();
        if error.is_empty() {
            assert!(!last.starts_with("error"), "{input}: {last}");
        } else {
            assert!(last.starts_with("error: ") && last.contains(error), "{input}: {last}");
        }
    }
    let invalid = entries(TextParser::new(b"a{b=\"\xff\"} 1\n"));
    assert_eq!(invalid, [r#"error: invalid UTF-8 label value: "\"\xff\"""#]);
}

#[test]
fn openmetrics_is_read() {
    let input = "# HELP a Words.\n# TYPE a counter\n# HELP h_seconds\n";
    assert_eq!(openmetrics(input).last().unwrap(), "error: expected text in HELP");
    let input = r#"# HELP a Words.
# TYPE a counter
a_total 1 1520879607.789 # {id="x y",} 0.5 1520879607.5
a_total{b="c"} 2 # {} 1
# TYPE h_seconds histogram
# UNIT h_seconds seconds
h_seconds_bucket{le="0.25"} 3 -1.5
h_seconds_bucket{le="1e6"} 3
{"h.seconds","x"="y"} 4
# EOF
"#;
    let expected = [
        r#"help a: "Words.""#,
        "type a: counter",
        r#"a_total -> __name__="a_total" 1 @1520879607789 # id="x y" 0.5 Some(1520879607500)"#,
        r#"a_total{b="c"} -> __name__="a_total",b="c" 2 #  1 None"#,
        "type h_seconds: histogram",
        "unit h_seconds: seconds",
        r#"h_seconds_bucket{le="0.25"} -> __name__="h_seconds_bucket",le="0.25" 3 @-1500"#,
        r#"h_seconds_bucket{le="1e6"} -> __name__="h_seconds_bucket",le="1e+06" 3"#,
        r#"{"h.seconds","x"="y"} -> __name__="h.seconds",x="y" 4"#,
    ];
    assert_eq!(openmetrics(input), expected);
    assert_eq!(openmetrics(input.trim_end()), expected, "the line end after # EOF is optional");
}

#[test]
fn lines_that_are_no_openmetrics_are_refused_in_the_words_of_the_reference() {
    for (input, error) in [
        ("", "data does not end with # EOF"),
        ("a 1\n", "data does not end with # EOF"),
        ("a 1", "data does not end with # EOF"),
        ("# EOF\na 1\n", "unexpected data after # EOF"),
        ("\n# EOF", r#"expected a valid start token, got "\n" ("INVALID") while parsing: "\n""#),
        ("# words\n# EOF", "expected a valid start token"),
        ("# TYPE a untyped\n# EOF", r#"invalid metric type "untyped""#),
        ("# UNIT a seconds\n# EOF", r#"unit "seconds" not a suffix of metric "a""#),
        ("a{b=\"c\" d=\"e\"} 1\n# EOF", "expected comma or brace close"),
        ("a  1\n# EOF", "expected value after metric"),
        ("a 1 NaN\n# EOF", "invalid timestamp NaN"),
        (
            "a 1 # {\"x\"} 1\n# EOF",
            r##"expected label name, got "} " ("BCLOSE") while parsing: "a 1 # {\"x\"} ""##,
        ),
        ("a  1\n# EOF", r#"expected value after metric, got "  " ("INVALID") while parsing: "a  ""#),
        ("a 1 # {x=\"y\"}\n# EOF", "expected value after exemplar labels"),
        ("a 1 # {x=\"y\"} 1 +Inf\n# EOF", "invalid exemplar timestamp +Inf"),
    ] {
        let last = openmetrics(input).pop().unwrap_or_default();
        assert!(last.starts_with("error: ") && last.contains(error), "{input}: {last}");
    }
}

/// Reads all samples the quick way where that works, with series lengths from a first slow pass.
fn quick_samples<'a, P: Lines<'a> + Clone>(parser: P) -> Vec<(Vec<u8>, u64, Option<i64>)> {
    let mut slow = parser;
    let mut found = Vec::new();
    loop {
        let mut quick = slow.clone();
        match slow.next_entry() {
            Ok(Some(Entry::Sample(sample))) => {
                if let Some(other) = quick.sample_after(sample.series.len())
                    && other.series == sample.series
                {
                    assert_eq!(other.value.to_bits(), sample.value.to_bits());
                    assert_eq!(other.timestamp_ms, sample.timestamp_ms);
                    assert_eq!(quick.rest(), slow.rest());
                }
                found.push((sample.series.to_vec(), sample.value.to_bits(), sample.timestamp_ms));
            }
            Ok(Some(_)) => {}
            Ok(None) | Err(_) => return found,
        }
    }
}

proptest! {
    #[test]
    fn no_bytes_make_a_parser_panic_and_both_ways_read_the_same(
        input in "([a-z{}=\",# \n0-9.+-]|a\\{b=\"c\"\\} |# TYPE |# EOF\n| 1\n|\\\\|é){0,40}",
    ) {
        quick_samples(TextParser::new(input.as_bytes()));
        quick_samples(OpenMetricsParser::new(input.as_bytes()));
    }

    #[test]
    fn arbitrary_bytes_make_no_parser_panic(input in proptest::collection::vec(any::<u8>(), 0..60)) {
        quick_samples(TextParser::new(&input));
        quick_samples(OpenMetricsParser::new(&input));
    }

    #[test]
    fn both_ways_read_written_samples(
        samples in proptest::collection::vec(("[a-z]{1,5}", any::<f64>(), proptest::option::of(0i64..1 << 50)), 1..8),
    ) {
        let mut text = String::new();
        for (name, value, timestamp) in &samples {
            text += &format!("{name} {}", model::float_text::general(*value));
            if let Some(timestamp) = timestamp {
                text += &format!(" {timestamp}");
            }
            text += "\n";
        }
        let read = quick_samples(TextParser::new(text.as_bytes()));
        prop_assert_eq!(read.len(), samples.len());
        for ((_, bits, timestamp), (_, value, expected_timestamp)) in read.iter().zip(&samples) {
            prop_assert!(f64::from_bits(*bits) == *value || value.is_nan());
            prop_assert_eq!(timestamp, expected_timestamp);
        }
    }
}
