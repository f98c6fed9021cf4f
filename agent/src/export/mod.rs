//! Exporters: metrics to whoever asks for them, metrics and spans to collectors. Nothing here counts or measures.

pub mod otlp;
pub mod prometheus;
