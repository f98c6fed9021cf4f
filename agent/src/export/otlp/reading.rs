//! One value of a series as the registry gives it, and what it grew by since another.
//!
//! Explicit buckets come cumulative (Prometheus) and leave as counts of their own (OTLP). Exponential buckets of both worlds
//! have the same bounds; OpenTelemetry numbers them by their lower one, Prometheus by their upper one.

use prometheus_client::encoding::prometheus_protobuf::prometheus_data_model::{BucketSpan, Histogram, Metric};

/// A value.
#[derive(Clone, Debug, PartialEq)]
pub enum Reading {
    /// Of a counter or a gauge.
    Number(f64),
    /// Of a histogram with its explicit buckets.
    Explicit(Explicit),
    /// Of a histogram with its exponential buckets.
    Exponential(Exponential),
}

/// Explicit buckets.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Explicit {
    /// Values.
    pub count: u64,
    /// Their sum.
    pub sum: f64,
    /// Upper bounds, without the infinite one.
    pub bounds: Vec<f64>,
    /// Of each bucket, the infinite one included.
    pub counts: Vec<u64>,
}

/// Exponential buckets; latencies are never negative.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Exponential {
    /// Values.
    pub count: u64,
    /// Their sum.
    pub sum: f64,
    /// Bucket `i` is from `2^(i * 2^-scale)`, exclusive, to `2^((i + 1) * 2^-scale)`.
    pub scale: i32,
    /// Values that are 0.
    pub zeros: u64,
    /// Up to here values count as 0.
    pub zero_threshold: f64,
    /// The first bucket.
    pub offset: i32,
    /// From there on.
    pub counts: Vec<u64>,
}

/// Which buckets of a histogram are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Buckets {
    /// The explicit ones.
    Explicit,
    /// The exponential ones.
    Exponential,
}

impl Reading {
    /// The value of `metric`; absent where it is of no kind that the catalog has.
    pub fn of(metric: &Metric, buckets: Buckets) -> Option<Reading> {
        let Metric { counter, gauge, histogram, .. } = metric;
        if let Some(histogram) = histogram {
            return Some(match buckets {
                Buckets::Explicit => Reading::Explicit(Explicit::of(histogram)),
                Buckets::Exponential => Reading::Exponential(Exponential::of(histogram)),
            });
        }
        let number = counter.as_ref().map(|counter| counter.value).or(gauge.as_ref().map(|gauge| gauge.value))?;
        Some(Reading::Number(number))
    }

    /// Whether it cannot have grown from `earlier`.
    pub fn is_behind(&self, earlier: &Reading) -> bool {
        match (self, earlier) {
            (Reading::Number(now), Reading::Number(then)) => now < then,
            (Reading::Explicit(now), Reading::Explicit(then)) => now.count < then.count,
            (Reading::Exponential(now), Reading::Exponential(then)) => now.count < then.count,
            _ => true,
        }
    }

    /// What it grew by since `base`.
    pub fn since(self, base: Option<&Reading>) -> Reading {
        match (self, base) {
            (Reading::Number(now), Some(Reading::Number(then))) => Reading::Number(now - then),
            (Reading::Explicit(now), Some(Reading::Explicit(then))) => Reading::Explicit(now.since(then)),
            (Reading::Exponential(now), Some(Reading::Exponential(then))) => Reading::Exponential(now.since(then)),
            (now, _) => now,
        }
    }

    /// Whether nothing is in it.
    pub fn is_nothing(&self) -> bool {
        match self {
            Reading::Number(number) => *number == 0.0,
            Reading::Explicit(histogram) => histogram.count == 0,
            Reading::Exponential(histogram) => histogram.count == 0,
        }
    }
}

