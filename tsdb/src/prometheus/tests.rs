use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use ::prometheus::Registry;
use model::cancel::Cancel;
use model::labels::Labels;
use model::matcher::Matcher;
use model::metadata::MetricType;
use model::storage::{HistogramValue, Queryable, SampleColumns, SelectHints};
use model::time::ManualClock;
use proptest::prelude::*;

use super::testing::*;
use super::wal::{Part, Parts};
use crate::block::tombstones::Interval;
use crate::chunk::{Encoding, xor};
use crate::fs::sim::{Fault, SimFs};
use crate::{Db, OpenError, Options};

const DATA: &str = "/data";
const HOUR: i64 = 3_600_000;
const START: i64 = 1_700_000_000_000 / (2 * HOUR) * 2 * HOUR;

fn open(fs: &SimFs) -> Result<Arc<Db>, OpenError> {
    let options = Options { background: false, retention: crate::Retention::default(), ..Options::default() };
    let clock = Arc::new(ManualClock::new(START));
    Db::open(Path::new(DATA), options, Arc::new(fs.clone()), clock, &Registry::new())
}

fn labels(i: u64) -> Labels {
    Labels::from_pairs([("__name__", "metric".to_owned()), ("i", format!("{i:03}"))])
}

fn put(fs: &SimFs, name: &str, bytes: &[u8]) {
    put_file(fs, &Path::new(DATA).join(name), bytes);
}

/// Float samples of series by their number.
type Floats = BTreeMap<u64, BTreeMap<i64, u64>>;

/// What a database has; every time of a series once, or the test fails.
fn floats_of(db: &Db) -> Floats {
    let mut found = Floats::new();
    for (labels, columns) in columns_of(db, &[]) {
        assert!(columns.timestamps.is_sorted_by(|a, b| a < b), "{labels} has a time twice");
        let samples = columns.timestamps.into_iter().zip(columns.values.into_iter().map(f64::to_bits));
        let samples: BTreeMap<i64, u64> = samples.collect();
        if !samples.is_empty() {
            found.insert(labels.value("i").parse().unwrap(), samples);
        }
    }
    found
}

fn columns_of(db: &Db, matchers: &[Matcher]) -> Vec<(Labels, SampleColumns)> {
    let querier = db.querier(i64::MIN, i64::MAX).unwrap();
    let cancel = Cancel::new();
    let set = querier.select(matchers, &SelectHints::new(i64::MIN, i64::MAX, &cancel)).unwrap();
    let read = |nth| {
        let mut columns = SampleColumns::default();
        set.read(nth, i64::MIN, i64::MAX, &mut columns).unwrap();
        (set.labels(nth), columns)
    };
    (0..set.len()).map(read).collect()
}

/// Samples in all blocks, so that one in two of them counts twice.
fn samples_in_blocks(db: &Db) -> u64 {
    db.blocks().iter().map(|block| block.meta().stats.num_samples).sum()
}

fn rows(floats: &Floats) -> impl Iterator<Item = (u64, i64, f64)> + '_ {
    floats.iter().flat_map(|(series, samples)| {
        samples.iter().map(|(time, bits)| (*series, *time, f64::from_bits(*bits)))
    })
}

/// Three hours of eight series, every minute. Prometheus's refs begin at 1.
fn three_hours() -> Floats {
    let samples = |series: u64| {
        (0..180).map(move |i| (START + i * 60_000 + series as i64, ((i as u64 * series) as f64).to_bits()))
    };
    (1..9).map(|series| (series, samples(series).collect())).collect()
}

/// Records of commits: all series at one time.
fn commits(floats: &Floats) -> Vec<Vec<u8>> {
    let mut by_minute: BTreeMap<i64, Vec<(u64, i64, f64)>> = BTreeMap::new();
    for row in rows(floats) {
        by_minute.entry(row.1 / 60_000).or_default().push(row);
    }
    by_minute.into_values().map(|rows| self::floats(&rows)).collect()
}

fn definitions(floats: &Floats) -> Vec<u8> {
    series(&floats.keys().map(|i| (*i, labels(*i))).collect::<Vec<_>>())
}

