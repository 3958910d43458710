//! Bytes as Go's verb `%q` shows them, for error texts.

use std::fmt::Write;

use model::labels::write_quoted;

/// The bytes in double quotes, what isn't UTF-8 as `\xNN`.
pub(crate) fn quoted(bytes: &[u8]) -> String {
    let mut out = String::from('"');
    for chunk in bytes.utf8_chunks() {
        let mut valid = String::new();
        let _ = write_quoted(&mut valid, chunk.valid());
        out.push_str(&valid[1..valid.len() - 1]);
        for byte in chunk.invalid() {
            let _ = write!(out, "\\x{byte:02x}");
        }
    }
    out.push('"');
    out
}