impl Explicit {
    fn of(histogram: &Histogram) -> Explicit {
        let mut below = 0;
        let mut counts = Vec::with_capacity(histogram.bucket.len());
        for bucket in &histogram.bucket {
            counts.push(bucket.cumulative_count.saturating_sub(below));
            below = bucket.cumulative_count;
        }
        let bounds = histogram.bucket.iter().map(|bucket| bucket.upper_bound).filter(|bound| bound.is_finite());
        Explicit { count: histogram.sample_count, sum: histogram.sample_sum, bounds: bounds.collect(), counts }
    }

    fn since(mut self, base: &Explicit) -> Explicit {
        self.count = self.count.saturating_sub(base.count);
        self.sum -= base.sum;
        for (count, before) in self.counts.iter_mut().zip(&base.counts) {
            *count = count.saturating_sub(*before);
        }
        self
    }
}

impl Exponential {
    fn of(histogram: &Histogram) -> Exponential {
        let (offset, counts) = dense(&histogram.positive_span, &histogram.positive_delta);
        Exponential {
            count: histogram.sample_count,
            sum: histogram.sample_sum,
            scale: histogram.schema,
            zeros: histogram.zero_count,
            zero_threshold: histogram.zero_threshold,
            offset: offset.saturating_sub(1),
            counts,
        }
    }

    /// Buckets may have become wider meanwhile, never narrower.
    fn since(mut self, base: &Exponential) -> Exponential {
        self.count = self.count.saturating_sub(base.count);
        self.sum -= base.sum;
        self.zeros = self.zeros.saturating_sub(base.zeros);
        let wider = u32::try_from(base.scale.saturating_sub(self.scale)).unwrap_or(0).min(31);
        for (index, before) in (base.offset..).zip(&base.counts) {
            let at = (index >> wider).checked_sub(self.offset).and_then(|at| usize::try_from(at).ok());
            if let Some(count) = at.and_then(|at| self.counts.get_mut(at)) {
                *count = count.saturating_sub(*before);
            }
        }
        self
    }
}

/// Sparse buckets, each said by its difference to the one before, as a dense list from the first one on.
fn dense(spans: &[BucketSpan], deltas: &[i64]) -> (i32, Vec<u64>) {
    /// More than the registry ever holds; what claims more is not from there.
    const MOST: usize = 1 << 16;
    let (mut counts, mut count, mut deltas) = (Vec::new(), 0_i64, deltas.iter());
    let offset = spans.first().map_or(0, |span| span.offset);
    for (index, span) in spans.iter().enumerate() {
        let gap = if index == 0 { 0 } else { usize::try_from(span.offset).unwrap_or(0) };
        counts.resize(counts.len().saturating_add(gap).min(MOST), 0);
        for delta in deltas.by_ref().take(usize::try_from(span.length).unwrap_or(0)) {
            count = count.saturating_add(*delta);
            counts.push(u64::try_from(count).unwrap_or(0));
        }
    }
    (offset, counts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sparse_buckets_become_dense_ones() {
        let spans = [BucketSpan { offset: -2, length: 2 }, BucketSpan { offset: 3, length: 1 }];
        assert_eq!(dense(&spans, &[4, -1, 2]), (-2, vec![4, 3, 0, 0, 0, 5]));
        assert_eq!(dense(&[BucketSpan { offset: 0, length: 0 }], &[]), (0, vec![]));
    }

    #[test]
    fn differences_reach_over_wider_buckets() {
        let base = Exponential {
            count: 5,
            sum: 5.0,
            scale: 3,
            offset: -3,
            counts: vec![1, 1, 1, 2],
            ..Exponential::default()
        };
        // Indexes -3, -2, -1, 0 become -2, -1, -1, 0.
        let now = Exponential {
            count: 9,
            sum: 7.0,
            scale: 2,
            offset: -2,
            counts: vec![2, 3, 3, 1],
            ..Exponential::default()
        };
        let grown = now.since(&base);
        assert_eq!((grown.count, grown.sum, grown.counts), (4, 2.0, vec![1, 1, 1, 1]));
    }
}
