//! Remote read, asked as Prometheus and Thanos ask.

use std::sync::Arc;

use model::cancel::Cancel;
use model::labels::Labels;
use model::matcher::{Matcher, all_match};
use model::storage::{
    LabelColumn, Querier, Queryable, SampleColumns, SampleValue, SelectHints, SeriesSet, StorageError,
};
use model::time::TimestampMs;
use prometheus::Registry;
use proptest::prelude::*;
use remote::read::{Answer, Chunk, ChunkEncoder, ReadOptions, Refusal, Server};
use remote::wire::{Fields, take_varint};

pub(crate) type Samples = Vec<(TimestampMs, f64)>;
/// A series of an answer: its labels as text.
type Answered = (String, Samples);
/// Time and data of a chunk.
type Data = (TimestampMs, Vec<u8>);

/// Series in memory.
#[derive(Clone, Debug)]
pub(crate) struct Memory(pub(crate) Vec<(Labels, Samples)>);

impl Queryable for Memory {
    fn querier(&self, _: TimestampMs, _: TimestampMs) -> Result<Box<dyn Querier>, StorageError> {
        Ok(Box::new(self.clone()))
    }
}

impl Querier for Memory {
    fn select(&self, matchers: &[Matcher], _: &SelectHints) -> Result<Box<dyn SeriesSet>, StorageError> {
        let series = self.0.iter().filter(|(labels, _)| all_match(matchers, labels));
        Ok(Box::new(Memory(series.cloned().collect())))
    }

    fn label_names(&self, _: &[Matcher], _: usize, _: &Cancel) -> Result<Vec<String>, StorageError> {
        Err(StorageError::NotReady)
    }

    fn label_values(
        &self,
        _: &str,
        _: &[Matcher],
        _: usize,
        _: &Cancel,
    ) -> Result<Vec<String>, StorageError> {
        Err(StorageError::NotReady)
    }
}

impl SeriesSet for Memory {
    fn len(&self) -> usize {
        self.0.len()
    }

    fn labels(&self, series: usize) -> Labels {
        self.0[series].0.clone()
    }

    fn label_column(&self, _: &str) -> LabelColumn<'_> {
        LabelColumn::default()
    }

    fn read(
        &self,
        series: usize,
        mint: TimestampMs,
        maxt: TimestampMs,
        out: &mut SampleColumns,
    ) -> Result<(), StorageError> {
        for (timestamp, value) in self.0[series].1.iter().filter(|(t, _)| (mint..=maxt).contains(t)) {
            out.timestamps.push(*timestamp);
            out.values.push(*value);
        }
        Ok(())
    }

    fn last(
        &self,
        _: usize,
        _: TimestampMs,
        _: TimestampMs,
    ) -> Result<Option<(TimestampMs, SampleValue)>, StorageError> {
        Err(StorageError::NotReady)
    }
}

/// A chunk for each sample: its value as bytes.
#[derive(Debug)]
pub(crate) struct Single;

impl ChunkEncoder for Single {
    fn encode(&self, samples: &SampleColumns, out: &mut Vec<Chunk>) {
        out.extend(samples.timestamps.iter().zip(&samples.values).map(|(timestamp, value)| Chunk {
            mint: *timestamp,
            maxt: *timestamp,
            encoding: 1,
            bytes: value.to_be_bytes().to_vec(),
        }));
    }
}

fn server(samples_max: usize, frame_bytes: usize) -> Server {
    let series = |job: &str, samples: &[(TimestampMs, f64)]| {
        (Labels::from_pairs([("__name__", "up"), ("job", job)]), samples.to_vec())
    };
    let storage = Memory(vec![
        series("b", &[(1, 1.0), (2, 2.0), (9, 9.0)]),
        series("a", &[(2, 20.0)]),
        (Labels::from_pairs([("__name__", "up"), ("region", "us")]), vec![(2, 30.0)]),
    ]);
    let options = ReadOptions { samples_max, concurrent_max: 1, frame_bytes };
    Server::new(options, Arc::new(storage), Arc::new(Single), &Registry::new()).unwrap()
}

fn field(out: &mut Vec<u8>, number: u8, bytes: &[u8]) {
    out.extend_from_slice(&[number << 3 | 2, u8::try_from(bytes.len()).unwrap()]);
    out.extend_from_slice(bytes);
}

fn number(out: &mut Vec<u8>, number: u8, value: u8) {
    assert!(value < 0x80, "test numbers are short");
    out.extend_from_slice(&[number << 3, value]);
}

fn query(maxt: u8, matchers: &[(u8, &str, &str)], hints: Option<&[u8]>) -> Vec<u8> {
    let mut query = Vec::new();
    number(&mut query, 2, maxt);
    for (op, name, value) in matchers {
        let mut matcher = Vec::new();
        number(&mut matcher, 1, *op);
        field(&mut matcher, 2, name.as_bytes());
        field(&mut matcher, 3, value.as_bytes());
        field(&mut query, 3, &matcher);
    }
    if let Some(hints) = hints {
        field(&mut query, 4, hints);
    }
    query
}

