//! The server as its clients meet it: over a socket, with a small storage behind it.

mod client;
mod connections;
mod fakes;
mod golden;
