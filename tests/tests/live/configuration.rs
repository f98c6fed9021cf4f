//! What the agent does with a configuration that is wrong.

use crate::agent::Folder;
use inferscope_tests::agent::binary;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

#[test]
#[ignore = "needs root"]
fn every_problem_is_said_at_once_and_nothing_starts() {
    let folder = Folder::new();
    let path = folder.path("wrong.yaml");
    fs::write(&path, "lisen: x\ncapture:\n  ring_bytes: 1000\n  source: magic\nlimits: {models: none}\n")
        .expect("ours");
    let output = Command::new(binary()).args(["run", "--config"]).arg(&path).output().expect("the agent starts");
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{said}");
    for problem in ["lisen", "ring_bytes", "source", "models"] {
        assert!(said.contains(problem), "nothing about {problem}: {said}");
    }
}

#[test]
#[ignore = "needs root"]
fn a_file_that_everybody_can_write_is_refused() {
    let folder = Folder::new();
    let path = folder.path("open.yaml");
    fs::write(&path, "log: info\n").expect("ours");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o666)).expect("ours");
    let output = Command::new(binary()).args(["run", "--config"]).arg(&path).output().expect("the agent starts");
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("is not used, because everybody can write to it (mode 0666)"), "{said}");
}

#[test]
#[ignore = "needs root"]
fn whom_to_ask_for_pods_must_be_known_before_anything_starts() {
    let folder = Folder::new();
    let path = folder.path("pods.yaml");
    fs::write(&path, "pods: {metadata: {source: kubelet}}\n").expect("ours");
    let mut agent = Command::new(binary());
    let output = agent.args(["run", "--config"]).arg(&path).env_remove("NODE_IP").output().expect("the agent starts");
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("NODE_IP of the environment is not set, for https://$NODE_IP:10250"), "{said}");
}
