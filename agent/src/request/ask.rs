//! How an inference came to its server: what a client asked of a front end, and what became of the answer there.
//!
//! Where several requests could have caused it, only what holds for all of them is said.

use super::{Caller, Origin, Record, Status};
use crate::event::Nanos;
use serde_json::{Value, json};

/// By which way an inference came.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Protocol {
    /// HTTP/1.
    #[default]
    Http,
    /// gRPC.
    Grpc,
    /// Somebody inside the server called it.
    InProcess,
}

impl Protocol {
    /// Label value.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Protocol::Http => "http",
            Protocol::Grpc => "grpc",
            Protocol::InProcess => "in_process",
        }
    }
}

/// A request of a client for an inference, by the order in which they were seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AskId(pub u64);

/// How an inference came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// By which way.
    pub protocol: Protocol,
    /// The client's request, where it can only be one.
    pub by: Option<Cause>,
}

/// The request that an inference came of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cause {
    /// Which.
    pub ask: AskId,
    /// When its first byte was read.
    pub arrival: Nanos,
    /// The trace that it belongs to.
    pub trace: Option<Caller>,
    /// How it was answered; absent where that was not seen, or many are answered at once.
    pub answer: Option<Answered>,
}

/// How a front end answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answered {
    /// When the first byte left.
    pub first_byte: Option<Nanos>,
    /// When the last byte left.
    pub last_byte: Nanos,
    /// How it went.
    pub status: Status,
    /// HTTP's status.
    pub code: u16,
    /// gRPC's status.
    pub grpc_status: Option<u32>,
}

impl Answered {
    /// What a record says of it.
    #[must_use]
    pub fn of(record: &Record) -> Answered {
        Answered {
            first_byte: record.headers,
            last_byte: record.end,
            status: record.status,
            code: record.code,
            grpc_status: record.grpc_status,
        }
    }
}

/// A request for an inference that the front end refused: no model ever saw it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Who refused.
    pub origin: Origin,
    /// How it was asked.
    pub protocol: Protocol,
    /// The status that it was given.
    pub code: u32,
}

impl Asked {
    /// As one JSON object; times in microseconds after `since`, an arrival before it is negative.
    #[must_use]
    #[allow(clippy::cast_precision_loss)] // exact for 104 days
    pub fn to_json(&self, since: Nanos) -> Value {
        let offset = |time: Nanos| {
            let (ahead, behind) = (time.since(since) as f64, since.since(time) as f64);
            (ahead - behind) / 1000.0
        };
        let by = self.by.as_ref();
        let answer = by.and_then(|by| by.answer);
        json!({
            "protocol": self.protocol.name(),
            "arrival_us": by.map(|by| offset(by.arrival)),
            "trace_id": by.and_then(|by| by.trace.as_ref()).map(|trace| hexadecimal(&trace.trace)),
            "first_byte_us": answer.and_then(|answer| answer.first_byte).map(offset),
            "last_byte_us": answer.map(|answer| offset(answer.last_byte)),
            "code": answer.map(|answer| answer.code).filter(|code| *code > 0),
            "grpc_status": answer.and_then(|answer| answer.grpc_status),
        })
    }
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
