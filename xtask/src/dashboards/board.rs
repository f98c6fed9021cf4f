//! What a dashboard is made of. A description says what is shown and what it teaches; [`super::json`] is how Grafana writes
//! it.

use super::promql;

/// Labels that tell requests of one server apart.
const OF_REQUESTS: [&str; 2] = ["model", "workflow"];

/// A dashboard.
pub struct Board {
    /// The name of its file.
    pub name: &'static str,
    /// Its name in Grafana.
    pub title: &'static str,
    /// Which questions it answers.
    pub purpose: &'static str,
    /// What it can be narrowed to.
    pub variables: Vec<Variable>,
    /// From top to bottom.
    pub rows: Vec<Row>,
}

/// A label that the reader chooses values of.
#[derive(Clone, Copy)]
pub struct Variable {
    /// The label's name, and the variable's.
    pub label: &'static str,
    /// The metric whose values are offered.
    pub of: &'static str,
}

impl Variable {
    /// One for each of these labels of a metric.
    pub fn of(metric: &'static str, labels: &[&'static str]) -> Vec<Variable> {
        labels.iter().map(|label| Variable { label, of: metric }).collect()
    }
}

/// Panels under a heading.
pub struct Row {
    /// The heading.
    pub title: &'static str,
    /// From left to right, and on in the next line where one is full.
    pub panels: Vec<Panel>,
}

/// One picture.
pub struct Panel {
    /// What it shows.
    pub title: &'static str,
    /// How to read it, and what to do about it.
    pub teaches: &'static str,
    /// How it is drawn.
    pub shape: Shape,
    /// What its numbers are in.
    pub unit: Unit,
    /// Of 24 columns.
    pub width: u8,
    /// What is drawn.
    pub queries: Vec<Query>,
    /// From which value on it is to be noticed, and from which it is bad.
    pub limits: Option<Limits>,
}

/// How a panel is drawn.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// Lines over time.
    Lines,
    /// Lines over time, one upon the other: parts of a whole.
    Stack,
    /// The newest number, large.
    Figure,
    /// How many observations fell into which bucket, over time.
    Heat,
    /// The newest numbers with their labels, one line each.
    Table,
}

/// What numbers are in, as a reader thinks of it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// Things.
    Count,
    /// Seconds.
    Seconds,
    /// Things per second.
    PerSecond,
    /// Requests per second.
    Requests,
    /// Tokens per second.
    Tokens,
    /// Images per minute.
    Images,
    /// A share, 0 to 1.
    Ratio,
    /// Hundredths.
    Percent,
    /// Bytes.
    Bytes,
    /// Bytes per second.
    BytesPerSecond,
    /// Degrees Celsius.
    Celsius,
    /// Watts.
    Watts,
    /// Things for each joule.
    PerJoule,
    /// Hertz.
    Hertz,
    /// Processors.
    Cores,
    /// Nothing: only the labels matter.
    Labels,
}

/// From where on a value is to be noticed.
#[derive(Clone, Copy)]
pub enum Limits {
    /// More is worse: notice, bad.
    Above(f64, f64),
    /// Less is worse: notice, bad.
    Below(f64, f64),
}

/// An expression and the name of what it returns.
pub struct Query {
    /// PromQL, with placeholders for the board's matchers ([`Board::complete`]).
    pub expression: String,
    /// Grafana's template of a series' name.
    pub legend: &'static str,
    /// Whether buckets carry trace ids that can be shown.
    pub exemplars: Exemplars,
}

/// Whether a query's histogram has exemplars.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Exemplars {
    /// They are shown as dots that lead to a trace.
    Shown,
    /// There are none.
    None,
}

impl Row {
    /// A row of these panels.
    pub fn of(title: &'static str, panels: Vec<Panel>) -> Row {
        Row { title, panels }
    }
}

impl Panel {
    fn new(shape: Shape, width: u8, title: &'static str, unit: Unit, teaches: &'static str) -> Panel {
        Panel { title, teaches, shape, unit, width, queries: Vec::new(), limits: None }
    }

    /// Lines over time, a third of the width.
    pub fn lines(title: &'static str, unit: Unit, teaches: &'static str) -> Panel {
        Panel::new(Shape::Lines, 8, title, unit, teaches)
    }

    /// Parts of a whole over time, a third of the width.
    pub fn stack(title: &'static str, unit: Unit, teaches: &'static str) -> Panel {
        Panel::new(Shape::Stack, 8, title, unit, teaches)
    }

    /// One large number, an eighth of the width.
    pub fn figure(title: &'static str, unit: Unit, teaches: &'static str) -> Panel {
        Panel::new(Shape::Figure, 3, title, unit, teaches)
    }

    /// A distribution over time, a third of the width.
    pub fn heat(title: &'static str, unit: Unit, teaches: &'static str) -> Panel {
        Panel::new(Shape::Heat, 8, title, unit, teaches)
    }

    /// A table of the newest numbers, the whole width.
    pub fn table(title: &'static str, unit: Unit, teaches: &'static str) -> Panel {
        Panel::new(Shape::Table, 24, title, unit, teaches)
    }

    /// Of 24 columns.
    pub fn wide(self, width: u8) -> Panel {
        Panel { width, ..self }
    }

    /// Adds a query.
    pub fn query(mut self, expression: &str, legend: &'static str) -> Panel {
        self.queries.push(Query { expression: expression.to_owned(), legend, exemplars: Exemplars::None });
        self
    }

    /// Adds the middle, the slowest tenth and the slowest hundredth of a histogram.
    pub fn quantiles(self, histogram: &str) -> Panel {
        [("0.5", "p50"), ("0.9", "p90"), ("0.99", "p99")]
            .into_iter()
            .fold(self, |panel, (share, legend)| panel.query(&promql::quantile(share, histogram, ""), legend))
    }

    /// Its histograms carry the trace ids of single requests.
    pub fn with_exemplars(mut self) -> Panel {
        for query in &mut self.queries {
            query.exemplars = Exemplars::Shown;
        }
        self
    }

    /// More is worse.
    pub fn above(self, notice: f64, bad: f64) -> Panel {
        Panel { limits: Some(Limits::Above(notice, bad)), ..self }
    }

    /// Less is worse.
    pub fn below(self, notice: f64, bad: f64) -> Panel {
        Panel { limits: Some(Limits::Below(notice, bad)), ..self }
    }
}

impl Board {
    /// Its id in Grafana, by which links find it.
    pub fn uid(&self) -> String {
        format!("inferscope-{}", self.name)
    }

    /// An expression as Grafana gets it: `@` becomes matchers of all that the reader chooses, `#` of the servers only,
    /// for metrics that know no model and no workflow. "All" matches series without the label, too.
    pub fn complete(&self, expression: &str) -> String {
        expression
            .replace('@', &self.matchers(|_| true))
            .replace('#', &self.matchers(|label| !OF_REQUESTS.contains(&label)))
    }

    fn matchers(&self, chosen: impl Fn(&str) -> bool) -> String {
        let variables = self.variables.iter().filter(|variable| chosen(variable.label));
        variables.map(Variable::matcher).collect::<Vec<_>>().join(",")
    }
}

impl Variable {
    /// As a matcher of PromQL.
    pub fn matcher(&self) -> String {
        format!("{0}=~\"${0}\"", self.label)
    }
}
