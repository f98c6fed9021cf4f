//! Requests that do not end well, each in its own way.

use super::Scene;
use inferscope_tests::exchange::post;

/// Each of them, one behind the other.
pub fn every_end_is_told_apart(scene: &Scene) {
    a_python_exception(scene);
    a_request_that_its_model_refuses(scene);
    a_client_that_cancels(scene);
    a_client_that_leaves(scene);
    an_unknown_model(scene);
}

/// The backend reports the execution as failed, and its response says why.
fn a_python_exception(scene: &Scene) {
    let asked = scene.server.drive("grpc", "fail", &["--value", "-2"]).expect("the client");
    assert_eq!(asked[0].status, "error");
    let record = scene.record("grpc-0");
    assert_eq!((&record["status"], &record["fault"]), (&"error".into(), &"internal".into()), "{record}");
    let own = scene.own();
    assert_eq!((own.of("fail").ok, own.of("fail").failed), (0.0, 1.0), "Triton counts it as failed, too");
    let errors = scene.metric("triton_request_total", &["model=\"fail\"", "status=\"error\"", "reason=\"internal\""]);
    assert_eq!(errors, 1.0);
}

/// The client's answer is an error; Triton, which sees an execution that went well, counts a success.
fn a_request_that_its_model_refuses(scene: &Scene) {
    let asked = scene.server.drive("http", "fail", &["--value", "-1"]).expect("the client");
    assert_eq!(asked[0].status, "error");
    let record = scene.record("http-0");
    assert_eq!((&record["status"], &record["fault"]), (&"error".into(), &"invalid_argument".into()), "{record}");
    let own = scene.own();
    assert_eq!(own.of("fail").ok, 1.0);
}

fn a_client_that_cancels(scene: &Scene) {
    let asked = scene.server.drive("cancel", "slow", &["--responses", "20"]).expect("the client");
    assert_eq!((asked[0].status.as_str(), asked[0].responses.len()), ("cancelled", 2));
    let record = scene.record("cancel-0");
    assert_eq!(record["status"], "cancelled", "{record}");
    let responses = record["responses"].as_u64().expect("a count");
    assert!((2..20).contains(&responses), "{record}");
    assert!(record["cancelled_us"].as_f64() > record["first_response_us"].as_f64(), "{record}");
}

/// A connection that breaks is a cancellation as well.
fn a_client_that_leaves(scene: &Scene) {
    let asked = scene.server.drive("leave", "slow", &["--responses", "5"]).expect("the client");
    assert_eq!(asked[0].status, "cancelled");
    let record = scene.record("leave-0");
    println!("a client that left: {record}");
    assert!(["cancelled", "ok"].contains(&record["status"].as_str().unwrap_or("")), "{record}");
}

/// An error of the interface, not a model of this name.
fn an_unknown_model(scene: &Scene) {
    let (code, _) = post(scene.server.http(), "/v2/models/no-such-model/infer", r#"{"inputs":[]}"#).expect("an answer");
    assert!(code == 400 || code == 404, "{code}");
    let asked = scene.server.drive("grpc", "no-such-model", &["--count", "2"]).expect("the client");
    assert!(asked.iter().all(|one| one.status == "error"));
    scene.settle();
    let page = scene.agent.get("/metrics").expect("metrics");
    assert!(!page.contains("no-such-model"), "a name that any client may invent is a label");
}
