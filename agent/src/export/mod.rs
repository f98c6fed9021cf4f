//! Exporters: metrics to whoever asks for them. Nothing here counts, measures or decides.

pub mod otlp;
pub mod prometheus;
