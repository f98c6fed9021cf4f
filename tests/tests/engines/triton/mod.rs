//! Inferscope against the real Triton: counts equal to Triton's own, times against Triton's own sums and the clients' clocks.

mod agreement;
mod failures;
mod life;
mod load;
mod streams;

use crate::folder;
use agreement::Totals;
use inferscope_tests::agent::{Agent, Start};
use inferscope_tests::identity::Identity;
use inferscope_tests::stopwatch::timed;
use inferscope_tests::triton::{Options, TritonServer};
use inferscope_tests::vllm::Transport;
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

/// How long the agent waits before it believes that an inference was asked for from inside (`core::asks`), and how often it looks.
const UNASKED: Duration = Duration::from_secs(1);

/// A real Triton that others may have tested before, with an agent of this scene's own attached to it.
struct Scene<'a> {
    server: &'a TritonServer,
    agent: Agent,
    folder: PathBuf,
    /// What the server had counted when the agent came.
    before: Totals,
}

#[test]
#[ignore = "needs root and the real Triton: cargo xtask test --engines"]
fn triton() {
    let (server, folder) = start("triton", &Options::default());
    timed("counts and sums", || streams::counts_and_sums_are_tritons_own(&server, &folder.join("counts")));
    timed("streams", || streams::streams_are_timed_as_their_clients_time_them(&server, &folder.join("streams")));
    timed("an ensemble", || streams::an_ensemble_is_one_request(&server, &folder.join("ensemble")));
    timed("failures", || failures::every_end_is_told_apart(&server, &folder.join("failures")));
}

#[test]
#[ignore = "needs root and the real Triton: cargo xtask test --engines"]
fn triton_with_tls() {
    let (server, folder) = start("triton-tls", &Options { grpc: Transport::Tls, ..Options::default() });
    streams::tls_changes_nothing(&server, &folder.join("agent"));
}

/// A server that loads a model when it is told to.
#[test]
#[ignore = "needs root and the real Triton: cargo xtask test --engines"]
fn triton_on_demand() {
    let (server, folder) = start("triton-on-demand", &Options::on_demand(&[]));
    timed("models come and go", || life::models_come_and_go(&server, &folder.join("models")));
    timed("an agent that comes late", || life::an_agent_may_come_late(&server, &folder.join("late")));
    timed("500 requests a second", || load::five_hundred_requests_a_second(&server, &folder.join("load")));
    timed("all that it answers", || load::as_many_as_triton_answers(&server, &folder.join("rate")));
    timed("a restart", || life::a_server_that_is_restarted_is_found_again(server, &folder.join("restart")));
}

fn start(name: &str, options: &Options) -> (TritonServer, PathBuf) {
    let folder = folder(name);
    (TritonServer::start(options, &folder).expect("the real Triton serves"), folder)
}

/// As the unit and the pod start the agent: an unprivileged user with five capabilities.
fn service() -> Start<'static> {
    Start { identity: Identity::service(), ..Start::default() }
}

impl Scene<'_> {
    fn watch<'a>(server: &'a TritonServer, folder: &Path, start: &Start<'_>) -> Scene<'a> {
        let mut agent = Agent::start_as(folder, start).expect("the agent starts");
        agent.attached(server.pid()).expect("the probes of the server");
        // Libraries that come late are looked for once more.
        thread::sleep(Duration::from_secs(1));
        Scene { server, agent, folder: folder.to_owned(), before: Totals::servers(server) }
    }

    fn metric(&self, name: &str, labels: &[&str]) -> f64 {
        let service = format!("service=\"{}\"", self.server.service());
        let labels: Vec<&str> = labels.iter().copied().chain([service.as_str()]).collect();
        self.agent.metric(name, &labels).expect("metrics")
    }

    /// As [`Agent::settle`], and until an inference that nobody asked for from outside is let go: a second behind its end
    /// it is sure that no request was overlooked, and that is looked at once a second.
    fn settle(&self) {
        thread::sleep(2 * UNASKED);
        self.agent.settle();
    }

    /// The inferences on record, in the order in which they ended.
    fn records(&self) -> Vec<Value> {
        self.settle();
        let service = self.server.service();
        let mine = |record: &Value| record["service"] == service.as_str() && record["record"] == "inference";
        self.agent.records().expect("records").into_iter().filter(mine).collect()
    }

    /// The only record of a request with this id.
    fn record(&self, id: &str) -> Value {
        let mut found: Vec<_> = self.records().into_iter().filter(|record| record["id"] == id).collect();
        assert_eq!(found.len(), 1, "records of {id}: {found:?}");
        found.remove(0)
    }

    /// The totals of all models that the server has counted are the agent's, and nothing was lost.
    fn totals_agree(&self, what: &str) -> Totals {
        self.settle();
        let own = Totals::servers(self.server).since(&self.before);
        let seen = Totals::agents(&self.agent, &self.server.service());
        println!("{what}\n{}", own.beside(&seen));
        own.assert_counts(&seen);
        self.agent.nothing_lost();
        own
    }
}
