//! Many requests a second: nothing is lost, and Triton's counts are met.

use super::Scene;
use crate::load_time;
use inferscope_tests::flood::Flood;

/// What a model of one FP32 vector is asked.
const BODY: &str = r#"{"inputs":[{"name":"INPUT0","shape":[1,4],"datatype":"FP32","data":[1,2,3,4]}]}"#;

/// 5,000 requests a second are 20 MB of records: a busy machine may keep the agent from reading for longer than the 8 MiB of
/// the default hold.
pub const ROOM: &str = "capture: {ring_bytes: 67108864}\n";

/// A rate that leaves the machine time.
pub fn five_hundred_requests_a_second(scene: &Scene) {
    flood(scene, Some(500.0), 16);
}

/// With [`ROOM`].
pub fn as_many_as_triton_answers(scene: &Scene) {
    flood(scene, None, 64);
}

fn flood(scene: &Scene, rate: Option<f64>, clients: u64) {
    let time = load_time();
    let (_, before) = scene.agent.usage().expect("usage");
    let flood = Flood {
        server: scene.server.http(),
        path: "/v2/models/echo/infer".into(),
        body: BODY.into(),
        clients,
        rate,
        time,
    };
    let answered = flood.run().expect("every request is answered");
    assert_eq!(answered.refused, 0);
    scene.settle();
    let (_, after) = scene.agent.usage().expect("usage");
    let (rate, cpu) = (answered.ok as f64 / time.as_secs_f64(), (after - before) / time.as_secs_f64() * 100.0);
    println!("{} requests, {rate:.0} a second; agent: {cpu:.1} % of a core", answered.ok);
    let own = scene.totals_agree("under load");
    assert_eq!(own.of("echo").ok, answered.ok as f64);
}
