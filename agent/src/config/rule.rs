//! Which values of a setting make sense. Pure; each rule says what is wrong in words that tell how to put it right.

use crate::metric::{POD_LABEL, catalog};
use crate::service::Workload;
use std::fmt::Display;
use std::ops::RangeInclusive;
use tracing_subscriber::EnvFilter;

/// Within a range.
pub fn within<T: PartialOrd + Display>(range: RangeInclusive<T>) -> impl Fn(&T) -> Result<(), String> {
    move |value| {
        if range.contains(value) {
            return Ok(());
        }
        Err(format!("expected {} to {}, found {value}", range.start(), range.end()))
    }
}

/// A size that the kernel accepts for a ring buffer.
pub fn ring_bytes(bytes: &u32) -> Result<(), String> {
    within(1 << 20..=1 << 30)(bytes)?;
    if bytes.is_power_of_two() {
        return Ok(());
    }
    let above = bytes.next_power_of_two();
    Err(format!("expected a power of two, found {bytes}; the next is {above}"))
}

/// A filter that `tracing` understands.
pub fn log_filter(filter: &str) -> Result<(), String> {
    let known = EnvFilter::try_new(filter).is_ok();
    if known { Ok(()) } else { Err(format!("expected a filter like `info` or `info,bpf=debug`, found {filter:?}")) }
}

/// Upper bounds of a histogram's buckets.
pub fn bucket_bounds(bounds: &[f64]) -> Result<(), String> {
    if bounds.is_empty() {
        return Err("expected at least one bucket bound".to_owned());
    }
    if let Some(bound) = bounds.iter().find(|bound| !bound.is_finite() || **bound <= 0.0) {
        return Err(format!("expected bounds above 0 and finite (+Inf is added), found {bound}"));
    }
    let descent = bounds.iter().zip(bounds.iter().skip(1)).find(|(lower, upper)| lower >= upper);
    match descent {
        Some((lower, upper)) => Err(format!("expected ascending bounds, found {upper} after {lower}")),
        None => Ok(()),
    }
}

/// A name for an external label.
pub fn label_name(name: &str) -> Result<(), String> {
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    if name.is_empty() || !name.chars().all(word) || name.starts_with(|c: char| c.is_ascii_digit()) {
        return Err("expected a label name of letters, digits and `_`, not beginning with a digit".to_owned());
    }
    if name.starts_with("__") {
        return Err("label names that begin with `__` belong to Prometheus".to_owned());
    }
    if name.starts_with(POD_LABEL) {
        return Err(format!("labels of pods begin with `{POD_LABEL}`; choose another"));
    }
    if name == "le" || Workload::LABELS.contains(&name) || catalog::all().any(|metric| metric.labels.contains(&name)) {
        return Err("Inferscope's own metrics have a label of this name; choose another".to_owned());
    }
    Ok(())
}

/// A name of an attribute, as OpenTelemetry writes them.
pub fn attribute_name(name: &str) -> Result<(), String> {
    let known = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-' | '/');
    if name.starts_with(|c: char| c.is_ascii_alphabetic()) && name.chars().all(known) {
        return Ok(());
    }
    Err("expected a name of letters, digits and `_`, `.`, `-`, `/` that begins with a letter".to_owned())
}

/// A name of a header.
pub fn header_name(name: &str) -> Result<(), String> {
    let known = hyper::header::HeaderName::from_bytes(name.as_bytes()).is_ok();
    if known { Ok(()) } else { Err("expected a header name".to_owned()) }
}

/// Where a collector listens.
pub fn endpoint(text: &str) -> Result<(), String> {
    address(text, "http://collector:4317")
}

/// Where a server listens; `example` is such an address.
pub fn address(text: &str, example: &str) -> Result<(), String> {
    let uri: Option<hyper::Uri> = text.parse().ok();
    let known = uri.is_some_and(|uri| matches!(uri.scheme_str(), Some("http" | "https")) && uri.host().is_some());
    if known { Ok(()) } else { Err(format!("expected an address like {example}, found {text:?}")) }
}

/// A name of a node of Kubernetes.
pub fn node_name(name: &str) -> Result<(), String> {
    let known = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '.');
    if !name.is_empty() && name.len() <= 253 && name.chars().all(known) {
        return Ok(());
    }
    Err(format!("expected the name of a node, of letters in lower case, digits, `-` and `.`, found {name:?}"))
}

/// The key of a label in Kubernetes.
pub fn label_key(key: &str) -> Result<(), String> {
    let (prefix, name) = key.rsplit_once('/').map_or((None, key), |(prefix, name)| (Some(prefix), name));
    let inner = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let whole = |text: &str, most: usize| {
        let ends = |c: char| c.is_ascii_alphanumeric();
        text.len() <= most && text.chars().all(inner) && text.starts_with(ends) && text.ends_with(ends)
    };
    if whole(name, 63) && prefix.is_none_or(|prefix| whole(prefix, 253)) {
        return Ok(());
    }
    Err(format!("expected the key of a label like app.kubernetes.io/name, found {key:?}"))
}

/// A share.
pub fn ratio(share: &f64) -> Result<(), String> {
    within(0.0..=1.0)(share)
}

/// A workflow's hash, as in the label `workflow`.
pub fn workflow_hash(hash: &str) -> Result<(), String> {
    let digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    if hash.len() == 12 && hash.bytes().all(digit) {
        return Ok(());
    }
    Err("expected a workflow's hash of 12 hexadecimal digits in lower case (in quotes where all are decimal)"
        .to_owned())
}

/// A text that says something.
pub fn filled(text: &str) -> Result<(), String> {
    if text.trim().is_empty() { Err("expected text, found none".to_owned()) } else { Ok(()) }
}
