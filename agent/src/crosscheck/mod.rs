//! The agent's numbers beside a server's own: the published error.
//!
//! Pure but for [`page`], and [`reading`] and [`watch`] that use it: two pages of metrics in, rows of differences out. Both sides are totals since they began, so an
//! agent that came later than its server has less; [`Figures::since`] compares what came between two readings instead.

pub mod exposition;
mod figures;
pub mod page;
mod quantity;
pub mod reading;
pub mod watch;

pub use figures::Figures;
pub use quantity::Quantity;

use exposition::Total;
use std::fmt;

/// Both sides of one quantity.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Row {
    /// What.
    pub quantity: Quantity,
    /// As the agent has it.
    pub agent: Total,
    /// Of the agent's mean, the part that lies inside of what the server times; absent where that is all of it.
    pub inside: Option<f64>,
    /// As the server has it.
    pub server: Total,
}

/// Rows for what both sides state, in the order of [`Quantity::ALL`].
#[must_use]
pub fn compare(agent: &Figures, server: &Figures) -> Vec<Row> {
    let row = |quantity: Quantity| {
        let (agents, servers) = (agent.total(quantity)?, server.total(quantity)?);
        Some(Row { quantity, agent: agents, inside: inside(agent, quantity), server: servers })
    };
    Quantity::ALL.into_iter().filter_map(row).collect()
}

/// A server times a request from somewhere between its arrival and its hand-over to the scheduler, up to somewhere
/// between the engine's output and the client's: that much of the agent's time it is certain to contain.
fn inside(agent: &Figures, quantity: Quantity) -> Option<f64> {
    let parts: &[Quantity] = match quantity {
        Quantity::FirstToken => &[Quantity::Dispatch, Quantity::Queue, Quantity::Prefill],
        Quantity::EndToEnd => &[Quantity::Dispatch, Quantity::Queue, Quantity::Prefill, Quantity::Decode],
        _ => return None,
    };
    parts.iter().map(|part| agent.total(*part)?.mean()).sum()
}

impl Row {
    /// What the agent has more than the server: of counts, or of means in seconds. A mean of the server that lies between
    /// the agent's whole and the part inside of the server is no difference. Absent where one side has no mean.
    #[must_use]
    pub fn difference(&self) -> Option<f64> {
        if !self.quantity.is_time() {
            return Some(self.agent.count - self.server.count);
        }
        let (agent, server) = (self.agent.mean()?, self.server.mean()?);
        let inside = self.inside.map_or(agent, |inside| inside.min(agent));
        Some(if server > agent { agent - server } else { (inside - server).max(0.0) })
    }

    /// The difference as a share of the server's; absent where that is nothing.
    #[must_use]
    pub fn relative(&self) -> Option<f64> {
        let whole = if self.quantity.is_time() { self.server.mean()? } else { self.server.count };
        (whole > 0.0).then_some(self.difference()? / whole)
    }
}

/// The rows as a table; times in milliseconds.
pub struct Table<'a>(pub &'a [Row]);

impl fmt::Display for Table<'_> {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(to, "{:<16} {:>21} {:>21} {:>12} {:>9}", "", "agent", "server", "difference", "")?;
        self.0.iter().try_for_each(|row| writeln!(to, "{row}"))
    }
}

