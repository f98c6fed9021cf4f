//! The few shapes of expressions that dashboards are made of.
//!
//! A *selector* is a metric's name, with the board's matchers unless it has its own (`name{@,status="error"}`).

/// Grafana's window for rates: never less than four scrapes.
const WINDOW: &str = "[$__rate_interval]";

/// What a counter grows by in a second, summed by these labels (all in one where there are none).
pub fn rate(selector: &str, by: &str) -> String {
    format!("sum{} (rate({}{WINDOW}))", grouping(by), matched(selector))
}

/// The same over all of the time that is shown.
pub fn mean_rate(selector: &str, by: &str) -> String {
    format!("sum{} (rate({}[$__range]))", grouping(by), matched(selector))
}

/// One rate for each of another. Absent while the other stands still: what nobody asked for has no share.
pub fn ratio(part: &str, whole: &str, by: &str) -> String {
    format!("{} / ({} > 0)", rate(part, by), rate(whole, by))
}

/// The same, 0 where there is no such part yet: of counters whose whole is always counted.
pub fn share(part: &str, whole: &str, by: &str) -> String {
    let all = rate(whole, by);
    format!("({} or 0 * {all}) / ({all} > 0)", rate(part, by))
}

/// An expression, 0 where it says nothing although these are there: of series that begin with the first of what they count.
pub fn or_zero(expression: &str, where_there_is: &str, by: &str) -> String {
    format!("{expression} or 0 * count{} ({})", grouping(by), matched(where_there_is))
}

/// The sum of a gauge by these labels.
pub fn sum(selector: &str, by: &str) -> String {
    format!("sum{} ({})", grouping(by), matched(selector))
}

/// The largest of a gauge by these labels.
pub fn max(selector: &str, by: &str) -> String {
    format!("max{} ({})", grouping(by), matched(selector))
}

/// The mean of a gauge by these labels.
pub fn avg(selector: &str, by: &str) -> String {
    format!("avg{} ({})", grouping(by), matched(selector))
}

/// The value below which this share of a histogram's observations lies.
pub fn quantile(share: &str, histogram: &str, by: &str) -> String {
    let by = if by.is_empty() { "le".to_owned() } else { format!("le, {by}") };
    format!("histogram_quantile({share}, {})", rate(&part(histogram, "_bucket"), &by))
}

/// The slowest twentieth of a histogram.
pub fn p95(histogram: &str, by: &str) -> String {
    quantile("0.95", histogram, by)
}

/// The mean of a histogram.
pub fn mean(histogram: &str, by: &str) -> String {
    ratio(&part(histogram, "_sum"), &part(histogram, "_count"), by)
}

/// How many observations fell into each bucket.
pub fn buckets(histogram: &str) -> String {
    format!("sum by (le) (increase({}{WINDOW}))", matched(&part(histogram, "_bucket")))
}

fn grouping(by: &str) -> String {
    if by.is_empty() { String::new() } else { format!(" by ({by})") }
}

fn matched(selector: &str) -> String {
    if selector.contains('{') { selector.to_owned() } else { format!("{selector}{{@}}") }
}

/// A part of a histogram, with the histogram's matchers.
fn part(histogram: &str, suffix: &str) -> String {
    let (name, matchers) = histogram.split_once('{').unwrap_or((histogram, ""));
    if matchers.is_empty() { format!("{name}{suffix}") } else { format!("{name}{suffix}{{{matchers}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn selectors_get_the_boards_matchers_unless_they_have_their_own() {
        assert_eq!(rate("a_total", ""), "sum (rate(a_total{@}[$__rate_interval]))");
        assert_eq!(rate(r#"a_total{b="c"}"#, "d"), r#"sum by (d) (rate(a_total{b="c"}[$__rate_interval]))"#);
        assert_eq!(p95("a", "d"), "histogram_quantile(0.95, sum by (le, d) (rate(a_bucket{@}[$__rate_interval])))");
        let mean =
            r#"sum (rate(a_sum{@,b="c"}[$__rate_interval])) / (sum (rate(a_count{@,b="c"}[$__rate_interval])) > 0)"#;
        assert_eq!(super::mean(r#"a{@,b="c"}"#, ""), mean);
    }
}
