//! A canary in a graph's text is nowhere in what the agent says or keeps, though ComfyUI quotes it: in messages, in its
//! history, in exceptions and in the lines that it writes.

use super::Comfy;
use inferscope_tests::agent::Agent;
use inferscope_tests::comfyui::{Load, Mode};
use inferscope_tests::recorder::{Recorder, Text};
use std::fs;

const WORD: &str = "xylophonequetzal";

/// Under a second agent that logs all it can, and under a recorder.
pub fn nothing_of_a_prompt_is_kept(scene: &Comfy) {
    let folder = scene.folder.join("canary");
    let mut loud = Agent::start_with(&folder, "", "trace").expect("an agent with all its logs");
    loud.attached(scene.server.pid()).expect("the probes of ComfyUI");
    let (tape, log) = (folder.join("tape"), folder.join("recorder"));
    let mut recorder = Recorder::start(&tape, &log, Text::Masked, "log: trace\n").expect("the recorder starts");
    recorder.attached(Some(scene.server.pid())).expect("the probes of ComfyUI");
    for mode in Mode::ALL {
        for action in ["load", "fail", "invalid", "upload"] {
            let load = Load::of(action).mode(mode).with("--text", WORD).with("--prompts", 2);
            let load = load.with("--workflow", "sample").with("--megabytes", 1);
            scene.server.drive(&load).expect("the client");
        }
    }
    recorder.stop().expect("a tape");
    loud.settle();
    let quoted = fs::read_to_string(scene.server.log()).expect("ComfyUI's log");
    assert!(quoted.contains(WORD), "ComfyUI quotes the word");
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
        assert!(!bytes.windows(WORD.len()).any(|window| window == WORD.as_bytes()), "the word is in the {what}");
    }
}
