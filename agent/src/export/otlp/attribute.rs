//! Attributes: how to make one, and which one a label of the catalog is in OpenTelemetry's conventions.
//!
//! Labels without a convention are attributes of their own under `inferscope.`. Labels that say whose a series is become
//! the resource's ([`super::resource`]).

use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, ArrayValue, KeyValue};

/// Labels with a convention. The `model` is the one that the answer names, else the one asked for: servers name both alike.
const CONVENTIONS: &[(&str, &str)] = &[
    ("code", "http.response.status_code"),
    ("engine", "gen_ai.provider.name"),
    ("model", "gen_ai.request.model"),
    ("name", "hw.name"),
    ("operation", "gen_ai.operation.name"),
    ("stream", "gen_ai.request.stream"),
    ("uuid", "hw.id"),
];

/// Labels whose values are numbers.
const NUMBERS: &[&str] = &["code", "engine_index"];

/// Labels whose values are truths.
const TRUTHS: &[&str] = &["stream"];

/// A text.
pub fn text(key: &str, value: impl Into<String>) -> KeyValue {
    make(key, Value::StringValue(value.into()))
}

/// A number.
pub fn number(key: &str, value: u64) -> KeyValue {
    make(key, Value::IntValue(i64::try_from(value).unwrap_or(i64::MAX)))
}

/// A number with a fraction.
pub fn fraction(key: &str, value: f64) -> KeyValue {
    make(key, Value::DoubleValue(value))
}

/// A truth.
pub fn truth(key: &str, value: bool) -> KeyValue {
    make(key, Value::BoolValue(value))
}

/// Texts.
pub fn texts<'t>(key: &str, values: impl IntoIterator<Item = &'t str>) -> KeyValue {
    let value = |value: &str| AnyValue { value: Some(Value::StringValue(value.to_owned())) };
    make(key, Value::ArrayValue(ArrayValue { values: values.into_iter().map(value).collect() }))
}

/// A label as an attribute. A value that is not what the label promises stays text.
pub fn of_label(label: &str, value: &str) -> KeyValue {
    let key = name_of(label);
    let value = match value.parse::<u32>() {
        Ok(number) if NUMBERS.contains(&label) => Value::IntValue(i64::from(number)),
        _ if TRUTHS.contains(&label) => Value::BoolValue(value == "true"),
        _ => Value::StringValue(value.to_owned()),
    };
    make(&key, value)
}

/// The name of a label's attribute.
pub fn name_of(label: &str) -> String {
    let convention = CONVENTIONS.iter().find(|(known, _)| *known == label);
    convention.map_or_else(|| format!("inferscope.{label}"), |(_, name)| (*name).to_owned())
}

fn make(key: &str, value: Value) -> KeyValue {
    KeyValue { key: key.to_owned(), value: Some(AnyValue { value: Some(value) }), ..KeyValue::default() }
}
