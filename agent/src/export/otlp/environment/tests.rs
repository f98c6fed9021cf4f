//! Each variable, alone and beside a file.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use super::*;
use crate::config::Config;

fn complete_with(file: &str, variables: &[(&str, &str)]) -> Result<Otlp, Vec<String>> {
    let get = |name: &str| variables.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned());
    complete(Config::parse("f", file).unwrap().otlp, &get)
}

fn only(variables: &[(&str, &str)]) -> Destination {
    let otlp = complete_with("", variables).unwrap();
    let [destination] = otlp.destinations.0.as_slice() else { panic!("{:?}", otlp.destinations) };
    destination.clone()
}

#[test]
fn nothing_is_sent_without_an_endpoint() {
    assert_eq!(complete_with("", &[]).unwrap(), Otlp::default());
    assert!(complete_with("", &[("OTEL_EXPORTER_OTLP_HEADERS", "a=b")]).unwrap().destinations.0.is_empty());
    let disabled = [("OTEL_SDK_DISABLED", "true"), ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c:4318")];
    assert!(complete_with("", &disabled).unwrap().destinations.0.is_empty());
}

#[test]
fn one_endpoint_is_one_collector() {
    let found = only(&[
        ("OTEL_EXPORTER_OTLP_ENDPOINT", " http://c:4318/base "),
        ("OTEL_EXPORTER_OTLP_HEADERS", "api-key=a%20b%3D, x=1"),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "2500"),
        ("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip"),
        ("OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE", "delta"),
        ("OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION", "base2_exponential_bucket_histogram"),
        ("OTEL_EXPORTER_OTLP_CERTIFICATE", "/ca"),
        ("OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE", "/cert"),
        ("OTEL_EXPORTER_OTLP_CLIENT_KEY", "/key"),
    ]);
    let headers = BTreeMap::from([("api-key".to_owned(), "a b=".to_owned()), ("x".to_owned(), "1".to_owned())]);
    let expected = Destination {
        endpoint: "http://c:4318/base".into(),
        protocol: Protocol::Http,
        exact_path: false,
        metrics: true,
        spans: true,
        headers: Texts(headers),
        timeout_seconds: 3,
        compression: Compression::Gzip,
        temporality: Temporality::Delta,
        histograms: Aggregation::Exponential,
        tls: Tls { ca: Some("/ca".into()), certificate: Some("/cert".into()), key: Some("/key".into()) },
    };
    assert_eq!(found, expected);
}

#[test]
fn grpc_needs_no_scheme() {
    let grpc = ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc");
    let endpoint = ("OTEL_EXPORTER_OTLP_ENDPOINT", "c:4317");
    assert_eq!(only(&[grpc, endpoint]).endpoint, "https://c:4317");
    assert_eq!(only(&[grpc, endpoint, ("OTEL_EXPORTER_OTLP_INSECURE", "TRUE")]).endpoint, "http://c:4317");
    assert_eq!(only(&[grpc, endpoint]).protocol, Protocol::Grpc);
}

#[test]
fn signals_may_be_told_apart_or_left_out() {
    let general = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c:4318");
    let spans = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://t:4318/in");
    let two = complete_with("", &[general, spans]).unwrap().destinations.0;
    let seen: Vec<_> = two.iter().map(|d| (d.endpoint.as_str(), d.exact_path, d.metrics, d.spans)).collect();
    assert_eq!(seen, [("http://c:4318", false, true, false), ("http://t:4318/in", true, false, true)]);
    let none = only(&[general, ("OTEL_TRACES_EXPORTER", "none")]);
    assert_eq!((none.metrics, none.spans), (true, false));
}

#[test]
fn the_file_wins() {
    let file = "otlp: {destinations: [{endpoint: \"http://f:4317\"}], interval_seconds: 5, spans: {ratio: 0.5}, \
                resource: {a: file}}";
    let variables = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c:4318"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "secret=1"),
        ("OTEL_METRIC_EXPORT_INTERVAL", "30000"),
        ("OTEL_TRACES_SAMPLER", "always_off"),
        ("OTEL_RESOURCE_ATTRIBUTES", "a=variable,b=variable"),
    ];
    let otlp = complete_with(file, &variables).unwrap();
    assert_eq!(otlp.destinations.0.len(), 1);
    assert!(otlp.destinations.0[0].headers.0.is_empty(), "credentials stay with their collector");
    assert_eq!((otlp.interval_seconds, otlp.spans.ratio), (Some(5), Some(0.5)));
    assert_eq!(otlp.resource.0.values().collect::<Vec<_>>(), ["file", "variable"]);
    let otlp = complete_with("", &variables).unwrap();
    assert_eq!((otlp.interval_seconds, otlp.spans.ratio), (Some(30), Some(0.0)));
}

#[test]
fn what_cannot_be_used_is_said_and_values_are_not() {
    let problems = complete_with(
        "",
        &[
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c:4318"),
            ("OTEL_EXPORTER_OTLP_METRICS_PROTOCOL", "http/json"),
            ("OTEL_EXPORTER_OTLP_TRACES_HEADERS", "hunter2"),
            ("OTEL_METRIC_EXPORT_INTERVAL", "1m"),
            ("OTEL_TRACES_SAMPLER", "traceidratio"),
            ("OTEL_TRACES_SAMPLER_ARG", "7"),
        ],
    )
    .unwrap_err();
    assert_eq!(
        problems,
        [
            "OTEL_EXPORTER_OTLP_METRICS_PROTOCOL: expected grpc or http/protobuf, found \"http/json\"",
            "OTEL_EXPORTER_OTLP_TRACES_HEADERS: expected name=value, separated by commas, with %-encoded values",
            "OTEL_METRIC_EXPORT_INTERVAL: expected milliseconds, found \"1m\"",
            "OTEL_TRACES_SAMPLER_ARG: expected a share from 0 to 1",
        ]
    );
}
