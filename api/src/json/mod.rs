//! A streaming JSON encoder for answers.
//!
//! Bytes are collected in one buffer; when that is full it is handed to a [`Sink`], which compresses or
//! sends it, and encoding goes on. So an answer is never in memory twice, and a slow client slows only the
//! thread that encodes for it. A sink that can't go on (the client has left) makes the encoder discard what
//! follows; long loops ask [`JsonOut::is_broken`] and end.
//!
//! Why not a serializer of serde: label sets are written without the HTML escapes that all other strings
//! have, numbers have Go's notation, and the samples of a range query deserve better than a call each.

mod histogram;
mod number;
mod query;
mod text;

pub use query::write_query_value;

use std::fmt;

use model::labels::Labels;
use model::time::TimestampMs;

/// Size at which the buffer is handed on: large enough that compressing and sending have little overhead,
/// small enough that a client sees its first byte early.
pub const CHUNK_BYTES: usize = 64 << 10;

/// Takes encoded bytes.
pub trait Sink: Send {
    /// Takes a chunk and returns an empty buffer to go on with, or `None` if nobody wants more.
    fn take(&mut self, chunk: Vec<u8>) -> Option<Vec<u8>>;
}

/// Writes JSON. Commas come by themselves: a value or key that follows another one gets one.
pub struct JsonOut<'a> {
    buf: Vec<u8>,
    /// The byte before the buffer's first; 0 at the very beginning.
    last_flushed: u8,
    sink: &'a mut dyn Sink,
    broken: bool,
}

impl fmt::Debug for JsonOut<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JsonOut").field("buffered", &self.buf.len()).field("broken", &self.broken).finish()
    }
}

impl<'a> JsonOut<'a> {
    /// An encoder that writes to a sink, with a buffer to start with.
    pub fn new(buf: Vec<u8>, sink: &'a mut dyn Sink) -> Self {
        JsonOut { buf, last_flushed: 0, sink, broken: false }
    }

    /// Whether the sink wants no more; what is written then is discarded.
    pub fn is_broken(&self) -> bool {
        self.broken
    }

    /// The bytes that no sink has taken yet.
    pub fn into_rest(self) -> Vec<u8> {
        self.buf
    }

    /// Hands the buffer on if it is full.
    pub fn flush_if_full(&mut self) {
        if self.buf.len() >= CHUNK_BYTES {
            self.flush();
        }
    }

    fn flush(&mut self) {
        self.last_flushed = self.last_byte();
        let chunk = std::mem::take(&mut self.buf);
        match self.sink.take(chunk) {
            Some(buf) => self.buf = buf,
            None => self.broken = true,
        }
        if self.broken {
            self.buf.clear();
        }
    }

    fn last_byte(&self) -> u8 {
        self.buf.last().copied().unwrap_or(self.last_flushed)
    }

    /// Writes the comma that a value or key here needs.
    fn separate(&mut self) {
        if !matches!(self.last_byte(), b'{' | b'[' | b':' | 0) {
            self.buf.push(b',');
        }
    }

    /// Opens an object.
    pub fn open_object(&mut self) {
        self.separate();
        self.buf.push(b'{');
    }

    /// Closes an object.
    pub fn close_object(&mut self) {
        self.buf.push(b'}');
        self.flush_if_full();
    }

    /// Opens an array.
    pub fn open_array(&mut self) {
        self.separate();
        self.buf.push(b'[');
    }

    /// Closes an array.
    pub fn close_array(&mut self) {
        self.buf.push(b']');
        self.flush_if_full();
    }

    /// Writes a key that needs no escapes.
    pub fn key(&mut self, key: &'static str) -> &mut Self {
        self.separate();
        self.buf.push(b'"');
        self.buf.extend_from_slice(key.as_bytes());
        self.buf.extend_from_slice(b"\":");
        self
    }

    /// Writes a key that comes from outside.
    pub fn text_key(&mut self, key: &str) -> &mut Self {
        self.string(key);
        self.buf.push(b':');
        self
    }

