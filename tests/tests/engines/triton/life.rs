//! Models and servers come and go.

use super::{Options, Scene, service};
use inferscope_tests::agent::{Agent, Start};
use inferscope_tests::triton::TritonServer;
use std::path::Path;
use std::thread;

/// The first request after each load is measured: the backend's probes are there before its model is ready.
pub fn models_come_and_go(server: &TritonServer, folder: &Path) {
    let scene = Scene::watch(server, folder, &service());
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

/// Other models, another process, the same ports.
pub fn a_server_that_is_restarted_is_found_again(server: TritonServer, folder: &Path) {
    server.load("echo").expect("loaded");
    let scene = Scene::watch(&server, folder, &Start::default());
    drive(&scene, "http", "echo", &["--count", "5"]);
    scene.totals_agree("before the restart");
    let Scene { mut agent, folder, .. } = scene;
    let server = server.restart(&Options::on_demand(&["echo"]), &folder).expect("Triton starts again");
    agent.attached(server.pid()).expect("the probes of the new process");
    let server = &server;
    let scene = Scene { server, agent, folder, before: super::Totals::default() };
    drive(&scene, "http", "echo", &["--count", "7"]);
    let own = super::Totals::servers(scene.server);
    assert_eq!(own.of("echo").ok, 7.0, "Triton counts from zero");
    assert_eq!(scene.records().len(), 12);
    scene.agent.nothing_lost();
}

/// An agent that comes while requests are under way says that it did not see them whole.
pub fn an_agent_may_come_late(server: &TritonServer, folder: &Path) {
    server.load("slow").expect("loaded");
    let mut first = Scene::watch(server, &folder.join("first"), &Start::default());
    let (asked, scene) = thread::scope(|scope| {
        let asked = scope.spawn(|| {
            let more = ["--count", "4", "--parallel", "4", "--responses", "80"];
            server.drive("generate_stream", "slow", &more).expect("the client")
        });
        let running = |agent: &Agent| agent.metric("llm_requests_running", &["model=\"slow\""]);
        first.agent.wait_until("four streams run", |agent| Ok(running(agent)? == 4.0)).expect("they do");
        first.agent.kill().expect("SIGKILL");
        let scene = Scene::watch(server, &folder.join("second"), &Start::default());
        (asked.join().expect("the client ends"), scene)
    });
    assert!(asked.iter().all(|one| one.status == "ok" && one.responses.len() == 80), "the server does not notice");
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
