//! Streams of floats: what is encoded is decoded, bit for bit.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tsdb::chunk::{xor, xor2};

fuzz_target!(|samples: Vec<(i64, u64)>| {
    let (timestamps, bits): (Vec<i64>, Vec<u64>) = samples.into_iter().take(xor::SAMPLES_MAX.into()).unzip();
    let values: Vec<f64> = bits.iter().map(|bits| f64::from_bits(*bits)).collect();
    let (mut ts, mut vs, mut starts) = (Vec::new(), Vec::new(), Vec::new());
    xor::decode_into(&xor::encode(&timestamps, &values), i64::MIN, i64::MAX, &mut ts, &mut vs).unwrap();
    assert_eq!(ts, timestamps);
    assert!(vs.iter().map(|value| value.to_bits()).eq(bits.iter().copied()));
    ts.clear();
    vs.clear();
    let bytes = xor2::encode(&timestamps, &values, &[]);
    xor2::decode_into(&bytes, i64::MIN, i64::MAX, &mut ts, &mut vs, &mut starts).unwrap();
    assert_eq!(ts, timestamps);
    assert!(vs.iter().map(|value| value.to_bits()).eq(bits));
});
