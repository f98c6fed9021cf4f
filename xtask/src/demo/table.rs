//! The demo's table: one row for each service and model, from the agent's own samples. Absent is `-`, never 0.

use crate::scrape::{Buckets, Sample};
use std::collections::BTreeMap;
use std::fmt::Write;

/// What one row adds up, over everything since the agent started.
#[derive(Default)]
struct Row {
    requests: f64,
    errors: f64,
    ttft: Buckets,
    itl: Buckets,
    tokens: Option<f64>,
}

/// The table as text.
pub fn render(samples: &[Sample]) -> String {
    let mut rows: BTreeMap<(&str, &str), Row> = BTreeMap::new();
    for sample in samples.iter().filter(|sample| sample.name.starts_with("llm_")) {
        let label = |name: &str| sample.labels.get(name).map_or("-", String::as_str);
        rows.entry((label("service"), label("model"))).or_default().add(sample);
    }
    if rows.is_empty() {
        return "no request has ended yet\n".into();
    }
    let mut text = format!(
        "{:<16} {:<12} {:>8} {:>8} {:>17} {:>17} {:>8}\n",
        "service", "model", "requests", "errors", "TTFT p50/p95 ms", "ITL p50/p95 ms", "tokens"
    );
    for ((service, model), row) in rows {
        let times = |buckets: &Buckets| format!("{} / {}", milliseconds(buckets, 0.5), milliseconds(buckets, 0.95));
        // Writing to a String cannot fail.
        let _ = writeln!(
            text,
            "{service:<16} {model:<12} {:>8} {:>8} {:>17} {:>17} {:>8}",
            row.requests,
            row.errors,
            times(&row.ttft),
            times(&row.itl),
            row.tokens.map_or("-".into(), |tokens| tokens.to_string()),
        );
    }
    text
}

fn milliseconds(buckets: &Buckets, quantile: f64) -> String {
    buckets.quantile(quantile).map_or("-".into(), |seconds| format!("{:.1}", seconds * 1000.0))
}

impl Row {
    fn add(&mut self, sample: &Sample) {
        match sample.name.as_str() {
            "llm_request_total" => {
                self.requests += sample.value;
                if sample.labels.get("status").is_some_and(|status| status == "error") {
                    self.errors += sample.value;
                }
            }
            "llm_time_to_first_token_seconds_bucket" => self.ttft.add(sample),
            "llm_inter_token_latency_seconds_bucket" => self.itl.add(sample),
            "llm_tokens_generated_total" => *self.tokens.get_or_insert(0.0) += sample.value,
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scrape::parse;

    #[test]
    fn rows_add_up_and_the_unknown_is_a_dash() {
        let samples = parse(concat!(
            "llm_request_total{service=\"a\",model=\"m\",status=\"ok\"} 3\n",
            "llm_request_total{service=\"a\",model=\"m\",status=\"error\"} 1\n",
            "llm_time_to_first_token_seconds_bucket{service=\"a\",model=\"m\",le=\"0.01\"} 0\n",
            "llm_time_to_first_token_seconds_bucket{service=\"a\",model=\"m\",le=\"0.02\"} 4\n",
            "llm_time_to_first_token_seconds_bucket{service=\"a\",model=\"m\",le=\"+Inf\"} 4\n",
            "process_cpu_seconds_total 5\n",
        ));
        let table = render(&samples);
        let words: Vec<_> = table.lines().nth(1).unwrap_or_default().split_whitespace().collect();
        assert_eq!(words, ["a", "m", "4", "1", "15.0", "/", "19.5", "-", "/", "-", "-"]);
        assert_eq!(render(&[]), "no request has ended yet\n");
    }
}
