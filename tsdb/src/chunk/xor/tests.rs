use proptest::prelude::*;

use super::*;
use crate::chunk::testing::{floats, timestamps};

fn decode(bytes: &[u8], mint: i64, maxt: i64) -> Result<(Vec<i64>, Vec<u64>), ChunkError> {
    let (mut ts, mut vs) = (Vec::new(), Vec::new());
    decode_into(bytes, mint, maxt, &mut ts, &mut vs)?;
    Ok((ts, vs.into_iter().map(f64::to_bits).collect()))
}

fn bits(values: &[f64]) -> Vec<u64> {
    values.iter().map(|v| v.to_bits()).collect()
}

#[test]
fn the_bytes_are_those_of_the_format() {
    // Three samples at 0, 1000 and 2000 ms: 1.0, 1.0, 2.0. By hand from the format's description.
    let expected = [
        0x00,
        0x03, // three samples
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
        // 0 same value | 0 same difference | 11 new window, 00001 leading, 001011 significant, 11 ones
        0b0011_0000,
        0b1001_0111,
        0b1111_1111,
        0b1100_0000,
    ];
    assert_eq!(encode(&[0, 1000, 2000], &[1.0, 1.0, 2.0]), expected);
}

#[test]
fn the_sizes_of_differences_of_differences_end_where_the_format_says() {
    for (dod, size) in [
        (1, 16),
        (-8191, 16),
        (8192, 16),
        (-8192, 20),
        (8193, 20),
        (-65535, 20),
        (65536, 20),
        (-65536, 24),
        (65537, 24),
        (-524287, 24),
        (524288, 24),
        (-524288, 68),
        (524289, 68),
    ] {
        let mut state = AppendState::new();
        let mut buffer = [0; 80];
        append(&mut state, &mut buffer, 0, 1.0);
        append(&mut state, &mut buffer, 1_000_000, 1.0);
        let before = state.bit_len;
        append(&mut state, &mut buffer, 2_000_000 + dod, 1.0);
        assert_eq!(state.bit_len - before, size + 1, "{dod}");
    }
}

#[test]
fn the_state_is_small_enough_to_sit_in_a_series_record() {
    assert!(size_of::<AppendState>() <= 40);
}

#[test]
fn a_chunk_that_went_on_with_an_unset_window_is_read() {
    // The reference forgets on a restart that no window was set and then reuses one of all 64 bits.
    let mut state = AppendState::new();
    let mut buffer = [0; 64];
    append(&mut state, &mut buffer, 0, 1.0);
    append(&mut state, &mut buffer, 10, 1.0);
    let mut bits = BitSlice::new(&mut buffer, state.bit_len as usize);
    bits.put(0b010, 3);
    bits.put(1.0f64.to_bits() ^ 3.5f64.to_bits(), 64);
    state.bit_len = bits.position() as u32;
    state.samples = 3;
    let bytes = state.finish(&mut buffer);
    assert_eq!(last_sample(bytes), Ok(Some((20, 3.5))));
}

#[test]
fn an_empty_chunk_has_no_samples() {
    assert_eq!(encode(&[], &[]), [0, 0]);
    assert_eq!(last_sample(&[0, 0]), Ok(None));
    assert_eq!(decode(&[0, 0], i64::MIN, i64::MAX), Ok((vec![], vec![])));
    assert_eq!(AppendState::resume(&[0, 0]), Ok(AppendState::new()));
}

#[test]
fn what_is_cut_off_is_an_error_and_leaves_the_columns_alone() {
    let ts: Vec<i64> = (0..100).map(|i| i * 15_000 + i % 7).collect();
    let vs: Vec<f64> = ts.iter().map(|t| (*t as f64).sqrt()).collect();
    let whole = encode(&ts, &vs);
    for len in 0..whole.len() {
        let (mut ts, mut vs) = (vec![7], vec![7.0]);
        let result = decode_into(&whole[..len], i64::MIN, i64::MAX, &mut ts, &mut vs);
        assert!(result.is_err(), "{len}");
        assert_eq!((ts, vs), (vec![7], vec![7.0]), "{len}");
    }
}

#[test]
fn a_count_that_the_bytes_cannot_hold_allocates_nothing() {
    let (mut ts, mut vs) = (Vec::new(), Vec::new());
    let result = decode_into(&[0xff, 0xff, 0, 0], i64::MIN, i64::MAX, &mut ts, &mut vs);
    assert_eq!((result, ts.capacity(), vs.capacity()), (Err(ChunkError::Truncated), 0, 0));
}

