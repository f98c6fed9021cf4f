//! What a family of the catalog is in OTLP: name, unit, kind of number, and the attribute that tells families of one name
//! apart. Pure; a family that the catalog does not know is none.

use super::attribute;
use crate::metric::catalog::{self, Kind, Metric, Unit};
use opentelemetry_proto::tonic::common::v1::KeyValue;

/// A family as OTLP sees it.
#[derive(Clone, Debug, PartialEq)]
pub struct Instrument {
    /// Its name.
    pub name: &'static str,
    /// Its unit, in UCUM.
    pub unit: &'static str,
    /// What is multiplied with values to be in that unit.
    pub scale: f64,
    /// One sentence.
    pub description: &'static str,
    /// The kind of its numbers.
    pub kind: Kind,
    /// On every point.
    pub fixed: Vec<KeyValue>,
}

/// What tells families of one name apart, by their names in Prometheus.
const PARTS: &[(&str, &str, &str)] = &[
    ("llm_tokens_generated_total", "gen_ai.token.type", "output"),
    ("llm_prompt_tokens_total", "gen_ai.token.type", "input"),
    ("gpu_nvlink_tx_bytes_total", "network.io.direction", "transmit"),
    ("gpu_nvlink_rx_bytes_total", "network.io.direction", "receive"),
    ("gpu_xid_errors_total", "inferscope.errors", "xid"),
    ("gpu_ecc_errors_total", "inferscope.errors", "ecc"),
];

/// Descriptions of names that several families have.
const SHARED: &[(&str, &str)] = &[
    ("inferscope.llm.tokens", "Tokens, by their type"),
    ("hw.gpu.io", "Bytes sent and received over NVLink"),
    ("hw.errors", "Errors of a device"),
];

/// The instrument of a family, by its complete name in Prometheus; none of one that has no name in OTLP.
pub fn of(family: &str) -> Option<Instrument> {
    let row = catalog::all().find(|row| row.name == family && !row.otlp.is_empty())?;
    let part = PARTS.iter().find(|(name, ..)| *name == family);
    let hardware = row.otlp.starts_with("hw.").then(|| attribute::text("hw.type", "gpu"));
    let (unit, scale) = unit(row);
    Some(Instrument {
        name: row.otlp,
        unit,
        scale,
        description: SHARED.iter().find(|(name, _)| *name == row.otlp).map_or(row.help, |(_, description)| description),
        kind: row.kind,
        fixed: part.map(|(_, key, value)| attribute::text(key, *value)).into_iter().chain(hardware).collect(),
    })
}

/// The unit of a row, and the factor from Prometheus' base unit.
fn unit(row: &Metric) -> (&'static str, f64) {
    let counted = match row.otlp {
        name if name.contains("tokens") || name.contains("prefix_cache") => "{token}",
        name if name.contains("requests") => "{request}",
        "hw.errors" => "{error}",
        _ => "1",
    };
    match row.unit {
        // OpenTelemetry says shares as fractions.
        Unit::Percent => ("1", 0.01),
        unit => (unit.ucum().unwrap_or(counted), 1.0),
    }
}
