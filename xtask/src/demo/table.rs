//! The demo's table: one row for each service and model, from the agent's log of finished requests. Absent is `-`,
//! never 0. Quantiles are of the measured times themselves; those of the histograms on /metrics are interpolated.

use anyhow::{Context, Result};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::io::BufRead;

/// Everything that the agent has said since it started.
#[derive(Default)]
pub struct Table {
    rows: BTreeMap<(String, String), Row>,
    /// The beginning of a line that is still being written.
    line: String,
}

#[derive(Default)]
struct Row {
    requests: u64,
    errors: u64,
    ttft: Times,
    itl: Times,
    tokens: Option<u64>,
}

/// Microseconds.
#[derive(Default)]
struct Times(Vec<f64>);

impl Table {
    /// Adds what the log holds by now.
    pub fn read(&mut self, log: &mut impl BufRead) -> Result<()> {
        while log.read_line(&mut self.line)? > 0 && self.line.ends_with('\n') {
            let record: Value = serde_json::from_str(&self.line).context("a line of the request log")?;
            let text = |name: &str| record.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
            self.rows.entry((text("service"), text("model"))).or_default().add(&record);
            self.line.clear();
        }
        Ok(())
    }

    /// The table as text.
    pub fn render(&mut self) -> String {
        if self.rows.is_empty() {
            return "no request has ended yet\n".into();
        }
        let mut text = format!(
            "{:<16} {:<12} {:>8} {:>8} {:>17} {:>17} {:>8}\n",
            "service", "model", "requests", "errors", "TTFT p50/p95 ms", "ITL p50/p95 ms", "tokens"
        );
        for ((service, model), row) in &mut self.rows {
            let Row { requests, errors, ttft, itl, tokens } = row;
            let (ttft, itl) = (ttft.text(), itl.text());
            let tokens = tokens.map_or("-".into(), |tokens| tokens.to_string());
            // Writing to a String cannot fail.
            let _ =
                writeln!(text, "{service:<16} {model:<12} {requests:>8} {errors:>8} {ttft:>17} {itl:>17} {tokens:>8}");
        }
        text
    }
}

impl Row {
    fn add(&mut self, record: &Value) {
        let is = |name: &str, value: &str| record.get(name).is_some_and(|found| found == value);
        self.requests += 1;
        self.errors += u64::from(is("status", "error"));
        if let Some(tokens) = record.get("completion_tokens").and_then(Value::as_u64) {
            *self.tokens.get_or_insert(0) += tokens;
        }
        // As on /metrics: what was seen only in part is counted, not measured.
        if !is("quality", "complete") {
            return;
        }
        self.ttft.0.extend(record.get("first_content_us").and_then(Value::as_f64));
        let gaps = record.get("gaps_us").and_then(Value::as_array);
        self.itl.0.extend(gaps.into_iter().flatten().filter_map(Value::as_f64));
    }
}

impl Times {
    fn text(&mut self) -> String {
        self.0.sort_by(f64::total_cmp);
        format!("{} / {}", self.milliseconds(50), self.milliseconds(95))
    }

    /// The smallest time that so many in a hundred do not exceed; the times are sorted.
    fn milliseconds(&self, percent: usize) -> String {
        let rank = (self.0.len() * percent).div_ceil(100);
        let time = rank.checked_sub(1).and_then(|index| self.0.get(index));
        time.map_or("-".into(), |micros| format!("{:.1}", micros / 1000.0))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn words(table: &mut Table) -> String {
        let text = table.render();
        text.lines().nth(1).unwrap_or_default().split_whitespace().collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn rows_add_up_and_the_unknown_is_a_dash() {
        let mut table = Table::default();
        assert_eq!(table.render(), "no request has ended yet\n");
        let line = |rest: &str| format!("{{\"service\":\"a\",\"model\":\"m\",\"status\":\"ok\",{rest}}}\n");
        let midway = line(r#""quality":"joined_midway","first_content_us":1.0"#);
        table.read(&mut midway.as_bytes()).unwrap();
        assert_eq!(words(&mut table), "a m 1 0 - / - - / - -");
        for millis in 1..=20 {
            let times = format!(r#""quality":"complete","first_content_us":{millis}000.0,"gaps_us":[500.0,1500.0]"#);
            table.read(&mut line(&format!(r#"{times},"completion_tokens":3"#)).as_bytes()).unwrap();
        }
        assert_eq!(words(&mut table), "a m 21 0 10.0 / 19.0 0.5 / 1.5 60");
    }

    #[test]
    fn a_line_may_come_in_pieces() {
        let line = "{\"service\":\"a\",\"model\":\"m\",\"status\":\"error\",\"quality\":\"complete\"}\n";
        let mut table = Table::default();
        let (first, second) = line.split_at(20);
        table.read(&mut first.as_bytes()).unwrap();
        assert_eq!(words(&mut table), "");
        table.read(&mut second.as_bytes()).unwrap();
        assert_eq!(words(&mut table), "a m 1 1 - / - - / - -");
    }
}
