//! How many bytes of node_exporter's text a core reads in a second: all of it the first time, values only
//! once the lines are known.

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use scrape::parse::{Entry, Lines, TextParser};

const PAGE: &[u8] = include_bytes!("../../testdata/exposition/node_exporter.txt");

/// What a cache would know of a line: the length of its series part, or of all of it.
enum Known {
    Sample(usize),
    Other(usize),
}

fn read_cold(page: &[u8]) -> f64 {
    let mut parser = TextParser::new(page);
    let mut sum = 0.0;
    while let Ok(Some(entry)) = parser.next_entry() {
        if let Entry::Sample(sample) = entry {
            sum += sample.value;
        }
    }
    sum
}

fn known_lines(page: &[u8]) -> Vec<Known> {
    let mut parser = TextParser::new(page);
    let mut lines = Vec::new();
    loop {
        let before = parser.rest().len();
        match parser.next_entry() {
            Ok(Some(Entry::Sample(sample))) => lines.push(Known::Sample(sample.series.len())),
            Ok(Some(_)) => lines.push(Known::Other(before - parser.rest().len())),
            _ => return lines,
        }
    }
}

fn read_warm(page: &[u8], lines: &[Known]) -> f64 {
    let mut parser = TextParser::new(page);
    let mut sum = 0.0;
    let mut hash = 0;
    for line in lines {
        let (Known::Sample(len) | Known::Other(len)) = *line;
        hash ^= xxhash_rust::xxh3::xxh3_64_with_seed(&parser.rest()[..len], 7);
        match line {
            Known::Sample(len) => sum += parser.sample_after(*len).map_or(0.0, |sample| sample.value),
            Known::Other(len) => parser.skip_known(*len, None),
        }
    }
    sum + (hash & 1) as f64
}

fn parse(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("text");
    group.throughput(Throughput::Bytes(PAGE.len() as u64));
    group.bench_function("cold", |bencher| bencher.iter(|| read_cold(black_box(PAGE))));
    let lines = known_lines(PAGE);
    group.bench_function("warm", |bencher| bencher.iter(|| read_warm(black_box(PAGE), &lines)));
    group.finish();
}

criterion_group!(benches, parse);
criterion_main!(benches);
