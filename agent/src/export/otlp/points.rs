//! From the registry's families to OTLP's metrics: each server under a resource of its own, everything else under the
//! agent's. Pure; keeps nothing but what [`Book`] keeps.

use super::attribute;
use super::instrument::{self, Instrument};
use super::reading::{Buckets, Explicit, Exponential, Reading};
use super::resource::{Owner, Resources};
use super::series::{Book, Key, Since};
use crate::config::{Aggregation, Temporality};
use crate::metric::catalog::Kind;
use opentelemetry_proto::tonic::common::v1::{InstrumentationScope, KeyValue};
use opentelemetry_proto::tonic::metrics::v1::{
    AggregationTemporality, Exemplar, ExponentialHistogram, ExponentialHistogramDataPoint, Gauge, Histogram,
    HistogramDataPoint, Metric, NumberDataPoint, ResourceMetrics, ScopeMetrics, Sum, exemplar,
    exponential_histogram_data_point, metric, number_data_point,
};
use prometheus_client::encoding::prometheus_protobuf::prometheus_data_model as prometheus;
use std::collections::BTreeMap;

/// What a collector wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Taste {
    /// What counters and histograms count from.
    pub temporality: Temporality,
    /// Which buckets histograms have.
    pub aggregation: Aggregation,
}

/// One metric of one resource, with the values that count as told once it has arrived.
#[derive(Clone, Debug, PartialEq)]
pub struct Parcel {
    /// The metric, under its resource.
    pub metrics: ResourceMetrics,
    /// What it says.
    pub told: Vec<(Key, Reading)>,
}

/// A metric under way.
struct Draft {
    metric: Metric,
    told: Vec<(Key, Reading)>,
}

/// The scope of everything that the agent says.
pub fn scope() -> InstrumentationScope {
    InstrumentationScope {
        name: "inferscope".to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        ..InstrumentationScope::default()
    }
}

