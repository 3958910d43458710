//! Strings in JSON, byte for byte as the reference writes them.

use model::labels::Labels;

/// Which characters are escaped beside those that JSON demands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Escapes {
    /// None.
    Minimal,
    /// `<`, `>`, `&`, U+2028 and U+2029.
    Html,
}

/// For each byte whether it may need an escape, for the two sets.
const SUSPECTS: [[bool; 256]; 2] = [suspects(false), suspects(true)];

const fn suspects(html: bool) -> [bool; 256] {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < 0x20 {
        table[byte] = true;
        byte += 1;
    }
    table[b'"' as usize] = true;
    table[b'\\' as usize] = true;
    if html {
        table[b'<' as usize] = true;
        table[b'>' as usize] = true;
        table[b'&' as usize] = true;
        // The first byte of U+2028 and U+2029 in UTF-8.
        table[0xe2] = true;
    }
    table
}

/// Appends the text in quotes.
pub(super) fn push_string(out: &mut Vec<u8>, text: &str, escapes: Escapes) {
    let suspects = &SUSPECTS[usize::from(escapes == Escapes::Html)];
    let bytes = text.as_bytes();
    out.push(b'"');
    let mut done = 0;
    let mut at = 0;
    while let Some(found) = bytes[at..].iter().position(|byte| suspects[usize::from(*byte)]) {
        at += found;
        let (replacement, len): (&[u8], usize) = match bytes[at] {
            b'"' => (b"\\\"", 1),
            b'\\' => (b"\\\\", 1),
            b'\n' => (b"\\n", 1),
            b'\r' => (b"\\r", 1),
            b'\t' => (b"\\t", 1),
            0xe2 if bytes[at..].starts_with("\u{2028}".as_bytes()) => (b"\\u2028", 3),
            0xe2 if bytes[at..].starts_with("\u{2029}".as_bytes()) => (b"\\u2029", 3),
            0xe2 => {
                at += 1;
                continue;
            }
            byte => {
                out.extend_from_slice(&bytes[done..at]);
                out.extend_from_slice(&[b'\\', b'u', b'0', b'0', hex(byte >> 4), hex(byte & 15)]);
                at += 1;
                done = at;
                continue;
            }
        };
        out.extend_from_slice(&bytes[done..at]);
        out.extend_from_slice(replacement);
        at += len;
        done = at;
    }
    out.extend_from_slice(&bytes[done..]);
    out.push(b'"');
}

fn hex(digit: u8) -> u8 {
    b"0123456789abcdef"[usize::from(digit)]
}

/// Appends a label set as an object.
pub(super) fn push_labels(out: &mut Vec<u8>, labels: &Labels) {
    out.push(b'{');
    for (i, (name, value)) in labels.iter().enumerate() {
        if i > 0 {
            out.push(b',');
        }
        push_string(out, name, Escapes::Minimal);
        out.push(b':');
        push_string(out, value, Escapes::Minimal);
    }
    out.push(b'}');
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn written(text: &str, escapes: Escapes) -> String {
        let mut out = Vec::new();
        push_string(&mut out, text, escapes);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn strings_are_escaped_as_the_reference_does() {
        for (text, minimal, html) in [
            ("", r#""""#, r#""""#),
            ("a\"b\\c", r#""a\"b\\c""#, r#""a\"b\\c""#),
            ("\n\r\t\u{8}\u{c}\u{1}", r#""\n\r\t\u0008\u000c\u0001""#, r#""\n\r\t\u0008\u000c\u0001""#),
            ("<>&", r#""<>&""#, r#""\u003c\u003e\u0026""#),
            ("\u{2028}\u{2029}€", "\"\u{2028}\u{2029}€\"", r#""\u2028\u2029€""#),
            ("\u{7f}é/'", "\"\u{7f}é/'\"", "\"\u{7f}é/'\""),
        ] {
            assert_eq!(written(text, Escapes::Minimal), minimal);
            assert_eq!(written(text, Escapes::Html), html);
        }
    }

    proptest! {
        #[test]
        fn a_string_reads_back_as_itself(text in "\\PC*|[\\x00-\\x30<>&\u{2028}â]*") {
            for escapes in [Escapes::Minimal, Escapes::Html] {
                let read: String = serde_json::from_str(&written(&text, escapes)).unwrap();
                prop_assert_eq!(&read, &text);
            }
        }
    }
}