fn log_of(floats: &Floats, compression: Compression) -> Vec<u8> {
    let records: Vec<Vec<u8>> = std::iter::once(definitions(floats)).chain(commits(floats)).collect();
    segment(&records, compression)
}

fn leftovers(fs: &SimFs) -> Vec<String> {
    let files = fs.files().into_iter().map(|file| file.0.display().to_string());
    files.filter(|name| !name.contains("/head/") && !name.ends_with("/lock")).collect()
}

#[test]
fn a_log_of_any_compression_becomes_blocks_and_goes() {
    for compression in [Compression::None, Compression::Snappy, Compression::Zstd] {
        let fs = SimFs::new();
        let floats = three_hours();
        put(&fs, "wal/00000000", &log_of(&floats, compression));
        put(&fs, "chunks_head/000001", &[]);
        put(&fs, "series_state.json", b"{}");
        let db = open(&fs).unwrap();
        assert_eq!(floats_of(&db), floats, "{compression:?}");
        assert_eq!(samples_in_blocks(&db), 8 * 180);
        let ranges: Vec<_> = db.blocks().iter().map(|b| (b.meta().min_time, b.meta().max_time)).collect();
        let last = START + 179 * 60_000 + 8;
        assert_eq!(ranges, [(START + 1, START + 119 * 60_000 + 9), (START + 120 * 60_000 + 1, last + 1)]);
        assert!(db.damage().is_empty());
        let left = leftovers(&fs);
        assert!(left.iter().all(|name| !name.contains("wal") && !name.contains("chunks_head")), "{left:?}");
        assert!(
            !left.iter().any(|name| name.contains("series_state") || name.contains("import")),
            "{left:?}"
        );
        drop(db);
        assert_eq!(floats_of(&open(&fs).unwrap()), floats, "after another start");
    }
}

#[test]
fn a_checkpoint_goes_before_the_segments_behind_it() {
    let fs = SimFs::new();
    let floats = three_hours();
    let records = commits(&floats);
    let (old, new) = records.split_at(100);
    let checkpoint: Vec<Vec<u8>> = std::iter::once(definitions(&floats)).chain(old.to_vec()).collect();
    put(&fs, "wal/checkpoint.00000004/00000000", &segment(&checkpoint, Compression::Snappy));
    put(&fs, "wal/checkpoint.00000003/00000000", b"an older one");
    put(&fs, "wal/checkpoint.00000005.tmp/00000000", b"one that was being written");
    put(&fs, "wal/00000004", b"the checkpoint has it");
    put(&fs, "wal/00000005", &segment(&new[..40], Compression::None));
    put(&fs, "wal/00000006", &segment(&new[40..], Compression::Zstd));
    let db = open(&fs).unwrap();
    assert_eq!(floats_of(&db), floats);
    assert!(db.damage().is_empty());
}

#[test]
fn every_kind_of_histogram_comes_in() {
    let integer = |n| HistogramValue::Integer(histogram(n));
    let float = |n| HistogramValue::Float(float_histogram(&histogram(n)));
    let custom = |n| HistogramValue::Integer(custom_histogram(n));
    let custom_float = |n| HistogramValue::Float(float_histogram(&custom_histogram(n)));
    let kinds: [&dyn Fn(u64) -> HistogramValue; 4] = [&integer, &float, &custom, &custom_float];
    for starts in [false, true] {
        let fs = SimFs::new();
        let mut records = vec![series(&(0..4).map(|i| (i, labels(i))).collect::<Vec<_>>())];
        for n in 0..50 {
            for (i, kind) in kinds.iter().enumerate() {
                records.push(histograms(&[(i as u64, START + n as i64 * 15_000, kind(n))], starts));
            }
        }
        put(&fs, "wal/00000000", &segment(&records, Compression::Snappy));
        let db = open(&fs).unwrap();
        let found = columns_of(&db, &[]);
        assert_eq!(found.len(), 4);
        for (i, (of, columns)) in found.iter().enumerate() {
            assert_eq!(*of, labels(i as u64));
            assert_eq!(columns.histograms.len(), 50);
            for (n, histogram) in columns.histograms.iter().enumerate() {
                let expected = match kinds[i](n as u64) {
                    HistogramValue::Integer(h) => float_histogram(&h),
                    HistogramValue::Float(h) => h,
                };
                assert_eq!(histogram.positive_buckets, expected.positive_buckets, "{i} {n}");
                assert_eq!((histogram.count, histogram.sum), (expected.count, expected.sum));
                assert_eq!(histogram.custom_values, expected.custom_values);
            }
        }
    }
}

