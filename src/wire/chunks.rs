//! Samples as the storage's chunks and back, for remote read.

use model::storage::{HistogramValue, SampleColumns};
use model::time::TimestampMs;
use remote::read::{Chunk, ChunkDecoder, ChunkEncoder};
use tsdb::chunk::histogram::HistogramAppender;
use tsdb::chunk::{Encoding, xor};

/// As in blocks: few enough for a reader that wants one sample.
const SAMPLES_MAX: usize = 120;

/// Makes and reads chunks in Prometheus's encodings.
#[derive(Debug)]
pub(super) struct Chunks;

impl ChunkEncoder for Chunks {
    fn encode(&self, samples: &SampleColumns, out: &mut Vec<Chunk>) {
        let (mut floats, mut histograms) = (0, 0);
        let mut previous = None;
        loop {
            let next_float = samples.timestamps.get(floats).copied();
            let next_histogram = samples.histogram_timestamps.get(histograms).copied();
            match (next_float, next_histogram) {
                (None, None) => return,
                (Some(float), histogram) if histogram.is_none_or(|histogram| float < histogram) => {
                    let before = |timestamp: &i64| histogram.is_none_or(|histogram| *timestamp < histogram);
                    let run = samples.timestamps[floats..].partition_point(before).min(SAMPLES_MAX);
                    out.push(float_chunk(samples, floats..floats + run));
                    floats += run;
                }
                (float, _) => {
                    let before = |timestamp: &i64| float.is_none_or(|float| *timestamp < float);
                    let run = samples.histogram_timestamps[histograms..].partition_point(before);
                    let run = histograms..histograms + run.clamp(1, SAMPLES_MAX);
                    let (chunk, taken) = histogram_chunk(samples, run, &mut previous);
                    out.push(chunk);
                    histograms += taken;
                }
            }
        }
    }
}

impl ChunkDecoder for Chunks {
    fn decode(
        &self,
        chunk: &Chunk,
        (mint, maxt): (TimestampMs, TimestampMs),
        out: &mut SampleColumns,
    ) -> Result<(), String> {
        let encoding = Encoding::from_u8(chunk.encoding).map_err(|error| error.to_string())?;
        tsdb::chunk::decode_into(encoding, &chunk.bytes, mint, maxt, out).map_err(|error| error.to_string())
    }
}

fn float_chunk(samples: &SampleColumns, run: std::ops::Range<usize>) -> Chunk {
    let timestamps = &samples.timestamps[run.clone()];
    Chunk {
        mint: timestamps.first().copied().unwrap_or_default(),
        maxt: timestamps.last().copied().unwrap_or_default(),
        encoding: Encoding::Xor as u8,
        bytes: xor::encode(timestamps, &samples.values[run]),
    }
}

/// A chunk of as many histograms of the run as fit together, and how many those are.
fn histogram_chunk(
    samples: &SampleColumns,
    run: std::ops::Range<usize>,
    previous: &mut Option<HistogramAppender>,
) -> (Chunk, usize) {
    let value = |index: usize| HistogramValue::Float((*samples.histograms[index]).clone());
    let mint = samples.histogram_timestamps[run.start];
    let mut chunk = HistogramAppender::new(mint, &value(run.start), previous.as_ref());
    let more = (run.start + 1..run.end)
        .take_while(|index| chunk.append(samples.histogram_timestamps[*index], &value(*index)))
        .count();
    let encoded = Chunk {
        mint,
        maxt: chunk.last_timestamp(),
        encoding: chunk.encoding() as u8,
        bytes: chunk.bytes().to_vec(),
    };
    *previous = Some(chunk);
    (encoded, more + 1)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use model::histogram::{FloatHistogram, Span};

    use super::*;

    fn histogram(count: f64) -> Arc<FloatHistogram> {
        Arc::new(FloatHistogram {
            count,
            sum: count,
            positive_spans: vec![Span { offset: 0, length: 1 }],
            positive_buckets: vec![count],
            ..FloatHistogram::default()
        })
    }

    #[test]
    fn chunks_hold_all_samples_in_order_of_time() {
        let mut samples = SampleColumns::default();
        for t in (0..1000).filter(|t| t % 300 != 299) {
            samples.timestamps.push(t);
            samples.values.push(t as f64 / 3.0);
        }
        for (t, count) in [(299, 5.0), (599, 7.0), (1001, 3.0), (1002, 4.0)] {
            samples.histogram_timestamps.push(t);
            samples.histograms.push(histogram(count));
        }
        let mut chunks = Vec::new();
        Chunks.encode(&samples, &mut chunks);
        assert!(chunks.windows(2).all(|pair| pair[0].maxt < pair[1].mint), "no two overlap");
        let mut decoded = SampleColumns::default();
        for chunk in &chunks {
            let encoding = Encoding::from_u8(chunk.encoding).unwrap();
            let count = usize::from(tsdb::chunk::sample_count(encoding, &chunk.bytes).unwrap());
            assert!(count <= SAMPLES_MAX, "{count}");
            tsdb::chunk::decode_into(encoding, &chunk.bytes, chunk.mint, chunk.maxt, &mut decoded).unwrap();
        }
        assert_eq!(decoded.timestamps, samples.timestamps);
        assert_eq!(decoded.values, samples.values);
        assert_eq!(decoded.histogram_timestamps, samples.histogram_timestamps);
        let counts = |columns: &SampleColumns| columns.histograms.iter().map(|h| h.count).collect::<Vec<_>>();
        assert_eq!(counts(&decoded), counts(&samples));
    }
}
