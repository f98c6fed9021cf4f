//! What became of that which was sent to collectors.

use super::catalog;
use super::family::{Book, Family};
use super::label::{Export, Shipment};
use super::sink::counter;
use prometheus_client::metrics::counter::Counter;

/// The families that exporters feed.
pub(super) struct Exports {
    attempts: Family<Export, Counter>,
    spans: Family<Shipment, Counter>,
}

impl Exports {
    pub fn new(book: &mut Book) -> Exports {
        Exports { attempts: counter(book, &catalog::EXPORTS), spans: counter(book, &catalog::EXPORTED_SPANS) }
    }

    pub fn attempt(&self, labels: &Export) {
        self.attempts.with(labels, |attempts| {
            attempts.inc();
        });
    }

    pub fn spans(&self, labels: &Shipment, spans: u64) {
        self.spans.with(labels, |counter| {
            counter.inc_by(spans);
        });
    }
}