#[test]
fn samples_with_start_times_and_exemplars_come_in_and_deleted_ones_do_not() {
    let fs = SimFs::new();
    let rows: Vec<(u64, i64, f64)> =
        (0..20).flat_map(|t| (0..3).map(move |i| (i, START + t * 1000, t as f64))).collect();
    let trace = |n: i64| Labels::from_pairs([("trace_id", n.to_string())]);
    let records = [
        series(&(0..3).map(|i| (i, labels(i))).collect::<Vec<_>>()),
        metadata(0),
        floats_with_starts(&rows),
        exemplars(&[(0, START, (0.5, trace(1))), (2, START + 1000, (1.5, trace(2)))]),
        tombstones(&[(1, Interval { mint: START, maxt: START + 9999 })]),
        vec![99, 1, 2, 3],
        vec![14, 0, 0, 0, 0, 0, 0, 0, 0],
    ];
    put(&fs, "wal/00000000", &segment(&records, Compression::None));
    let db = open(&fs).unwrap();
    let found = floats_of(&db);
    assert_eq!(
        found.iter().map(|(i, samples)| (*i, samples.len())).collect::<Vec<_>>(),
        [(0, 20), (1, 10), (2, 20)]
    );
    assert_eq!(found[&1].keys().next(), Some(&(START + 10_000)));
    assert!(db.damage().is_empty());
    drop(db);
    let db = open(&fs).unwrap();
    let known = db.families();
    let (name, of) = (labels(0).metric_name().to_owned(), &known[0].metadata);
    assert_eq!((known.len(), &known[0].name, of.metric_type), (1, &name, MetricType::Counter));
    assert_eq!((&*of.help, &*of.unit), ("What it is.", "seconds"));
    let found = db.exemplars(&[vec![]], i64::MIN, i64::MAX);
    let found: Vec<_> =
        found.iter().map(|(of, list)| (of.clone(), list[0].value, list[0].labels.clone())).collect();
    assert_eq!(found, [(labels(0), 0.5, trace(1)), (labels(2), 1.5, trace(2))], "after another start");
}

#[test]
fn what_is_older_out_of_order_or_in_blocks_already_comes_in_once() {
    let fs = SimFs::new();
    let mut floats = three_hours();
    put(&fs, "wal/00000000", &log_of(&floats, Compression::Snappy));
    let db = open(&fs).unwrap();
    // Deleted from a block, while the log still has it.
    db.delete(&[Matcher::equal("i", "003")], START, START + HOUR, &Cancel::new()).unwrap();
    drop(db);
    floats.get_mut(&3).unwrap().retain(|time, _| *time > START + HOUR);
    let in_blocks: u64 = 8 * 180;

    let mut late = Floats::new();
    for i in 0..100 {
        // A month ago, and between the samples that are there.
        late.entry(1 + i % 8).or_default().insert(START - 30 * 24 * HOUR + i as i64 * 60_000, i);
        late.entry(1 + i % 8).or_default().insert(START + 30_000 + i as i64 * 60_000, i);
    }
    let both: Vec<Vec<u8>> = [definitions(&floats)]
        .into_iter()
        .chain(commits(&three_hours()))
        .chain([self::floats(&rows(&late).collect::<Vec<_>>())])
        .collect();
    put(&fs, "wal/00000000", &segment(&both, Compression::Snappy));
    put(
        &fs,
        "wbl/00000000",
        &segment(&[self::floats(&rows(&late).collect::<Vec<_>>()), vec![5]], Compression::None),
    );
    let db = open(&fs).unwrap();
    for (series, samples) in &late {
        floats.entry(*series).or_default().extend(samples);
    }
    assert_eq!(floats_of(&db), floats);
    assert_eq!(samples_in_blocks(&db), in_blocks + 200);
    assert!(db.damage().is_empty());
}

