//! Collectors that are away, busy, silent or lying: what is counted, what is sent again, and that nobody waits.

use super::receiver::{Behaviour, Receiver, Security};
use super::*;
use crate::https::testdata;
use std::net::{Ipv4Addr, TcpListener};
use std::time::Instant;

const SOON: Duration = Duration::from_millis(200);
const NEVER: Duration = Duration::from_secs(600);

fn name(receiver: &Receiver) -> String {
    format!("localhost:{}", receiver.address.port())
}

fn attempts(export: &Export, exporter: &str, destination: &str, outcome: &str) -> u64 {
    export.count(&format!(
        "inferscope_export_total{{exporter=\"{exporter}\",destination=\"{destination}\",outcome=\"{outcome}\"}}"
    ))
}

fn fate(export: &Export, destination: &str, fate: &str) -> u64 {
    export.count(&format!("inferscope_export_spans_total{{destination=\"{destination}\",fate=\"{fate}\"}}"))
}

/// Waits until a count is as wanted.
fn until(what: &str, done: impl Fn() -> bool) {
    let begin = Instant::now();
    while !done() {
        assert!(begin.elapsed() < Duration::from_secs(20), "{what}");
        thread::sleep(Duration::from_millis(5));
    }
}

/// What becomes of the six spans of a request whose first attempt met a fault.
#[derive(Clone, Copy)]
enum Spans {
    AtOnce,
    InPart,
    Again,
    Never,
}

/// A receiver that first behaves like this. Spans must arrive with another attempt or be counted as rejected; metrics arrive
/// with the next interval, whatever it was.
fn check(protocol: &str, behaviour: &Behaviour, outcome: &str, spans: Spans) {
    let what = format!("{protocol} {behaviour:?}");
    let receiver = Receiver::start(Security::Plain);
    receiver.script([behaviour.clone()]);
    let settings = |wanted| {
        let endpoint = receiver.url("http");
        config(&format!(
            "{{destinations: [{{endpoint: \"{endpoint}\", protocol: {protocol}, {wanted}: false, timeout_seconds: 1}}]}}"
        ))
    };
    let name = name(&receiver);
    let spans_export = export(&settings("metrics"), SOON);
    let begin = Instant::now();
    spans_export.record(&chat(0));
    assert!(begin.elapsed() < Duration::from_millis(100), "{what}: the pipeline waited");
    let (sent, rejected, requests) = match spans {
        Spans::Again => (6, 0, 2),
        Spans::InPart => (4, 2, 1),
        Spans::AtOnce => (6, 0, 1),
        Spans::Never => (0, 6, 1),
    };
    until(&what, || fate(&spans_export, &name, "sent") == sent && fate(&spans_export, &name, "rejected") == rejected);
    assert_eq!(receiver.came().len(), requests, "{what}");
    assert_eq!(attempts(&spans_export, "otlp_spans", &name, outcome), 1, "{what}: {outcome}");
    spans_export.otlp.wait();
    assert_eq!(receiver.came().len(), requests, "{what}: nothing was left");

    receiver.script([behaviour.clone()]);
    let metrics_export = export(&settings("spans"), SOON);
    until(&what, || attempts(&metrics_export, "otlp_metrics", &name, outcome) > 0);
    until(&what, || attempts(&metrics_export, "otlp_metrics", &name, "ok") > 0);
    metrics_export.otlp.wait();
}

#[test]
fn over_http() {
    for (behaviour, outcome, spans) in [
        (Behaviour::Accept, "ok", Spans::AtOnce),
        (Behaviour::Status(429, Some("1")), "throttled", Spans::Again),
        (Behaviour::Status(503, None), "unavailable", Spans::Again),
        (Behaviour::Status(400, None), "rejected", Spans::Never),
        (Behaviour::Partial(2), "partial", Spans::InPart),
        (Behaviour::Garbage, "unreadable", Spans::Never),
        (Behaviour::Huge, "unreadable", Spans::Never),
        (Behaviour::Cut, "unavailable", Spans::Again),
        (Behaviour::Hang, "timeout", Spans::Again),
        (Behaviour::Trickle, "timeout", Spans::Again),
    ] {
        check("http/protobuf", &behaviour, outcome, spans);
    }
}