proptest! {
    #[test]
    fn what_was_encoded_is_decoded(ts in timestamps(0..300), vs in floats(300)) {
        let vs = &vs[..ts.len()];
        let bytes = encode(&ts, vs);
        prop_assert_eq!(decode(&bytes, i64::MIN, i64::MAX), Ok((ts.clone(), bits(vs))));
        prop_assert_eq!(
            last_sample(&bytes).map(|last| last.map(|(t, v)| (t, v.to_bits()))),
            Ok(ts.last().map(|t| (*t, vs[ts.len() - 1].to_bits())))
        );
    }

    #[test]
    fn a_range_has_the_samples_of_the_range(ts in timestamps(1..200), vs in floats(200), a: prop::sample::Index, b: prop::sample::Index, near in -1..=1i64) {
        let bytes = encode(&ts, &vs[..ts.len()]);
        let (mint, maxt) = (ts[a.index(ts.len())].saturating_add(near), ts[b.index(ts.len())]);
        let expected: (Vec<i64>, Vec<u64>) =
            ts.iter().zip(bits(&vs)).filter(|(t, _)| (mint..=maxt).contains(*t)).unzip();
        prop_assert_eq!(decode(&bytes, mint, maxt), Ok(expected));
    }

    #[test]
    fn reading_ends_at_the_first_sample_after_the_range_even_if_times_fall(ts in prop::collection::vec(-2000..2000i64, 1..200), vs in floats(200), mint in -2000..2000i64, maxt in -2000..2000i64, step in 0..3i64) {
        // With a step the times rise mostly.
        let ts: Vec<i64> = (0..).zip(ts).map(|(i, t)| t + i * step * 100).collect();
        let bytes = encode(&ts, &vs[..ts.len()]);
        let wanted = ts.iter().copied().zip(bits(&vs)).take_while(|(t, _)| *t <= maxt);
        let expected: (Vec<i64>, Vec<u64>) = wanted.filter(|(t, _)| *t >= mint).unzip();
        prop_assert_eq!(decode(&bytes, mint, maxt), Ok(expected));
    }

    #[test]
    fn regular_times_that_fall_or_overflow_are_cut_at_the_range(start: i64, delta: i64, count in 1..300usize, mint: i64, maxt: i64) {
        let ts: Vec<i64> = (0..count as i64).map(|i| start.wrapping_add(delta.wrapping_mul(i))).collect();
        let bytes = encode(&ts, &vec![1.5; count]);
        let wanted = ts.iter().copied().take_while(|t| *t <= maxt);
        let expected: Vec<i64> = wanted.filter(|t| *t >= mint).collect();
        prop_assert_eq!(decode(&bytes, mint, maxt).map(|decoded| decoded.0), Ok(expected));
    }

    #[test]
    fn long_runs_of_one_value_end_where_another_begins(lens in prop::collection::vec(1..400usize, 1..6), odd in any::<bool>()) {
        let vs: Vec<f64> = (0..).zip(&lens).flat_map(|(i, len)| std::iter::repeat_n(f64::from(i) * 0.1, *len)).collect();
        let ts: Vec<i64> = (0..vs.len() as i64).map(|i| i * 10 + i64::from(odd && i > 70)).collect();
        prop_assert_eq!(decode(&encode(&ts, &vs), i64::MIN, i64::MAX), Ok((ts, bits(&vs))));
    }

    #[test]
    fn going_on_is_the_same_as_never_having_stopped(ts in timestamps(1..100), vs in floats(100), stop: prop::sample::Index) {
        let stop = stop.index(ts.len());
        let mut resumed = AppendState::resume(&encode(&ts[..stop], &vs[..stop])).unwrap();
        let mut buffer = encode(&ts[..stop], &vs[..stop]);
        buffer.resize(HEADER_BYTES + ts.len() * SAMPLE_BYTES_MAX, 0xaa);
        for (t, v) in ts.iter().zip(&vs).skip(stop) {
            let room = resumed.byte_len() + SAMPLE_BYTES_MAX;
            append(&mut resumed, &mut buffer[..room], *t, *v);
        }
        prop_assert_eq!(resumed.finish(&mut buffer), encode(&ts, &vs[..ts.len()]));
    }

    #[test]
    fn arbitrary_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..400), mint: i64, maxt: i64) {
        if let Ok((ts, _)) = decode(&bytes, mint, maxt) {
            prop_assert!(ts.iter().all(|t| (mint..=maxt).contains(t)));
        }
        let _ = AppendState::resume(&bytes);
    }

    #[test]
    fn damaged_chunks_are_read_or_refused(ts in timestamps(1..100), vs in floats(100), at: prop::sample::Index, flip: u8) {
        let mut bytes = encode(&ts, &vs[..ts.len()]);
        let at = at.index(bytes.len());
        bytes[at] ^= flip;
        let _ = decode(&bytes, i64::MIN, i64::MAX);
        let _ = last_sample(&bytes);
    }
}
