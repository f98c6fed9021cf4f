//! One side's totals, and where they stand on its page: the names of the agent's metrics, of vLLM's and of Triton's.

use super::Quantity;
use super::exposition::{Exposition, Total};
use std::collections::BTreeMap;

/// One side's totals.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Figures {
    totals: BTreeMap<Quantity, Total>,
}

/// Counters and histograms of the agent that have no more to them than their name.
const AGENT: [(Quantity, &str); 13] = [
    (Quantity::PromptTokens, "llm_prompt_tokens_total"),
    (Quantity::CachedTokens, "llm_prompt_tokens_cached_total"),
    (Quantity::GeneratedTokens, "llm_tokens_generated_total"),
    (Quantity::PrefixQueries, "llm_prefix_cache_queries_total"),
    (Quantity::PrefixHits, "llm_prefix_cache_hits_total"),
    (Quantity::Preemptions, "llm_preemptions_total"),
    (Quantity::Dispatch, "llm_dispatch_duration_seconds"),
    (Quantity::Queue, "llm_queue_duration_seconds"),
    (Quantity::Prefill, "llm_prefill_duration_seconds"),
    (Quantity::Decode, "llm_decode_duration_seconds"),
    (Quantity::InterToken, "llm_inter_token_latency_seconds"),
    (Quantity::FirstToken, "llm_time_to_first_token_seconds"),
    (Quantity::EndToEnd, "llm_request_duration_seconds"),
];

/// Those that the agent may also have from elsewhere, which is not to be compared: what usage blocks or writes say.
const FROM_ENGINE: [Quantity; 4] =
    [Quantity::PromptTokens, Quantity::CachedTokens, Quantity::GeneratedTokens, Quantity::InterToken];

/// vLLM's.
const VLLM: [(Quantity, &str); 12] = [
    (Quantity::PromptTokens, "vllm:prompt_tokens_total"),
    (Quantity::CachedTokens, "vllm:prompt_tokens_cached_total"),
    (Quantity::GeneratedTokens, "vllm:generation_tokens_total"),
    (Quantity::PrefixQueries, "vllm:prefix_cache_queries_total"),
    (Quantity::PrefixHits, "vllm:prefix_cache_hits_total"),
    (Quantity::Preemptions, "vllm:num_preemptions_total"),
    (Quantity::Queue, "vllm:request_queue_time_seconds"),
    (Quantity::Prefill, "vllm:request_prefill_time_seconds"),
    (Quantity::Decode, "vllm:request_decode_time_seconds"),
    (Quantity::InterToken, "vllm:inter_token_latency_seconds"),
    (Quantity::FirstToken, "vllm:time_to_first_token_seconds"),
    (Quantity::EndToEnd, "vllm:e2e_request_latency_seconds"),
];

/// The agent's of inferences, by stage where there is one.
const INFERENCES: [(Quantity, &str, Option<&str>); 4] = [
    (Quantity::Queue, "triton_queue_duration_seconds", None),
    (Quantity::ComputeInput, "triton_compute_duration_seconds", Some("input")),
    (Quantity::ComputeInfer, "triton_compute_duration_seconds", Some("infer")),
    (Quantity::ComputeOutput, "triton_compute_duration_seconds", Some("output")),
];

/// Triton's: counters of microseconds, over its successful requests.
const TRITON: [(Quantity, &str); 4] = [
    (Quantity::Queue, "nv_inference_queue_duration_us"),
    (Quantity::ComputeInput, "nv_inference_compute_input_duration_us"),
    (Quantity::ComputeInfer, "nv_inference_compute_infer_duration_us"),
    (Quantity::ComputeOutput, "nv_inference_compute_output_duration_us"),
];

/// Triton's counter of successful requests.
const TRITON_SUCCESS: &str = "nv_inference_request_success";

/// vLLM's counter of finished sequences.
const VLLM_SUCCESS: &str = "vllm:request_success_total";

impl Figures {
    /// The agent's, over the series that have all of `labels`.
    #[must_use]
    pub fn of_agent(page: &Exposition, labels: &[(&str, &str)]) -> Figures {
        let mut figures = Figures::default();
        figures.set(Quantity::Requests, counter(page, "llm_request_total", &with(labels, Some(("status", "ok")))));
        // The engine's own times are observed once for each sequence that ends.
        let sequences = page.sum("llm_queue_duration_seconds_count", labels);
        figures.set(Quantity::Sequences, sequences.map(Total::counted));
        for (quantity, name) in AGENT {
            let source = FROM_ENGINE.contains(&quantity).then_some(("source", "engine"));
            figures.set(quantity, read(page, quantity, name, &with(labels, source)));
        }
        figures
    }

