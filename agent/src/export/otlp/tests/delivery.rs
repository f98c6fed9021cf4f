//! What a willing collector gets.

use super::receiver::{Came, Receiver, Security};
use super::*;
use crate::host::clock;
use crate::https::testdata;
use opentelemetry_proto::tonic::metrics::v1::{Metric, metric, number_data_point};
use opentelemetry_proto::tonic::trace::v1::Span;
use prometheus_client::encoding::text;

const SOON: Duration = Duration::from_millis(100);
const NEVER: Duration = Duration::from_secs(600);

/// All spans that came, in order.
pub(super) fn spans(came: &[Came]) -> Vec<Span> {
    let requests = came.iter().filter_map(|came| came.spans.as_ref());
    requests
        .flat_map(|spans| &spans.resource_spans)
        .flat_map(|r| &r.scope_spans)
        .flat_map(|s| s.spans.clone())
        .collect()
}

/// The last word on a metric of a service.
fn last_metric(came: &[Came], service: &str, name: &str) -> Option<Metric> {
    let requests = came.iter().rev().filter_map(|came| came.metrics.as_ref());
    let resources = requests.flat_map(|request| &request.resource_metrics).filter(|metrics| {
        value(&metrics.resource.as_ref().unwrap().attributes, "service.name").as_deref() == Some(service)
    });
    let mut metrics = resources.flat_map(|resource| &resource.scope_metrics).flat_map(|scope| &scope.metrics);
    metrics.find(|metric| metric.name == name).cloned()
}

#[test]
fn a_trace_is_continued_and_told_in_stages() {
    for (protocol, compression) in [("grpc", "none"), ("http/protobuf", "gzip")] {
        let receiver = Receiver::start(Security::Plain);
        let url = receiver.url("http");
        let settings = format!(
            "{{destinations: [{{endpoint: \"{url}\", protocol: {protocol}, compression: {compression}, \
                                headers: {{x-token: secret}}}}]}}"
        );
        let export = export(&config(&settings), NEVER);
        // It ends now: exemplars from before their series are none.
        export.record(&called(Decision::Recorded, chat(clock::now().0 - 10_000 * MS)));
        export.otlp.wait();
        let came = receiver.came();
        assert_eq!(came.iter().filter(|came| came.headers["x-token"] == "secret").count(), 2, "metrics and spans");
        let spans = spans(&came);
        let names: Vec<_> = spans.iter().map(|span| span.name.as_str()).collect();
        assert_eq!(names, ["chat m", "frontend", "dispatch", "queue", "prefill", "decode"]);
        let whole = &spans[0];
        assert_eq!((whole.trace_id.as_slice(), whole.parent_span_id.as_slice()), (&TRACE[..], &PARENT[..]));
        assert_eq!((whole.trace_state.as_str(), whole.flags, whole.kind), ("a=1", 0x301, 2));
        let of = |key| value(&whole.attributes, key);
        assert_eq!(of("gen_ai.usage.output_tokens").as_deref(), Some("5"));
        assert_eq!(of("gen_ai.usage.cache_read.input_tokens").as_deref(), Some("16"));
        assert_eq!(of("gen_ai.response.time_to_first_chunk").as_deref(), Some("0.2"));
        assert_eq!(of("gen_ai.response.finish_reasons").as_deref(), Some("1 values"));
        assert_eq!(of("error.type"), None);
        let first = whole.events.iter().find(|event| event.name == "inferscope.first_content").unwrap();
        assert_eq!(first.time_unix_nano - whole.start_time_unix_nano, 200 * MS);
        assert_eq!(whole.end_time_unix_nano - whole.start_time_unix_nano, 10_000 * MS);
        for part in &spans[1..] {
            assert_eq!((&part.trace_id, &part.parent_span_id), (&whole.trace_id, &whole.span_id));
            assert!(whole.start_time_unix_nano <= part.start_time_unix_nano);
            assert!(part.start_time_unix_nano <= part.end_time_unix_nano);
            assert!(part.end_time_unix_nano <= whole.end_time_unix_nano);
        }
        let last = last_metric(&came, "chat", "gen_ai.server.time_to_first_token").unwrap();
        let Some(metric::Data::Histogram(histogram)) = last.data else { panic!("{last:?}") };
        let exemplar = &histogram.data_points[0].exemplars[0];
        assert_eq!((&exemplar.trace_id, &exemplar.span_id), (&whole.trace_id, &whole.span_id));
    }
}

