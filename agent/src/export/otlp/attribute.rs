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
    ("k8s_container", "k8s.container.name"),
    ("k8s_namespace", "k8s.namespace.name"),
    ("k8s_pod", "k8s.pod.name"),
    ("model", "gen_ai.request.model"),
    ("name", "hw.name"),
    ("operation", "gen_ai.operation.name"),
    ("stream", "gen_ai.request.stream"),
    ("uuid", "hw.id"),
    ("vendor", "hw.vendor"),
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

/// Numbers.
pub fn numbers(key: &str, values: impl IntoIterator<Item = u64>) -> KeyValue {
    let number = |value: u64| Value::IntValue(i64::try_from(value).unwrap_or(i64::MAX));
    let value = |value| AnyValue { value: Some(number(value)) };
    make(key, Value::ArrayValue(ArrayValue { values: values.into_iter().map(value).collect() }))
}

/// A series' labels as attributes. A value that is not what its label promises stays text.
pub fn of_labels(labels: &[(&str, &str)]) -> Vec<KeyValue> {
    let says =
        |wanted: &str, what: &dyn Fn(&str) -> bool| labels.iter().any(|(label, value)| *label == wanted && what(value));
    let is_grpc = says("protocol", &|value| value == "grpc");
    let is_part = says("mig_device", &|value| !value.is_empty());
    let attribute = |(label, value): &(&str, &str)| {
        let name = match *label {
            "code" if is_grpc => "rpc.grpc.status_code".to_owned(),
            // An instance of a GPU is a device of its own, below its GPU.
            "uuid" if is_part => "hw.parent".to_owned(),
            "mig_device" if is_part => "hw.id".to_owned(),
            label => name_of(label),
        };
        let value = match value.parse::<u32>() {
            Ok(number) if NUMBERS.contains(label) => Value::IntValue(i64::from(number)),
            _ if TRUTHS.contains(label) => Value::BoolValue(*value == "true"),
            _ => Value::StringValue((*value).to_owned()),
        };
        make(&name, value)
    };
    labels.iter().map(attribute).collect()
}

/// The name of a label's attribute.
pub fn name_of(label: &str) -> String {
    let convention = CONVENTIONS.iter().find(|(known, _)| *known == label);
    convention.map_or_else(|| format!("inferscope.{label}"), |(_, name)| (*name).to_owned())
}

fn make(key: &str, value: Value) -> KeyValue {
    KeyValue { key: key.to_owned(), value: Some(AnyValue { value: Some(value) }), ..KeyValue::default() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_label_means_may_lie_beside_it() {
        let http = of_labels(&[("code", "404"), ("stream", "true"), ("hook", "read")]);
        let code = make("http.response.status_code", Value::IntValue(404));
        assert_eq!(http, [code, truth("gen_ai.request.stream", true), text("inferscope.hook", "read")]);
        let grpc = of_labels(&[("protocol", "grpc"), ("code", "5")]);
        assert_eq!(grpc.last(), Some(&make("rpc.grpc.status_code", Value::IntValue(5))));
        let part = of_labels(&[("uuid", "GPU-1"), ("mig_device", "MIG-1")]);
        assert_eq!(part, [text("hw.parent", "GPU-1"), text("hw.id", "MIG-1")]);
        assert_eq!(of_labels(&[("uuid", "GPU-1")]), [text("hw.id", "GPU-1")]);
    }
}