fn request(queries: &[Vec<u8>], accepted: &[u8]) -> Vec<u8> {
    let mut request = Vec::new();
    queries.iter().for_each(|query| field(&mut request, 1, query));
    accepted.iter().for_each(|accepted| number(&mut request, 2, *accepted));
    snap::raw::Encoder::new().compress_vec(&request).unwrap()
}

fn external() -> Labels {
    Labels::from_pairs([("region", "eu")])
}

fn samples(server: &Server, body: &[u8]) -> Result<Vec<u8>, Refusal> {
    match server.read(body, &external(), &Cancel::new())? {
        Answer::Samples(body) => Ok(snap::raw::Decoder::new().decompress_vec(&body).unwrap()),
        Answer::Chunks(_) => panic!("samples were asked for"),
    }
}

fn frames(server: &Server, body: &[u8]) -> Vec<Vec<u8>> {
    let Answer::Chunks(stream) = server.read(body, &external(), &Cancel::new()).unwrap() else {
        panic!("chunks were asked for")
    };
    let mut frames = Vec::new();
    let mut send = |frame| {
        frames.push(frame);
        true
    };
    stream.write(&mut send).unwrap();
    frames
}

/// The nested messages of a field.
fn nested(message: &[u8], wanted: u32) -> Vec<&[u8]> {
    let mut found = Vec::new();
    let mut fields = Fields::new(message);
    while let Some((number, field)) = fields.take_field().unwrap() {
        if number == wanted {
            found.push(field.bytes(number).unwrap());
        }
    }
    found
}

fn labels_text(series: &[u8]) -> String {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    let pairs = nested(series, 1).into_iter();
    let pairs: Vec<String> =
        pairs.map(|label| format!("{}={}", text(nested(label, 1)[0]), text(nested(label, 2)[0]))).collect();
    pairs.join(",")
}

/// Time and value of a `Sample`.
fn sample(message: &[u8]) -> (i64, f64) {
    let (mut timestamp, mut value) = (0, 0.0);
    let mut fields = Fields::new(message);
    while let Some((number, field)) = fields.take_field().unwrap() {
        match number {
            1 => value = field.double(number).unwrap(),
            _ => timestamp = field.int64(number).unwrap(),
        }
    }
    (timestamp, value)
}

/// The labels and samples of every series of every result.
fn results(response: &[u8]) -> Vec<Vec<Answered>> {
    let series = |series: &[u8]| (labels_text(series), nested(series, 2).into_iter().map(sample).collect());
    nested(response, 1)
        .into_iter()
        .map(|result| nested(result, 1).into_iter().map(series).collect())
        .collect()
}

#[test]
fn samples_come_sorted_with_external_labels() {
    let body =
        request(&[query(8, &[(0, "__name__", "up")], None), query(8, &[(2, "job", "a|x")], None)], &[]);
    let a = ("__name__=up,job=a,region=eu".to_owned(), vec![(2, 20.0)]);
    let b = ("__name__=up,job=b,region=eu".to_owned(), vec![(1, 1.0), (2, 2.0)]);
    let us = ("__name__=up,region=us".to_owned(), vec![(2, 30.0)]);
    let response = samples(&server(0, 100), &body).unwrap();
    assert_eq!(results(&response), [vec![a.clone(), b, us], vec![a]]);
}

#[test]
fn a_matcher_for_an_external_label_means_series_without_it() {
    for (matcher, series) in [((0, "region", "eu"), 2), ((0, "region", "us"), 1), ((1, "region", "us"), 2)] {
        let response = samples(&server(0, 100), &request(&[query(8, &[matcher], None)], &[0])).unwrap();
        assert_eq!(results(&response)[0].len(), series, "{matcher:?}");
    }
}

#[test]
fn hints_narrow_what_is_read() {
    let mut range = Vec::new();
    number(&mut range, 3, 2);
    number(&mut range, 4, 20);
    let response =
        samples(&server(0, 100), &request(&[query(8, &[(0, "job", "b")], Some(&range))], &[])).unwrap();
    assert_eq!(results(&response)[0][0].1, [(2, 2.0)]);
    let mut labels_only = Vec::new();
    field(&mut labels_only, 2, b"series");
    let response =
        samples(&server(0, 100), &request(&[query(8, &[(0, "job", "b")], Some(&labels_only))], &[])).unwrap();
    assert_eq!(results(&response)[0], [("__name__=up,job=b,region=eu".to_owned(), vec![])]);
}

#[test]
fn too_many_samples_are_refused() {
    let body = request(&[query(8, &[(0, "__name__", "up")], None)], &[]);
    assert!(samples(&server(4, 100), &body).is_ok());
    let refusal = Refusal { status: 400, message: "exceeded sample limit (3)".to_owned() };
    assert_eq!(samples(&server(3, 100), &body), Err(refusal));
}

