//! Servers in real cgroups that are named as runtimes name them, and the kubelet's links beside them.

mod cgroup;
mod described;
mod node;

use self::cgroup::Cgroup;
use crate::agent::{Agent, Folder};
use crate::server::Server;
use inferscope_tests::load::{self, Options};
use serde_json::json;
use std::os::unix::fs::symlink;
use std::path::Path;

const UID: &str = "2d3f8b5a_7c0e_4a51_9d5e_0a1b2c3d4e5f";

fn id(digit: char) -> String {
    digit.to_string().repeat(64)
}

fn link(folder: &Path, pod: &str, digit: char) {
    let name = format!("{pod}_serving_vllm-{}.log", id(digit));
    symlink("/var/log/pods/serving/vllm/0.log", folder.join(name)).expect("links can be made");
}

#[test]
#[ignore = "needs root"]
fn servers_of_one_name_in_two_pods_are_two() {
    let (first, second, third) = (Server::demo(1), Server::demo(1), Server::demo(1));
    let slice = format!("kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod{UID}.slice");
    let _cgroups = [
        Cgroup::around(first.pid(), &format!("{slice}/cri-containerd-{}.scope", id('a'))),
        Cgroup::around(second.pid(), &format!("kubepods/pod{}/{}", UID.replace('_', "-"), id('b'))),
        Cgroup::around(third.pid(), &format!("system.slice/docker-{}.scope", id('c'))),
    ];
    let links = Folder::new();
    link(&links.path(""), "chat-0", 'a');
    link(&links.path(""), "chat-1", 'b');
    let servers = [&first, &second, &third];
    let configuration = format!("pods: {{links: {:?}}}\n", links.path(""));
    let mut agent = Agent::start_with(&servers, &configuration);
    agent.wait_attached(&servers.map(Server::pid));
    for (server, requests) in [(&first, 1), (&second, 2), (&third, 3)] {
        for _ in 0..requests {
            let seen = load::collect(&Options::new(server.address(), server.model()));
            assert_eq!(seen.len(), 1);
        }
    }
    let metrics = agent.metrics_after(6);
    for (labels, requests) in [
        (&[("k8s_namespace", "serving"), ("k8s_pod", "chat-0"), ("k8s_container", "vllm")][..], 1.0),
        (&[("k8s_namespace", "serving"), ("k8s_pod", "chat-1"), ("k8s_container", "vllm")], 2.0),
        (&[("container", "cccccccccccc")], 3.0),
    ] {
        assert_eq!(metrics.sum("llm_request_total", labels), Some(requests), "{}", metrics.text);
        assert_eq!(metrics.sum("llm_time_to_first_token_seconds_count", labels), Some(requests));
    }
    let status = agent.status();
    let process = |pid| {
        let mut processes = status["processes"].as_array().into_iter().flatten();
        processes.find(|process| process["tgid"] == pid).expect("it is shown")
    };
    let expected = json!({
        "id": id('a'), "name": "vllm", "pod": "serving/chat-0", "pod_uid": UID.replace('_', "-")
    });
    assert_eq!(process(first.pid())["container"], expected);
    assert_eq!(process(third.pid())["container"], json!({"id": id('c')}));
    assert_eq!(status["pods"]["devices"], 0);
    drop(first);
    let left = agent.metrics_when("its neighbour's series stay", |metrics| {
        metrics.sum("inferscope_processes_attached", &[]) == Some(2.0)
    });
    assert_eq!(left.sum("llm_request_total", &[("k8s_pod", "chat-1")]), Some(2.0));
    let ended = agent.stop();
    let pods: Vec<_> = ended.records.iter().map(|record| record["k8s_pod"].as_str().unwrap_or("none")).collect();
    assert_eq!(pods, ["chat-0", "chat-1", "chat-1", "none", "none", "none"]);
}