#[test]
fn chunk_files_bring_what_the_log_lost() {
    let fs = SimFs::new();
    let floats = three_hours();
    let chunk = |series: u64, from: usize, to: usize| {
        let (times, values): (Vec<i64>, Vec<f64>) = floats[&series]
            .iter()
            .map(|(t, bits)| (*t, f64::from_bits(*bits)))
            .skip(from)
            .take(to - from)
            .unzip();
        (series, times[0], times[times.len() - 1], Encoding::Xor, xor::encode(&times, &values))
    };
    let records: Vec<Vec<u8>> =
        std::iter::once(definitions(&floats)).chain(commits(&floats).into_iter().skip(60)).collect();
    put(&fs, "wal/00000003", &segment(&records, Compression::None));
    let chunks: Vec<_> = (1..9).flat_map(|series| [chunk(series, 0, 90), chunk(series, 90, 120)]).collect();
    let mut file = head_chunks(&chunks);
    let len = file.len();
    file.extend_from_slice(&head_chunks(&[chunk(1, 120, 180)])[8..40]);
    put(&fs, "chunks_head/000001", &file);
    put(
        &fs,
        "chunks_head/000002",
        &[head_chunks(&[(77, 0, 0, Encoding::Xor, vec![0, 0])]), vec![0; 100]].concat(),
    );
    let db = open(&fs).unwrap();
    assert_eq!(floats_of(&db), floats);
    assert_eq!(samples_in_blocks(&db), 8 * 180);
    assert!(db.damage().is_empty(), "a chunk that was being written isn't damage");
    drop(db);

    let fs = SimFs::new();
    put(&fs, "wal/00000003", &segment(&records, Compression::None));
    file.truncate(len);
    file[len - 3] ^= 1;
    put(&fs, "chunks_head/000001", &file);
    let db = open(&fs).unwrap();
    let lost =
        floats_of(&db).iter().map(|(series, samples)| floats[series].len() - samples.len()).sum::<usize>();
    assert_eq!(lost, 0, "the log has what the damaged chunk had");
    assert_eq!(db.damage().len(), 1);
    let kept = "/data/set-aside/prometheus-head.1";
    assert!(leftovers(&fs).contains(&format!("{kept}/chunks_head/000001")), "{:?}", leftovers(&fs));
    assert!(leftovers(&fs).contains(&format!("{kept}/wal/00000003")));
}

#[test]
fn a_crash_at_any_moment_loses_nothing_and_doubles_nothing() {
    let before = SimFs::new();
    let floats = three_hours();
    let late: Vec<(u64, i64, f64)> = (1..9).map(|i| (i, START - 5 * HOUR, 1.0)).collect();
    put(&before, "wal/00000000", &log_of(&floats, Compression::Snappy));
    put(&before, "wal/00000001", &segment(&[self::floats(&late)], Compression::None));
    put(&before, "wbl/00000000", &segment(&[self::floats(&late)], Compression::None));
    put(&before, "chunks_head/000001", &head_chunks(&[]));
    let mut expected = floats;
    for (i, t, value) in &late {
        expected.get_mut(i).unwrap().insert(*t, value.to_bits());
    }
    let calls = {
        let fs = before.after_kill();
        let begin = fs.calls();
        drop(open(&fs).unwrap());
        fs.calls() - begin
    };
    assert!(calls > 50, "{calls} calls to be failed");
    for fault in [Fault::Kill, Fault::Io, Fault::NoSpace] {
        for at in 0..calls {
            let fs = before.after_kill();
            fs.fail(at, fault, 1);
            drop(open(&fs));
            for (fs, what) in [(fs.after_kill(), "kill"), (fs.after_power_loss(), "power loss")] {
                let db = open(&fs).unwrap();
                assert_eq!(floats_of(&db), expected, "{what} after {fault:?} at call {at}");
                assert_eq!(samples_in_blocks(&db), 8 * 181, "{what} after {fault:?} at call {at}");
                assert!(db.damage().is_empty(), "{what} after {fault:?} at call {at}: {:?}", db.damage());
                let left = leftovers(&fs);
                assert!(left.iter().all(|name| !name.contains("wal") && !name.contains("wbl")), "{left:?}");
            }
        }
    }
}