/// Labels, query index, and the time and data of each chunk of a frame.
fn frame_parts(mut frame: &[u8]) -> (String, u64, Vec<Data>) {
    let len = take_varint(&mut frame).unwrap() as usize;
    let (checksum, message) = frame.split_first_chunk::<4>().unwrap();
    assert_eq!(message.len(), len);
    assert_eq!(u32::from_be_bytes(*checksum), crc32c::crc32c(message));
    let series = nested(message, 1)[0];
    let chunk = |chunk: &[u8]| {
        let (_, mint) = Fields::new(chunk).take_field().unwrap().unwrap();
        (mint.int64(1).unwrap(), nested(chunk, 4)[0].to_vec())
    };
    let (mut query_index, mut fields) = (0, Fields::new(message));
    while let Some((number, field)) = fields.take_field().unwrap() {
        if number == 2 {
            query_index = field.varint(number).unwrap();
        }
    }
    (labels_text(series), query_index, nested(series, 2).into_iter().map(chunk).collect())
}

#[test]
fn chunks_come_in_frames_that_are_cut_when_full() {
    let data = |value: f64| value.to_be_bytes().to_vec();
    let (a, b) = ("__name__=up,job=a,region=eu", "__name__=up,job=b,region=eu");
    let queries = [query(8, &[(0, "job", "b")], None), query(8, &[(2, "job", ".+")], None)];
    // Types that nobody knows are passed over.
    let body = request(&queries, &[7, 1, 0]);
    let wide: Vec<_> = frames(&server(0, 1 << 20), &body).iter().map(|frame| frame_parts(frame)).collect();
    let both = vec![(1, data(1.0)), (2, data(2.0))];
    assert_eq!(
        wide,
        [
            (b.to_owned(), 0, both.clone()),
            (a.to_owned(), 1, vec![(2, data(20.0))]),
            (b.to_owned(), 1, both.clone())
        ]
    );
    // Less than the labels leaves room for one chunk all the same.
    let narrow: Vec<_> =
        frames(&server(0, 1), &request(&queries[..1], &[1])).iter().map(|frame| frame_parts(frame)).collect();
    let one = |at: usize| (b.to_owned(), 0, vec![both[at].clone()]);
    assert_eq!(narrow, [one(0), one(1)]);
}

#[test]
fn a_client_that_goes_away_ends_the_stream_and_gives_up_its_turn() {
    let server = server(0, 1);
    let body = request(&[query(8, &[(0, "__name__", "up")], None)], &[1]);
    let Answer::Chunks(stream) = server.read(&body, &external(), &Cancel::new()).unwrap() else {
        panic!("chunks were asked for")
    };
    let cancelled = Cancel::new();
    cancelled.cancel();
    let waiting = server.read(&body, &external(), &cancelled).map(drop);
    assert_eq!(waiting, Err(Refusal { status: 500, message: "cancelled".to_owned() }));
    let mut sent = 0;
    let mut send = |_| {
        sent += 1;
        false
    };
    stream.write(&mut send).unwrap();
    assert_eq!(sent, 1);
    assert!(samples(&server, &request(&[query(8, &[], None)], &[])).is_ok());
}

#[test]
fn what_is_no_request_is_refused() {
    let server = server(0, 100);
    let compressed = |message: &[u8]| snap::raw::Encoder::new().compress_vec(message).unwrap();
    let good = request(&[query(8, &[(0, "__name__", "up")], None)], &[]);
    for (body, what) in [
        (b"no snappy".to_vec(), "snappy: "),
        (good[..good.len() - 3].to_vec(), "snappy: "),
        // Four gigabytes, so they say.
        (vec![0xff, 0xff, 0xff, 0xff, 0x0f, 0], "snappy: decoded block is too large"),
        (compressed(&[0x0a, 0x7f]), "unexpected EOF"),
        (request(&[query(8, &[(4, "job", "a")], None)], &[]), "invalid matcher type"),
        (request(&[query(8, &[(2, "job", "(")], None)], &[]), "error parsing regexp"),
        (request(&[], &[5]), "server does not support any of the requested response types: [5]"),
    ] {
        let refusal = server.read(&body, &external(), &Cancel::new()).map(drop).unwrap_err();
        assert_eq!(refusal.status, 400, "{refusal:?}");
        assert!(refusal.message.starts_with(what), "{refusal:?}, not {what}");
    }
}

proptest! {
    #[test]
    fn any_message_has_an_answer(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let body = snap::raw::Encoder::new().compress_vec(&bytes).unwrap();
        if let Err(refusal) = server(0, 100).read(&body, &external(), &Cancel::new()).map(drop) {
            prop_assert_eq!(refusal.status, 400);
        }
    }
}
