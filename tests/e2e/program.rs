//! Other programs that take part.

use std::net::TcpListener;
use std::process::{Child, Command, Stdio};

/// A program that is ended with the test.
pub(crate) struct Program(Child);

impl Program {
    /// `None` if it isn't installed.
    pub(crate) fn start(command: &mut Command) -> Option<Program> {
        let command = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command.spawn().ok().map(Program)
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A port that was free a moment ago.
pub(crate) fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}
