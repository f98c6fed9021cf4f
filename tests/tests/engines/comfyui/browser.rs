//! Real headless Chromium on ComfyUI's own page. Where there is no Chromium the test says so and does nothing: it is no part
//! of what `cargo xtask setup --engines` installs (Debian: `apt install chromium`, 400 MB).

use super::{Comfy, exact};
use inferscope_tests::comfyui::Load;
use inferscope_tests::vllm::Transport;
use std::process::{Command, Stdio};

#[test]
#[ignore = "needs root, the real ComfyUI and Chromium: cargo xtask test --engines"]
fn comfyui_in_a_browser() {
    let mut version = Command::new("chromium");
    version.arg("--version").stdin(Stdio::null()).stderr(Stdio::null());
    let Ok(version) = version.output() else {
        println!("NOT RUN: there is no chromium on PATH, so no browser was on ComfyUI's page");
        return;
    };
    println!("{}", String::from_utf8_lossy(&version.stdout).trim_end());
    let mut scene = Comfy::start("engines-comfyui-browser", Transport::Plain);
    let agreement = scene.judge("a browser", &Load::in_a_browser().with("--prompts", 10).with("--workflow", "both"));
    exact(&agreement);
    scene.agent.nothing_lost();
}