#[test]
fn requests_without_a_caller_have_traces_of_their_own() {
    let receiver = Receiver::start(Security::Plain);
    let settings = format!("{{destinations: [{{endpoint: \"{}\", metrics: false}}]}}", receiver.url("http"));
    let export = export(&config(&settings), NEVER);
    for arrival in [1_000, 2_000] {
        export.record(&chat(arrival));
    }
    export.record(&called(Decision::NotRecorded, chat(3_000)));
    let failed = Record { code: 503, status: Status::Error, sequences: Vec::new(), ..chat(4_000) };
    export.record(&failed);
    export.otlp.wait();
    let spans = spans(&receiver.came());
    let whole: Vec<_> = spans.iter().filter(|span| span.kind == 2).collect();
    assert_eq!(whole.len(), 3, "the caller does not record the third");
    assert!(whole[0].trace_id != whole[1].trace_id && whole[0].span_id != whole[1].span_id);
    assert!(whole.iter().all(|span| span.parent_span_id.is_empty() && span.flags == 0x101));
    assert_eq!(whole[2].status.as_ref().unwrap().code, 2);
    assert_eq!(value(&whole[2].attributes, "error.type").as_deref(), Some("503"));
}

#[test]
fn numbers_are_those_of_the_exposition_under_resources_of_their_own() {
    let receiver = Receiver::start(Security::Plain);
    let url = receiver.url("http");
    let settings = format!(
        "{{destinations: [{{endpoint: \"{url}\", protocol: http/protobuf}}], resource: {{team: a, service.name: x}}}}"
    );
    let export = export(&config(&settings), NEVER);
    for arrival in 0..7 {
        export.record(&Record { tapped: false, ..chat(arrival) });
    }
    let metrics = Arc::clone(&export.metrics);
    export.otlp.wait();
    let mut exposition = String::new();
    text::encode(&mut exposition, metrics.scrape()).unwrap();
    let came = receiver.came();
    let request = came.iter().find_map(|came| came.metrics.clone()).unwrap();
    for metrics in &request.resource_metrics {
        let attributes = &metrics.resource.as_ref().unwrap().attributes;
        assert_eq!(value(attributes, "region").as_deref(), Some("eu"));
        assert_eq!(value(attributes, "team").as_deref(), Some("a"));
    }
    let duration = last_metric(&came, "chat", "gen_ai.server.request.duration").unwrap();
    let Some(metric::Data::Histogram(histogram)) = duration.data else { panic!("{duration:?}") };
    let point = &histogram.data_points[0];
    assert_eq!((point.count, point.sum, duration.unit.as_str()), (7, Some(70.0), "s"));
    assert_eq!(point.bucket_counts.iter().sum::<u64>(), 7);
    assert_eq!(point.bucket_counts.len(), point.explicit_bounds.len() + 1);
    assert!(exposition.contains("llm_request_duration_seconds_sum{region=\"eu\",engine=\"vllm\",model=\"m\",service=\"chat\",operation=\"chat\",stream=\"true\"} 70.0"));
    let tokens = last_metric(&came, "chat", "inferscope.llm.tokens").unwrap();
    let Some(metric::Data::Sum(sum)) = tokens.data else { panic!("{tokens:?}") };
    let by_type = sum.data_points.iter().map(|point| {
        let Some(number_data_point::Value::AsInt(count)) = point.value else { panic!("{point:?}") };
        (value(&point.attributes, "gen_ai.token.type").unwrap(), count)
    });
    assert_eq!(by_type.collect::<Vec<_>>(), [("output".to_owned(), 35), ("input".to_owned(), 210)]);
    assert!(
        last_metric(&came, "x", "process.memory.usage").is_none()
            && last_metric(&came, "x", "inferscope.build").is_some()
    );
}

