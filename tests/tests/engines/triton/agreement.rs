//! The agent's totals beside Triton's own, and its times beside the clients'.

use inferscope_tests::agreement::Spread;
use inferscope_tests::sum;
use inferscope_tests::triton::{Asked, TritonServer};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

/// Figures of each model: durations in microseconds.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Totals(BTreeMap<String, Figures>);

/// What both sides say of one model.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Figures {
    pub ok: f64,
    pub failed: f64,
    /// Requests that were executed, and executions.
    pub executed: f64,
    pub executions: f64,
    pub queue: f64,
    pub input: f64,
    pub infer: f64,
    pub output: f64,
}

impl Totals {
    /// By Triton's own page.
    pub fn servers(server: &TritonServer) -> Totals {
        let page = server.metrics().expect("Triton's metrics");
        let figures = |model: &str| {
            let of = |name: &str, more: &[&str]| {
                let model = format!("model=\"{model}\"");
                sum(&page, &format!("nv_inference_{name}"), &[&[model.as_str()], more].concat())
            };
            Figures {
                ok: of("request_success", &[]),
                failed: of("request_failure", &[]),
                executed: of("count", &[]),
                executions: of("exec_count", &[]),
                queue: of("queue_duration_us", &[]),
                input: of("compute_input_duration_us", &[]),
                infer: of("compute_infer_duration_us", &[]),
                output: of("compute_output_duration_us", &[]),
            }
        };
        Totals(models(&page, "nv_inference_count").into_iter().map(|model| (model.clone(), figures(&model))).collect())
    }

    /// By a page of the agent's.
    pub fn agents(page: &str, service: &str) -> Totals {
        let service = format!("service=\"{service}\"");
        let figures = |model: &str| {
            let model = format!("model=\"{model}\"");
            let of = |name: &str, more: &[&str]| sum(page, name, &[&[model.as_str(), service.as_str()], more].concat());
            let stage = |stage| of("triton_compute_duration_seconds_sum", &[stage]) * 1e6;
            Figures {
                ok: of("triton_request_total", &["status=\"ok\""]),
                failed: of("triton_request_total", &["status=\"error\""]),
                executed: of("triton_batch_size_sum", &[]),
                executions: of("triton_batch_size_count", &[]),
                queue: of("triton_queue_duration_seconds_sum", &[]) * 1e6,
                input: stage("stage=\"input\""),
                infer: stage("stage=\"infer\""),
                output: stage("stage=\"output\""),
            }
        };
        let mine: String = page.lines().filter(|line| line.contains(&service)).flat_map(|line| [line, "\n"]).collect();
        let models = [models(&mine, "triton_request_total"), models(&mine, "triton_batch_size_count")].concat();
        let models = BTreeSet::from_iter(models);
        Totals(models.into_iter().map(|model| (model.clone(), figures(&model))).collect())
    }

    /// What came since `before`, of the models for which something did.
    pub fn since(&self, before: &Totals) -> Totals {
        let minus = |model: &String, now: &Figures| {
            let was = before.0.get(model).copied().unwrap_or_default();
            Figures {
                ok: now.ok - was.ok,
                failed: now.failed - was.failed,
                executed: now.executed - was.executed,
                executions: now.executions - was.executions,
                queue: now.queue - was.queue,
                input: now.input - was.input,
                infer: now.infer - was.infer,
                output: now.output - was.output,
            }
        };
        let changed = self.0.iter().map(|(model, now)| (model.clone(), minus(model, now)));
        Totals(changed.filter(|(_, figures)| *figures != Figures::default()).collect())
    }

    /// Of one model.
    pub fn of(&self, model: &str) -> Figures {
        self.0.get(model).copied().unwrap_or_default()
    }

    /// A table of both.
    pub fn beside(&self, agent: &Totals) -> String {
        let mut table = format!("{:10}{:>26}{:>26}\n", "", "Triton's own", "the agent's");
        for (model, own) in &self.0 {
            let seen = agent.of(model);
            let mut row = |what: &str, own: f64, seen: f64| {
                let _ = writeln!(table, "{model:10}{what:12}{own:14.0}{seen:26.0}{:+9.2} %", percent(own, seen));
            };
            row("ok", own.ok, seen.ok);
            row("failed", own.failed, seen.failed);
            row("executed", own.executed, seen.executed);
            row("executions", own.executions, seen.executions);
            row("queue us", own.queue, seen.queue);
            row("input us", own.input, seen.input);
            row("infer us", own.infer, seen.infer);
            row("output us", own.output, seen.output);
        }
        table
    }

    /// The counts of all models that Triton counted are the same.
    pub fn assert_counts(&self, agent: &Totals) {
        for (model, own) in &self.0 {
            let seen = agent.of(model);
            assert_eq!((seen.ok, seen.failed, seen.executions), (own.ok, own.failed, own.executions), "of {model}");
            // Where a sequence waits for its next request, Triton fills its slot in the batch, and does not count that.
            let filled = model == "sequence" && seen.executed >= own.executed;
            assert!(
                filled || seen.executed == own.executed,
                "{model}: {} executed, not {}",
                seen.executed,
                own.executed
            );
        }
    }
}

/// How far `seen` is from `own`.
pub fn percent(own: f64, seen: f64) -> f64 {
    if own == 0.0 { 0.0 } else { (seen - own) / own * 100.0 }
}

fn models(page: &str, name: &str) -> Vec<String> {
    let model = |line: &str| Some(line.split_once("model=\"")?.1.split_once('"')?.0.to_owned());
    page.lines().filter(|line| line.starts_with(name)).filter_map(model).collect()
}

/// How far the agent's times are from a client's, in microseconds: the client's is longer by what its request and its answer
/// were under way.
pub struct Times {
    pub first: Spread,
    pub gaps: Spread,
}

impl Times {
    /// Of the requests that a client made, by their ids.
    pub fn compare(asked: &[Asked], records: &[Value]) -> Times {
        let by_id: BTreeMap<&str, &Value> =
            records.iter().filter_map(|record| Some((record["id"].as_str()?, record))).collect();
        let micros = |from: u64, to: u64| to.saturating_sub(from) as f64 / 1e3;
        let (mut first, mut gaps) = (Vec::new(), Vec::new());
        for one in asked {
            let record = by_id.get(one.id.as_str()).unwrap_or_else(|| panic!("no record of {}", one.id));
            assert_eq!(record["responses"].as_u64(), Some(one.responses.len() as u64), "{record}");
            // Where the client's request was seen on its connection, it arrived when its first byte was read.
            let arrival = record["asked"]["arrival_us"].as_f64().unwrap_or(0.0);
            let seen = record["first_response_us"].as_f64().expect("a first response") - arrival;
            first.push(micros(one.sent, one.responses[0]) - seen);
            let own = one.responses.windows(2).map(|pair| micros(pair[0], pair[1]));
            let seen = record["gaps_us"].as_array().expect("gaps").iter().map(|gap| gap.as_f64().expect("a gap"));
            gaps.extend(own.zip(seen).map(|(own, seen)| own - seen));
        }
        Times { first: first.into_iter().collect(), gaps: gaps.into_iter().collect() }
    }

    /// Gaps are the client's; the first response is apart from the client's by its way there and back. The bounds are wide
    /// for a busy machine: what is printed is quoted by the journal.
    pub fn assert_close(&self, what: &str) {
        println!("{what}: client - agent, us\n  first response {}\n  gaps           {}", self.first, self.gaps);
        assert!((0.0..5000.0).contains(&self.first.quantile(0.5)), "first responses");
        assert!(self.gaps.quantile(0.5).abs() < 500.0, "gaps");
    }
}
