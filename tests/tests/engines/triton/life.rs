//! Models and servers come and go.

use super::{Options, Scene};
use inferscope_tests::agent::{Agent, Start};
use inferscope_tests::identity::Identity;

/// The first request after each load is measured: the backend's probes are there before its model is ready.
#[test]
#[ignore = "needs root and the real Triton: cargo xtask test --engines"]
fn models_come_and_go() {
    // As the unit and the pod start it: an unprivileged user with five capabilities.
    let service = Start { identity: Identity::service(), ..Start::default() };
    let scene = Scene::start_as("engines-triton-models", &Options::on_demand(&[]), &service);
    for _ in 0..3 {
        scene.server.load("echo").expect("loaded");
        scene.server.load("stream").expect("loaded");
        drive(&scene, "grpc", "echo", &["--count", "5"]);
        drive(&scene, "generate_stream", "stream", &["--count", "2", "--responses", "3"]);
        scene.server.unload("echo").expect("unloaded");
        scene.server.unload("stream").expect("unloaded");
    }
    scene.settle();
    // Triton forgets what it counted of a model that is gone.
    let requests =
        |model: &str| scene.metric("triton_request_total", &[&format!("model=\"{model}\""), "status=\"ok\""]);
    assert_eq!((requests("echo"), requests("stream")), (15.0, 6.0));
    assert_eq!(scene.metric("triton_queue_duration_seconds_count", &["model=\"echo\""]), 15.0, "executions were seen");
    assert_eq!(scene.metric("triton_compute_duration_seconds_count", &["model=\"echo\"", "stage=\"infer\""]), 15.0);
    assert_eq!(scene.metric("triton_responses_total", &["model=\"stream\""]), 18.0);
    scene.agent.nothing_lost();
}

#[test]
#[ignore = "needs root and the real Triton: cargo xtask test --engines"]
fn a_server_that_is_restarted_is_found_again() {
    let scene = Scene::start("engines-triton-restart", &Options::on_demand(&["echo"]));
    drive(&scene, "http", "echo", &["--count", "5"]);
    scene.totals_agree("before the restart");
    let Scene { server, mut agent, folder, .. } = scene;
    let server = server.restart(&Options::on_demand(&["echo"]), &folder).expect("Triton starts again");
    agent.attached(server.pid()).expect("the probes of the new process");
    let scene = Scene { server, agent, folder, before: super::Totals::default() };
    drive(&scene, "http", "echo", &["--count", "7"]);
    let own = super::Totals::servers(&scene.server);
    assert_eq!(own.of("echo").ok, 7.0, "Triton counts from zero");
    assert_eq!(scene.records().len(), 12);
    scene.agent.nothing_lost();
}

/// An agent that comes while requests are under way says that it did not see them whole.
#[test]
#[ignore = "needs root and the real Triton: cargo xtask test --engines"]
fn an_agent_may_come_late() {
    let scene = Scene::start("engines-triton-late", &Options::on_demand(&["slow"]));
    let Scene { server, agent, folder, .. } = scene;
    let (asked, agent) = std::thread::scope(|scope| {
        let asked = scope.spawn(|| {
            let more = ["--count", "4", "--parallel", "4", "--responses", "80"];
            server.drive("generate_stream", "slow", &more).expect("the client")
        });
        std::thread::sleep(std::time::Duration::from_secs(2));
        agent.kill().expect("SIGKILL");
        let folder = folder.join("second");
        let mut agent = Agent::start(&folder, "").expect("a second agent");
        agent.attached(server.pid()).expect("attached again");
        (asked.join().expect("the client ends"), agent)
    });
    assert!(asked.iter().all(|one| one.status == "ok" && one.responses.len() == 80), "the server does not notice");
    let scene = Scene { server, agent, folder, before: super::Totals::default() };
    drive(&scene, "generate_stream", "slow", &["--responses", "2"]);
    let records = scene.records();
    let complete: Vec<_> = records.iter().filter(|record| record["quality"] == "complete").collect();
    assert_eq!(complete.len(), 1, "{records:?}");
    assert_eq!(scene.metric("llm_time_to_first_token_seconds_count", &[]), 1.0, "what is not whole is not measured");
    scene.agent.nothing_lost();
}

fn drive(scene: &Scene, mode: &str, model: &str, more: &[&str]) {
    let asked = scene.server.drive(mode, model, more).expect("the client");
    assert!(asked.iter().all(|one| one.status == "ok"), "{asked:?}");
}
