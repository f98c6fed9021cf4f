//! Every name, unit and attribute that is ever sent is in the catalog, or in the list of OpenTelemetry's conventions, and of
//! the type that stands there.

use super::receiver::{Came, Receiver, Security};
use super::tapes::{tapes, told};
use super::*;
use crate::host::container::Enclosed;
use crate::host::identity::Identity;
use crate::metric::catalog;
use crate::servers::ServerState;
use crate::status::{Attachment, Process};
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::metrics::v1::{Metric, ResourceMetrics, ScopeMetrics, metric};
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, span};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;

/// Names of OpenTelemetry's.
const CONVENTIONS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src/export/otlp/testdata/conventions.txt");
/// Attributes of spans that no convention and no label of the catalog has.
const OWN: &[(&str, &str)] = &[
    ("inferscope.batch", "int"),
    ("inferscope.class_type", "string"),
    ("inferscope.gpu.conditions", "string[]"),
    ("inferscope.gpu.energy", "double"),
    ("inferscope.gpu.ids", "string[]"),
    ("inferscope.gpu.xids", "int[]"),
    ("inferscope.images", "int"),
    ("inferscope.node", "string"),
    ("inferscope.nodes", "int"),
    ("inferscope.nodes_cached", "int"),
    ("inferscope.preemptions", "int"),
    ("inferscope.protocol", "string"),
    ("inferscope.quality", "string"),
    ("inferscope.responses", "int"),
    ("inferscope.sequence", "int"),
    ("inferscope.status", "string"),
    ("inferscope.steps", "int"),
    ("inferscope.workflow", "string"),
];

/// What may be sent.
struct Schema {
    /// Attributes and their types.
    attributes: BTreeMap<String, String>,
    /// Metrics, with unit and kind.
    metrics: BTreeMap<String, (String, String)>,
}

impl Schema {
    /// The conventions, the catalog, and attributes that the configuration adds.
    fn new(external: &[&str]) -> Schema {
        let mut schema = Schema { attributes: BTreeMap::new(), metrics: BTreeMap::new() };
        let list = fs::read_to_string(CONVENTIONS).unwrap();
        for line in list.lines().filter(|line| !line.starts_with('#')) {
            match line.split(' ').collect::<Vec<_>>()[..] {
                ["attribute", name, of] => drop(schema.attributes.insert(name.to_owned(), of.to_owned())),
                ["metric", name, kind, unit] => {
                    schema.metrics.insert(name.to_owned(), (unit.to_owned(), kind.to_owned()));
                }
                _ => panic!("conventions.txt: {line}"),
            }
        }
        for row in catalog::all().filter(|row| row.otlp.starts_with("inferscope.")) {
            let instrument = instrument::of(row.name).unwrap();
            let of = (instrument.unit.to_owned(), kind(&instrument).to_owned());
            schema.metrics.insert(row.otlp.to_owned(), of);
        }
        let labels = catalog::all().flat_map(|row| row.labels).map(|label| attribute::name_of(label));
        for label in labels.filter(|name| name.starts_with("inferscope.")) {
            schema.attributes.insert(label, "string".to_owned());
        }
        // A number, as the label's value is.
        schema.attributes.insert("inferscope.engine_index".to_owned(), "int".to_owned());
        let fixed = catalog::all().filter_map(|row| instrument::of(row.name)).flat_map(|instrument| instrument.fixed);
        let fixed = fixed.map(|attribute| attribute.key).filter(|name| name.starts_with("inferscope."));
        schema.attributes.extend(fixed.map(|name| (name, "string".to_owned())));
        let own = OWN.iter().copied().chain(external.iter().map(|name| (*name, "string")));
        schema.attributes.extend(own.map(|(name, of)| (name.to_owned(), of.to_owned())));
        schema
    }