/// All that `families` say at `now` (nanoseconds since 1970) to a collector with this taste and book.
pub fn parcels(
    families: &[prometheus::MetricFamily],
    resources: &Resources,
    taste: Taste,
    book: &mut Book,
    now: u64,
) -> Vec<Parcel> {
    book.begin();
    let mut drafts: BTreeMap<(Option<Owner>, &'static str), Draft> = BTreeMap::new();
    for family in families {
        let Some(instrument) = instrument::of(&family.name) else { continue };
        for series in &family.metric {
            let (owner, labels) = resources.split(&series.label);
            let Some(reading) = Reading::of(series, buckets(taste)) else { continue };
            let key = (family.name.clone(), pairs(&series.label));
            let instance = resources.instance(owner.as_ref());
            let since = match (instrument.kind, taste.temporality) {
                (Kind::Gauge, _) => Since { start: 0, base: None },
                (_, Temporality::Cumulative) => book.cumulative(&key, &reading, instance),
                (_, Temporality::Delta) => book.delta(&key, &reading, instance),
            };
            let grown = reading.clone().since(since.base.as_ref());
            let told = (key, reading);
            // A delta of nothing says nothing.
            if instrument.kind != Kind::Gauge && taste.temporality == Temporality::Delta && grown.is_nothing() {
                continue;
            }
            let mut attributes = attribute::of_labels(&labels);
            attributes.extend(instrument.fixed.iter().cloned());
            let point = Point { attributes, start: since.start, now, scale: instrument.scale };
            let exemplars = exemplars(series, since.start);
            let draft = drafts.entry((owner, instrument.name)).or_insert_with(|| Draft::new(&instrument, taste));
            draft.add(grown, point, exemplars);
            draft.told.push(told);
        }
    }
    book.end(now);
    drafts.into_iter().map(|((owner, _), draft)| draft.sealed(resources, owner.as_ref())).collect()
}

fn buckets(taste: Taste) -> Buckets {
    match taste.aggregation {
        Aggregation::Explicit => Buckets::Explicit,
        Aggregation::Exponential => Buckets::Exponential,
    }
}

fn pairs(labels: &[prometheus::LabelPair]) -> Vec<(String, String)> {
    labels.iter().map(|label| (label.name.clone(), label.value.clone())).collect()
}

/// What every kind of point has.
struct Point {
    attributes: Vec<KeyValue>,
    start: u64,
    now: u64,
    scale: f64,
}

impl Draft {
    fn new(instrument: &Instrument, taste: Taste) -> Draft {
        let temporality = match taste.temporality {
            Temporality::Cumulative => AggregationTemporality::Cumulative,
            Temporality::Delta => AggregationTemporality::Delta,
        };
        let aggregation_temporality = temporality.into();
        let data = match (instrument.kind, taste.aggregation) {
            (Kind::Counter, _) => {
                metric::Data::Sum(Sum { data_points: Vec::new(), aggregation_temporality, is_monotonic: true })
            }
            (Kind::Gauge, _) => metric::Data::Gauge(Gauge::default()),
            (Kind::Histogram(_), Aggregation::Explicit) => {
                metric::Data::Histogram(Histogram { data_points: Vec::new(), aggregation_temporality })
            }
            (Kind::Histogram(_), Aggregation::Exponential) => {
                metric::Data::ExponentialHistogram(ExponentialHistogram {
                    data_points: Vec::new(),
                    aggregation_temporality,
                })
            }
        };
        let metric = Metric {
            name: instrument.name.to_owned(),
            description: instrument.description.to_owned(),
            unit: instrument.unit.to_owned(),
            data: Some(data),
            ..Metric::default()
        };
        Draft { metric, told: Vec::new() }
    }

    /// A value of another kind than the family's is left out.
    fn add(&mut self, reading: Reading, point: Point, exemplars: Vec<Exemplar>) {
        match (&mut self.metric.data, reading) {
            (Some(metric::Data::Sum(sum)), Reading::Number(number)) => sum.data_points.push(point.number(number)),
            (Some(metric::Data::Gauge(gauge)), Reading::Number(number)) => gauge.data_points.push(point.number(number)),
            (Some(metric::Data::Histogram(all)), Reading::Explicit(histogram)) => {
                all.data_points.push(point.explicit(histogram, exemplars));
            }
            (Some(metric::Data::ExponentialHistogram(all)), Reading::Exponential(histogram)) => {
                all.data_points.push(point.exponential(histogram));
            }
            _ => {}
        }
    }

    fn sealed(self, resources: &Resources, owner: Option<&Owner>) -> Parcel {
        let scope_metrics =
            vec![ScopeMetrics { scope: Some(scope()), metrics: vec![self.metric], ..ScopeMetrics::default() }];
        let resource = Some(resources.of(owner));
        Parcel { metrics: ResourceMetrics { resource, scope_metrics, ..ResourceMetrics::default() }, told: self.told }
    }
}

impl Point {
    fn number(self, value: f64) -> NumberDataPoint {
        let value = value * self.scale;
        // Counts leave as whole numbers; beyond 2^53 the registry's own numbers are no longer whole.
        let whole = value.fract() == 0.0 && value.abs() < 9e15 && self.scale == 1.0;
        #[allow(clippy::cast_possible_truncation)] // just checked
        let value = if whole {
            number_data_point::Value::AsInt(value as i64)
        } else {
            number_data_point::Value::AsDouble(value)
        };
        NumberDataPoint {
            attributes: self.attributes,
            start_time_unix_nano: self.start,
            time_unix_nano: self.now,
            value: Some(value),
            ..NumberDataPoint::default()
        }
    }

    fn explicit(self, histogram: Explicit, exemplars: Vec<Exemplar>) -> HistogramDataPoint {
        HistogramDataPoint {
            attributes: self.attributes,
            start_time_unix_nano: self.start,
            time_unix_nano: self.now,
            count: histogram.count,
            sum: Some(histogram.sum),
            bucket_counts: histogram.counts,
            explicit_bounds: histogram.bounds,
            exemplars,
            ..HistogramDataPoint::default()
        }
    }

    fn exponential(self, histogram: Exponential) -> ExponentialHistogramDataPoint {
        let positive =
            exponential_histogram_data_point::Buckets { offset: histogram.offset, bucket_counts: histogram.counts };
        ExponentialHistogramDataPoint {
            attributes: self.attributes,
            start_time_unix_nano: self.start,
            time_unix_nano: self.now,
            count: histogram.count,
            sum: Some(histogram.sum),
            scale: histogram.scale,
            zero_count: histogram.zeros,
            zero_threshold: histogram.zero_threshold,
            positive: Some(positive),
            ..ExponentialHistogramDataPoint::default()
        }
    }
}

/// Exemplars of a series that are not older than `start`.
fn exemplars(series: &prometheus::Metric, start: u64) -> Vec<Exemplar> {
    let buckets = series.histogram.iter().flat_map(|histogram| &histogram.bucket);
    let exemplars = buckets.filter_map(|bucket| bucket.exemplar.as_ref());
    exemplars.filter_map(exemplar).filter(|exemplar| exemplar.time_unix_nano >= start).collect()
}

fn exemplar(exemplar: &prometheus::Exemplar) -> Option<Exemplar> {
    let label = |name: &str| exemplar.label.iter().find(|label| label.name == name).map(|label| bytes(&label.value));
    let time = exemplar.timestamp?;
    let seconds = u64::try_from(time.seconds).ok()?;
    let nanos = u64::try_from(time.nanos).ok()?;
    Some(Exemplar {
        time_unix_nano: seconds.saturating_mul(1_000_000_000).saturating_add(nanos),
        trace_id: label("trace_id")?,
        span_id: label("span_id")?,
        value: Some(exemplar::Value::AsDouble(exemplar.value)),
        ..Exemplar::default()
    })
}

/// The bytes that hexadecimal digits stand for.
fn bytes(digits: &str) -> Vec<u8> {
    let pairs = digits.as_bytes().chunks_exact(2).filter_map(|pair| std::str::from_utf8(pair).ok());
    pairs.filter_map(|pair| u8::from_str_radix(pair, 16).ok()).collect()
}
