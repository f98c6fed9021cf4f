//! How far the agent's numbers are from the servers' own.

use super::catalog;
use super::family::{Book, Family};
use super::label::{ByOutcome, OfQuantity, Server};
use super::sink::counter;
use crate::crosscheck::Row;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use std::collections::BTreeSet;
use std::sync::atomic::AtomicU64;

type Difference = Gauge<f64, AtomicU64>;

/// The families that the cross-check feeds.
pub(super) struct Differences {
    count: Family<OfQuantity, Difference>,
    seconds: Family<OfQuantity, Difference>,
    ratio: Family<OfQuantity, Difference>,
    readings: Family<ByOutcome, Counter>,
}

impl Differences {
    pub fn new(book: &mut Book) -> Differences {
        Differences {
            count: book.add(&catalog::CROSSCHECK_COUNT, 1, Difference::default),
            seconds: book.add(&catalog::CROSSCHECK_SECONDS, 1, Difference::default),
            ratio: book.add(&catalog::CROSSCHECK_RATIO, 1, Difference::default),
            readings: counter(book, &catalog::CROSSCHECK_READINGS),
        }
    }

    /// All that was compared now; the series of what was not end.
    pub fn set(&self, compared: &[(Server, Vec<Row>)], failures: u64) {
        let of = |server: &Server, row: &Row| OfQuantity { server: server.clone(), quantity: row.quantity.name() };
        let here: BTreeSet<_> =
            compared.iter().flat_map(|(server, rows)| rows.iter().map(move |row| of(server, row))).collect();
        for family in [&self.count, &self.seconds, &self.ratio] {
            family.retain(|labels| here.contains(labels));
        }
        for (server, row) in compared.iter().flat_map(|(server, rows)| rows.iter().map(move |row| (server, row))) {
            let labels = of(server, row);
            let absolute = if row.quantity.is_time() { &self.seconds } else { &self.count };
            show(absolute, &labels, row.difference());
            show(&self.ratio, &labels, row.relative());
        }
        for (outcome, count) in [("ok", compared.len() as u64), ("failed", failures)] {
            self.readings.with(&ByOutcome { outcome }, |counter| {
                counter.inc_by(count);
            });
        }
    }
}

fn show(family: &Family<OfQuantity, Difference>, labels: &OfQuantity, value: Option<f64>) {
    let Some(value) = value else { return family.retain(|other| other != labels) };
    family.with(labels, |gauge| {
        gauge.set(value);
    });
}
