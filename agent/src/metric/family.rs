//! The series of one metric, and the book in which all metrics are registered.
//!
//! `prometheus-client` has a `Family` of its own. This one differs where the agent needs it: series can be counted and
//! ended by a predicate, and they are written in the order of their labels, so that a replay writes the same text twice.

use super::catalog::Metric;
use prometheus_client::encoding::{EncodeLabelSet, EncodeMetric, MetricEncoder};
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::{MetricType, TypedMetric};
use prometheus_client::registry::{self, Registry};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The series of one metric, by label set. A clone is the same family.
pub struct Family<L, M> {
    series: Arc<Mutex<BTreeMap<L, M>>>,
    new: Arc<dyn Fn() -> M + Send + Sync>,
}

/// What a type must offer to tell series of one metric apart.
pub trait Labels: EncodeLabelSet + Clone + fmt::Debug + Ord + Send + Sync + 'static {}

impl<L: EncodeLabelSet + Clone + fmt::Debug + Ord + Send + Sync + 'static> Labels for L {}

/// Says how many series a family has.
type Size = Box<dyn Fn() -> usize + Send + Sync>;

/// Which buckets a histogram has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Resolution {
    /// The configured ones.
    #[default]
    Explicit,
    /// Base-2 exponential ones as well.
    Exponential,
}

/// Every metric that was registered, and how many series each has.
#[derive(Default)]
pub struct Book {
    /// For encoders.
    pub registry: Registry,
    /// Of all histograms.
    pub resolution: Resolution,
    sizes: Vec<(&'static str, Size)>,
}

impl<L, M> Clone for Family<L, M> {
    fn clone(&self) -> Self {
        Family { series: Arc::clone(&self.series), new: Arc::clone(&self.new) }
    }
}

impl<L, M> fmt::Debug for Family<L, M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Family({} series)", self.lock().len())
    }
}

impl<L, M> Family<L, M> {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<L, M>> {
        self.series.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<L: Labels, M> Family<L, M> {
    /// Changes a series, which begins with this where it is new.
    pub fn with(&self, labels: &L, change: impl FnOnce(&M)) {
        let mut series = self.lock();
        if let Some(metric) = series.get(labels) {
            return change(metric);
        }
        change(series.entry(labels.clone()).or_insert_with(|| (self.new)()));
    }

    /// These series are all there are.
    pub fn replace(&self, series: BTreeMap<L, M>) {
        *self.lock() = series;
    }

    /// Ends every series for which `keep` is false.
    pub fn retain(&self, mut keep: impl FnMut(&L) -> bool) {
        self.lock().retain(|labels, _| keep(labels));
    }
}

impl<L: Labels> Family<L, Gauge> {
    /// Sets every series at once, so that no scrape sees half of it. Series that are not in `values` are 0.
    pub fn set_all(&self, values: BTreeMap<L, i64>) {
        self.set_some(values, |_| true);
    }

    /// The same for those series only that are `of` one kind.
    pub fn set_some(&self, values: BTreeMap<L, i64>, of: impl Fn(&L) -> bool) {
        let mut series = self.lock();
        for (_, gauge) in series.iter().filter(|(labels, _)| of(labels) && !values.contains_key(labels)) {
            gauge.set(0);
        }
        for (labels, value) in values {
            series.entry(labels).or_insert_with(|| (self.new)()).set(value);
        }
    }
}

impl<L: Labels, M: EncodeMetric + TypedMetric> EncodeMetric for Family<L, M> {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> fmt::Result {
        for (labels, metric) in self.lock().iter() {
            metric.encode(encoder.encode_family(labels)?)?;
        }
        Ok(())
    }

    fn metric_type(&self) -> MetricType {
        M::TYPE
    }

    fn is_empty(&self) -> bool {
        self.lock().is_empty()
    }
}

impl Book {
    /// A book whose metrics all carry these labels.
    pub fn new(external: &BTreeMap<String, String>, resolution: Resolution) -> Book {
        let labels = external.iter().map(|(name, value)| (name.clone().into(), value.clone().into()));
        Book { registry: Registry::with_labels(labels), resolution, sizes: Vec::new() }
    }

    /// Registers a metric of the catalog; `lines` is how many series of the exposition one of its series is.
    pub fn add<L: Labels, M>(
        &mut self,
        row: &'static Metric,
        lines: usize,
        new: impl Fn() -> M + Send + Sync + 'static,
    ) -> Family<L, M>
    where
        M: EncodeMetric + TypedMetric + Send + Sync + 'static,
    {
        let family = Family { series: Arc::default(), new: Arc::new(new) };
        match row.unit.suffix() {
            Some(unit) => self.registry.register_with_unit(
                row.stem(),
                row.help,
                registry::Unit::Other(unit.to_owned()),
                family.clone(),
            ),
            None => self.registry.register(row.stem(), row.help, family.clone()),
        }
        let counted = family.clone();
        self.sizes.push((row.name, Box::new(move || counted.lock().len().saturating_mul(lines))));
        family
    }

    /// Names of the registered metrics that have series, with their number.
    pub fn sizes(&self) -> impl Iterator<Item = (&'static str, usize)> {
        self.sizes.iter().map(|(name, size)| (*name, size())).filter(|(_, size)| *size > 0)
    }
}