    /// vLLM's, over the series that have all of `labels`.
    #[must_use]
    pub fn of_vllm(page: &Exposition, labels: &[(&str, &str)]) -> Figures {
        let mut figures = Figures::default();
        // One observation for each request whose sequences have all ended.
        let requests = page.histogram("vllm:request_params_n", labels);
        figures.set(Quantity::Requests, requests.map(|total| Total::counted(total.count)));
        let of_aborted: Vec<_> = labels.iter().copied().chain([("finished_reason", "abort")]).collect();
        let aborted = page.sum(VLLM_SUCCESS, &of_aborted).unwrap_or(0.0);
        let ended = page.sum(VLLM_SUCCESS, labels);
        figures.set(Quantity::Sequences, ended.map(|ended| Total::counted(ended - aborted)));
        for (quantity, name) in VLLM {
            figures.set(quantity, read(page, quantity, name, labels));
        }
        figures
    }

    /// The agent's of inferences, over the series that have all of `labels`.
    #[must_use]
    pub fn of_inferences(page: &Exposition, labels: &[(&str, &str)]) -> Figures {
        let mut figures = Figures::default();
        for (quantity, status) in [(Quantity::Requests, "ok"), (Quantity::Failures, "error")] {
            let ended = counter(page, "triton_request_total", &with(labels, Some(("status", status))));
            // Where requests are counted, none of a kind is known to be 0.
            let none = page.sum("triton_request_total", labels).map(|_| Total::default());
            figures.set(quantity, ended.or(none));
        }
        figures.set(Quantity::Executions, counter(page, "triton_batch_size_count", labels));
        for (quantity, name, stage) in INFERENCES {
            figures.set(quantity, page.histogram(name, &with(labels, stage.map(|stage| ("stage", stage)))));
        }
        figures
    }

    /// Triton's, over the series that have all of `labels`.
    #[must_use]
    pub fn of_triton(page: &Exposition, labels: &[(&str, &str)]) -> Figures {
        let mut figures = Figures::default();
        figures.set(Quantity::Requests, counter(page, TRITON_SUCCESS, labels));
        figures.set(Quantity::Failures, counter(page, "nv_inference_request_failure", labels));
        figures.set(Quantity::Executions, counter(page, "nv_inference_exec_count", labels));
        let Some(count) = page.sum(TRITON_SUCCESS, labels) else { return figures };
        for (quantity, name) in TRITON {
            figures.set(quantity, page.sum(name, labels).map(|micros| Total { count, sum: micros / 1e6 }));
        }
        figures
    }

    /// The models that Triton has figures of.
    #[must_use]
    pub fn triton_models(page: &Exposition) -> Vec<&str> {
        page.values(TRITON_SUCCESS, "model")
    }

    /// The models that vLLM has figures of.
    #[must_use]
    pub fn vllm_models(page: &Exposition) -> Vec<&str> {
        page.values(VLLM_SUCCESS, "model_name")
    }

    /// Figures that were read elsewhere.
    #[must_use]
    pub fn of(totals: impl IntoIterator<Item = (Quantity, Total)>) -> Figures {
        Figures { totals: totals.into_iter().collect() }
    }

    /// A total; absent where the side does not state it.
    #[must_use]
    pub fn total(&self, quantity: Quantity) -> Option<Total> {
        self.totals.get(&quantity).copied()
    }

    /// What came behind `earlier`. What was not there earlier has begun at nothing.
    #[must_use]
    pub fn since(&self, earlier: &Figures) -> Figures {
        let began = |quantity: &Quantity| earlier.total(*quantity).unwrap_or_default();
        Figures::of(self.totals.iter().map(|(quantity, total)| (*quantity, total.since(began(quantity)))))
    }

    /// Whether a total is smaller than `other`'s, which totals of one life never are.
    #[must_use]
    pub fn is_less_than(&self, other: &Figures) -> bool {
        other.totals.iter().any(|(quantity, total)| self.total(*quantity).unwrap_or_default().count < total.count)
    }

    fn set(&mut self, quantity: Quantity, total: Option<Total>) {
        if let Some(total) = total {
            self.totals.insert(quantity, total);
        }
    }
}

fn read(page: &Exposition, quantity: Quantity, name: &str, labels: &[(&str, &str)]) -> Option<Total> {
    if quantity.is_time() { page.histogram(name, labels) } else { counter(page, name, labels) }
}

/// These labels, and one more where it is wanted.
fn with<'l>(labels: &[(&'l str, &'l str)], more: Option<(&'static str, &'static str)>) -> Vec<(&'l str, &'l str)> {
    labels.iter().copied().chain(more).collect()
}

fn counter(page: &Exposition, name: &str, labels: &[(&str, &str)]) -> Option<Total> {
    page.sum(name, labels).map(Total::counted)
}
