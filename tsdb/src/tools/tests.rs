use std::convert::Infallible;
use std::path::Path;
use std::sync::Arc;

use model::cancel::Cancel;
use model::histogram::{FloatHistogram, Span};
use model::labels::Labels;
use model::matcher::{MatchOp, Matcher};
use model::storage::SampleValue;
use model::time::ManualClock;

use super::*;
use crate::block::meta::BlockMeta;
use crate::compact::{Compactor, CompactorOptions, UlidSource};
use crate::fs::{Fs, RealFs};

/// Two blocks of two hours.
const BEGIN_MS: i64 = 1_600_000_000_000;

fn fs() -> Arc<dyn Fs> {
    Arc::new(RealFs)
}

fn compactor() -> Compactor {
    let ulids = UlidSource::new(Arc::new(ManualClock::new(BEGIN_MS)), 1);
    Compactor::new(fs(), ulids, CompactorOptions::default())
}

fn sample(pairs: &[(&str, &str)], timestamp_ms: i64, value: f64) -> Sample {
    Sample {
        labels: Labels::from_pairs(pairs.iter().copied()),
        timestamp_ms,
        value: SampleValue::Float(value),
    }
}

/// What promtool was given when the expectations below were made.
fn samples() -> Vec<Sample> {
    let mut samples = Vec::new();
    for host in 0..12 {
        let labels = [
            ("instance", format!("h{host}")),
            ("job", format!("node{}", host % 3)),
            ("__name__", "up".to_owned()),
        ];
        for t in (0..9000).step_by(60) {
            let labels = Labels::from_pairs(labels.clone());
            let value = SampleValue::Float(f64::from(host % 2));
            samples.push(Sample { labels, timestamp_ms: BEGIN_MS + t * 1000, value });
        }
    }
    samples
}

fn backfill(
    dir: &Path,
    samples: &[Sample],
    options: BackfillOptions,
) -> Result<Vec<BlockMeta>, BackfillError<Infallible>> {
    let mut metas = Vec::new();
    let input = || Ok(samples.iter().cloned().map(Ok));
    create_blocks(&compactor(), dir, options, input, &Cancel::new(), |meta| metas.push(meta.clone()))?;
    Ok(metas)
}

fn two_hours() -> BackfillOptions {
    BackfillOptions::new(compatible_block_duration(0))
}

fn printed(print: impl FnOnce(&mut Vec<u8>) -> Result<(), ToolError>) -> String {
    let mut out = Vec::new();
    print(&mut out).unwrap();
    String::from_utf8(out).unwrap()
}

#[test]
fn backfilled_blocks_are_listed_as_promtool_lists_them() {
    let dir = tempfile::tempdir().unwrap();
    let metas = backfill(dir.path(), &samples(), two_hours()).unwrap();
    let [first, second] = &metas[..] else { panic!("{metas:?}") };
    let blocks = StoredBlocks::open(&fs(), dir.path()).unwrap();
    let sizes: Vec<u64> = blocks.iter().map(|block| block.size_bytes()).collect();
    let text = printed(|out| list(&fs(), dir.path(), false, out));
    let expected = format!(
        "BLOCK ULID                  MIN TIME       MAX TIME       DURATION     NUM SAMPLES  NUM CHUNKS   NUM SERIES   SIZE\n\
         {}  1600000000000  1600005580001  1h33m0.001s  1128         12           12           {}\n\
         {}  1600005640000  1600008940001  55m0.001s    672          12           12           {}\n",
        first.ulid, sizes[0], second.ulid, sizes[1]
    );
    assert_eq!(text, expected);
    let text = printed(|out| list(&fs(), dir.path(), true, out));
    assert!(
        text.contains("  2020-09-13 12:26:40 +0000 UTC  2020-09-13 13:59:40 +0000 UTC  1h33m0.001s  1128 "),
        "{text}"
    );
    let empty = tempfile::tempdir().unwrap();
    let text = printed(|out| list(&fs(), empty.path(), false, out));
    assert_eq!(
        text,
        "BLOCK ULID   MIN TIME     MAX TIME     DURATION     NUM SAMPLES  NUM CHUNKS   NUM SERIES   SIZE\n"
    );
}

