//! What a family of the catalog is in OTLP: name, unit, kind of number, and the attribute that tells families of one name
//! apart. Pure; a family that the catalog does not know is none.

use super::attribute;
use crate::metric::catalog::{self, Kind, Metric};
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
    pub fixed: Option<KeyValue>,
}

/// OTLP counts input and output tokens in one metric.
const TOKEN_TYPES: &[(&Metric, &str)] = &[(&catalog::TOKENS_GENERATED, "output"), (&catalog::PROMPT_TOKENS, "input")];

/// The instrument of a family, by its complete name in Prometheus.
pub fn of(family: &str) -> Option<Instrument> {
    let row = catalog::all().find(|row| row.name == family)?;
    let token_type = TOKEN_TYPES.iter().find(|(typed, _)| *typed == row).map(|(_, word)| *word);
    let (unit, scale) = unit(row);
    Some(Instrument {
        name: row.otlp,
        unit,
        scale,
        description: if token_type.is_some() { "Tokens, by their type" } else { row.help },
        kind: row.kind,
        fixed: token_type.map(|word| attribute::text("gen_ai.token.type", word)),
    })
}

/// The unit of a row, and the factor from Prometheus' base unit.
fn unit(row: &Metric) -> (&'static str, f64) {
    let counted = match row.otlp {
        name if name.ends_with(".info") || name.ends_with("ratio") || name.ends_with(".usage") => "1",
        name if name.contains("tokens") || name.contains("prefix_cache") => "{token}",
        name if name.contains("requests") => "{request}",
        _ => "1",
    };
    let of_suffix = |suffix| match suffix {
        "seconds" => ("s", 1.0),
        "bytes" => ("By", 1.0),
        "joules" => ("J", 1.0),
        "watts" => ("W", 1.0),
        "celsius" => ("Cel", 1.0),
        "hz" | "hertz" => ("Hz", 1.0),
        "bytes_per_second" => ("By/s", 1.0),
        // OpenTelemetry says shares as fractions.
        "percent" => ("1", 0.01),
        _ => (counted, 1.0),
    };
    row.unit.suffix().map_or((counted, 1.0), of_suffix)
}
