//! One reading of both sides: where servers have their metrics, and what stands there and with the agent.

use super::exposition::Exposition;
use super::{Figures, Row, compare, page};
use crate::engine::Role;
use crate::event::Tgid;
use crate::host::discover::Server;
use crate::host::sockets;
use crate::service::Service;
use std::collections::BTreeMap;
use std::net::SocketAddr;

/// Where Triton serves its metrics unless told otherwise.
const TRITON_METRICS: u16 = 8002;

/// Where a service's metrics are, and of which kind.
pub type Places = BTreeMap<Service, (Language, SocketAddr)>;

/// Whose own metrics are understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Language {
    /// vLLM's.
    Vllm,
    /// Triton's.
    Triton,
}

/// Of what there are figures on both sides.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Subject {
    /// Name of the engine.
    pub engine: &'static str,
    /// The server.
    pub service: Service,
    /// The model, as both sides call it.
    pub model: String,
}

/// Both sides' figures.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Sides {
    /// The agent's.
    pub agent: Figures,
    /// The server's.
    pub server: Figures,
}

/// What was read at one time, and sentences on what could not be.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Reading {
    /// What was read.
    pub sides: BTreeMap<Subject, Sides>,
    /// What could not be.
    pub problems: Vec<String>,
}

/// Where the metrics of these servers are, and sentences on those that cannot be reached.
#[must_use]
pub fn places<'s>(servers: impl Iterator<Item = &'s Server>) -> (Places, Vec<String>) {
    let (mut places, mut problems) = (Places::new(), Vec::new());
    for server in servers.filter(|server| server.matched.role == Role::Frontend) {
        let tgid = server.process.tgid;
        let Some(language) = Language::of(server.engine.name()) else { continue };
        match place(tgid, language.port(server)) {
            Ok(address) => drop(places.insert(server.service.clone(), (language, address))),
            Err(reason) => problems.push(format!("{} pid {}: {reason}", server.service, tgid.0)),
        }
    }
    (places, problems)
}

fn place(tgid: Tgid, port: Option<u16>) -> Result<SocketAddr, &'static str> {
    if !sockets::shares_network(tgid) {
        return Err("it is in a network namespace of its own: its metrics cannot be read from here");
    }
    let port = port.ok_or("its command line does not say where it listens")?;
    sockets::listening(tgid, port).ok_or("nobody listens where its command line says")
}

/// Reads the servers' pages and then the agent's, which hears of everything a little later than they do.
#[must_use]
pub fn read(agent: SocketAddr, places: &Places) -> Reading {
    let mut reading = Reading::default();
    let mut fetch = |whose: &str, address| {
        let text = page::read(address, "/metrics");
        let failed = |error| reading.problems.push(format!("{whose} at {address}: {error}"));
        text.map_err(failed).ok().map(|text| Exposition::parse(&text))
    };
    let mut pages = Vec::new();
    for (service, (language, address)) in places {
        pages.extend(fetch(service, *address).map(|page| (service, *language, page)));
    }
    let Some(own) = fetch("the agent (is `inferscope run` running?)", agent) else { return reading };
    for (service, language, page) in &pages {
        for model in language.models(page) {
            let subject = Subject { engine: language.engine(), service: (*service).clone(), model: model.to_owned() };
            let labels = service.labels().map(|(name, value)| (name, &**value));
            let labels: Vec<_> = [("service", &*service.name), ("model", model)].into_iter().chain(labels).collect();
            let sides = language.sides(&own, &labels, page, model);
            reading.sides.insert(subject, sides);
        }
    }
    reading
}

impl Language {
    fn of(engine: &str) -> Option<Language> {
        [Language::Vllm, Language::Triton].into_iter().find(|language| language.engine() == engine)
    }

    const fn engine(self) -> &'static str {
        match self {
            Language::Vllm => "vllm",
            Language::Triton => "triton",
        }
    }

    /// Where the metrics are served: with everything else, or at a port of their own.
    fn port(self, server: &Server) -> Option<u16> {
        match self {
            Language::Vllm => server.matched.port,
            Language::Triton => {
                let port = server.process.option("--metrics-port").and_then(|port| port.parse().ok());
                server.matched.port.and(port.or(Some(TRITON_METRICS)))
            }
        }
    }

    fn models(self, page: &Exposition) -> Vec<&str> {
        match self {
            Language::Vllm => Figures::vllm_models(page),
            Language::Triton => Figures::triton_models(page),
        }
    }

    fn sides(self, own: &Exposition, labels: &[(&str, &str)], page: &Exposition, model: &str) -> Sides {
        match self {
            Language::Vllm => Sides {
                agent: Figures::of_agent(own, labels),
                server: Figures::of_vllm(page, &[("model_name", model)]),
            },
            Language::Triton => Sides {
                agent: Figures::of_inferences(own, labels),
                server: Figures::of_triton(page, &[("model", model)]),
            },
        }
    }
}