    /// What of this is not in it.
    fn unknown(&self, came: &[Came]) -> BTreeSet<String> {
        let mut wrong = BTreeSet::new();
        for resource in
            came.iter().filter_map(|came| came.metrics.as_ref()).flat_map(|request| &request.resource_metrics)
        {
            self.judge(resource.resource.iter().flat_map(|resource| &resource.attributes), &mut wrong);
            for metric in resource.scope_metrics.iter().flat_map(|scope| &scope.metrics) {
                self.judge_metric(metric, &mut wrong);
            }
        }
        for resource in came.iter().filter_map(|came| came.spans.as_ref()).flat_map(|request| &request.resource_spans) {
            self.judge(resource.resource.iter().flat_map(|resource| &resource.attributes), &mut wrong);
            for span in resource.scope_spans.iter().flat_map(|scope| &scope.spans) {
                self.judge(
                    span.attributes.iter().chain(span.events.iter().flat_map(|event| &event.attributes)),
                    &mut wrong,
                );
                let events = span.events.iter().filter(|event| !event.name.starts_with("inferscope."));
                wrong.extend(events.map(|event| format!("event {}", event.name)));
            }
        }
        wrong
    }

    fn judge_metric(&self, metric: &Metric, wrong: &mut BTreeSet<String>) {
        let Metric { name, unit, data, .. } = metric;
        let (kind, attributes): (_, Vec<&KeyValue>) = match data.as_ref().unwrap() {
            metric::Data::Sum(sum) => ("counter", sum.data_points.iter().flat_map(|point| &point.attributes).collect()),
            metric::Data::Gauge(all) => ("gauge", all.data_points.iter().flat_map(|point| &point.attributes).collect()),
            metric::Data::Histogram(all) => {
                ("histogram", all.data_points.iter().flat_map(|point| &point.attributes).collect())
            }
            other => panic!("{other:?}"),
        };
        self.judge(attributes, wrong);
        match self.metrics.get(name) {
            None => drop(wrong.insert(format!("metric {name}"))),
            // A last value is what an up-down counter's is, too (docs/adr/0007).
            Some((known, of)) if (unit, kind) == (known, of) || (known == unit && of == "updowncounter") => {}
            Some((known, of)) => {
                wrong.insert(format!("metric {name}: a {kind} in {unit}, not a {of} in {known}"));
            }
        }
    }

    fn judge<'a>(&self, attributes: impl IntoIterator<Item = &'a KeyValue>, wrong: &mut BTreeSet<String>) {
        for attribute in attributes {
            let of = type_of(attribute);
            match self.attributes.get(&attribute.key) {
                None => drop(wrong.insert(format!("attribute {}", attribute.key))),
                Some(known) if known == of => {}
                Some(known) => drop(wrong.insert(format!("attribute {}: {of}, not {known}", attribute.key))),
            }
        }
    }
}

fn kind(instrument: &instrument::Instrument) -> &'static str {
    match instrument.kind {
        catalog::Kind::Counter => "counter",
        catalog::Kind::Gauge => "gauge",
        catalog::Kind::Histogram(_) => "histogram",
    }
}

fn type_of(attribute: &KeyValue) -> &'static str {
    match attribute.value.as_ref().and_then(|value| value.value.as_ref()) {
        Some(Value::StringValue(_)) => "string",
        Some(Value::IntValue(_)) => "int",
        Some(Value::DoubleValue(_)) => "double",
        Some(Value::BoolValue(_)) => "boolean",
        Some(Value::ArrayValue(list))
            if list.values.iter().all(|one| matches!(one.value, Some(Value::IntValue(_)))) =>
        {
            "int[]"
        }
        Some(Value::ArrayValue(_)) => "string[]",
        _ => "nothing",
    }
}

/// A server of whom everything is known.
fn server() -> ServerState {
    let attachment = Attachment::Attached;
    let (service, engine) = ("s".to_owned(), "vllm".into());
    let process = Process {
        tgid: 7,
        engine,
        role: crate::engine::Role::Frontend,
        service,
        container: None,
        evidence: String::new(),
        attachment,
    };
    let identity = Identity {
        root: 7,
        executable: "vllm".to_owned(),
        version: Some("0.11.0".to_owned()),
        port: Some(8000),
        enclosed: Enclosed::parse(&format!("0::/kubepods/pod{}/{}", "d".repeat(32), "c".repeat(64))),
        own_spans: false,
    };
    ServerState {
        process,
        service: "s".into(),
        identity,
        hooks: Vec::new(),
        named: false,
        root: Tgid(7),
        model: "m".to_owned(),
    }
}

