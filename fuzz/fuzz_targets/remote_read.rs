//! Any request of remote read is refused or answered from an empty storage.
#![no_main]

use std::sync::Arc;

use libfuzzer_sys::fuzz_target;
use model::cancel::Cancel;
use model::labels::Labels;
use model::storage::{Querier, Queryable, SampleColumns, StorageError};
use model::time::TimestampMs;
use prometheus::Registry;
use remote::read::{Answer, Chunk, ChunkEncoder, ReadOptions, Server};

#[derive(Debug)]
struct Closed;

impl Queryable for Closed {
    fn querier(&self, _: TimestampMs, _: TimestampMs) -> Result<Box<dyn Querier>, StorageError> {
        Err(StorageError::NotReady)
    }
}

impl ChunkEncoder for Closed {
    fn encode(&self, _: &SampleColumns, _: &mut Vec<Chunk>) {}
}

fuzz_target!(|body: &[u8]| {
    let options = ReadOptions { samples_max: 1, concurrent_max: 0, frame_bytes: 1 };
    let server = Server::new(options, Arc::new(Closed), Arc::new(Closed), &Registry::new()).unwrap();
    match server.read(body, &Labels::empty(), &Cancel::new()) {
        Ok(Answer::Chunks(stream)) => drop(stream.write(&mut |_| true)),
        Ok(Answer::Samples(_)) => {}
        Err(refusal) => assert!(matches!(refusal.status, 400 | 503)),
    }
});
