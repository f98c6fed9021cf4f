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
use inferscope_tests::sum;
use inferscope_tests::triton::{Options, TritonServer};
use inferscope_tests::vllm::Transport;
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

/// How long the agent waits before it believes that an inference was asked for from inside (`core::asks`), and how often it looks.
const UNASKED: Duration = Duration::from_secs(1);
/// How long the end of a request takes to be on record.
const ON_RECORD: Duration = Duration::from_secs(20);
const POLL: Duration = Duration::from_millis(100);

/// What is asked of a real Triton, and what both sides count from there on: others may have tested both before.
struct Scene<'a> {
    server: &'a TritonServer,
    agent: Agent,
    /// What the server had counted when it began, and what the agent had.
    before: Totals,
    page: String,
    /// Records of the agent's that others have.
    records: usize,
}

#[test]
#[ignore = "needs root and the real Triton: cargo xtask test --engines"]
fn triton() {
    let (server, folder) = start("triton", &Options::default());
    let mut scene = Scene::watch(&server, &folder.join("agent"), &Start::default());
    scene.play("counts and sums", streams::counts_and_sums_are_tritons_own);
    scene.play("streams", streams::streams_are_timed_as_their_clients_time_them);
    scene.play("an ensemble", streams::an_ensemble_is_one_request);
    scene.play("failures", failures::every_end_is_told_apart);
}

#[test]
#[ignore = "needs root and the real Triton: cargo xtask test --engines"]
fn triton_with_tls() {
    let (server, folder) = start("triton-tls", &Options { grpc: Transport::Tls, ..Options::default() });
    let mut scene = Scene::watch(&server, &folder.join("agent"), &Start::default());
    scene.play("requests and streams", streams::tls_changes_nothing);
}

/// A server that loads a model when it is told to.
#[test]
#[ignore = "needs root and the real Triton: cargo xtask test --engines"]
fn triton_on_demand() {
    let (server, folder) = start("triton-on-demand", &Options::on_demand(&[]));
    // As the unit and the pod start it: an unprivileged user with five capabilities.
    let service = Start { identity: Identity::service(), ..Start::default() };
    let mut scene = Scene::watch(&server, &folder.join("agent"), &service);
    scene.play("models come and go", life::models_come_and_go);
    server.load("echo").expect("loaded");
    scene.play("500 requests a second", load::five_hundred_requests_a_second);
    scene = timed("an agent that comes late", || life::an_agent_may_come_late(scene, &folder.join("late")));
    scene.agent.stop().expect("it ends");
    let roomy = Start { configuration: load::ROOM, ..Start::default() };
    scene = Scene::watch(&server, &folder.join("roomy"), &roomy);
    scene.play("as many as it answers", load::as_many_as_triton_answers);
    let agent = scene.agent;
    timed("a restart", || life::a_server_that_is_restarted_is_found_again(server, agent, &folder));
}

fn start(name: &str, options: &Options) -> (TritonServer, PathBuf) {
    let folder = folder(name);
    (TritonServer::start(options, &folder).expect("the real Triton serves"), folder)
}

impl Scene<'_> {
    /// The agent's files go to `folder`, which no other has.
    fn watch<'a>(server: &'a TritonServer, folder: &Path, start: &Start<'_>) -> Scene<'a> {
        let mut agent = Agent::start_as(folder, start).expect("the agent starts");
        agent.attached(server.pid()).expect("the probes of the server");
        // Libraries that come late are looked for once more.
        thread::sleep(Duration::from_secs(1));
        Scene::of(server, agent)
    }

    /// It begins now.
    fn of(server: &TritonServer, agent: Agent) -> Scene<'_> {
        let page = agent.get("/metrics").expect("metrics");
        let mut scene = Scene { server, agent, before: Totals::servers(server), page, records: 0 };
        scene.records = scene.on_record().len();
        scene
    }

    /// Plays a scene with this server and agent, and begins the next.
    fn play(&mut self, name: &str, scene: impl FnOnce(&Scene)) {
        timed(name, || {
            scene(self);
            self.agent.nothing_lost();
            self.settle();
        });
        self.before = Totals::servers(self.server);
        self.page = self.agent.get("/metrics").expect("metrics");
        self.records = self.on_record().len();
    }

    /// By how much a metric of this server has grown.
    fn metric(&self, name: &str, labels: &[&str]) -> f64 {
        let service = format!("service=\"{}\"", self.server.service());
        self.host_metric(name, &labels.iter().copied().chain([service.as_str()]).collect::<Vec<_>>())
    }

    /// As [`Scene::metric`], of all servers of the host.
    fn host_metric(&self, name: &str, labels: &[&str]) -> f64 {
        self.agent.metric(name, labels).expect("metrics") - sum(&self.page, name, labels)
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
        self.on_record().split_off(self.records)
    }

    /// Of this server, others' scenes included.
    fn on_record(&self) -> Vec<Value> {
        let service = self.server.service();
        let mine = |record: &Value| record["service"] == service.as_str() && record["record"] == "inference";
        self.agent.records().expect("records").into_iter().filter(mine).collect()
    }

    /// The only record of a request with this id, when it is there.
    fn record(&self, id: &str) -> Value {
        let deadline = Instant::now() + ON_RECORD;
        loop {
            let mut found = self.on_record().split_off(self.records);
            found.retain(|record| record["id"] == id);
            if !found.is_empty() || Instant::now() > deadline {
                assert_eq!(found.len(), 1, "records of {id}: {found:?}");
                return found.remove(0);
            }
            thread::sleep(POLL);
        }
    }

    /// The totals of all models that the server has counted are the agent's.
    fn totals_agree(&self, what: &str) -> Totals {
        self.settle();
        let (own, seen) = (self.own(), self.seen());
        println!("{what}\n{}", own.beside(&seen));
        own.assert_counts(&seen);
        own
    }

    /// What Triton has counted.
    fn own(&self) -> Totals {
        Totals::servers(self.server).since(&self.before)
    }

    /// What the agent has.
    fn seen(&self) -> Totals {
        let (page, service) = (self.agent.get("/metrics").expect("metrics"), self.server.service());
        Totals::agents(&page, &service).since(&Totals::agents(&self.page, &service))
    }
}
