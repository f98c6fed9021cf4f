//! The standard OTEL_* variables: they fill in what the configuration leaves open. Pure: variables come in as a function.
//!
//! Variables that describe a collector (endpoint, protocol, headers, TLS, …) make one, and only where the file names none: its
//! credentials never go to another one. A value that cannot be used is a problem, because who set it meant it.

use crate::config::{Aggregation, Compression, Destination, Otlp, Protocol, Temporality, Texts, Tls};
use std::collections::BTreeMap;

/// A value of a variable, if it is set and not empty: the standard takes both alike.
pub type Lookup<'a> = &'a dyn Fn(&str) -> Option<String>;

/// What the process was started with.
#[must_use]
pub fn process(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.trim().is_empty())
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Signal {
    Metrics,
    Spans,
}

/// Fills in what `otlp` leaves open.
///
/// # Errors
/// With a sentence for each variable that cannot be used.
pub fn complete(mut otlp: Otlp, get: Lookup<'_>) -> Result<Otlp, Vec<String>> {
    let mut problems = Vec::new();
    if get("OTEL_SDK_DISABLED").is_some_and(|value| value.trim().eq_ignore_ascii_case("true")) {
        return Ok(otlp);
    }
    if otlp.destinations.0.is_empty() {
        otlp.destinations.0 = destinations(get, &mut problems);
    }
    if otlp.interval_seconds.is_none() {
        let milliseconds = number(get, "OTEL_METRIC_EXPORT_INTERVAL", &mut problems);
        otlp.interval_seconds = milliseconds.map(|milliseconds: u32| (milliseconds / 1000).clamp(1, 3600));
    }
    if otlp.spans.ratio.is_none() {
        otlp.spans.ratio = ratio(get, &mut problems);
    }
    for (name, value) in pairs(get, "OTEL_RESOURCE_ATTRIBUTES", &mut problems) {
        otlp.resource.0.entry(name).or_insert(value);
    }
    if problems.is_empty() { Ok(otlp) } else { Err(problems) }
}

/// One collector for both kinds, or two where they are not treated alike.
fn destinations(get: Lookup<'_>, problems: &mut Vec<String>) -> Vec<Destination> {
    let metrics = destination(Signal::Metrics, get, problems);
    let spans = destination(Signal::Spans, get, problems);
    match (metrics, spans) {
        (Some(metrics), Some(spans)) => {
            let both = Destination { metrics: true, spans: true, ..metrics.clone() };
            // What only concerns metrics tells no collectors apart.
            let (temporality, histograms) = (metrics.temporality, metrics.histograms);
            if both == (Destination { metrics: true, spans: true, temporality, histograms, ..spans.clone() }) {
                vec![both]
            } else {
                vec![metrics, spans]
            }
        }
        (metrics, spans) => metrics.into_iter().chain(spans).collect(),
    }
}

