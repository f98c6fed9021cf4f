//! What engines' messages say: the stages of a sequence, and schedulers at work.

use super::catalog;
use super::family::{Book, Family};
use super::label::{OfScheduler, OfServer, Server, Sourced, StandingOf};
use super::sink::{counter, gauge, histogram, observe, seconds};
use crate::config::Buckets;
use crate::core::{Iterated, Standing};
use crate::engine::report::Scheduler;
use crate::request::{Record, Sequence};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use std::collections::BTreeSet;
use std::sync::atomic::AtomicU64;

type Ratio = Gauge<f64, AtomicU64>;

/// The families that only engines' messages feed.
pub(super) struct Schedules {
    frontend: Family<Server, Histogram>,
    dispatch: Family<Server, Histogram>,
    queue: Family<Server, Histogram>,
    prefill: Family<Server, Histogram>,
    decode: Family<Server, Histogram>,
    detokenize: Family<Server, Histogram>,
    waiting: Family<StandingOf, Gauge>,
    kv_cache: Family<OfScheduler, Ratio>,
    batch: Family<OfScheduler, Histogram>,
    last_batch: Family<OfScheduler, Gauge>,
    prefix_queries: Family<Server, Counter>,
    prefix_hits: Family<Server, Counter>,
    preemptions: Family<Server, Counter>,
    wasted: Family<Server, Counter>,
}

/// Families that are fed from requests as well.
pub(super) struct Shared<'a> {
    pub inter_token: &'a Family<Sourced, Histogram>,
    pub generated: &'a Family<Sourced, Counter>,
    pub prompt: &'a Family<Sourced, Counter>,
    pub prompt_cached: &'a Family<Sourced, Counter>,
    pub running: &'a Family<StandingOf, Gauge>,
}

impl Schedules {
    pub fn new(book: &mut Book, buckets: &Buckets) -> Schedules {
        Schedules {
            frontend: histogram(book, &catalog::FRONTEND_DURATION, buckets),
            dispatch: histogram(book, &catalog::DISPATCH_DURATION, buckets),
            queue: histogram(book, &catalog::QUEUE_DURATION, buckets),
            prefill: histogram(book, &catalog::PREFILL_DURATION, buckets),
            decode: histogram(book, &catalog::DECODE_DURATION, buckets),
            detokenize: histogram(book, &catalog::DETOKENIZE_DURATION, buckets),
            waiting: gauge(book, &catalog::QUEUE_DEPTH),
            kv_cache: book.add(&catalog::KV_CACHE_USAGE, 1, Ratio::default),
            batch: histogram(book, &catalog::BATCH_SIZE, buckets),
            last_batch: gauge(book, &catalog::BATCH_SIZE_LAST),
            prefix_queries: counter(book, &catalog::PREFIX_CACHE_QUERIES),
            prefix_hits: counter(book, &catalog::PREFIX_CACHE_HITS),
            preemptions: counter(book, &catalog::PREEMPTIONS),
            wasted: counter(book, &catalog::TOKENS_WASTED),
        }
    }

    /// A scheduler ended an iteration.
    pub fn iterated(&self, shared: &Shared<'_>, server: Server, said: &Iterated) {
        let sourced = Sourced { server: server.clone(), source: "engine" };
        let scheduler = OfScheduler { server: server.clone(), engine_index: said.index };
        // Where an engine speaks, none generated is known to be 0.
        let add = |family: &Family<Sourced, Counter>, count| {
            family.with(&sourced, |counter| {
                counter.inc_by(count);
            });
        };
        add(shared.generated, said.tokens);
        add(shared.prompt, said.prompt_tokens);
        add(shared.prompt_cached, said.cached_tokens);
        if !said.gaps.is_empty() {
            shared.inter_token.with(&sourced, |gaps| said.gaps.iter().for_each(|gap| gaps.observe(seconds(*gap))));
        }
        let figures = said.scheduler.unwrap_or_default();
        for (family, count) in [
            (&self.wasted, Some(said.wasted)),
            (&self.preemptions, Some(said.preemptions)),
            (&self.prefix_queries, figures.prefix_queries),
            (&self.prefix_hits, figures.prefix_hits),
        ] {
            let Some(count) = count else { continue };
            family.with(&server, |counter| {
                counter.inc_by(count);
            });
        }
        if let Some(batch) = said.batch {
            self.batch.with(&scheduler, |sizes| sizes.observe(batch as f64));
            set(&self.last_batch, &scheduler, batch);
        }
        if let Some(figures) = &said.scheduler {
            self.figures(shared, &scheduler, figures);
        }
    }

    /// All schedulers as they stand now; the series of others end.
    pub fn standing(&self, shared: &Shared<'_>, standing: Vec<(OfScheduler, Standing)>) {
        let here: BTreeSet<&OfScheduler> = standing.iter().map(|(labels, _)| labels).collect();
        let sourced: BTreeSet<StandingOf> = here.iter().map(|labels| StandingOf::engine(labels)).collect();
        self.waiting.retain(|labels| sourced.contains(labels));
        shared.running.retain(|labels| labels.engine_index.is_none() || sourced.contains(labels));
        self.kv_cache.retain(|labels| here.contains(labels));
        self.last_batch.retain(|labels| here.contains(labels));
        for (labels, standing) in &standing {
            self.figures(shared, labels, &standing.scheduler);
        }
    }

    fn figures(&self, shared: &Shared<'_>, labels: &OfScheduler, figures: &Scheduler) {
        set(shared.running, &StandingOf::engine(labels), figures.running);
        set(&self.waiting, &StandingOf::engine(labels), figures.waiting);
        if let Some(usage) = figures.kv_cache_usage {
            self.kv_cache.with(labels, |gauge| {
                gauge.set(usage);
            });
        }
    }

    /// A scheduler is done with a sequence.
    pub fn sequence(&self, server: &Server, sequence: &Sequence) {
        observe(&self.dispatch, server, sequence.dispatch());
        observe(&self.queue, server, sequence.queue());
        observe(&self.prefill, server, sequence.prefill());
        observe(&self.decode, server, sequence.decode());
    }

    /// A request ended, complete.
    pub fn record(&self, server: &Server, record: &Record) {
        observe(&self.frontend, server, record.frontend());
        observe(&self.detokenize, server, record.detokenize());
    }

    /// Ends the series of a server.
    pub fn end(&self, ends: impl Fn(&Server) -> bool) {
        for family in [&self.frontend, &self.dispatch, &self.queue, &self.prefill, &self.decode, &self.detokenize] {
            family.retain(|labels| !ends(labels));
        }
        for family in [&self.prefix_queries, &self.prefix_hits, &self.preemptions, &self.wasted] {
            family.retain(|labels| !ends(labels));
        }
        self.waiting.retain(|labels| !ends(labels.server()));
        self.kv_cache.retain(|labels| !ends(labels.server()));
        self.batch.retain(|labels| !ends(labels.server()));
        self.last_batch.retain(|labels| !ends(labels.server()));
    }
}

fn set<L: super::family::Labels>(family: &Family<L, Gauge>, labels: &L, value: u64) {
    family.with(labels, |gauge| {
        gauge.set(i64::try_from(value).unwrap_or(i64::MAX));
    });
}
