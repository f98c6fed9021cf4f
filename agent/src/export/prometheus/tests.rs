//! Both formats against a strict reader, and the server against good, bad and slow clients.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use super::server::serve_within;
use super::{BindError, Exposed, Format, Health, bind, encode};
use crate::config::Config;
use crate::issue::Issue;
use crate::metric::{Metrics, Running, SelfUsage};
use crate::status::Status;
use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

fn metrics(models: u32) -> Arc<Metrics> {
    let config = format!("limits: {{models: 10000}}\nlabels: {{region: \"a\\\"\\\\\\n\"}}\n# {models}");
    let metrics = Metrics::new(&Config::parse("test", &config).unwrap());
    metrics.issue(Issue::StreamGap);
    metrics.usage(SelfUsage { cpu: Duration::from_millis(1234), resident_bytes: 1 << 20 });
    let running = |model| Running { engine: "vllm", service: "s".into(), model: format!("m{model}"), count: 1 };
    metrics.running(&(0..models).map(running).collect::<Vec<_>>());
    Arc::new(metrics)
}

/// Fails unless `line` is a sample; its series is returned.
fn sample(line: &str) -> &str {
    let name_end = line.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap();
    assert!(name_end > 0 && !line.starts_with(|c: char| c.is_ascii_digit()), "{line}");
    let mut rest = &line[name_end..];
    if let Some(mut labels) = rest.strip_prefix('{') {
        while !labels.starts_with('}') {
            let (name, quoted) = labels.split_once("=\"").unwrap_or_else(|| panic!("{line}"));
            assert!(!name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_'), "{line}");
            let mut escaped = false;
            let ends = |c: char| {
                let end = c == '"' && !escaped;
                assert!(!escaped || matches!(c, 'n' | '"' | '\\'), "{line}");
                escaped = c == '\\' && !escaped;
                end
            };
            labels = &quoted[quoted.find(ends).unwrap() + 1..];
            labels = labels.strip_prefix(',').unwrap_or(labels);
        }
        rest = &labels[1..];
    }
    let value = rest.strip_prefix(' ').unwrap_or_else(|| panic!("{line}"));
    assert!(value == "+Inf" || value.parse::<f64>().is_ok(), "{line}");
    line.strip_suffix(value).unwrap()
}

/// Fails unless `text` is an exposition: each metric described once, its samples behind it, no series twice.
fn check(text: &str, format: Format) {
    let (mut metric, mut kind, mut described, mut seen) = ("", "", BTreeSet::new(), BTreeSet::new());
    let body = match format {
        Format::OpenMetrics => text.strip_suffix("# EOF\n").unwrap(),
        Format::Text => text,
    };
    assert!(body.ends_with('\n') && !body.contains("\n\n"));
    for line in body.lines() {
        if let Some(help) = line.strip_prefix("# HELP ") {
            metric = help.split_once(' ').unwrap().0;
            assert!(described.insert(metric), "{metric} is described twice");
        } else if let Some(line) = line.strip_prefix("# TYPE ") {
            kind = line.strip_prefix(metric).and_then(|rest| rest.strip_prefix(' ')).unwrap();
            assert!(matches!(kind, "counter" | "gauge" | "histogram"), "{line}");
            assert_eq!(format == Format::Text && kind == "counter", metric.ends_with("_total"), "{line}");
        } else if line.starts_with('#') {
            assert_eq!(format, Format::OpenMetrics, "{line}");
            let unit = line.strip_prefix("# UNIT ").unwrap().split_once(' ').unwrap();
            assert!(unit.0 == metric && metric.ends_with(unit.1), "{line}");
        } else {
            assert!(seen.insert(sample(line)), "{line} twice");
            let end = line.strip_prefix(metric).unwrap_or_else(|| panic!("{line} stands behind {metric}"));
            let end = end.split(['{', ' ']).next().unwrap();
            assert!(
                match kind {
                    "histogram" => matches!(end, "_bucket" | "_sum" | "_count"),
                    "counter" if format == Format::OpenMetrics => end == "_total",
                    _ => end.is_empty(),
                },
                "{line}"
            );
        }
    }
}

#[test]
fn both_formats_are_strictly_right() {
    let metrics = metrics(3);
    for format in [Format::Text, Format::OpenMetrics] {
        check(&encode(&metrics, format).unwrap(), format);
    }
}

#[test]
fn five_thousand_series_are_written_in_a_moment() {
    let metrics = metrics(5_000);
    let begin = Instant::now();
    let text = encode(&metrics, Format::Text).unwrap();
    let took = begin.elapsed();
    assert!(text.lines().count() > 5_000);
    // About 5 ms unoptimised; the bound only catches what is wrong by an order of magnitude.
    assert!(took < Duration::from_millis(200), "{took:?}");
    println!("{} bytes in {took:?}", text.len());
}

struct Server {
    address: SocketAddr,
    state: Arc<Exposed>,
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

async fn server(limit: Duration) -> Server {
    let listener = bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).await.unwrap();
    let address = listener.local_addr().unwrap();
    let state = Arc::new(Exposed::new(metrics(3)));
    let (stop, stopped) = oneshot::channel::<()>();
    let shutdown = async {
        let _ = stopped.await;
    };
    let task = tokio::spawn(serve_within(limit, listener, Arc::clone(&state), shutdown));
    Server { address, state, stop, task }
}

async fn ask(address: SocketAddr, request: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    // A server that closes early may reset the connection; what came before counts.
    let _ = stream.read_to_end(&mut answer).await;
    String::from_utf8(answer).unwrap()
}

async fn get(address: SocketAddr, path: &str, accept: &str) -> String {
    ask(address, &format!("GET {path} HTTP/1.1\r\nhost: x\r\naccept: {accept}\r\n\r\n")).await
}

#[tokio::test]
async fn every_page() {
    let Server { address, state, stop, task } = server(Duration::from_secs(10)).await;
    let text = get(address, "/metrics?x=1", "*/*").await;
    assert!(text.starts_with("HTTP/1.1 200 OK\r\ncontent-type: text/plain; version=0.0.4"), "{text}");
    check(text.split_once("\r\n\r\n").unwrap().1, Format::Text);
    let text = get(address, "/metrics", "application/openmetrics-text").await;
    assert!(text.contains("content-type: application/openmetrics-text; version=1.0.0"), "{text}");
    check(text.split_once("\r\n\r\n").unwrap().1, Format::OpenMetrics);

    let health = get(address, "/healthz", "*/*").await;
    assert!(health.starts_with("HTTP/1.1 503 ") && health.ends_with("\r\n\r\nThe agent is starting.\n"), "{health}");
    state.set_health(Health::Working);
    let health = get(address, "/healthz", "*/*").await;
    assert!(health.starts_with("HTTP/1.1 200 ") && health.ends_with("\r\n\r\nok\n"), "{health}");

    state.set_status(Status { version: "1.2.3", connections: 4, ..Status::default() });
    let status = get(address, "/status", "*/*").await;
    let json: serde_json::Value = serde_json::from_str(status.split_once("\r\n\r\n").unwrap().1).unwrap();
    assert_eq!((json["version"].as_str(), json["connections"].as_u64()), (Some("1.2.3"), Some(4)));

    assert!(get(address, "/", "*/*").await.contains("/healthz"));
    assert!(get(address, "/nothing", "*/*").await.starts_with("HTTP/1.1 404 "));
    let refused = ask(address, "POST /metrics HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n").await;
    assert!(refused.starts_with("HTTP/1.1 405 ") && refused.contains("allow: GET, HEAD"), "{refused}");
    let head = ask(address, "HEAD / HTTP/1.1\r\nhost: x\r\n\r\n").await;
    assert!(head.starts_with("HTTP/1.1 200 ") && head.ends_with("\r\n\r\n"), "{head}");
    assert!(ask(address, "nonsense\r\n\r\n").await.starts_with("HTTP/1.1 400 "));

    stop.send(()).unwrap();
    task.await.unwrap();
    assert!(TcpStream::connect(address).await.is_err(), "still listening");
}

#[tokio::test]
async fn slow_clients_are_cut_off_and_hold_nobody_up() {
    let Server { address, stop, task, .. } = server(Duration::from_millis(200)).await;
    let mut slow = Vec::new();
    // More than are served at a time, and each sends half a head.
    for _ in 0..40 {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(b"GET /metrics HTTP/1.1\r\n").await.unwrap();
        slow.push(stream);
    }
    assert!(get(address, "/healthz", "*/*").await.starts_with("HTTP/1.1 503 "), "waited its turn, and was answered");
    assert_eq!(slow.first_mut().unwrap().read(&mut [0; 16]).await.unwrap_or(0), 0, "cut off");
    stop.send(()).unwrap();
    task.await.unwrap();
}

#[tokio::test]
async fn a_taken_address_is_said_in_a_sentence() {
    let taken = bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).await.unwrap();
    let address = taken.local_addr().unwrap();
    let error = bind(address).await.unwrap_err();
    assert!(matches!(error, BindError::InUse(_)));
    let expected = format!("{address} is in use; set `listen` in the configuration, or --listen, to another address");
    assert_eq!(error.to_string(), expected);
    let elsewhere = SocketAddr::from(([192, 0, 2, 1], 9464));
    assert!(matches!(bind(elsewhere).await.unwrap_err(), BindError::NotHere(_)));
}
