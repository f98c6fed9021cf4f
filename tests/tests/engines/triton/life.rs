//! Models and servers come and go.

use super::{Options, Scene};
use inferscope_tests::agent::{Agent, Start};
use inferscope_tests::triton::TritonServer;
use std::path::Path;
use std::thread;

/// The first request after each load is measured: the backend's probes are there before its model is ready.
pub fn models_come_and_go(scene: &Scene) {
    for _ in 0..3 {
        scene.server.load("echo").expect("loaded");
        scene.server.load("stream").expect("loaded");
        drive(scene, "grpc", "echo", &["--count", "5"]);
        drive(scene, "generate_stream", "stream", &["--count", "2", "--responses", "3"]);
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

/// Another process, the same ports.
pub fn a_server_that_is_restarted_is_found_again(server: TritonServer, agent: Agent, folder: &Path) {
    let scene = Scene::of(&server, agent);
    drive(&scene, "http", "echo", &["--count", "5"]);
    scene.totals_agree("before the restart");
    let Scene { mut agent, records, .. } = scene;
    let server = server.restart(&Options::on_demand(&["echo"]), folder).expect("Triton starts again");
    agent.attached(server.pid()).expect("the probes of the new process");
    let scene = Scene { records, ..Scene::of(&server, agent) };
    drive(&scene, "http", "echo", &["--count", "7"]);
    assert_eq!(super::Totals::servers(scene.server).of("echo").ok, 7.0, "Triton counts from zero");
    assert_eq!(scene.records().len(), 12);
    scene.agent.nothing_lost();
}

/// An agent that comes while requests are under way says that it did not see them whole.
pub fn an_agent_may_come_late<'a>(mut first: Scene<'a>, folder: &Path) -> Scene<'a> {
    let server = first.server;
    server.load("slow").expect("loaded");
    let (asked, scene) = thread::scope(|scope| {
        let asked = scope.spawn(|| {
            let more = ["--count", "4", "--parallel", "4", "--responses", "80"];
            server.drive("generate_stream", "slow", &more).expect("the client")
        });
        let sent =
            |agent: &Agent| agent.metric("inferscope_probe_hits_total", &["hook=\"TRITONBACKEND_ResponseSend\""]);
        let before = sent(&first.agent).expect("metrics");
        first.agent.wait_until("all four stream", |agent| Ok(sent(agent)? >= before + 20.0)).expect("they do");
        first.agent.kill().expect("SIGKILL");
        let scene = Scene::watch(server, folder, &Start::default());
        (asked.join().expect("the client ends"), scene)
    });
    assert!(asked.iter().all(|one| one.status == "ok" && one.responses.len() == 80), "the server does not notice");
    drive(&scene, "generate_stream", "slow", &["--responses", "2"]);
    let records = scene.records();
    let complete: Vec<_> = records.iter().filter(|record| record["quality"] == "complete").collect();
    assert_eq!(complete.len(), 1, "{records:?}");
    assert_eq!(scene.metric("llm_time_to_first_token_seconds_count", &[]), 1.0, "what is not whole is not measured");
    scene.agent.nothing_lost();
    scene
}

fn drive(scene: &Scene, mode: &str, model: &str, more: &[&str]) {
    let asked = scene.server.drive(mode, model, more).expect("the client");
    assert!(asked.iter().all(|one| one.status == "ok"), "{asked:?}");
}