#[test]
fn over_grpc() {
    for (behaviour, outcome, spans) in [
        (Behaviour::Accept, "ok", Spans::AtOnce),
        (Behaviour::Exhausted(1), "throttled", Spans::Again),
        (Behaviour::Grpc(8), "rejected", Spans::Never),
        (Behaviour::Grpc(14), "unavailable", Spans::Again),
        (Behaviour::Grpc(16), "rejected", Spans::Never),
        (Behaviour::Status(503, None), "unavailable", Spans::Again),
        (Behaviour::Partial(2), "partial", Spans::InPart),
        (Behaviour::Garbage, "unreadable", Spans::Never),
        (Behaviour::Huge, "unreadable", Spans::Never),
        (Behaviour::Cut, "unavailable", Spans::Again),
        (Behaviour::Hang, "timeout", Spans::Again),
        (Behaviour::Trickle, "timeout", Spans::Again),
    ] {
        check("grpc", &behaviour, outcome, spans);
    }
}

#[test]
fn silence_before_the_first_word_is_a_timeout() {
    // The kernel accepts connections, and nobody reads.
    let silent = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = silent.local_addr().unwrap().port();
    for (scheme, protocol) in
        [("http", "grpc"), ("https", "grpc"), ("http", "http/protobuf"), ("https", "http/protobuf")]
    {
        let ca = testdata("ca.pem");
        let settings = format!(
            "{{destinations: [{{endpoint: \"{scheme}://localhost:{port}\", protocol: {protocol}, timeout_seconds: 1, \
             tls: {{ca: \"{ca}\"}}}}]}}"
        );
        let export = export(&config(&settings), SOON);
        export.record(&chat(0));
        let begin = Instant::now();
        for exporter in ["otlp_spans", "otlp_metrics"] {
            let what = format!("{scheme} {protocol} {exporter}");
            until(&what, || attempts(&export, exporter, &format!("localhost:{port}"), "timeout") > 0);
        }
        // That was asked many times, each time by encoding /metrics.
        assert!(begin.elapsed() < Duration::from_secs(5), "{:?}", begin.elapsed());
    }
}

#[test]
fn a_retry_after_is_respected() {
    for (protocol, busy) in [("http/protobuf", Behaviour::Status(429, Some("2"))), ("grpc", Behaviour::Exhausted(2))] {
        for unwanted in ["metrics", "spans"] {
            let receiver = Receiver::start(Security::Plain);
            receiver.script([busy.clone()]);
            let url = receiver.url("http");
            let settings =
                format!("{{destinations: [{{endpoint: \"{url}\", protocol: {protocol}, {unwanted}: false}}]}}");
            let export = export(&config(&settings), SOON);
            export.record(&chat(0));
            let came = receiver.wait("it comes again", |came| came.len() > 1);
            let pause = came[1].at - came[0].at;
            // Metrics wait for their next interval behind it.
            assert!(pause >= Duration::from_secs(2) && pause < Duration::from_secs(5), "{protocol}: {pause:?}");
            export.otlp.wait();
        }
    }
}

#[test]
fn a_collector_that_comes_back_gets_what_waited() {
    let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap();
    for protocol in ["grpc", "http/protobuf"] {
        let settings =
            format!("{{destinations: [{{endpoint: \"http://{port}\", protocol: {protocol}}}], spans: {{queue: 16}}}}");
        let export = export(&config(&settings), SOON);
        for arrival in 0..20 {
            export.record(&chat(arrival));
        }
        let name = port.to_string();
        until("refused", || attempts(&export, "otlp_spans", &name, "unavailable") > 1);
        until("refused", || attempts(&export, "otlp_metrics", &name, "unavailable") > 1);
        assert_eq!(fate(&export, &name, "dropped"), 4 * 6, "20 requests for a queue of 16");
        let receiver = Receiver::at(port, Security::Plain);
        let back = Instant::now();
        receiver.wait("spans", |came| came.iter().any(|came| came.spans.is_some()));
        receiver.wait("metrics", |came| came.iter().any(|came| came.metrics.is_some()));
        // An interval, and what gathering and a connection take on a busy machine.
        assert!(back.elapsed() < SOON * 2 + Duration::from_secs(2), "{:?}", back.elapsed());
        until("sent", || fate(&export, &name, "sent") == 16 * 6);
        export.otlp.wait();
    }
}

