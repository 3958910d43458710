//! Tests of the crate from outside: tables of queries, scripts, and properties.

mod golden;
mod grammar;
mod parse;
mod print;
