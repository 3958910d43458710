//! `queries.active` in the data directory: the queries that run, for the next start to tell which ones a crash
//! caught. The format is the reference's:
//!
//! ```text
//! ┌───┬──────────────────────────────┬──────────────────────────────┬─────┐
//! │ [ │ entry, 1000 bytes            │ entry, 1000 bytes            │  …  │  one for each query that may run
//! └───┴──────────────────────────────┴──────────────────────────────┴─────┘
//! entry   {"query":"…","timestamp_sec":…}, zeros, and a comma in its last byte; all zeros if it is free
//! ```
//!
//! It is written without waiting for the disk: it outlives the process, not the machine. It isn't part of the
//! database, and whatever is wrong with it is a line in the log.

use std::fs::{File, OpenOptions};
use std::io::Read;
use std::os::unix::fs::FileExt;
use std::path::Path;

use parking_lot::Mutex;
use serde_json::json;

const FILE_NAME: &str = "queries.active";
/// Bytes of an entry.
const ENTRY_BYTES: usize = 1000;
/// The most bytes of an old file that are read: a thousand entries.
const OLD_BYTES_MAX: u64 = 1 << 20;

/// The file, and which of its entries are free.
#[derive(Debug)]
pub(crate) struct ActiveQueries {
    file: File,
    free: Mutex<Vec<usize>>,
}

impl ActiveQueries {
    /// Logs what an earlier process left, and begins a new file with so many entries.
    pub(crate) fn open(directory: &Path, entries: usize) -> std::io::Result<Self> {
        let path = directory.join(FILE_NAME);
        if let Some(queries) = unfinished(&path)? {
            tracing::info!(queries, "These queries didn't finish in prometheus' last run:");
        }
        let file = OpenOptions::new().create(true).truncate(true).write(true).open(path)?;
        file.set_len((1 + entries * ENTRY_BYTES) as u64)?;
        file.write_all_at(b"[", 0)?;
        Ok(ActiveQueries { file, free: Mutex::new((0..entries).rev().collect()) })
    }

    /// Writes a query down. `None` if there is no entry for it, or it can't be written.
    pub(crate) fn insert(&self, query: &str, now_secs: i64) -> Option<usize> {
        let index = self.free.lock().pop()?;
        let written = self.file.write_all_at(&entry(query, now_secs), offset(index));
        if let Err(error) = written {
            tracing::warn!(%error, "Writing an active query down failed");
        }
        Some(index)
    }

    /// Frees the entry.
    pub(crate) fn remove(&self, index: usize) {
        if let Err(error) = self.file.write_all_at(&[0; ENTRY_BYTES], offset(index)) {
            tracing::warn!(%error, "Striking out a query that isn't active any more failed");
        }
        self.free.lock().push(index);
    }
}

fn offset(index: usize) -> u64 {
    (1 + index * ENTRY_BYTES) as u64
}

/// The bytes of an entry. A long query is cut.
fn entry(query: &str, now_secs: i64) -> [u8; ENTRY_BYTES] {
    let text = |query: &str| json!({ "query": query, "timestamp_sec": now_secs }).to_string();
    let room = ENTRY_BYTES - 1 - text("").len();
    let mut used = 0;
    let fits = query.char_indices().find(|(_, character)| {
        used += json_bytes(*character);
        used > room
    });
    let text = text(&query[..fits.map_or(query.len(), |(end, _)| end)]);
    let mut entry = [0; ENTRY_BYTES];
    entry[..text.len()].copy_from_slice(text.as_bytes());
    entry[ENTRY_BYTES - 1] = b',';
    entry
}

/// Bytes of a character in a JSON string.
fn json_bytes(character: char) -> usize {
    match character {
        '"' | '\\' | '\n' | '\r' | '\t' | '\u{8}' | '\u{c}' => 2,
        '\0'..' ' => 6,
        other => other.len_utf8(),
    }
}

/// The queries that a process which didn't end by itself left in the file, as a JSON list.
fn unfinished(path: &Path) -> std::io::Result<Option<String>> {
    let mut bytes = Vec::new();
    match File::open(path) {
        Ok(file) => file.take(OLD_BYTES_MAX).read_to_end(&mut bytes)?,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    bytes.retain(|byte| *byte != 0);
    let text = String::from_utf8_lossy(&bytes);
    let entries = text.strip_prefix('[').unwrap_or(&text).trim_end_matches(',');
    Ok((!entries.is_empty()).then(|| format!("[{entries}]")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_crash_caught_is_told_and_what_ended_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(FILE_NAME);
        assert_eq!(unfinished(&path).unwrap(), None);
        let active = ActiveQueries::open(dir.path(), 2).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().len(), 2001);
        assert_eq!(unfinished(&path).unwrap(), None);
        let first = active.insert("up", 7).unwrap();
        let second = active.insert("a\"\n", 8).unwrap();
        assert_eq!(active.insert("third", 9), None);
        active.remove(first);
        let expected = r#"[{"query":"a\"\n","timestamp_sec":8}]"#;
        assert_eq!(unfinished(&path).unwrap().as_deref(), Some(expected));
        active.remove(second);
        assert_eq!(unfinished(&path).unwrap(), None);
        assert_eq!(active.insert("fourth", 9), Some(second));
        drop(ActiveQueries::open(dir.path(), 2).unwrap());
        assert_eq!(unfinished(&path).unwrap(), None);
    }

    #[test]
    fn long_queries_are_cut_between_characters() {
        for query in
            ["x".repeat(5000), "é".repeat(5000), "\"".repeat(999), "\u{1}é".repeat(400), String::new()]
        {
            let entry = entry(&query, 1_700_000_000);
            assert_eq!(entry[ENTRY_BYTES - 1], b',');
            let text = std::str::from_utf8(&entry[..ENTRY_BYTES - 1]).unwrap().trim_end_matches('\0');
            let value: serde_json::Value = serde_json::from_str(text).unwrap();
            assert!(query.starts_with(value["query"].as_str().unwrap()), "{text}");
            assert!(query.is_empty() || text.len() > ENTRY_BYTES - 8, "{text}");
        }
    }

    #[test]
    fn a_damaged_file_is_told_as_it_is() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(FILE_NAME);
        std::fs::write(&path, b"\xff\0,").unwrap();
        assert_eq!(unfinished(&path).unwrap().as_deref(), Some("[\u{fffd}]"));
    }
}
