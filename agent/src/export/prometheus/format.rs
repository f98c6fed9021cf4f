//! The two text formats of Prometheus, and which of them a scraper wants. Pure.
//!
//! `prometheus-client` writes OpenMetrics. The older text format 0.0.4 differs in four things, which are changed here
//! line by line: a counter's type carries its `_total`, and there is no `# UNIT`, no `# EOF` and no exemplar.

use crate::metric::Metrics;
use prometheus_client::encoding::text;
use std::fmt;

/// A text format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// OpenMetrics 1.0.0.
    OpenMetrics,
    /// Prometheus text format 0.0.4.
    Text,
}

impl Format {
    /// What a client with this `Accept` header gets: OpenMetrics where it is asked for by name and no text is preferred.
    #[must_use]
    pub fn negotiate(accept: &str) -> Format {
        let weight = |wanted: &str| {
            let ranges = accept.split(',').filter(|range| media_type(range).eq_ignore_ascii_case(wanted));
            ranges.map(quality).fold(0.0, f32::max)
        };
        let openmetrics = weight("application/openmetrics-text");
        let preferred = openmetrics > 0.0 && openmetrics >= weight("text/plain");
        if preferred { Format::OpenMetrics } else { Format::Text }
    }

    /// Value of `Content-Type`.
    #[must_use]
    pub const fn content_type(self) -> &'static str {
        match self {
            Format::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Format::Text => "text/plain; version=0.0.4; charset=utf-8",
        }
    }
}

fn media_type(range: &str) -> &str {
    range.split(';').next().unwrap_or(range).trim()
}

/// The `q` of a media range: 1 where it is absent, 0 where it is malformed.
fn quality(range: &str) -> f32 {
    let q = range.split(';').skip(1).find_map(|parameter| parameter.trim().strip_prefix("q="));
    q.map_or(1.0, |q| q.parse().unwrap_or(0.0))
}

/// The metrics as they stand now.
///
/// # Errors
/// Never in practice: writing to memory does not fail, and every registered metric can be written as text.
pub fn encode(metrics: &Metrics, format: Format) -> Result<String, fmt::Error> {
    let mut out = String::new();
    text::encode(&mut out, metrics.scrape())?;
    Ok(match format {
        Format::OpenMetrics => out,
        Format::Text => to_text(&out),
    })
}

/// OpenMetrics as text format 0.0.4. Relies on `# HELP` standing right before its `# TYPE`, as the encoder writes them.
fn to_text(openmetrics: &str) -> String {
    let mut out = String::with_capacity(openmetrics.len());
    let mut help = None;
    for line in openmetrics.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            help = rest.split_once(' ').map(|(_, help)| help);
            continue;
        }
        if let Some((name, kind)) = line.strip_prefix("# TYPE ").and_then(|rest| rest.split_once(' ')) {
            let total = if kind == "counter" { "_total" } else { "" };
            if let Some(help) = help.take() {
                out.extend(["# HELP ", name, total, " ", help, "\n"]);
            }
            out.extend(["# TYPE ", name, total, " ", kind, "\n"]);
            continue;
        }
        if line == "# EOF" || line.starts_with("# UNIT ") {
            continue;
        }
        out.extend([without_exemplar(line), "\n"]);
    }
    out
}

/// A sample without what stands behind its value. Quoted label values may hold anything, also what an exemplar begins with.
fn without_exemplar(line: &str) -> &str {
    let (mut quoted, mut escaped) = (false, false);
    let begins = line.bytes().position(|byte| {
        let was_escaped = std::mem::take(&mut escaped);
        match byte {
            b'"' if !was_escaped => quoted = !quoted,
            b'\\' if quoted && !was_escaped => escaped = true,
            b'#' if !quoted => return true,
            _ => {}
        }
        false
    });
    begins.and_then(|at| line.get(..at)).map_or(line, str::trim_end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn negotiation() {
        let prometheus_2 = "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,\
                            text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
        let prometheus_3_with_protobuf = "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited;q=0.6,\
             application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,text/plain;version=1.0.0;q=0.4,*/*;q=0.2";
        for (accept, expected) in [
            ("", Format::Text),
            ("*/*", Format::Text),
            ("text/html,application/xhtml+xml,*/*;q=0.8", Format::Text),
            ("text/plain", Format::Text),
            ("application/openmetrics-text", Format::OpenMetrics),
            ("Application/OpenMetrics-Text; version=1.0.0", Format::OpenMetrics),
            ("application/openmetrics-text;q=0", Format::Text),
            ("application/openmetrics-text;q=none", Format::Text),
            ("application/openmetrics-text;q=0.3, text/plain", Format::Text),
            (prometheus_2, Format::OpenMetrics),
            (prometheus_3_with_protobuf, Format::OpenMetrics),
        ] {
            assert_eq!(Format::negotiate(accept), expected, "{accept}");
        }
    }

    #[test]
    fn exemplars_are_left_out_of_the_older_format() {
        for (line, expected) in [
            (r##"a_bucket{le="1.0"} 3 # {trace_id="ab"} 0.5 1.0"##, r##"a_bucket{le="1.0"} 3"##),
            (r##"a_bucket{x="\"# {",le="1.0"} 3 # {trace_id="ab"} 0.5"##, r##"a_bucket{x="\"# {",le="1.0"} 3"##),
            (r##"a{x="# {}\\"} 3"##, r##"a{x="# {}\\"} 3"##),
            ("a 3", "a 3"),
        ] {
            assert_eq!(without_exemplar(line), expected);
        }
    }

    #[test]
    fn text_differs_from_openmetrics_in_comments_only() {
        let openmetrics = "# HELP a_seconds Time.\n# TYPE a_seconds counter\n# UNIT a_seconds seconds\n\
                           a_seconds_total{x=\"# EOF\"} 1.0\n# HELP b Things.\n# TYPE b gauge\nb 2\n# EOF\n";
        let text = "# HELP a_seconds_total Time.\n# TYPE a_seconds_total counter\na_seconds_total{x=\"# EOF\"} 1.0\n\
                    # HELP b Things.\n# TYPE b gauge\nb 2\n";
        assert_eq!(to_text(openmetrics), text);
    }
}