impl Sides {
    /// What came behind `earlier`.
    #[must_use]
    pub fn since(&self, earlier: &Sides) -> Sides {
        Sides { agent: self.agent.since(&earlier.agent), server: self.server.since(&earlier.server) }
    }

    /// Whether a side has less than `earlier`: it began anew.
    #[must_use]
    pub fn began_anew(&self, earlier: &Sides) -> bool {
        self.agent.is_less_than(&earlier.agent) || self.server.is_less_than(&earlier.server)
    }

    /// Both sides of each quantity.
    #[must_use]
    pub fn rows(&self) -> Vec<Row> {
        compare(&self.agent, &self.server)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use std::io::{Read, Write};
    use std::net::TcpListener;
    use std::thread;

    /// Answers one request with a page.
    fn serve(body: &'static str) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            assert!(stream.read(&mut [0; 1024]).unwrap() > 0);
            write!(stream, "HTTP/1.0 200 OK\r\n\r\n{body}").unwrap();
        });
        address
    }

    #[test]
    fn each_model_of_a_service_is_a_subject() {
        let server = serve(
            "vllm:request_success_total{model_name=\"m\",finished_reason=\"stop\"} 2\n\
             vllm:request_success_total{model_name=\"n\",finished_reason=\"stop\"} 1\n",
        );
        let agent = serve("llm_queue_duration_seconds_count{service=\"s\",model=\"m\"} 2\n");
        let reading = read(agent, &Places::from([("s".into(), (Language::Vllm, server))]));
        assert_eq!(reading.problems, [] as [String; 0]);
        let found: Vec<_> =
            reading.sides.iter().map(|(subject, sides)| (subject.model.as_str(), sides.rows().len())).collect();
        assert_eq!(found, [("m", 1), ("n", 0)]);
    }

    #[test]
    fn triton_has_words_of_its_own() {
        let server = serve(
            "nv_inference_request_success{model=\"m\",version=\"1\"} 4\n\
             nv_inference_request_failure{model=\"m\",reason=\"BACKEND\",version=\"1\"} 1\n\
             nv_inference_exec_count{model=\"m\",version=\"1\"} 3\n\
             nv_inference_queue_duration_us{model=\"m\",version=\"1\"} 8000\n\
             nv_inference_compute_infer_duration_us{model=\"m\",version=\"1\"} 2000\n",
        );
        let agent = serve(
            "triton_request_total{service=\"s\",model=\"m\",status=\"ok\"} 4\n\
             triton_batch_size_count{service=\"s\",model=\"m\",instance=\"0\"} 3\n\
             triton_queue_duration_seconds_sum{service=\"s\",model=\"m\"} 0.0084\n\
             triton_queue_duration_seconds_count{service=\"s\",model=\"m\"} 4\n\
             triton_compute_duration_seconds_sum{service=\"s\",model=\"m\",stage=\"infer\"} 0.002\n\
             triton_compute_duration_seconds_sum{service=\"s\",model=\"m\",stage=\"input\"} 0.001\n\
             triton_compute_duration_seconds_count{service=\"s\",model=\"m\",stage=\"infer\"} 4\n",
        );
        let reading = read(agent, &Places::from([("s".into(), (Language::Triton, server))]));
        let (subject, sides) = reading.sides.first_key_value().unwrap();
        assert_eq!((subject.engine, subject.model.as_str()), ("triton", "m"));
        let rows = sides.rows();
        let found: Vec<_> = rows.iter().map(|row| (row.quantity.name(), row.relative())).collect();
        let expected =
            [("requests", 0.0), ("failures", -1.0), ("executions", 0.0), ("queue", 0.05), ("compute_infer", 0.0)];
        assert_eq!(found.len(), expected.len(), "{found:?}");
        for ((name, relative), (expected, share)) in found.into_iter().zip(expected) {
            assert_eq!(name, expected);
            assert!((relative.unwrap() - share).abs() < 1e-9, "{name}: {relative:?}");
        }
    }

    #[test]
    fn a_side_that_does_not_answer_is_a_sentence() {
        let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let reading = read(nobody, &Places::from([("s".into(), (Language::Vllm, nobody))]));
        assert_eq!((reading.sides.len(), reading.problems.len()), (0, 2), "{reading:?}");
        assert!(reading.problems.iter().any(|problem| problem.starts_with("the agent (is ")));
    }

    #[test]
    fn a_side_with_less_than_before_began_anew() {
        let sides = |tokens: f64| {
            let page = format!("vllm:generation_tokens_total{{model_name=\"m\"}} {tokens}\n");
            let server = Figures::of_vllm(&Exposition::parse(&page), &[("model_name", "m")]);
            Sides { agent: Figures::default(), server }
        };
        assert!(sides(3.0).began_anew(&sides(4.0)));
        assert!(Sides::default().began_anew(&sides(4.0)));
        assert!(!sides(4.0).began_anew(&sides(4.0)));
    }
}
