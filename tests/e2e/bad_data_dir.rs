//! Data directories that can't be used.

use crate::server::{Home, Server};

/// The exit code and what was logged of a server that doesn't start.
fn refused(home: &Home, args: &[&str]) -> (Option<i32>, String) {
    let mut all = vec!["--web.listen-address=127.0.0.1:0"];
    all.extend(args);
    let output = home.run(&all);
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

#[test]
fn a_directory_in_use_is_refused_and_its_user_is_unharmed() {
    let home = Home::new("");
    let server = Server::start(&home, &[]);
    let (code, log) = refused(&home, &[]);
    assert_eq!(code, Some(1));
    assert!(log.contains("used by another process"), "{log}");
    assert_eq!(server.get("/-/ready").0, 200);
}

#[test]
fn a_directory_that_cannot_be_written_is_refused_by_name() {
    let home = Home::new("");
    // A file in its place: unlike a mode, that stops the superuser too.
    std::fs::write(home.data(), "not a directory").unwrap();
    let (code, log) = refused(&home, &[]);
    assert_eq!(code, Some(1));
    assert!(log.contains("opening storage: ") && log.contains("data"), "{log}");
    assert_eq!(std::fs::read_to_string(home.data()).unwrap(), "not a directory");

    let (code, log) = refused(&home, &["--storage.tsdb.path=/proc/ferula"]);
    assert_eq!(code, Some(1));
    assert!(log.contains("/proc/ferula"), "{log}");
}
