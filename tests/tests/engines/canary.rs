//! Canaries: a prompt that is recognisable as text and one that is recognisable as token ids are nowhere in what the
//! agent says or keeps, though it reads the messages that carry them.

use crate::{ENGINE, Scene, descendant};
use inferscope_tests::agent::Agent;
use inferscope_tests::recorder::{Recorder, Text};
use inferscope_tests::unusual;
use inferscope_tests::vllm::MODEL;
use serde_json::json;
use std::fs;
use std::path::Path;

const WORD: &str = "xylophonequetzal";
/// Token ids of the tiny model that no other prompt has in this order.
const IDS: [u16; 6] = [907, 983, 911, 977, 919, 971];

/// Both prompts under a second agent that logs all it can, and under a recorder.
pub fn nothing_of_a_prompt_is_kept(scene: &Scene) {
    let folder = scene.folder.join("canary");
    let mut loud = Agent::start_with(&folder, "", "trace").expect("an agent with all its logs");
    loud.attached(scene.server.pid()).expect("the probes of the front end");
    loud.attached(descendant(scene.server, ENGINE)).expect("the probes of the engine");
    let (tape, log) = (folder.join("tape"), folder.join("recorder"));
    let mut recorder = Recorder::start(&tape, &log, Text::Masked, "log: trace\n").expect("the recorder starts");
    recorder.attached(Some(scene.server.pid())).expect("the probes of the front end");
    recorder.attached(Some(descendant(scene.server, ENGINE))).expect("the probes of the engine");
    let asks = [
        json!({"prompt": WORD, "logprobs": 2, "n": 2}),
        json!({"prompt": IDS, "logprobs": 2, "n": 2}),
        json!({"prompt": WORD, "echo": true, "stream": true}),
    ];
    for mut body in asks {
        for (name, value) in [("model", json!(MODEL)), ("max_tokens", json!(4)), ("user", json!(WORD))] {
            body[name] = value;
        }
        let (code, answer) =
            unusual::ask(scene.server.address(), &format!("/v1/completions?{WORD}"), &body.to_string());
        assert_eq!(code, 200, "{answer}");
        assert!(body["echo"].is_null() || answer.contains(WORD), "vLLM echoes the prompt: {answer}");
    }
    recorder.stop().expect("a tape");
    let taped = fs::read(&tape).expect("a tape");
    assert!(contains(&taped, b"/v1/completions"), "the tape holds the requests, without their texts");
    in_nothing_said(&loud, &folder, &canaries());
}

/// Whether none of these is in anything that an agent said, or on the masked tape that was recorded beside it.
pub fn in_nothing_said(loud: &Agent, folder: &Path, canaries: &[(&str, Vec<u8>)]) {
    loud.settle();
    let read = |name: &str| fs::read(folder.join(name)).expect(name);
    let said = [
        ("log", read("stderr")),
        ("metrics", loud.get("/metrics").expect("metrics").into_bytes()),
        ("status", loud.get("/status").expect("status").into_bytes()),
        ("records", read("records.jsonl")),
        ("tape", read("tape")),
        ("recorder's log", read("recorder")),
    ];
    for (what, bytes) in &said {
        assert!(!bytes.is_empty(), "there is no {what}");
        for (name, canary) in canaries {
            assert!(!contains(bytes, canary), "{name} is in the {what}");
        }
    }
}

/// The prompts in every form that they have on the way: text, JSON, msgpack, and Rust's and Python's ways to print ids.
fn canaries() -> Vec<(&'static str, Vec<u8>)> {
    let spelled = |separator: &str| IDS.map(|id| id.to_string()).join(separator).into_bytes();
    let msgpack = IDS.iter().flat_map(|id| [0xcd].into_iter().chain(id.to_be_bytes())).collect();
    let native = IDS.iter().flat_map(|id| i64::from(*id).to_le_bytes()).collect();
    vec![
        ("the word", WORD.as_bytes().to_vec()),
        ("the ids, with commas", spelled(",")),
        ("the ids, printed", spelled(", ")),
        ("the ids, as msgpack", msgpack),
        ("the ids, as an array in memory", native),
    ]
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}
