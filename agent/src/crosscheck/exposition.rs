//! A page of metrics in Prometheus' text format, read as far as sums over series need it.
//!
//! Types and help texts are passed over, and so is every line that cannot be read: a page is somebody else's.

/// What a page says.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Exposition {
    samples: Vec<Sample>,
}

/// One line of it.
#[derive(Clone, Debug, PartialEq)]
struct Sample {
    name: String,
    labels: Vec<(String, String)>,
    value: f64,
}

/// A number of observations and what they add up to.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Total {
    /// How many; of a counter its value.
    pub count: f64,
    /// Their sum; of a counter 0.
    pub sum: f64,
}

impl Exposition {
    /// Reads a page.
    #[must_use]
    pub fn parse(text: &str) -> Exposition {
        Exposition { samples: text.lines().filter_map(Sample::parse).collect() }
    }

    /// The sum over the series of `name` whose labels contain all of `labels`; absent where there is no such series.
    #[must_use]
    pub fn sum(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        let mut values = self.series(name, labels).map(|sample| sample.value);
        let first = values.next()?;
        Some(values.fold(first, |sum, value| sum + value))
    }

    /// The same of a histogram.
    #[must_use]
    pub fn histogram(&self, name: &str, labels: &[(&str, &str)]) -> Option<Total> {
        let count = self.sum(&format!("{name}_count"), labels)?;
        let sum = self.sum(&format!("{name}_sum"), labels)?;
        Some(Total { count, sum })
    }

    /// The different values of a label of `name`'s series, in order.
    #[must_use]
    pub fn values(&self, name: &str, label: &str) -> Vec<&str> {
        let series = self.samples.iter().filter(|sample| sample.name == name);
        let mut values: Vec<_> = series.filter_map(|sample| sample.label(label)).collect();
        values.sort_unstable();
        values.dedup();
        values
    }

    fn series<'e>(&'e self, name: &'e str, labels: &'e [(&str, &str)]) -> impl Iterator<Item = &'e Sample> {
        let has_all = |sample: &&Sample| labels.iter().all(|(label, value)| sample.label(label) == Some(value));
        self.samples.iter().filter(move |sample| sample.name == name).filter(has_all)
    }
}

impl Sample {
    fn parse(line: &str) -> Option<Sample> {
        let end = line.find(['{', ' '])?;
        let (name, rest) = line.split_at(end);
        if name.is_empty() || name.starts_with('#') {
            return None;
        }
        let (labels, rest) = match rest.strip_prefix('{') {
            Some(rest) => labels(rest)?,
            None => (Vec::new(), rest),
        };
        // A time may follow the value.
        let value = rest.split_ascii_whitespace().next()?.parse().ok()?;
        Some(Sample { name: name.to_owned(), labels, value })
    }

    fn label(&self, name: &str) -> Option<&str> {
        self.labels.iter().find(|(label, _)| label == name).map(|(_, value)| value.as_str())
    }
}

/// The labels behind a `{`, and what follows the `}`.
fn labels(mut rest: &str) -> Option<(Vec<(String, String)>, &str)> {
    let mut labels = Vec::new();
    loop {
        rest = rest.trim_start_matches([',', ' ']);
        if let Some(rest) = rest.strip_prefix('}') {
            return Some((labels, rest));
        }
        let (name, behind) = rest.split_once("=\"")?;
        let (value, behind) = quoted(behind)?;
        labels.push((name.trim_end().to_owned(), value));
        rest = behind;
    }
}

/// The text up to an unescaped quote, and what follows it.
fn quoted(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut characters = text.chars();
    loop {
        match characters.next()? {
            '"' => return Some((value, characters.as_str())),
            '\\' => value.push(match characters.next()? {
                'n' => '\n',
                escaped => escaped,
            }),
            character => value.push(character),
        }
    }
}

impl Total {
    /// A counter's value.
    #[must_use]
    pub fn counted(count: f64) -> Total {
        Total { count, sum: 0.0 }
    }

    /// The mean of the observations; absent where there is none.
    #[must_use]
    pub fn mean(self) -> Option<f64> {
        (self.count > 0.0).then(|| self.sum / self.count)
    }

    /// What came behind `earlier`.
    #[must_use]
    pub fn since(self, earlier: Total) -> Total {
        Total { count: self.count - earlier.count, sum: self.sum - earlier.sum }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    const PAGE: &str = r#"# HELP requests Requests.
# TYPE requests counter
requests_total{model="a",status="ok"} 3
requests_total{model="a",status="error"} 1.0
requests_total{model="b \"x\", {y}\\",status="ok",} 5 1700000000
plain 1e-3
took_bucket{le="+Inf",model="a"} 2
took_sum{model="a"} 0.5
took_count{model="a"} 2
broken{model="a 7
nothing_behind{model="a"}
not_a_number x
"#;

    #[test]
    fn series_are_summed_by_their_labels() {
        let page = Exposition::parse(PAGE);
        for (name, labels, expected) in [
            ("requests_total", &[][..], Some(9.0)),
            ("requests_total", &[("model", "a")], Some(4.0)),
            ("requests_total", &[("status", "ok"), ("model", "b \"x\", {y}\\")], Some(5.0)),
            ("requests_total", &[("model", "c")], None),
            ("requests_total", &[("le", "a")], None),
            ("requests", &[], None),
            ("plain", &[], Some(0.001)),
            ("broken", &[], None),
            ("nothing_behind", &[], None),
            ("not_a_number", &[], None),
        ] {
            assert_eq!(page.sum(name, labels), expected, "{name} {labels:?}");
        }
        assert_eq!(page.values("requests_total", "model"), ["a", "b \"x\", {y}\\"]);
    }

    #[test]
    fn a_histogram_is_its_count_and_sum() {
        let page = Exposition::parse(PAGE);
        let total = page.histogram("took", &[]).unwrap();
        assert_eq!((total, total.mean()), (Total { count: 2.0, sum: 0.5 }, Some(0.25)));
        assert_eq!(page.histogram("requests_total", &[]), None);
        assert_eq!(total.since(total).mean(), None, "of nothing there is no mean");
    }

    #[test]
    fn a_page_that_is_cut_anywhere_is_read_as_far_as_it_goes() {
        for end in 0..PAGE.len() {
            let page = Exposition::parse(PAGE.get(..end).unwrap());
            assert!(page.samples.len() <= 8);
        }
    }
}