#[test]
fn a_block_is_analyzed_as_promtool_does() {
    let dir = tempfile::tempdir().unwrap();
    let metas = backfill(dir.path(), &samples(), two_hours()).unwrap();
    let options = AnalyzeOptions { limit: 3, extended: true, ..AnalyzeOptions::default() };
    let text = printed(|out| analyze(&fs(), dir.path(), &options, &Cancel::new(), out));
    let bar = "#".repeat(100);
    let expected = format!(
        "Block ID: {}
Duration: 55m0.001s
Total Series: 12
Label names: 3
Postings (unique label pairs): 16
Postings entries (total label pairs): 36

Label pairs most involved in churning:
0 __name__=up
0 instance=h0
0 instance=h1

Label names most involved in churning:
0 __name__
0 instance
0 job

Most common label pairs:
12 __name__=up
4 job=node0
4 job=node1

Label names with highest cumulative label value length:
26 instance
15 job
2 __name__

Highest cardinality labels:
12 instance
3 job
1 __name__

Highest cardinality metric names:
12 up

Compaction analysis:

samples per float chunk (min/avg/max): 56/56/56
[51, 60]: 12 {bar}
[61, 70]:  0 

bytes per float chunk (min/avg/max): 33/33/33
[31, 40]: 12 {bar}
[41, 50]:  0 

samples per histogram chunk: N/A

bytes per histogram chunk: N/A

buckets per histogram chunk: N/A

",
        metas[1].ulid
    );
    assert_eq!(text, expected);

    let options = AnalyzeOptions {
        block: Some(metas[0].ulid.to_string()),
        matchers: vec![Matcher::equal("job", "node1")],
        selector: "up{job=\"node1\"}".to_owned(),
        ..AnalyzeOptions::default()
    };
    let text = printed(|out| analyze(&fs(), dir.path(), &options, &Cancel::new(), out));
    assert!(
        text.contains("Total Series: 12\nMatcher: up{job=\"node1\"}\nLabel names: 3\nMatched series: 4\n"),
        "{text}"
    );
}

#[test]
fn blocks_that_are_not_there_are_named() {
    let dir = tempfile::tempdir().unwrap();
    let run = |block: Option<&str>| {
        let options = AnalyzeOptions { block: block.map(str::to_owned), ..AnalyzeOptions::default() };
        analyze(&fs(), dir.path(), &options, &Cancel::new(), &mut Vec::new()).unwrap_err().to_string()
    };
    assert_eq!(run(None), "no blocks found");
    assert_eq!(run(Some("nope")), "block nope not found");
}

#[test]
fn samples_are_dumped_as_promtool_dumps_them() {
    let dir = tempfile::tempdir().unwrap();
    let odd = [("__name__", "odd name"), ("l.x", "a\"b\\c\nd☃")];
    let input = [
        sample(&[("__name__", "x")], BEGIN_MS + 3000, 1e22),
        sample(&[("__name__", "x")], BEGIN_MS + 2000, 123_456_789.0),
        sample(&[("__name__", "x")], BEGIN_MS + 250, f64::NEG_INFINITY),
        sample(&odd, BEGIN_MS + 3000, 3.0),
        sample(&[("__name__", "h_bucket"), ("le", "+Inf")], BEGIN_MS + 8_000_000, 1e-7),
    ];
    backfill(dir.path(), &input, two_hours()).unwrap();
    let dumped = |format, selectors: Vec<Vec<Matcher>>, mint| {
        let blocks = StoredBlocks::open(&fs(), dir.path()).unwrap();
        let options = DumpOptions { mint, maxt: i64::MAX, selectors, format };
        printed(|out| dump(&blocks, &options, &Cancel::new(), out, &|_, _| {}))
    };
    assert_eq!(
        dumped(DumpFormat::Prometheus, vec![], i64::MIN),
        "{__name__=\"h_bucket\", le=\"+Inf\"} 1e-07 1600008000000\n\
         {__name__=\"odd name\", \"l.x\"=\"a\\\"b\\\\c\\nd☃\"} 3 1600000003000\n\
         {__name__=\"x\"} -Inf 1600000000250\n\
         {__name__=\"x\"} 1.23456789e+08 1600000002000\n\
         {__name__=\"x\"} 1e+22 1600000003000\n"
    );
    assert_eq!(
        dumped(DumpFormat::OpenMetrics, vec![], i64::MIN),
        "h_bucket{le=\"+Inf\"} 1e-07 1600008000.000\n\
         {\"odd name\",\"l.x\"=\"a\\\"b\\\\c\\nd☃\"} 3 1600000003.000\n\
         x{} -Inf 1600000000.250\n\
         x{} 1.23456789e+08 1600000002.000\n\
         x{} 1e+22 1600000003.000\n\
         # EOF\n"
    );
    let x = vec![Matcher::equal("__name__", "x")];
    let with_le = vec![Matcher::new(MatchOp::Regex, "le", ".+").unwrap()];
    assert_eq!(
        dumped(DumpFormat::Prometheus, vec![x.clone(), with_le, x.clone()], BEGIN_MS + 3000),
        "{__name__=\"h_bucket\", le=\"+Inf\"} 1e-07 1600008000000\n{__name__=\"x\"} 1e+22 1600000003000\n"
    );
    assert_eq!(dumped(DumpFormat::SeriesJson, vec![x], i64::MIN), "{\"__name__\":\"x\"}\n");
}

