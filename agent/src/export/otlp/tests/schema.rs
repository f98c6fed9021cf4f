//! Every name, unit and attribute that is ever sent is in the catalog, or in the list of OpenTelemetry's conventions.

use super::receiver::{Receiver, Security, testdata};
use super::*;
use crate::metric::catalog;
use opentelemetry_proto::tonic::metrics::v1::{Metric, metric};
use std::collections::BTreeSet;
use std::fs;

/// Units that instruments have (UCUM).
const UNITS: [&str; 11] = ["1", "s", "By", "By/s", "J", "W", "Cel", "Hz", "{token}", "{request}", "{error}"];

/// Names by kind: `attribute`, `metric`.
fn conventions(kind: &str) -> BTreeSet<String> {
    let list = fs::read_to_string(testdata("conventions.txt")).unwrap();
    let names = list.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.split_once(' '));
    names.filter(|(of, _)| *of == kind).map(|(_, name)| name.to_owned()).collect()
}

fn attribute_is_known(name: &str, external: &[&str]) {
    let own = name.starts_with("inferscope.");
    assert!(own || external.contains(&name) || conventions("attribute").contains(name), "{name} is no convention's");
}

fn attributes(metric: &Metric) -> Vec<KeyValue> {
    match metric.data.clone().unwrap() {
        metric::Data::Sum(sum) => sum.data_points.into_iter().flat_map(|point| point.attributes).collect(),
        metric::Data::Gauge(gauge) => gauge.data_points.into_iter().flat_map(|point| point.attributes).collect(),
        metric::Data::Histogram(all) => all.data_points.into_iter().flat_map(|point| point.attributes).collect(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_is_sent_has_known_names() {
    let receiver = Receiver::start(Security::Plain);
    let url = receiver.url("http");
    let export = export(&config(&format!("{{destinations: [{{endpoint: \"{url}\"}}]}}")), Duration::from_secs(600));
    export.record(&called(Decision::Recorded, chat(0)));
    export.record(&Record { quality: Quality::Gap, code: 500, status: Status::Error, ..chat(1) });
    export.metrics.usage(crate::metric::SelfUsage { cpu: Duration::from_secs(1), resident_bytes: 1 });
    export.otlp.wait();
    for came in receiver.came() {
        for resource in came.metrics.iter().flat_map(|request| &request.resource_metrics) {
            resource.resource.iter().flat_map(|r| &r.attributes).for_each(|a| attribute_is_known(&a.key, &["region"]));
            for metric in resource.scope_metrics.iter().flat_map(|scope| &scope.metrics) {
                assert!(UNITS.contains(&metric.unit.as_str()), "{}: {}", metric.name, metric.unit);
                attributes(metric).iter().for_each(|attribute| attribute_is_known(&attribute.key, &[]));
            }
        }
        for resource in came.spans.iter().flat_map(|request| &request.resource_spans) {
            resource.resource.iter().flat_map(|r| &r.attributes).for_each(|a| attribute_is_known(&a.key, &["region"]));
            for span in resource.scope_spans.iter().flat_map(|scope| &scope.spans) {
                span.attributes.iter().for_each(|attribute| attribute_is_known(&attribute.key, &[]));
                assert!(span.events.iter().all(|event| event.name.starts_with("inferscope.")));
            }
        }
    }
}

#[test]
fn the_whole_catalog_has_known_names() {
    let metrics = conventions("metric");
    // Aliases have no name in OTLP.
    for row in catalog::all().filter(|row| !row.otlp.is_empty()) {
        let instrument = instrument::of(row.name).unwrap();
        assert!(row.otlp.starts_with("inferscope.") || metrics.contains(row.otlp), "{} is no convention's", row.otlp);
        assert!(UNITS.contains(&instrument.unit), "{}: {}", row.otlp, instrument.unit);
        row.labels.iter().for_each(|label| attribute_is_known(&attribute::name_of(label), &[]));
    }
}

#[test]
fn families_of_one_name_agree_and_are_told_apart() {
    for row in catalog::all().filter(|row| !row.otlp.is_empty()) {
        let mine = instrument::of(row.name).unwrap();
        for other in catalog::all().filter(|other| other.otlp == row.otlp && other.name != row.name) {
            let other = instrument::of(other.name).unwrap();
            assert_eq!(
                (mine.unit, mine.kind, mine.description),
                (other.unit, other.kind, other.description),
                "{}",
                row.otlp
            );
            assert!(mine.fixed != other.fixed, "{} and another are both {}", row.name, row.otlp);
        }
    }
}
