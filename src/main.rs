//! `ferula`: a time-series database, scraper, PromQL engine and rule evaluator in one binary.

fn main() {}