impl fmt::Display for Row {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        let is_time = self.quantity.is_time();
        let side = |total: Total| match total.mean() {
            _ if !is_time => format!("{:.0}", total.count),
            Some(mean) => format!("{:.3} ms x{:.0}", mean * 1e3, total.count),
            None => "-".to_owned(),
        };
        let difference = match self.difference() {
            Some(difference) if is_time => format!("{:+.3} ms", difference * 1e3),
            Some(difference) => format!("{difference:+.0}"),
            None => "-".to_owned(),
        };
        let relative = self.relative().map_or("-".to_owned(), |share| format!("{:+.2} %", share * 100.0));
        let (agent, server) = (side(self.agent), side(self.server));
        write!(to, "{:<16} {agent:>21} {server:>21} {difference:>12} {relative:>9}", self.quantity.name())?;
        match self.inside {
            Some(inside) => write!(to, "  at least {:.3} ms of the agent's lies inside", inside * 1e3),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use exposition::Exposition;

    const AGENT: &str = r#"
llm_request_total{engine="vllm",model="m",service="vllm:8000",operation="chat",status="ok",code="200"} 3
llm_request_total{engine="vllm",model="m",service="vllm:8000",operation="text_completion",status="cancelled",code="200"} 1
llm_request_total{engine="vllm",model="m",service="vllm:8001",operation="chat",status="ok",code="200"} 9
llm_tokens_generated_total{engine="vllm",model="m",service="vllm:8000",source="engine"} 40
llm_tokens_generated_total{engine="vllm",model="m",service="vllm:8000",source="usage"} 30
llm_queue_duration_seconds_sum{engine="vllm",model="m",service="vllm:8000"} 0.012
llm_queue_duration_seconds_count{engine="vllm",model="m",service="vllm:8000"} 4
llm_dispatch_duration_seconds_sum{engine="vllm",model="m",service="vllm:8000"} 0.004
llm_dispatch_duration_seconds_count{engine="vllm",model="m",service="vllm:8000"} 4
llm_prefill_duration_seconds_sum{engine="vllm",model="m",service="vllm:8000"} 0.024
llm_prefill_duration_seconds_count{engine="vllm",model="m",service="vllm:8000"} 4
llm_time_to_first_token_seconds_sum{engine="vllm",model="m",service="vllm:8000"} 0.060
llm_time_to_first_token_seconds_count{engine="vllm",model="m",service="vllm:8000"} 4
"#;

    const SERVER: &str = r#"
vllm:request_success_total{engine="0",finished_reason="length",model_name="m"} 4.0
vllm:request_success_total{engine="0",finished_reason="abort",model_name="m"} 1.0
vllm:request_params_n_count{engine="0",model_name="m"} 3.0
vllm:request_params_n_sum{engine="0",model_name="m"} 4.0
vllm:generation_tokens_total{engine="0",model_name="m"} 30.0
vllm:generation_tokens_total{engine="1",model_name="m"} 10.0
vllm:request_queue_time_seconds_sum{engine="0",model_name="m"} 0.012
vllm:request_queue_time_seconds_count{engine="0",model_name="m"} 4.0
vllm:time_to_first_token_seconds_sum{engine="0",model_name="m"} 0.048
vllm:time_to_first_token_seconds_count{engine="0",model_name="m"} 4.0
"#;

    const LABELS: [(&str, &str); 2] = [("service", "vllm:8000"), ("model", "m")];

    fn rows(agent: &str, server: &str) -> Vec<Row> {
        let agent = Figures::of_agent(&Exposition::parse(agent), &LABELS);
        compare(&agent, &Figures::of_vllm(&Exposition::parse(server), &[("model_name", "m")]))
    }

    #[test]
    fn a_server_that_agrees_differs_in_nothing() {
        let rows = rows(AGENT, SERVER);
        let names: Vec<_> = rows.iter().map(|row| row.quantity.name()).collect();
        assert_eq!(names, ["requests", "sequences", "generated_tokens", "queue", "first_token"]);
        assert!(rows.iter().all(|row| row.difference() == Some(0.0)), "{}", Table(&rows));
    }

    #[test]
    fn a_mean_between_the_whole_and_its_inner_part_is_no_difference() {
        // The agent says 15 ms, of which 10 lie inside.
        for (server, expected) in [(0.040, 0.0), (0.060, 0.0), (0.0608, -0.2), (0.036, 1.0)] {
            let page = SERVER.replace("0.048", &server.to_string());
            let row = *rows(AGENT, &page).last().unwrap();
            assert!((row.difference().unwrap() * 1e3 - expected).abs() < 1e-9, "{row}");
        }
    }

    #[test]
    fn what_one_side_does_not_state_is_no_row() {
        assert_eq!(rows("", SERVER), []);
        assert_eq!(rows(AGENT, ""), []);
    }

    #[test]
    fn a_window_is_the_difference_of_two_readings() {
        let page = |tokens: u32| Exposition::parse(&AGENT.replace(" 40", &format!(" {tokens}")));
        let figures = |tokens| Figures::of_agent(&page(tokens), &LABELS);
        let window = figures(47).since(&figures(40));
        assert_eq!(window.total(Quantity::GeneratedTokens), Some(Total::counted(7.0)));
        assert_eq!(window.total(Quantity::Queue).unwrap().mean(), None);
        let came_between = figures(47).since(&Figures::default());
        assert_eq!(came_between, figures(47), "a series that was not there began at nothing");
    }

    #[test]
    fn a_row_reads_like_this() {
        let rows = rows(&AGENT.replace("0.012", "0.01204"), SERVER);
        let line = |name: &str| rows.iter().find(|row| row.quantity.name() == name).unwrap().to_string();
        assert_eq!(
            line("queue"),
            "queue                      3.010 ms x4           3.000 ms x4    +0.010 ms   +0.33 %"
        );
        assert_eq!(
            line("generated_tokens"),
            "generated_tokens                    40                    40           +0   +0.00 %"
        );
    }
}