fn destination(signal: Signal, get: Lookup<'_>, problems: &mut Vec<String>) -> Option<Destination> {
    let (exporter, word) = match signal {
        Signal::Metrics => ("OTEL_METRICS_EXPORTER", "METRICS"),
        Signal::Spans => ("OTEL_TRACES_EXPORTER", "TRACES"),
    };
    if get(exporter).is_some_and(|exporters| exporters.split(',').all(|exporter| exporter.trim() != "otlp")) {
        return None;
    }
    let specific = |name: &str| format!("OTEL_EXPORTER_OTLP_{word}_{name}");
    let general = |name: &str| format!("OTEL_EXPORTER_OTLP_{name}");
    // The name of the variable that says it.
    let named = |name: &str| [specific(name), general(name)].into_iter().find(|name| get(name).is_some());
    let text = |name: &str| named(name).and_then(|name| get(&name)).map(|value| value.trim().to_owned());

    let endpoint = text("ENDPOINT")?;
    let mut expect = |name: &str, known: &[&str]| {
        let value = text(name)?;
        if !known.contains(&value.as_str()) {
            problems.push(format!("{}: expected {}, found {value:?}", named(name)?, known.join(" or ")));
        }
        Some(value)
    };
    let protocol = match expect("PROTOCOL", &["grpc", "http/protobuf"]).as_deref() {
        Some("grpc") => Protocol::Grpc,
        _ => Protocol::Http,
    };
    let compression = match expect("COMPRESSION", &["gzip", "none"]).as_deref() {
        Some("gzip") => Compression::Gzip,
        _ => Compression::None,
    };
    let preference = match signal {
        Signal::Metrics => expect("TEMPORALITY_PREFERENCE", &["cumulative", "delta", "lowmemory"]),
        Signal::Spans => None,
    };
    let temporality = match preference.as_deref() {
        Some("delta" | "lowmemory") => Temporality::Delta,
        _ => Temporality::Cumulative,
    };
    let aggregation = match signal {
        Signal::Metrics => {
            let known = ["explicit_bucket_histogram", "base2_exponential_bucket_histogram"];
            expect("DEFAULT_HISTOGRAM_AGGREGATION", &known)
        }
        Signal::Spans => None,
    };
    let histograms = match aggregation.as_deref() {
        Some("base2_exponential_bucket_histogram") => Aggregation::Exponential,
        _ => Aggregation::Explicit,
    };
    let insecure = text("INSECURE").is_some_and(|value| value.eq_ignore_ascii_case("true"));
    let endpoint = with_scheme(endpoint, insecure);
    if let Err(wrong) = crate::config::endpoint(&endpoint) {
        problems.extend(named("ENDPOINT").map(|name| format!("{name}: {wrong}")));
    }
    let timeout = named("TIMEOUT").and_then(|name| number(get, &name, problems)).unwrap_or(10_000_u32);
    let headers = named("HEADERS").map(|name| pairs(get, &name, problems)).unwrap_or_default();
    Some(Destination {
        // A variable of one signal says the whole path, the general one what is before it.
        exact_path: get(&specific("ENDPOINT")).is_some(),
        endpoint,
        protocol,
        metrics: signal == Signal::Metrics,
        spans: signal == Signal::Spans,
        headers: Texts(headers),
        timeout_seconds: timeout.div_ceil(1000).clamp(1, 300),
        compression,
        temporality,
        histograms,
        tls: Tls { ca: text("CERTIFICATE"), certificate: text("CLIENT_CERTIFICATE"), key: text("CLIENT_KEY") },
    })
}

/// gRPC's endpoints may come without a scheme.
fn with_scheme(endpoint: String, insecure: bool) -> String {
    if endpoint.contains("://") {
        return endpoint;
    }
    format!("{}://{endpoint}", if insecure { "http" } else { "https" })
}

fn ratio(get: Lookup<'_>, problems: &mut Vec<String>) -> Option<f64> {
    let sampler = get("OTEL_TRACES_SAMPLER")?;
    match sampler.trim() {
        "always_on" | "parentbased_always_on" => Some(1.0),
        "always_off" | "parentbased_always_off" => Some(0.0),
        "traceidratio" | "parentbased_traceidratio" => {
            let share = get("OTEL_TRACES_SAMPLER_ARG").map_or(Some(1.0), |share| share.trim().parse().ok());
            let share = share.filter(|share| (0.0..=1.0).contains(share));
            if share.is_none() {
                problems.push("OTEL_TRACES_SAMPLER_ARG: expected a share from 0 to 1".to_owned());
            }
            share
        }
        other => {
            problems.push(format!("OTEL_TRACES_SAMPLER: {other:?} is not a sampler of this agent"));
            None
        }
    }
}

fn number(get: Lookup<'_>, name: &str, problems: &mut Vec<String>) -> Option<u32> {
    let value = get(name)?;
    let number = value.trim().parse().ok();
    if number.is_none() {
        problems.push(format!("{name}: expected milliseconds, found {value:?}"));
    }
    number
}

/// `name=value,name=value`, values percent-encoded. Values are not shown: they may be credentials.
fn pairs(get: Lookup<'_>, name: &str, problems: &mut Vec<String>) -> BTreeMap<String, String> {
    let list = get(name).unwrap_or_default();
    let mut pairs = BTreeMap::new();
    for pair in list.split(',').map(str::trim).filter(|pair| !pair.is_empty()) {
        let read = pair.split_once('=').and_then(|(key, value)| Some((key.trim(), decoded(value.trim())?)));
        match read.filter(|(key, _)| !key.is_empty()) {
            Some((key, value)) => drop(pairs.insert(key.to_owned(), value)),
            None => problems.push(format!("{name}: expected name=value, separated by commas, with %-encoded values")),
        }
    }
    pairs
}

fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes().iter();
    while let Some(byte) = rest.next() {
        if *byte != b'%' {
            bytes.push(*byte);
            continue;
        }
        let digit = |byte: &u8| char::from(*byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
        bytes.push(digit(rest.next()?)? << 4 | digit(rest.next()?)?);
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests;
