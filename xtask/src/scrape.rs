//! Reads the agent's /metrics as a monitoring system would: a GET, the text format, quantiles from buckets.
//!
//! For loopback only: no TLS, no redirects, a whole answer in memory.

use anyhow::{Context, Result, ensure};
use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// Patience with a local server.
const TIMEOUT: Duration = Duration::from_secs(5);

/// One line of the text format.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// The series' name, `_bucket`, `_sum` and `_count` included.
    pub name: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Its value.
    pub value: f64,
}

/// Cumulative counts of a histogram by upper bound; several series add up.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Buckets(Vec<(f64, f64)>);

/// The body of a 200 answer to `GET path`.
pub fn get(server: SocketAddr, path: &str) -> Result<String> {
    let mut stream =
        TcpStream::connect_timeout(&server, TIMEOUT).with_context(|| format!("{server} does not answer"))?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    // HTTP/1.0: the answer is not chunked and ends with the connection.
    write!(stream, "GET {path} HTTP/1.0\r\nHost: {server}\r\n\r\n")?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    let answer = String::from_utf8(answer)?;
    let (head, body) = answer.split_once("\r\n\r\n").context("the answer has no end of head")?;
    let status = head.split(' ').nth(1).unwrap_or_default();
    ensure!(status == "200", "http://{server}{path} answers {status}");
    Ok(body.to_owned())
}

/// Parses the text format. Comments, and lines that are not samples, are passed over.
pub fn parse(text: &str) -> Vec<Sample> {
    text.lines().filter(|line| !line.starts_with('#')).filter_map(sample).collect()
}

fn sample(line: &str) -> Option<Sample> {
    let split = line.find(['{', ' '])?;
    let (name, rest) = line.split_at(split);
    let mut labels = BTreeMap::new();
    let mut rest = rest.strip_prefix('{').unwrap_or(rest);
    while let Some((label, after)) = rest.split_once("=\"").filter(|(label, _)| !label.contains(' ')) {
        let (value, after) = quoted(after)?;
        labels.insert(label.trim_start_matches(',').to_owned(), value);
        rest = after;
    }
    let value = rest.trim_start_matches('}').split_whitespace().next()?.parse().ok()?;
    Some(Sample { name: name.to_owned(), labels, value })
}

/// A label's value up to its closing quote, and what follows.
fn quoted(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut characters = text.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return Some((value, text.get(at.checked_add(1)?..)?)),
            '\\' => match characters.next()?.1 {
                'n' => value.push('\n'),
                escaped => value.push(escaped),
            },
            plain => value.push(plain),
        }
    }
    None
}

impl Buckets {
    /// Adds one `_bucket` sample.
    pub fn add(&mut self, sample: &Sample) {
        let Some(bound) = sample.labels.get("le").and_then(|bound| bound.parse::<f64>().ok()) else { return };
        match self.0.iter_mut().find(|(known, _)| *known == bound) {
            Some((_, count)) => *count += sample.value,
            None => self.0.push((bound, sample.value)),
        }
    }

    /// The quantile by linear interpolation inside its bucket, as Prometheus does it; `None` without observations.
    pub fn quantile(&self, quantile: f64) -> Option<f64> {
        let mut sorted = self.0.clone();
        sorted.sort_by(|left, right| left.0.total_cmp(&right.0));
        let total = sorted.last()?.1;
        let rank = quantile * total;
        let (mut lower, mut below) = (0.0, 0.0);
        for (bound, count) in sorted {
            if count >= rank && count > below {
                let inside = (rank - below) / (count - below);
                // Above the last finite bound nothing more is known than the bound.
                return Some(if bound.is_finite() { lower + (bound - lower) * inside } else { lower });
            }
            (lower, below) = (bound, count);
        }
        None
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use super::*;

    #[test]
    fn samples_with_labels_escapes_and_exemplars() {
        let samples = parse(concat!(
            "# HELP x help\n",
            "x 1\n",
            "y_total{model=\"a \\\"b\\\" {c}\",le=\"+Inf\"} 2.5 # {trace_id=\"1\"} 0.1\n",
            "broken{\n"
        ));
        assert_eq!(samples.len(), 2);
        assert_eq!((samples[0].name.as_str(), samples[0].value), ("x", 1.0));
        assert_eq!(samples[1].labels["model"], "a \"b\" {c}");
        assert_eq!((samples[1].labels["le"].as_str(), samples[1].value), ("+Inf", 2.5));
    }

    #[test]
    fn quantiles_interpolate_inside_the_bucket() {
        let mut buckets = Buckets::default();
        assert_eq!(buckets.quantile(0.5), None);
        for series in 0..2 {
            let lines = format!("b{{s=\"{series}\",le=\"1\"}} 0\nb{{le=\"2\"}} 5\nb{{le=\"+Inf\"}} 5\n");
            parse(&lines).iter().for_each(|sample| buckets.add(sample));
        }
        assert_eq!(buckets.quantile(0.5), Some(1.5));
        assert_eq!(buckets.quantile(1.0), Some(2.0));
        let mut open = Buckets::default();
        parse("b{le=\"1\"} 0\nb{le=\"+Inf\"} 3\n").iter().for_each(|sample| open.add(sample));
        assert_eq!(open.quantile(0.5), Some(1.0), "more is not known");
        let mut empty = Buckets::default();
        parse("b{le=\"1\"} 0\nb{le=\"+Inf\"} 0\n").iter().for_each(|sample| empty.add(sample));
        assert_eq!(empty.quantile(0.5), None);
    }
}
