//! Tests of the crate from outside: tables of queries, scripts, and properties.

mod coverage;
mod golden;
mod grammar;
mod limits;
mod names;
mod parse;
mod planned;
mod print;
mod scripts;
