//! Bodies of the fuzz targets of formats that are private to this crate: the log, checkpoints, head chunks.
//!
//! The bytes become a file of a data directory, which is opened, read and closed. Nothing may panic, and what a
//! log gives ascends in time. A checkpoint is believed where its checksums are right: chunks that contradict each
//! other can be in it only if they were so in memory. The tests here do the same with changed files of a real directory; `FUZZ_RUNS` says with
//! how many.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use model::cancel::Cancel;
use model::storage::{Queryable, SampleColumns, SelectHints};
use model::time::ManualClock;
use prometheus::Registry;

use crate::fs::Fs;
use crate::fs::sim::SimFs;
use crate::head_chunks::{HeadChunks, Location};
use crate::wal::{checkpoint, frame, segment};
use crate::{Db, Options};

const DIR: &str = "/data";

/// A segment of the log.
pub fn log_segment(bytes: &[u8]) {
    open_and_read("wal/00000001", bytes.to_vec(), Times::Ascend);
}

/// A segment of records, each in a frame whose checksum is right.
pub fn log_records(records: &[&[u8]]) {
    open_and_read("wal/00000001", framed(segment::MAGIC, segment::HEADER_BYTES, records), Times::Ascend);
}

/// A checkpoint of payloads, each in a frame whose checksum is right.
pub fn checkpoint(payloads: &[&[u8]]) {
    let file = framed(checkpoint::MAGIC, checkpoint::HEADER_BYTES, payloads);
    open_and_read("checkpoint.00000001", file, Times::Any);
}

/// A file of head chunks, read from an offset.
pub fn head_chunks(bytes: &[u8], offset: u32) {
    let fs = SimFs::new();
    let path = put_file(&fs, "chunks/000001", bytes.to_vec());
    let dir = path.parent().unwrap_or(&path).to_owned();
    let Ok(chunks) = HeadChunks::open(Arc::new(fs), dir) else { return };
    let location = Location::from_bits(1 << 28 | u64::from(offset));
    chunks.adopt(location);
    // Damage is an error; anything but a panic will do.
    let _ = chunks.reader().read(location, &mut Vec::new());
}

fn framed(magic: &[u8], header_bytes: usize, payloads: &[&[u8]]) -> Vec<u8> {
    let mut file = magic.to_vec();
    file.resize(header_bytes, 0);
    file[magic.len()] = 1;
    for (number, payload) in payloads.iter().enumerate() {
        frame::put(&mut file, number as u64 + 1, payload);
    }
    file
}

fn put_file(fs: &SimFs, name: &str, content: Vec<u8>) -> PathBuf {
    let path = Path::new(DIR).join("head").join(name);
    let written = fs
        .create_dir_all(path.parent().unwrap_or(&path))
        .and_then(|()| fs.create(&path))
        .and_then(|mut file| file.append(&content));
    assert!(written.is_ok(), "the simulated file system takes everything");
    path
}

/// What is asked of the times of a series.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Times {
    Ascend,
    Any,
}

fn open_and_read(name: &str, content: Vec<u8>, times: Times) {
    let fs = SimFs::new();
    put_file(&fs, name, content);
    let options = Options { background: false, ..Options::default() };
    let clock = Arc::new(ManualClock::new(0));
    let opened = Db::open(Path::new(DIR), options, Arc::new(fs), clock, &Registry::new());
    let Ok(db) = opened else { panic!("damage never keeps a database from opening: {opened:?}") };
    let hints = SelectHints::new(i64::MIN, i64::MAX, &Cancel::new());
    let set = db.querier(i64::MIN, i64::MAX).and_then(|querier| querier.select(&[], &hints));
    let Ok(set) = set else { return };
    for series in 0..set.len() {
        let mut columns = SampleColumns::default();
        if set.read(series, i64::MIN, i64::MAX, &mut columns).is_ok() && times == Times::Ascend {
            assert!(columns.timestamps.is_sorted_by(|a, b| a < b), "times of {}", set.labels(series));
        }
    }
    // Without room for what was read it may fail, but not otherwise end.
    let _ = db.close();
}

#[cfg(test)]
mod tests {
    use model::metadata::{Metadata, MetricFamily};
    use model::storage::{Appender, Batch};

    use super::*;
    use crate::db::tests::{commit, labels};
    use crate::wal::frame::{Part, Parts};

    const RUNS_DEFAULT: u64 = 300;

    fn runs() -> u64 {
        std::env::var("FUZZ_RUNS").ok().and_then(|runs| runs.parse().ok()).unwrap_or(RUNS_DEFAULT)
    }

