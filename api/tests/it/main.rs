//! The server as its clients meet it: over a socket, with a small storage behind it.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod client;
mod connections;
mod fakes;
mod full_page;
mod golden;
mod pages;
mod running;
mod web_config;