#[test]
fn paths_are_added_or_exact() {
    for (path, more, expected) in [
        ("", "", vec!["/v1/metrics", "/v1/traces"]),
        ("/base/", "", vec!["/base/v1/metrics", "/base/v1/traces"]),
        ("/my/metrics", ", exact_path: true, spans: false", vec!["/my/metrics"]),
    ] {
        let receiver = Receiver::start(Security::Plain);
        let url = receiver.url("http");
        let settings = format!("{{destinations: [{{endpoint: \"{url}{path}\", protocol: http/protobuf{more}}}]}}");
        let export = export(&config(&settings), NEVER);
        export.record(&chat(0));
        export.otlp.wait();
        let came = receiver.came();
        let paths: std::collections::BTreeSet<&str> = came.iter().map(|came| came.path.as_str()).collect();
        assert_eq!(paths.into_iter().collect::<Vec<_>>(), expected);
    }
}

#[test]
fn deltas_and_exponential_buckets() {
    let receiver = Receiver::start(Security::Plain);
    let settings = format!(
        "{{destinations: [{{endpoint: \"{}\", spans: false, temporality: delta, histograms: exponential}}]}}",
        receiver.url("http")
    );
    let export = export(&config(&settings), SOON);
    let mut all = 0;
    for round in 0..3_u64 {
        for arrival in 0..=round {
            export.record(&chat(arrival));
            all += 1;
        }
        thread::sleep(SOON * 2);
    }
    export.otlp.wait();
    let mut last_end = 0;
    let mut sum = 0;
    for came in receiver.came() {
        let Some(metric) = last_metric(&[came], "chat", "gen_ai.server.request.duration") else { continue };
        let Some(metric::Data::ExponentialHistogram(histogram)) = metric.data else { panic!("{metric:?}") };
        assert_eq!(histogram.aggregation_temporality, 1);
        let point = &histogram.data_points[0];
        let buckets = point.positive.as_ref().unwrap();
        assert_eq!(buckets.bucket_counts.iter().sum::<u64>(), point.count);
        // 10 s lies in the only bucket that is not empty.
        let at = buckets.bucket_counts.iter().position(|count| *count > 0).unwrap();
        let index = f64::from(buckets.offset) + at as f64;
        let base = 2_f64.powf(2_f64.powi(-point.scale));
        assert!(base.powf(index) < 10.0 && 10.0 <= base.powf(index + 1.0), "{buckets:?} at scale {}", point.scale);
        assert!(point.start_time_unix_nano >= last_end && point.start_time_unix_nano < point.time_unix_nano);
        last_end = point.time_unix_nano;
        sum += point.count;
    }
    assert_eq!(sum, all);
}

#[test]
fn tls_and_mutual_tls() {
    let ca = testdata("ca.pem");
    let (certificate, key) = (testdata("agent.pem"), testdata("agent.key"));
    let mutual = format!("{{ca: \"{ca}\", certificate: \"{certificate}\", key: \"{key}\"}}");
    for (security, tls) in [(Security::Tls, format!("{{ca: \"{ca}\"}}")), (Security::Mutual, mutual)] {
        for protocol in ["grpc", "http/protobuf"] {
            let receiver = Receiver::start(security);
            let url = receiver.url("https");
            let settings = format!("{{destinations: [{{endpoint: \"{url}\", protocol: {protocol}, tls: {tls}}}]}}");
            let export = export(&config(&settings), NEVER);
            export.record(&chat(0));
            export.otlp.wait();
            let came = receiver.came();
            assert!(came.iter().any(|came| came.spans.is_some()), "{security:?} {protocol}");
            assert!(came.iter().any(|came| came.metrics.is_some()), "{security:?} {protocol}");
        }
    }
}

#[test]
fn what_cannot_be_is_said_at_the_start() {
    for (settings, expected) in [
        ("tls: {ca: /nowhere}", "otlp.destinations[0]: /nowhere: "),
        ("headers: {x: \"a\\nb\"}", "otlp.destinations[0]: the header x has a value that no header can have"),
    ] {
        let config = config(&format!("{{destinations: [{{endpoint: \"https://localhost:1\", {settings}}}]}}"));
        let error = start(&config, &Arc::new(Metrics::new(&config)), &Known::default()).err().unwrap();
        let said = error.to_string();
        assert!(said.starts_with(expected), "{said}");
    }
}