    /// The next number of a generator (Marsaglia's xorshift).
    fn random(state: &mut u64) -> usize {
        *state ^= *state << 13;
        *state ^= *state >> 7;
        *state ^= *state << 17;
        (*state >> 11) as usize
    }

    /// Changes some bytes: flips, sets to what decoders trip over, cuts out, doubles.
    fn change(bytes: &mut Vec<u8>, state: &mut u64) {
        for _ in 0..1 + random(state) % 4 {
            if bytes.is_empty() {
                return;
            }
            let at = random(state) % bytes.len();
            let to = (at + 1 + random(state) % 16).min(bytes.len());
            match random(state) % 6 {
                0 | 1 => bytes[at] ^= 1 << (random(state) % 8),
                2 => bytes[at] = [0, 1, 0x7f, 0x80, 0xff][random(state) % 5],
                3 => bytes[at..to].fill(0xff),
                4 => drop(bytes.drain(at..to)),
                _ => {
                    let copy = bytes[at..to].to_vec();
                    bytes.splice(at..at, copy);
                }
            }
        }
    }

    /// Says what the first series is, and of a family without series.
    fn tell(db: &Db, number: i64) {
        let family = |name: &str| {
            let metadata = Metadata { help: number.to_string(), ..Metadata::default() };
            Arc::new(MetricFamily { name: name.to_owned(), metadata })
        };
        let mut batch = Batch { families: vec![family("announced")], ..Batch::default() };
        let series = batch.add_series(labels(0));
        batch.metadata.push((series, family("metric")));
        db.commit(&batch).unwrap();
    }

    /// A file of a directory with floats, series that end, samples out of order, and metadata.
    fn file(name: &str) -> Vec<u8> {
        let fs = SimFs::new();
        let options = Options {
            background: false,
            samples_per_chunk: 16,
            out_of_order_time_window_ms: 600_000,
            ..Options::default()
        };
        let clock = Arc::new(ManualClock::new(0));
        let db = Db::open(Path::new(DIR), options, Arc::new(fs.clone()), clock, &Registry::new()).unwrap();
        for i in 0..60 {
            let time = 10_000 * i;
            commit(&db, &[(0, time, i as f64), (1, time, 0.5 / i as f64), (2 + i as usize % 3, time, 1.0)])
                .unwrap();
            commit(&db, &[(0, time - 15_000, 3.0)]).unwrap();
            if i % 4 == 0 {
                tell(&db, i);
            }
            if name != "wal" && i == 50 {
                db.checkpoint().unwrap();
            }
        }
        let (path, _) =
            fs.files().into_iter().find(|(path, _)| path.to_string_lossy().contains(name)).unwrap();
        fs.view(&path).unwrap().to_vec()
    }

    fn payloads(file: &[u8], header_bytes: usize) -> Vec<Vec<u8>> {
        Parts::new(file, header_bytes)
            .map(|part| match part {
                Part::Frame(frame) => frame.payload.into_owned(),
                Part::Damage { what, .. } => panic!("{what}"),
            })
            .collect()
    }

    /// Runs a body with payloads of which one is changed.
    fn with_changed_payloads(payloads: &[Vec<u8>], body: impl Fn(&[&[u8]])) {
        let mut state = 0x9e37_79b9_7f4a_7c15;
        for _ in 0..runs() {
            let mut changed = payloads.to_vec();
            let at = random(&mut state) % changed.len();
            change(&mut changed[at], &mut state);
            body(&changed.iter().map(Vec::as_slice).collect::<Vec<_>>());
        }
    }

    #[test]
    fn changed_log_segments_are_read() {
        let (file, mut state) = (file("wal"), 1);
        for _ in 0..runs() {
            let mut changed = file.clone();
            change(&mut changed, &mut state);
            log_segment(&changed);
        }
    }

    #[test]
    fn changed_records_are_read() {
        let payloads = payloads(&file("wal"), segment::HEADER_BYTES);
        // A few: the next one is often about the same series.
        with_changed_payloads(&payloads[..8], log_records);
    }

    #[test]
    fn changed_checkpoints_are_read() {
        with_changed_payloads(&payloads(&file("checkpoint"), checkpoint::HEADER_BYTES), checkpoint);
    }

    #[test]
    fn changed_head_chunks_are_read() {
        let (file, mut state) = (file("chunks"), 1);
        for _ in 0..runs() {
            let mut changed = file.clone();
            change(&mut changed, &mut state);
            let offset = random(&mut state) % (changed.len() + 8);
            head_chunks(&changed, if offset.is_multiple_of(2) { 16 } else { offset as u32 });
        }
    }
}