#[test]
fn every_metric_there_is_has_a_known_name_unit_and_attributes() {
    let receiver = Receiver::start(Security::Plain);
    let config = config(&format!("{{destinations: [{{endpoint: \"{}\"}}]}}", receiver.url("http")));
    let known = Known::default();
    known.lock().unwrap().push(server());
    let metrics = Arc::new(crate::metric::tests::full());
    let (otlp, _spans) = start(&config, &metrics, &known).unwrap().unwrap();
    otlp.wait();
    let came = receiver.came();
    let sent = came.iter().filter_map(|came| came.metrics.as_ref()).flat_map(|request| &request.resource_metrics);
    let sent: BTreeSet<_> =
        sent.flat_map(|r| &r.scope_metrics).flat_map(|s| &s.metrics).map(|m| m.name.as_str()).collect();
    let all: BTreeSet<_> = catalog::all().map(|row| row.otlp).filter(|name| !name.is_empty()).collect();
    assert_eq!(sent, all, "all of the catalog is sent");
    assert_eq!(Schema::new(&["region"]).unknown(&came), BTreeSet::new());
}

#[test]
fn controllers_of_pods_have_known_names() {
    let schema = Schema::new(&[]);
    for (kind, name) in resource::CONTROLLERS {
        assert_eq!(schema.attributes.get(name).map(String::as_str), Some("string"), "{kind}");
    }
}

#[test]
fn what_is_told_of_real_traffic_has_known_names() {
    let schema = Schema::new(&["region"]);
    for tape in tapes() {
        assert_eq!(schema.unknown(&told(&tape)), BTreeSet::new(), "{}", tape.display());
    }
}

#[test]
fn an_unknown_name_is_found() {
    let metric = |name: &str, unit: &str| Metric {
        name: name.to_owned(),
        unit: unit.to_owned(),
        data: Some(metric::Data::Gauge(Default::default())),
        ..Metric::default()
    };
    let metrics = vec![metric("hw.power", "kW"), metric("inferscope.llm.frobs", "1"), metric("hw.temperature", "Cel")];
    let scope_metrics = vec![ScopeMetrics { metrics, ..ScopeMetrics::default() }];
    let metrics = ExportMetricsServiceRequest {
        resource_metrics: vec![ResourceMetrics { scope_metrics, ..ResourceMetrics::default() }],
    };
    let span = Span {
        attributes: vec![attribute::text("gen_ai.prompt", "x"), attribute::text("server.port", "8000")],
        events: vec![span::Event { name: "first token".to_owned(), ..span::Event::default() }],
        ..Span::default()
    };
    let scope_spans = vec![ScopeSpans { spans: vec![span], ..ScopeSpans::default() }];
    let spans =
        ExportTraceServiceRequest { resource_spans: vec![ResourceSpans { scope_spans, ..ResourceSpans::default() }] };
    let came = Came {
        at: std::time::Instant::now(),
        path: String::new(),
        headers: hyper::HeaderMap::new(),
        metrics: Some(metrics),
        spans: Some(spans),
    };
    let found = Schema::new(&[]).unknown(&[came]);
    let expected = [
        "attribute gen_ai.prompt",
        "attribute server.port: string, not int",
        "event first token",
        "metric hw.power: a gauge in kW, not a gauge in W",
        "metric inferscope.llm.frobs",
    ];
    assert_eq!(found.iter().map(String::as_str).collect::<Vec<_>>(), expected);
}

#[test]
fn families_of_one_name_agree_and_are_told_apart() {
    for row in catalog::all().filter(|row| !row.otlp.is_empty()) {
        let mine = instrument::of(row.name).unwrap();
        for other in catalog::all().filter(|other| other.otlp == row.otlp && other.name != row.name) {
            let other = instrument::of(other.name).unwrap();
            let (one, another) =
                ((mine.unit, mine.kind, mine.description), (other.unit, other.kind, other.description));
            assert_eq!(one, another, "{}", row.otlp);
            assert!(mine.fixed != other.fixed, "{} and another are both {}", row.name, row.otlp);
        }
    }
}
