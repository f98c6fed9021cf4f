//! An inference: what a server's library made of a request for one model.

use super::super::attribute::{fraction, number, text, truth};
use super::{Draft, Fault, Head, Stage, Traceable, named, seconds};
use crate::engine::inference::Fault as Cause;
use crate::event::Nanos;
use crate::request::inference::{Answer, Execution};
use crate::request::{Inference, Quality, Status};
use opentelemetry_proto::tonic::common::v1::KeyValue;

impl Traceable for Inference {
    /// It begins with its client's first byte, and ends with the last one of its answer, where those were seen.
    fn head(&self) -> Head<'_> {
        let by = self.asked.as_ref().and_then(|asked| asked.by.as_ref());
        let answered = by.and_then(|by| by.answer).map_or(self.end, |answer| answer.last_byte);
        Head {
            engine: self.origin.engine,
            service: &self.origin.service,
            tgid: self.origin.tgid,
            id: &self.id,
            start: by.map_or(self.arrival, |by| by.arrival),
            end: answered.max(self.end),
            caller: by.and_then(|by| by.trace.as_ref()),
            result: if matches!(self.status, Status::Error | Status::Rejected) { Err(()) } else { Ok(()) },
        }
    }

    fn draft(&self) -> Draft {
        let error = match self.status {
            Status::Error | Status::Rejected => Some(self.fault.map_or("_OTHER", Cause::name).to_owned()),
            Status::Cancelled => Some("cancelled".to_owned()),
            Status::Ok | Status::Unknown => None,
        };
        let is_clients = matches!(self.fault, Some(Cause::NotFound | Cause::InvalidArgument | Cause::Cancelled));
        let fault = if is_clients || self.status == Status::Cancelled { Fault::Other } else { Fault::Server };
        let moment = |name, at: Option<Nanos>| at.map(|at| (name, at));
        let moments = [
            moment("inferscope.first_response", self.first_response),
            moment("inferscope.last_response", self.last_response),
        ];
        Draft {
            name: named("infer", &self.model),
            attributes: attributes(self, error.as_deref()),
            error,
            fault,
            moments: moments.into_iter().flatten().collect(),
            stages: stages(self),
        }
    }
}

fn attributes(inference: &Inference, error: Option<&str>) -> Vec<KeyValue> {
    let stream = inference.answer == Answer::Streamed;
    let mut all = vec![
        text("gen_ai.operation.name", if inference.is_generation() { "generate_content" } else { "infer" }),
        text("gen_ai.provider.name", inference.origin.engine),
        truth("gen_ai.request.stream", stream),
        text("inferscope.status", inference.status.name()),
        number("inferscope.responses", inference.responses),
    ];
    let filled = |key: &'static str, value: &str| (!value.is_empty()).then(|| text(key, value));
    all.extend(filled("gen_ai.request.model", &inference.model));
    all.extend(filled("gen_ai.response.id", &inference.id));
    // A name, as the metrics' label is.
    all.extend(inference.version.map(|version| text("inferscope.version", version.to_string())));
    all.extend(inference.batch.map(|batch| number("inferscope.batch", batch)));
    all.extend(inference.asked.as_ref().map(|asked| text("inferscope.protocol", asked.protocol.name())));
    all.extend(inference.first_output().map(|nanos| fraction("gen_ai.response.time_to_first_chunk", seconds(nanos))));
    all.extend(error.map(|error| text("error.type", error)));
    if inference.quality != Quality::Complete {
        all.push(text("inferscope.quality", inference.quality.name()));
    }
    all
}

/// What was seen of its way. The backend says how long it computed, and when it began where its clock is ours; else it began
/// when it was called.
fn stages(inference: &Inference) -> Vec<Stage> {
    let mut stages = Vec::new();
    if let Some(nanos) = inference.receiving() {
        stages.push(Stage::new("receive", Nanos(inference.arrival.0.saturating_sub(nanos)), inference.arrival));
    }
    if let (Some(nanos), Some(submitted)) = (inference.queue(), inference.submitted) {
        stages.push(Stage::new("queue", submitted, after(submitted, nanos)));
    }
    stages.extend(compute(inference));
    if let (Some(nanos), Some(last)) = (inference.sending(), inference.last_response) {
        stages.push(Stage::new("send", last, after(last, nanos)));
    }
    stages
}

fn compute(inference: &Inference) -> Option<Stage> {
    let Execution { begin, input, infer, output, .. } = inference.stages()?;
    let begin = begin.or(inference.executed)?;
    let mut end = begin;
    let part = |(name, nanos)| {
        let start = end;
        end = after(start, nanos);
        Stage::new(name, start, end)
    };
    let parts = [("compute input", input), ("compute infer", infer), ("compute output", output)].map(part);
    let instance = inference.instance.map(|instance| text("inferscope.instance", instance.to_string()));
    Some(Stage {
        attributes: instance.into_iter().collect(),
        stages: parts.to_vec(),
        ..Stage::new("compute", begin, end)
    })
}

fn after(start: Nanos, nanos: u64) -> Nanos {
    Nanos(start.0.saturating_add(nanos))
}