#[test]
fn a_torn_end_is_not_damage_and_costs_one_record() {
    let floats = three_hours();
    let records: Vec<Vec<u8>> = std::iter::once(definitions(&floats)).chain(commits(&floats)).collect();
    let bytes = segment(&records, Compression::None);
    let sizes: Vec<usize> =
        (1..=records.len()).map(|n| segment(&records[..n], Compression::None).len()).collect();
    for cut in (0..bytes.len()).step_by(61) {
        let parts: Vec<Part<'_>> = Parts::new(&bytes[..cut]).collect();
        let whole = sizes.iter().filter(|size| **size <= cut).count();
        let read: Vec<&[u8]> = parts.iter().filter_map(record_of).collect();
        assert_eq!(read, records[..whole].iter().map(Vec::as_slice).collect::<Vec<_>>(), "cut at {cut}");
        assert!(parts.iter().all(|part| !matches!(part, Part::Damage { .. })), "cut at {cut}");
    }
}

fn record_of<'a>(part: &'a Part<'_>) -> Option<&'a [u8]> {
    match part {
        Part::Record(record) => Some(record),
        _ => None,
    }
}

proptest! {
    #[test]
    fn records_of_any_size_read_back(
        sizes in prop::collection::vec(prop_oneof![0..100_usize, 0..100_000_usize], 1..12),
        compression in prop::sample::select(vec![Compression::None, Compression::Snappy, Compression::Zstd]),
    ) {
        let records: Vec<Vec<u8>> =
            sizes.iter().map(|len| (0..*len).map(|at| (at * at / 7) as u8).collect()).collect();
        let bytes = segment(&records, compression);
        let parts: Vec<Part<'_>> = Parts::new(&bytes).collect();
        let expected: Vec<Part<'_>> = records.iter().map(|r| Part::Record(Cow::Borrowed(&r[..]))).collect();
        prop_assert_eq!(parts, expected);
    }

    #[test]
    fn a_flipped_bit_costs_the_records_of_a_page_at_most(
        sizes in prop::collection::vec(1..5_000_usize, 30..60),
        place in any::<prop::sample::Index>(),
        bit in 0..8_u32,
    ) {
        let records: Vec<Vec<u8>> =
            sizes.iter().enumerate().map(|(nth, len)| vec![nth as u8; *len]).collect();
        let mut bytes = segment(&records, Compression::None);
        let at = place.index(bytes.len());
        bytes[at] ^= 1 << bit;
        let parts: Vec<Part<'_>> = Parts::new(&bytes).collect();
        let read: BTreeSet<&[u8]> = parts.iter().filter_map(record_of).collect();
        let (from, to) = (at / PAGE_BYTES * PAGE_BYTES, (at / PAGE_BYTES + 1) * PAGE_BYTES);
        for n in 0..records.len() {
            let begin = segment(&records[..n], Compression::None).len();
            let end = segment(&records[..=n], Compression::None).len();
            prop_assert!(end > from && begin < to || read.contains(&records[n][..]), "record {} is lost", n);
        }
        // A bit of the compression's flag makes other bytes of the same ones; all else is caught.
        let known = |record: &&[u8]| records.iter().any(|known| known == record);
        prop_assert!(read.iter().all(known));
    }

    #[test]
    fn no_bytes_make_the_readers_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        Parts::new(&bytes).for_each(drop);
        for kind in 0..16 {
            let record: Vec<u8> = std::iter::once(kind).chain(bytes.iter().copied()).collect();
            let _ = super::record::read(&record, &mut |_| {});
        }
        let file = [vec![0x01, 0x30, 0xbc, 0x91, 1, 0, 0, 0], bytes].concat();
        let read: Result<_, ()> = super::head_chunks::read(&file, |_| Ok(()));
        prop_assert!(read.is_ok());
    }
}
