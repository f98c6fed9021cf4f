//! How well the agent's records of prompts agree with ComfyUI's history and with a client's own clock.
//!
//! Prompts are joined by ComfyUI's id. All times are microseconds.

use super::{Own, Prompt};
use crate::agreement::{Differences, Spread};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::fmt;

/// What came of comparing.
#[derive(Clone, Debug, Default)]
pub struct Agreement {
    /// Prompts that ComfyUI accepted.
    pub prompts: usize,
    /// Of these, prompts with a complete record that says the same of outcome, error, images, cached nodes and steps.
    pub equal: usize,
    /// The agent's duration minus the one between ComfyUI's own stamps, which are whole milliseconds.
    pub duration: Spread,
    /// The agent's queue time minus the client's, from its send to its receipt of execution_start.
    pub queue: Spread,
    /// The agent's time to the first step minus the client's, from its send.
    pub first_step: Spread,
    /// The agent's gap minus the client's, step by step.
    pub gaps: Spread,
    /// The client's gaps between steps.
    pub client_gaps: Spread,
    /// Images that ComfyUI made.
    pub images: u64,
    /// What did not agree.
    pub differences: Differences,
}

/// Compares a client's prompts with the agent's records.
#[must_use]
pub fn compare(prompts: &[Prompt], records: &[Value]) -> Agreement {
    let jobs = records.iter().filter(|record| record["record"] == "job");
    let by_id: HashMap<&str, &Value> = jobs.filter_map(|record| Some((record["id"].as_str()?, record))).collect();
    let mut agreement = Agreement::default();
    let (mut durations, mut queues, mut firsts) = (Vec::new(), Vec::new(), Vec::new());
    let (mut gaps, mut client_gaps) = (Vec::new(), Vec::new());
    for prompt in prompts {
        let Some(id) = &prompt.id else { continue };
        agreement.prompts += 1;
        agreement.images += prompt.own.as_ref().map_or(0, |own| own.images);
        let Some(record) = by_id.get(id.as_str()) else {
            agreement.differences.push(format!("{id}: no record"));
            continue;
        };
        if let Some(difference) = difference(prompt, record) {
            agreement.differences.push(format!("{id}: {difference}: {prompt:?} and {record}"));
            continue;
        }
        agreement.equal += 1;
        durations.extend(duration(prompt, record));
        queues.extend(since_sent(prompt, record, "started_us", prompt.started_ns));
        if !prompt.steps_ns.is_empty() && is_sampled(prompt) {
            firsts.extend(since_sent(prompt, record, "first_step_us", prompt.steps_ns.first().copied()));
            let own: Vec<f64> = prompt.steps_ns.windows(2).map(|pair| micros(pair[0], pair[1])).collect();
            let agents: Vec<f64> =
                record["gaps"].as_array().into_iter().flatten().filter_map(|gap| gap["us"].as_f64()).collect();
            // A step that is told behind the end has no time of the agent's.
            if agents.len() == own.len() {
                gaps.extend(agents.iter().zip(&own).map(|(agent, own)| agent - own));
            }
            client_gaps.extend(own);
        }
    }
    agreement.duration = durations.into_iter().collect();
    agreement.queue = queues.into_iter().collect();
    agreement.first_step = firsts.into_iter().collect();
    agreement.gaps = gaps.into_iter().collect();
    agreement.client_gaps = client_gaps.into_iter().collect();
    agreement
}

/// What the agent says otherwise than ComfyUI.
fn difference(prompt: &Prompt, record: &Value) -> Option<&'static str> {
    if record["quality"] != "complete" {
        return Some("quality");
    }
    let Some(own) = &prompt.own else {
        return (record["status"] != "cancelled").then_some("status");
    };
    let Own { outcome, cached, images, error, .. } = own;
    let steps = if prompt.steps_ns.is_empty() { SAMPLER_STEPS } else { prompt.steps_ns.len() };
    let pairs = [
        ("status", json!(outcome)),
        ("error", json!(error)),
        ("cached", json!(cached)),
        ("images", json!(images)),
        ("steps", if is_sampled(prompt) && own.has_worked(prompt) { json!(steps) } else { record["steps"].clone() }),
    ];
    pairs.into_iter().find(|(name, expected)| record[name] != *expected).map(|(name, _)| name)
}

/// As comfyui_load.py has it.
const SAMPLER_STEPS: usize = 8;

fn is_sampled(prompt: &Prompt) -> bool {
    prompt.workflow == "sample"
}

impl Own {
    /// Whether the sampler ran: a prompt that is sent again finds its result in the cache.
    fn has_worked(&self, prompt: &Prompt) -> bool {
        self.cached < prompt.nodes
    }
}

#[allow(clippy::cast_precision_loss)]
fn duration(prompt: &Prompt, record: &Value) -> Option<f64> {
    let own = prompt.own.as_ref()?;
    Some(record["duration_us"].as_f64()? - (own.end_ms - own.start_ms) as f64 * 1000.0)
}

/// The agent's offset from its arrival, minus the client's from its send.
fn since_sent(prompt: &Prompt, record: &Value, field: &str, received: Option<u64>) -> Option<f64> {
    Some(record[field].as_f64()? - micros(prompt.sent_ns, received?))
}

#[allow(clippy::cast_precision_loss)]
fn micros(from: u64, to: u64) -> f64 {
    (to as f64 - from as f64) / 1000.0
}

impl fmt::Display for Agreement {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Agreement { prompts, equal, images, .. } = self;
        writeln!(to, "  prompts {prompts}, equal {equal}, images {images}")?;
        let rows = [
            ("duration, agent - ComfyUI's stamps", &self.duration),
            ("start, agent - client", &self.queue),
            ("first step, agent - client", &self.first_step),
            ("step gap, agent - client", &self.gaps),
            ("step gap, client", &self.client_gaps),
        ];
        for (name, spread) in rows.into_iter().filter(|(_, spread)| !spread.is_empty()) {
            writeln!(to, "  {name:36} (us, n {:4}) {spread}", spread.len())?;
        }
        write!(to, "{}", self.differences)
    }
}