#[test]
fn tls_that_does_not_fit_is_unavailable() {
    let (ca, other) = (testdata("ca.pem"), testdata("other.pem"));
    let case = |security, scheme: &str, protocol: &str, tls: String| {
        let receiver = Receiver::start(security);
        let settings = format!(
            "{{destinations: [{{endpoint: \"{}\", protocol: {protocol}, metrics: false, tls: {tls}}}]}}",
            receiver.url(scheme)
        );
        let export = export(&config(&settings), SOON);
        export.record(&chat(0));
        until(scheme, || attempts(&export, "otlp_spans", &name(&receiver), "unavailable") > 0);
        assert!(receiver.came().is_empty());
        export.otlp.wait();
    };
    for protocol in ["grpc", "http/protobuf"] {
        case(Security::Tls, "https", protocol, format!("{{ca: \"{other}\"}}"));
        case(Security::Mutual, "https", protocol, format!("{{ca: \"{ca}\"}}"));
        case(Security::Plain, "https", protocol, format!("{{ca: \"{ca}\"}}"));
        case(Security::Tls, "http", protocol, "{}".to_owned());
    }
}

#[test]
fn one_collector_does_not_hold_up_another() {
    let (silent, willing) = (Receiver::start(Security::Plain), Receiver::start(Security::Plain));
    silent.script(vec![Behaviour::Hang; 100]);
    let settings = format!(
        "{{destinations: [{{endpoint: \"{}\"}}, {{endpoint: \"{}\"}}]}}",
        silent.url("http"),
        willing.url("http")
    );
    let export = export(&config(&settings), SOON);
    export.record(&chat(0));
    willing.wait("spans", |came| came.iter().any(|came| came.spans.is_some()));
    willing.wait("metrics", |came| came.iter().any(|came| came.metrics.is_some()));
    let begin = Instant::now();
    export.otlp.wait();
    assert!(begin.elapsed() < FAREWELL + Duration::from_secs(2), "the end took {:?}", begin.elapsed());
}

#[test]
fn deltas_that_did_not_arrive_are_in_the_next_ones() {
    let receiver = Receiver::start(Security::Plain);
    receiver.script(vec![Behaviour::Status(503, None); 3]);
    let url = receiver.url("http");
    let settings = format!(
        "{{destinations: [{{endpoint: \"{url}\", protocol: http/protobuf, spans: false, temporality: delta}}]}}"
    );
    let export = export(&config(&settings), SOON);
    for arrival in 0..9 {
        export.record(&chat(arrival));
        thread::sleep(SOON / 2);
    }
    export.otlp.wait();
    let came = receiver.came();
    assert!(came.len() > 4);
    let accepted = came.iter().skip(3).filter_map(|came| came.metrics.as_ref());
    let metrics = accepted.flat_map(|r| &r.resource_metrics).flat_map(|r| &r.scope_metrics).flat_map(|s| &s.metrics);
    let durations = metrics.filter(|metric| metric.name == "gen_ai.server.request.duration");
    let counts = durations.map(|metric| {
        use opentelemetry_proto::tonic::metrics::v1::metric::Data;
        let Some(Data::Histogram(histogram)) = &metric.data else { panic!("{metric:?}") };
        histogram.data_points.iter().map(|point| point.count).sum::<u64>()
    });
    assert_eq!(counts.sum::<u64>(), 9);
}

#[test]
fn the_end_is_one_bounded_flush() {
    let receiver = Receiver::start(Security::Plain);
    let url = receiver.url("http");
    let export = export(&config(&format!("{{destinations: [{{endpoint: \"{url}\"}}]}}")), NEVER);
    for arrival in 0..1000 {
        export.record(&chat(arrival));
    }
    export.otlp.wait();
    let came = receiver.came();
    let spans = came.iter().filter_map(|came| came.spans.as_ref()).flat_map(|spans| &spans.resource_spans);
    let count: usize = spans.flat_map(|resource| &resource.scope_spans).map(|scope| scope.spans.len()).sum();
    assert_eq!(count, 6000);
    assert_eq!(came.iter().filter(|came| came.metrics.is_some()).count(), 1);
}
