//! How well the agent's numbers agree with a client's own clock: the published error.
//!
//! Requests are joined by the response's id. All times are microseconds.

use crate::load::Seen;
use serde_json::Value;
use std::collections::HashMap;
use std::fmt;

/// A distribution.
#[derive(Clone, Debug, Default)]
pub struct Spread(Vec<f64>);

impl FromIterator<f64> for Spread {
    fn from_iter<I: IntoIterator<Item = f64>>(values: I) -> Spread {
        let mut values: Vec<f64> = values.into_iter().collect();
        values.sort_by(f64::total_cmp);
        Spread(values)
    }
}

impl Spread {
    /// The value below which the share `share` of all lies; 0 where there is none.
    #[must_use]
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss)]
    pub fn quantile(&self, share: f64) -> f64 {
        let last = self.0.len().saturating_sub(1);
        self.0.get((share * last as f64).round() as usize).copied().unwrap_or(0.0)
    }

    /// How many values.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Display for Spread {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        let q = |share| self.quantile(share);
        let (min, p1, p50, p90, p99, max) = (q(0.0), q(0.01), q(0.5), q(0.9), q(0.99), q(1.0));
        write!(to, "min {min:9.0}  p1 {p1:9.0}  p50 {p50:9.0}  p90 {p90:9.0}  p99 {p99:9.0}  max {max:9.0}")
    }
}

/// What came of comparing.
#[derive(Clone, Debug, Default)]
pub struct Agreement {
    /// Requests that the client made.
    pub requests: usize,
    /// Of these, requests that the agent has a complete record of, with the same code and token counts.
    pub equal: usize,
    /// Of these, requests where it saw as many content events as the client.
    pub same_events: usize,
    /// The client's TTFT minus the agent's: what lies between the client's send and the server's read, plus what lies
    /// between the server's write and the client's read.
    pub ttft_difference: Spread,
    /// The first part of it: from the client's send to the return of the server's read.
    pub waited: Spread,
    /// The other part: from the return of the server's write to the client's receipt. Negative where the client, woken
    /// inside the server's write, ran before that returned.
    pub delivered: Spread,
    /// The agent's gaps.
    pub agent_gaps: Spread,
    /// The client's gaps.
    pub client_gaps: Spread,
    /// What did not agree.
    pub differences: Differences,
}

/// Sentences on what did not agree, as many as one reads.
#[derive(Clone, Debug, Default)]
pub struct Differences(Vec<String>);

/// Compares a client's view with the agent's records.
#[must_use]
#[allow(clippy::cast_precision_loss)]
pub fn compare(client: &[Seen], records: &[Value]) -> Agreement {
    let by_id: HashMap<&str, &Value> =
        records.iter().filter_map(|record| Some((record["id"].as_str()?, record))).collect();
    let mut agreement = Agreement { requests: client.len(), ..Agreement::default() };
    let (mut waited, mut delivered) = (Vec::new(), Vec::new());
    let (mut agent_gaps, mut client_gaps) = (Vec::new(), Vec::new());
    for seen in client {
        let id = seen.id.as_deref().unwrap_or("");
        let Some(record) = by_id.get(id) else {
            agreement.differences.push(format!("{id}: no record"));
            continue;
        };
        let same = record["quality"] == "complete"
            && record["code"].as_u64() == seen.status.map(u64::from)
            && record["completion_tokens"].as_u64() == seen.completion_tokens
            && record["prompt_tokens"].as_u64() == seen.prompt_tokens;
        if !same {
            agreement.differences.push(format!("{id}: {seen:?} and {record}"));
            continue;
        }
        agreement.equal += 1;
        let (Some(first), Some(agents)) = (seen.first_content_ns(), record["first_content_us"].as_f64()) else {
            continue;
        };
        if record["content_events"].as_u64() == Some(seen.content_ns.len() as u64) {
            agreement.same_events += 1;
        } else {
            let (agents, clients) = (&record["content_events"], seen.content_ns.len());
            agreement.differences.push(format!("{id}: {agents} content events, the client had {clients}"));
        }
        let arrival = record["arrival_ns"].as_u64().unwrap_or(0);
        let micros = |from: u64, to: u64| (to as f64 - from as f64) / 1000.0;
        waited.push(micros(seen.sent_ns, arrival));
        delivered.push(micros(arrival, first) - agents);
        agent_gaps.extend(record["gaps_us"].as_array().into_iter().flatten().filter_map(Value::as_f64));
        client_gaps.extend(seen.content_ns.windows(2).map(|pair| (pair[1] - pair[0]) as f64 / 1000.0));
    }
    agreement.ttft_difference = waited.iter().zip(&delivered).map(|(before, behind)| before + behind).collect();
    agreement.waited = waited.into_iter().collect();
    agreement.delivered = delivered.into_iter().collect();
    agreement.agent_gaps = agent_gaps.into_iter().collect();
    agreement.client_gaps = client_gaps.into_iter().collect();
    agreement
}

impl Differences {
    /// One more.
    pub fn push(&mut self, what: String) {
        if self.0.len() < 10 {
            self.0.push(what);
        }
    }
}

impl fmt::Display for Differences {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|what| writeln!(to, "  DIFFERS {what}"))
    }
}

impl fmt::Display for Agreement {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(to, "  requests {}, equal in code and tokens {}", self.requests, self.equal)?;
        if !self.ttft_difference.is_empty() {
            writeln!(to, "  same number of content events {}", self.same_events)?;
            writeln!(to, "  TTFT, client - agent (us)   {}", self.ttft_difference)?;
            writeln!(to, "    send to the server's read {}", self.waited)?;
            writeln!(to, "    its write to the receipt  {}", self.delivered)?;
            writeln!(to, "  ITL, client (us)            {}", self.client_gaps)?;
            writeln!(to, "  ITL, agent (us)             {}", self.agent_gaps)?;
        }
        write!(to, "{}", self.differences)
    }
}
