use proptest::prelude::*;

use super::*;
use crate::chunk::testing::{floats, timestamps};

type Columns = (Vec<i64>, Vec<u64>, Vec<i64>);

fn decode(bytes: &[u8], mint: i64, maxt: i64) -> Result<Columns, ChunkError> {
    let (mut ts, mut vs, mut starts) = (Vec::new(), Vec::new(), Vec::new());
    decode_into(bytes, mint, maxt, &mut ts, &mut vs, &mut starts)?;
    Ok((ts, vs.into_iter().map(f64::to_bits).collect(), starts))
}

/// Start timestamps that change now and then, or never.
fn starts(len: usize) -> impl Strategy<Value = Vec<i64>> {
    let next = prop_oneof![20 => Just(None), 1 => (0..2_000_000_000_000_i64).prop_map(Some), 1 => any::<i64>().prop_map(Some)];
    let changing = prop::collection::vec(next, len).prop_map(|changes| {
        let mut last = 0;
        changes
            .into_iter()
            .map(|change: Option<i64>| {
                last = change.unwrap_or(last);
                last
            })
            .collect()
    });
    prop_oneof![changing, any::<i64>().prop_map(move |start| vec![start; len])]
}

#[test]
fn the_bytes_are_those_of_the_format() {
    // 0, 1000, 2000, 3001 ms: 1.0, 1.0, stale, 1.0. By hand from the format's description.
    let expected = [
        0x00,
        0x04,
        0x00, // four samples, no start timestamps
        0x00, // timestamp 0
        0x3f,
        0xf0,
        0,
        0,
        0,
        0,
        0,
        0, // 1.0
        0xe8,
        0x07, // difference 1000
        // 0 same | 11111 regular and stale | 110 0000000000001 one later | 0 same
        0b0111_1111,
        0b0000_0000,
        0b0000_0100,
    ];
    assert_eq!(encode(&[0, 1000, 2000, 3001], &[1.0, 1.0, STALE_NAN, 1.0], &[]), expected);
}

#[test]
fn start_timestamps_are_aligned_with_what_is_there() {
    let bytes = encode(&[10, 20, 30], &[1.0, 2.0, 3.0], &[5, 5, 25]);
    let (mut ts, mut vs, mut starts) = (vec![0], vec![0.0], vec![]);
    decode_into(&bytes, 15, 99, &mut ts, &mut vs, &mut starts).unwrap();
    assert_eq!((ts, vs, starts), (vec![0, 20, 30], vec![0.0, 2.0, 3.0], vec![0, 5, 25]));
    let (mut ts, mut vs, mut starts) = (vec![0], vec![0.0], vec![7]);
    decode_into(&encode(&[10], &[1.0], &[]), 0, 99, &mut ts, &mut vs, &mut starts).unwrap();
    assert_eq!(starts, [7, 0]);
}

proptest! {
    #[test]
    fn what_was_encoded_is_decoded(ts in timestamps(0..300), vs in floats(300)) {
        let vs = &vs[..ts.len()];
        let bits: Vec<u64> = vs.iter().map(|v| v.to_bits()).collect();
        prop_assert_eq!(decode(&encode(&ts, vs, &[]), i64::MIN, i64::MAX), Ok((ts, bits, vec![])));
    }

    #[test]
    fn start_timestamps_are_decoded(ts in timestamps(0..300), vs in floats(300), starts in starts(300), mint: i64) {
        let (vs, starts) = (&vs[..ts.len()], &starts[..ts.len()]);
        let from = ts.partition_point(|t| *t < mint);
        let (_, _, read) = decode(&encode(&ts, vs, starts), mint, i64::MAX).unwrap();
        let expected = if starts[from..].iter().all(|s| *s == 0) { vec![] } else { starts[from..].to_vec() };
        prop_assert_eq!(read, expected);
    }

    #[test]
    fn a_range_has_the_samples_of_the_range(ts in timestamps(1..200), vs in floats(200), a: prop::sample::Index, b: prop::sample::Index) {
        let bytes = encode(&ts, &vs[..ts.len()], &[]);
        let (mint, maxt) = (ts[a.index(ts.len())], ts[b.index(ts.len())]);
        let expected: (Vec<i64>, Vec<u64>) =
            ts.iter().zip(&vs).filter(|(t, _)| (mint..=maxt).contains(*t)).map(|(t, v)| (*t, v.to_bits())).unzip();
        let (ts, vs, _) = decode(&bytes, mint, maxt).unwrap();
        prop_assert_eq!((ts, vs), expected);
    }

    #[test]
    fn arbitrary_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..400), mint: i64, maxt: i64) {
        let _ = decode(&bytes, mint, maxt);
    }
}