#[test]
fn backfilling_holds_few_samples_and_writes_all() {
    let samples: Vec<Sample> = samples().into_iter().rev().collect();
    for samples_max in [1, 100, 700, 2000] {
        let dir = tempfile::tempdir().unwrap();
        let mut passes = 0;
        let options = BackfillOptions::new(1_800_000).with_samples_max(samples_max);
        let input = || {
            passes += 1;
            Ok(samples.iter().cloned().map(Ok::<_, Infallible>))
        };
        let mut metas = Vec::new();
        create_blocks(&compactor(), dir.path(), options, input, &Cancel::new(), |meta| {
            metas.push(meta.clone())
        })
        .unwrap();
        assert!(metas.is_sorted_by(|a, b| a.max_time <= b.min_time));
        assert_eq!(metas.iter().map(|meta| meta.stats.num_samples).sum::<u64>(), samples.len() as u64);
        assert_eq!(passes == 1, samples_max == 2000, "{passes} passes for {samples_max}");
    }
}

#[test]
fn histograms_are_backfilled_beside_floats() {
    let dir = tempfile::tempdir().unwrap();
    let histogram = |count: f64| {
        SampleValue::Histogram(Arc::new(FloatHistogram {
            count,
            sum: 5.0,
            positive_spans: vec![Span { offset: 1, length: 1 }],
            positive_buckets: vec![count],
            ..FloatHistogram::default()
        }))
    };
    let at = |t: i64, value: SampleValue| Sample {
        labels: Labels::from_pairs([("__name__", "h")]),
        timestamp_ms: BEGIN_MS + t,
        value,
    };
    let input =
        [at(3, histogram(2.5)), at(2, SampleValue::Float(1.0)), at(1, histogram(1.0)), at(1, histogram(1.0))];
    assert_eq!(backfill(dir.path(), &input, two_hours()).unwrap()[0].stats.num_samples, 3);
    let blocks = StoredBlocks::open(&fs(), dir.path()).unwrap();
    let options =
        DumpOptions { mint: i64::MIN, maxt: i64::MAX, selectors: Vec::new(), format: DumpFormat::Prometheus };
    assert_eq!(
        printed(|out| dump(&blocks, &options, &Cancel::new(), out, &|_, _| {})),
        "{__name__=\"h\"} {count:1, sum:5, (1,2]:1} 1600000000001\n\
         {__name__=\"h\"} 1 1600000000002\n\
         {__name__=\"h\"} {count:2.5, sum:5, (1,2]:2.5} 1600000000003\n"
    );
    for clash in [histogram(2.0), SampleValue::Float(1.0)] {
        let error = backfill(dir.path(), &[at(1, histogram(1.0)), at(1, clash)], two_hours()).unwrap_err();
        assert!(error.to_string().contains("duplicate sample for timestamp 1600000000001"), "{error}");
    }
}

#[test]
fn two_values_at_one_time_are_refused_and_one_value_twice_is_not() {
    let dir = tempfile::tempdir().unwrap();
    let up = [("__name__", "up")];
    let twice = [sample(&up, BEGIN_MS, 1.0), sample(&up, BEGIN_MS, 1.0)];
    assert_eq!(backfill(dir.path(), &twice, two_hours()).unwrap()[0].stats.num_samples, 1);
    let two = [sample(&up, BEGIN_MS, 1.0), sample(&up, BEGIN_MS, 2.0)];
    let error = backfill(dir.path(), &two, two_hours()).unwrap_err().to_string();
    assert_eq!(
        error,
        "add sample of series {__name__=\"up\"}: duplicate sample for timestamp 1600000000000; \
         overrides not allowed: existing 1, new value 2"
    );
}

#[test]
fn block_durations_are_powers_of_three_times_two_hours() {
    let hour = 3_600_000;
    for (max, duration) in [(0, 2), (2, 2), (5, 2), (6, 6), (24, 18), (31 * 24, 486)] {
        assert_eq!(compatible_block_duration(max * hour), duration * hour);
    }
}
