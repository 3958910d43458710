//! Log lines on standard error, in the two forms that the reference's `log/slog` writes:
//!
//! ```text
//! time=2026-01-01T00:00:00.000Z level=INFO source=serve.rs:33 msg="Server is ready" key=value
//! {"time":"2026-01-01T00:00:00.000Z","level":"INFO","source":"serve.rs:33","msg":"Server is ready","key":"value"}
//! ```

use std::fmt::{self, Write};
use std::path::Path;
use std::sync::Arc;

use jiff::Timestamp;
use model::time::Clock;
use serde_json::{Map, Value};
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt;

/// Crates that log each request and each packet at debug and trace level; what they say below a warning is of
/// no use to those who run a server.
const CHATTY: [&str; 5] = ["hyper", "hyper_util", "h2", "rustls", "mio"];

/// Sends everything of at least this level to standard error. To be called once.
pub(crate) fn start(level: Level, json: bool, clock: Arc<dyn Clock>) {
    let targets = CHATTY.iter().fold(Targets::new().with_default(level), |targets, name| {
        targets.with_target(*name, LevelFilter::WARN)
    });
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(std::io::stderr)
        .with_ansi(false)
        .event_format(Lines { json, clock });
    tracing_subscriber::registry().with(lines).with(targets).init();
}

struct Lines {
    json: bool,
    clock: Arc<dyn Clock>,
}

impl<S, N> FormatEvent<S, N> for Lines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, _: &FmtContext<'_, S, N>, mut line: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let mut fields = Fields::default();
        let time = Timestamp::from_millisecond(self.clock.now_ms()).unwrap_or_default();
        fields.add("time", Value::String(format!("{time:.3}")));
        fields.add("level", Value::String(event.metadata().level().to_string()));
        if let (Some(file), Some(number)) = (event.metadata().file(), event.metadata().line()) {
            let name = Path::new(file).file_name().unwrap_or_default().to_string_lossy();
            fields.add("source", Value::String(format!("{name}:{number}")));
        }
        fields.add("msg", Value::String(String::new()));
        event.record(&mut fields);
        if self.json {
            writeln!(line, "{}", Value::Object(fields.0))
        } else {
            writeln!(line, "{}", fields.logfmt())
        }
    }
}

/// The fields of a line in their order.
#[derive(Default)]
struct Fields(Map<String, Value>);

impl Fields {
    fn add(&mut self, name: &str, value: Value) {
        self.0.insert(name.to_owned(), value);
    }

    fn logfmt(&self) -> String {
        let mut line = String::new();
        for (name, value) in &self.0 {
            if !line.is_empty() {
                line.push(' ');
            }
            let text = match value {
                Value::String(text) => text.clone(),
                other => other.to_string(),
            };
            let plain = !text.is_empty()
                && text.chars().all(|c| c > ' ' && !matches!(c, '"' | '=' | '\\') && !c.is_control());
            let _ = if plain { write!(line, "{name}={text}") } else { write!(line, "{name}={text:?}") };
        }
        line
    }
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let name = if field.name() == "message" { "msg" } else { field.name() };
        self.add(name, Value::String(format!("{value:?}")));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        let name = if field.name() == "message" { "msg" } else { field.name() };
        self.add(name, Value::String(value.to_owned()));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.add(field.name(), value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.add(field.name(), value.into());
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.add(field.name(), value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.add(field.name(), value.into());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::time::ManualClock;
    use std::io;
    use std::sync::Mutex;

    /// A writer that keeps what is written.
    #[derive(Clone, Default)]
    struct Kept(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Kept {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn logged(json: bool, log: impl Fn()) -> String {
        let kept = Kept::default();
        let writer = kept.clone();
        let lines = tracing_subscriber::fmt::layer()
            .with_writer(move || writer.clone())
            .with_ansi(false)
            .event_format(Lines { json, clock: Arc::new(ManualClock::new(1_500)) });
        tracing::subscriber::with_default(tracing_subscriber::registry().with(lines), log);
        let text = String::from_utf8(kept.0.lock().unwrap().clone()).unwrap();
        // The line number of the call above isn't what is tested.
        without_line_number(&text)
    }

    /// Puts `N` for the line number after `logging.rs:`.
    fn without_line_number(text: &str) -> String {
        let (before, after) = text.split_once("logging.rs:").unwrap();
        format!("{before}logging.rs:N{}", after.trim_start_matches(|c: char| c.is_ascii_digit()))
    }

    #[test]
    fn a_line_of_logfmt_quotes_what_has_spaces_quotes_or_nothing() {
        let line =
            logged(false, || tracing::warn!(file = "a b", n = 3, empty = "", err = %"x=\"y\"", "Not good"));
        assert_eq!(
            line,
            "time=1970-01-01T00:00:01.500Z level=WARN source=logging.rs:N msg=\"Not good\" file=\"a b\" n=3 \
             empty=\"\" err=\"x=\\\"y\\\"\"\n"
        );
    }

    #[test]
    fn a_line_of_json_is_one_object() {
        let line = logged(true, || tracing::info!(n = 3, ok = true, "Fine"));
        assert_eq!(
            line,
            "{\"time\":\"1970-01-01T00:00:01.500Z\",\"level\":\"INFO\",\"source\":\"logging.rs:N\",\
             \"msg\":\"Fine\",\"n\":3,\"ok\":true}\n"
        );
    }
}
