//! Inferscope against the real Triton: counts equal to Triton's own, times against Triton's own sums and the clients' clocks.

mod agreement;
mod failures;
mod life;
mod load;
mod streams;

use crate::folder;
use agreement::Totals;
use inferscope_tests::agent::{Agent, Start};
use inferscope_tests::triton::{Options, TritonServer};
use serde_json::Value;
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

/// How long the agent waits before it believes that an inference was asked for from inside (`core::asks`), and how often it looks.
const UNASKED: Duration = Duration::from_secs(1);

/// A real Triton with an agent attached to it.
struct Scene {
    server: TritonServer,
    agent: Agent,
    folder: PathBuf,
    /// What the server had counted when the agent came.
    before: Totals,
}

impl Scene {
    fn start(name: &str, options: &Options) -> Scene {
        Scene::start_with(name, options, "")
    }

    fn start_with(name: &str, options: &Options, configuration: &str) -> Scene {
        Scene::start_as(name, options, &Start { configuration, ..Start::default() })
    }

    /// An agent that is started so.
    fn start_as(name: &str, options: &Options, start: &Start<'_>) -> Scene {
        let folder = folder(name);
        let server = TritonServer::start(options, &folder).expect("the real Triton serves");
        let mut agent = Agent::start_as(&folder, start).expect("the agent starts");
        agent.attached(server.pid()).expect("the probes of the server");
        // Libraries that come late are looked for once more.
        thread::sleep(Duration::from_secs(1));
        let before = Totals::servers(&server);
        Scene { server, agent, folder, before }
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
        let own = Totals::servers(&self.server).since(&self.before);
        let seen = Totals::agents(&self.agent, &self.server.service());
        println!("{what}\n{}", own.beside(&seen));
        own.assert_counts(&seen);
        self.agent.nothing_lost();
        own
    }
}
