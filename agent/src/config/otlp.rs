//! Settings of the OTLP export: collectors, what goes to them, and which requests become spans.
//!
//! The OTEL_* variables are none of this file's business: [`crate::export::otlp::environment`] fills in what the file
//! leaves open.

use super::choice::{Aggregation, Compression, Protocol, Temporality};
use super::problem::{Path, Problems};
use super::rule::{attribute_name, endpoint, filled, header_name, ratio, within};
use super::setting::{Setting, items, key_name, mapping, settings};
use super::yaml::{Entry, Yaml};
use crate::metric::Resolution;
use serde_yaml::Value;
use std::collections::BTreeMap;

settings! {
    /// Where metrics and spans are sent over OTLP.
    Otlp {
        /// Collectors, each {endpoint: "http://collector:4317", protocol: grpc}; docs/otlp.md lists what else can be said of
        /// one. With none, OTEL_EXPORTER_OTLP_ENDPOINT and its like name one; without these, nothing is sent.
        destinations: Destinations = Destinations::default();
        /// Between two exports of metrics, from 1 to 3600; null: OTEL_METRIC_EXPORT_INTERVAL, else 60.
        interval_seconds: Option<u32> = None, must |seconds: &Option<u32>| seconds.iter().try_for_each(within(1..=3600));
        /// Attributes on everything that is sent, for example {deployment.environment.name: prod}. They win over
        /// OTEL_RESOURCE_ATTRIBUTES; `labels` are sent as attributes, too.
        resource: Texts = Texts::default(), must |texts: &Texts| texts.names(attribute_name);
        /// Which requests become spans.
        spans: Spans = Spans::default();
    }
}

settings! {
    /// Which requests become spans. Where the caller's trace says whether it is recorded, that is followed.
    Spans {
        /// Share of the other requests, from 0 to 1; null: OTEL_TRACES_SAMPLER_ARG, else 1.
        ratio: Option<f64> = None, must |share: &Option<f64>| share.iter().try_for_each(ratio);
        /// Also every request that failed, whatever the ratio.
        keep_errors: bool = true;
        /// Also every request that took at least so long, from 0 to 86400, whatever the ratio; null: none for that reason.
        keep_slower_than_seconds: Option<f64> = None,
            must |seconds: &Option<f64>| seconds.iter().try_for_each(within(0.0..=86_400.0));
        /// Requests that wait for a collector that is away, from 16 to 65536; beyond it the oldest are dropped and counted.
        queue: u32 = 2048, must within(16..=65_536);
    }
}

settings! {
    /// One collector.
    Destination {
        /// Where it listens: http or https, host, port.
        endpoint: String = String::new(), must |text: &String| endpoint(text);
        /// grpc or http/protobuf.
        protocol: Protocol = Protocol::Grpc;
        /// Over http: take the endpoint's path as it stands instead of adding /v1/metrics and /v1/traces.
        exact_path: bool = false;
        /// Send metrics.
        metrics: bool = true;
        /// Send spans.
        spans: bool = true;
        /// Headers of every request.
        headers: Texts = Texts::default(), must |texts: &Texts| texts.names(header_name);
        /// Given to one attempt, answer included, from 1 to 300.
        timeout_seconds: u32 = 10, must within(1..=300);
        /// none or gzip.
        compression: Compression = Compression::None;
        /// cumulative, or delta: since the last export that arrived.
        temporality: Temporality = Temporality::Cumulative;
        /// explicit: the configured buckets; exponential: base-2 exponential ones.
        histograms: Aggregation = Aggregation::Explicit;
        /// For https.
        tls: Tls = Tls::default();
    }
}

settings! {
    /// How a collector and the agent know each other. Files are PEM.
    Tls {
        /// Certificates to trust instead of the host's.
        ca: Option<String> = None, must |text: &Option<String>| text.iter().try_for_each(|text| filled(text));
        /// The agent's own certificate, for mutual TLS.
        certificate: Option<String> = None, must |text: &Option<String>| text.iter().try_for_each(|text| filled(text));
        /// Its key.
        key: Option<String> = None, must |text: &Option<String>| text.iter().try_for_each(|text| filled(text));
    }
}

/// The collectors.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Destinations(pub Vec<Destination>);

/// Names and texts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Texts(pub BTreeMap<String, String>);

impl Otlp {
    /// The buckets that histograms need.
    #[must_use]
    pub fn resolution(&self) -> Resolution {
        let exponential =
            |destination: &Destination| destination.metrics && destination.histograms == Aggregation::Exponential;
        if self.destinations.0.iter().any(exponential) { Resolution::Exponential } else { Resolution::Explicit }
    }
}

impl Texts {
    /// Holds every name against a rule.
    fn names(&self, rule: impl Fn(&str) -> Result<(), String>) -> Result<(), String> {
        self.0.keys().try_for_each(|name| rule(name).map_err(|wrong| format!("{name}: {wrong}")))
    }
}

impl Setting for Texts {
    fn read(value: &Value, path: &Path, problems: &mut Problems) -> Option<Self> {
        let mut texts = BTreeMap::new();
        for (key, value) in mapping(value, path, problems)? {
            let name = key_name(key);
            if let Some(value) = String::read(value, &path.key(&name), problems) {
                texts.insert(name, value);
            }
        }
        Some(Texts(texts))
    }

    fn write(&self) -> Yaml {
        let entry =
            |(key, value): (&String, &String)| Entry { comment: &[], key: key.clone(), value: Yaml::text(value) };
        Yaml::Section(self.0.iter().map(entry).collect())
    }
}

impl Setting for Destinations {
    fn read(value: &Value, path: &Path, problems: &mut Problems) -> Option<Self> {
        let mut destinations = Vec::new();
        for (index, value) in items(value, path, problems)?.iter().enumerate() {
            let path = path.index(index);
            let Some(destination) = Destination::read(value, &path, problems) else { continue };
            let Tls { certificate, key, .. } = &destination.tls;
            if certificate.is_some() != key.is_some() {
                problems.add(&path.key("tls"), "`certificate` and `key` belong together");
            }
            if destination.endpoint.is_empty() && value.get("endpoint").is_none() {
                problems.add(&path, "`endpoint` is missing");
            }
            destinations.push(destination);
        }
        Some(Destinations(destinations))
    }

    fn write(&self) -> Yaml {
        Yaml::List(self.0.iter().map(Setting::write).collect())
    }
}

impl<T: Setting> Setting for Option<T> {
    fn read(value: &Value, path: &Path, problems: &mut Problems) -> Option<Self> {
        T::read(value, path, problems).map(Some)
    }

    fn write(&self) -> Yaml {
        self.as_ref().map_or_else(|| Yaml::Scalar("null".to_owned()), Setting::write)
    }
}
