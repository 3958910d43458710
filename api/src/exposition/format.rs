//! Which format a client takes.

use http::HeaderMap;
use http::header::ACCEPT;

/// A format of metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    /// `text/plain`, version 0.0.4, or 1.0.0 with names of any kind.
    Text,
    /// `application/openmetrics-text`, version 1.0.0.
    OpenMetrics,
    /// `application/vnd.google.protobuf`, messages behind their lengths.
    Protobuf,
}

/// What becomes of names that aren't of the classic kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Names {
    /// Every character that doesn't fit becomes an underscore.
    Underscored,
    /// They stay: in text they are written in quotes, a metric's name inside the braces.
    Whole,
}

/// What a client is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Accepted {
    pub(crate) format: Format,
    pub(crate) names: Names,
}

impl Accepted {
    /// The best of the formats offered that the headers accept, by their quality values; plain text if they
    /// don't say.
    pub(crate) fn of(headers: &HeaderMap, offered: &[Format]) -> Accepted {
        let lists = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
        let mut best = (0.0, Accepted { format: Format::Text, names: Names::Underscored });
        for (quality, accepted) in lists.flat_map(|list| list.split(',')).filter_map(accepted) {
            if quality > best.0 && offered.contains(&accepted.format) {
                best = (quality, accepted);
            }
        }
        best.1
    }

    /// The value of `Content-Type`.
    pub(crate) fn content_type(self) -> &'static str {
        match (self.format, self.names) {
            (Format::Text, Names::Underscored) => {
                "text/plain; version=0.0.4; charset=utf-8; escaping=underscores"
            }
            (Format::Text, Names::Whole) => "text/plain; version=1.0.0; charset=utf-8; escaping=allow-utf-8",
            (Format::OpenMetrics, Names::Underscored) => {
                "application/openmetrics-text; version=1.0.0; charset=utf-8; escaping=underscores"
            }
            (Format::OpenMetrics, Names::Whole) => {
                "application/openmetrics-text; version=1.0.0; charset=utf-8; escaping=allow-utf-8"
            }
            (Format::Protobuf, Names::Underscored) => {
                "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; \
                 encoding=delimited; escaping=underscores"
            }
            (Format::Protobuf, Names::Whole) => {
                "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; \
                 encoding=delimited; escaping=allow-utf-8"
            }
        }
    }
}

/// An entry of `Accept` with its quality value; `None` for what isn't a format of metrics.
fn accepted(entry: &str) -> Option<(f64, Accepted)> {
    let mut parts = entry.split(';').map(str::trim);
    let media_type = parts.next().unwrap_or_default();
    let (mut quality, mut version, mut message, mut encoding) = (1.0, "", "", "");
    let mut names = Names::Underscored;
    for (name, value) in parts.filter_map(|part| part.split_once('=')) {
        match name {
            "q" => quality = value.parse().unwrap_or(1.0),
            "version" => version = value,
            "proto" => message = value,
            "encoding" => encoding = value,
            "escaping" if value == "allow-utf-8" => names = Names::Whole,
            _ => {}
        }
    }
    let format = match (media_type, version) {
        ("application/openmetrics-text", "" | "0.0.1" | "1.0.0") => Format::OpenMetrics,
        ("text/plain", "" | "0.0.4" | "1.0.0") => Format::Text,
        ("application/vnd.google.protobuf", _)
            if message == "io.prometheus.client.MetricFamily" && encoding == "delimited" =>
        {
            Format::Protobuf
        }
        _ => return None,
    };
    Some((quality, Accepted { format, names }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_accepted_format_is_chosen() {
        use Format::{OpenMetrics, Protobuf, Text};
        const MESSAGE: &str = "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily";
        let underscored = Names::Underscored;
        for (accept, format, names) in [
            ("", Text, underscored),
            ("*/*", Text, underscored),
            ("text/plain;version=1.0.0;escaping=allow-utf-8", Text, Names::Whole),
            ("application/openmetrics-text;version=1.0.0,text/plain;q=0.5", OpenMetrics, underscored),
            ("application/openmetrics-text;version=1.0.0;q=0.4,text/plain;q=0.5", Text, underscored),
            ("application/openmetrics-text;version=9", Text, underscored),
            (&format!("text/plain;q=0.1,{MESSAGE};encoding=delimited;q=0.2"), Protobuf, underscored),
            (&format!("{MESSAGE};encoding=delimited;escaping=allow-utf-8"), Protobuf, Names::Whole),
            (&format!("{MESSAGE};encoding=text"), Text, underscored),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(ACCEPT, accept.parse().unwrap());
            let all = Accepted::of(&headers, &[Text, OpenMetrics, Protobuf]);
            assert_eq!(all, Accepted { format, names }, "{accept}");
            assert_eq!(Accepted::of(&headers, &[Text]).format, Text, "{accept}");
        }
    }
}
