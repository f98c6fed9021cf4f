//! A large upload, and the same fetched again: neither is copied out of the server.

use super::Comfy;
use inferscope_tests::comfyui::Load;
use inferscope_tests::recorder::{Recorder, Text};
use std::fs;

/// Of 20 MB in and 20 MB out a recorder keeps 0.2 MB: until the agent has read the head, the kernel side copies 64 KiB of
/// each call. A busy machine has it wait.
const MOST: u64 = 4_000_000;

/// Everything that the kernel side copies is on the tape of a second observer.
pub fn costs_no_copy(scene: &Comfy) {
    let (tape, log) = (scene.folder.join("upload.tape"), scene.folder.join("upload.log"));
    let mut recorder = Recorder::start(&tape, &log, Text::Masked, "").expect("the recorder starts");
    recorder.attached(Some(scene.server.pid())).expect("the probes of ComfyUI");
    let seen = scene.server.drive(&Load::of("upload")).expect("the client");
    assert!(seen.iter().all(|one| one.status == 200), "{seen:?}");
    recorder.stop().expect("a tape");
    let kept = fs::metadata(&tape).expect("a tape").len();
    println!("an upload of 20 MB, fetched again: {kept} bytes on the tape");
    assert!(kept < MOST, "{kept} bytes were copied");
    assert!(fs::read_to_string(&log).expect("its log").contains("inputs"), "the recorder says what it kept");
}