    /// The same without HTML escapes.
    pub fn plain_key(&mut self, key: &str) -> &mut Self {
        self.separate();
        text::push_string(&mut self.buf, key, text::Escapes::Minimal);
        self.buf.push(b':');
        self
    }

    /// Writes a string, with `<`, `>`, `&` escaped as Go does by default.
    pub fn string(&mut self, value: &str) {
        self.separate();
        text::push_string(&mut self.buf, value, text::Escapes::Html);
    }

    /// Writes `true` or `false`.
    pub fn bool(&mut self, value: bool) {
        self.literal(if value { "true" } else { "false" });
    }

    /// Writes `null`.
    pub fn null(&mut self) {
        self.literal("null");
    }

    fn literal(&mut self, text: &str) {
        self.separate();
        self.buf.extend_from_slice(text.as_bytes());
    }

    /// Writes an integer.
    pub fn integer(&mut self, value: impl itoa::Integer) {
        self.separate();
        self.buf.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
    }

    /// Writes a float as a JSON number, as Go does; what is no JSON number is written as 0.
    pub fn float(&mut self, value: f64) {
        self.separate();
        number::push_json_number(&mut self.buf, value);
    }

    /// Writes a float as the string that samples have.
    pub fn float_string(&mut self, value: f64) {
        self.separate();
        self.buf.push(b'"');
        number::push_float(&mut self.buf, value);
        self.buf.push(b'"');
    }

    /// Writes a time as seconds, with three decimals if there are milliseconds.
    pub fn timestamp(&mut self, timestamp_ms: TimestampMs) {
        self.separate();
        number::push_timestamp(&mut self.buf, timestamp_ms);
    }

    /// Writes a label set as an object; its strings are written without HTML escapes.
    pub fn labels(&mut self, labels: &Labels) {
        self.separate();
        text::push_labels(&mut self.buf, labels);
    }

    /// Writes an array of strings.
    pub fn strings<S: AsRef<str>>(&mut self, values: &[S]) {
        self.open_array();
        for value in values {
            self.string(value.as_ref());
            self.flush_if_full();
            if self.broken {
                return;
            }
        }
        self.close_array();
    }

    /// Writes any JSON value.
    pub fn value(&mut self, value: &serde_json::Value) {
        use serde_json::Value;
        match value {
            Value::Null => self.null(),
            Value::Bool(value) => self.bool(*value),
            Value::Number(number) => self.literal(&number.to_string()),
            Value::String(text) => self.string(text),
            Value::Array(values) => {
                self.open_array();
                values.iter().for_each(|value| self.value(value));
                self.close_array();
            }
            Value::Object(entries) => {
                self.open_object();
                for (key, value) in entries {
                    self.text_key(key).value(value);
                }
                self.close_object();
            }
        }
    }
}

/// A sink that keeps everything.
#[derive(Debug, Default)]
pub struct Collect(Vec<u8>);

impl Sink for Collect {
    fn take(&mut self, mut chunk: Vec<u8>) -> Option<Vec<u8>> {
        self.0.append(&mut chunk);
        Some(chunk)
    }
}

/// What `write` writes, whole.
pub fn to_vec(write: impl FnOnce(&mut JsonOut<'_>)) -> Vec<u8> {
    let mut sink = Collect::default();
    let mut out = JsonOut::new(Vec::new(), &mut sink);
    write(&mut out);
    let mut rest = out.into_rest();
    if sink.0.is_empty() {
        return rest;
    }
    sink.0.append(&mut rest);
    sink.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commas_stand_between_values_also_across_chunks() {
        let long = "x".repeat(CHUNK_BYTES);
        let bytes = to_vec(|out| {
            out.open_object();
            out.key("a").open_array();
            out.string(&long);
            out.flush_if_full();
            out.integer(1);
            out.bool(true);
            out.close_array();
            out.key("b").open_object();
            out.close_object();
            out.close_object();
        });
        let expected = format!(r#"{{"a":["{long}",1,true],"b":{{}}}}"#);
        assert!(bytes == expected.as_bytes());
    }
}
