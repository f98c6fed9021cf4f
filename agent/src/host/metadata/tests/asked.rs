//! What is asked of whom, with which token, and what becomes of each way not to answer.

use super::server::{Behaviour, Came, Security, Server};
use super::*;
use crate::config::Config;
use crate::host::inquiry::{Inquiry, Question as _, Rhythm, Turn};
use crate::https::testdata;
use source::{Refusal, Source};
use std::fs;
use std::path::PathBuf;
use std::sync::mpsc;
use std::time::{Duration, Instant};

const SOON: Duration = Duration::from_secs(20);

/// What a configuration and an environment make.
fn configured(settings: &str, environment: &[(&str, &str)]) -> Result<Option<Source>, String> {
    let config = Config::parse("test", &format!("pods: {{metadata: {{{settings}}}}}")).unwrap();
    let variable =
        |name: &str| environment.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned());
    Source::new(&config.pods.metadata, variable).map_err(|unsaid| unsaid.to_string())
}

/// Asks `server` with more settings, as the tests' `ca.pem` believes it.
fn source(server: &Server, settings: &str) -> Source {
    let address = format!("address: \"{}\", ca: {:?}, node: gpu-7, {settings}", server.address, testdata("ca.pem"));
    configured(&address, &[]).unwrap().unwrap()
}

fn ask(source: &Source) -> Result<Metadata, Refusal> {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(source.ask())
}

fn why(source: &Source) -> String {
    ask(source).unwrap_err().to_string()
}

/// A file with a token, gone at the end.
struct Token(PathBuf);

impl Token {
    fn new(name: &str, token: &str) -> Token {
        let file = std::env::temp_dir().join(format!("inferscope-token-{name}-{}", std::process::id()));
        fs::write(&file, token).unwrap();
        Token(file)
    }
}

impl Drop for Token {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

#[test]
fn each_is_asked_in_its_way() {
    let token = Token::new("ways", "abc\n");
    let server = Server::start(Security::Tls, Behaviour::Answer(KUBELET));
    let settings = |who: &str| format!("source: {who}, token: {:?}", token.0);
    let metadata = ask(&source(&server, &settings("kubelet"))).unwrap();
    assert_eq!((metadata.len(), metadata.node.as_deref()), (5, Some("gpu-7")));
    server.now(Behaviour::Answer(API));
    assert_eq!(ask(&source(&server, &settings("api"))).unwrap().len(), 3);
    let authorization = Some("Bearer abc".to_owned());
    let expected = [
        Came { path: "/pods".into(), accept: "application/json".into(), authorization: authorization.clone() },
        Came {
            path: "/api/v1/pods?fieldSelector=spec.nodeName%3Dgpu-7&resourceVersion=0".into(),
            accept: "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1".into(),
            authorization,
        },
    ];
    assert_eq!(server.came(), expected);
    // A token is replaced while it is in use.
    fs::write(&token.0, "def").unwrap();
    ask(&source(&server, &settings("api"))).unwrap();
    assert_eq!(server.came()[0].authorization.as_deref(), Some("Bearer def"));
}

#[test]
fn a_token_is_not_sent_in_clear_text() {
    let token = Token::new("clear", "abc");
    let server = Server::start(Security::Plain, Behaviour::Answer(KUBELET));
    let settings = format!("source: kubelet, token: {:?}", token.0);
    assert_eq!(ask(&source(&server, &settings)).unwrap().len(), 5);
    assert_eq!(server.came()[0].authorization, None);
}

#[test]
fn what_the_environment_says() {
    for (settings, environment, expected) in [
        ("", &[("NODE_IP", "10.0.0.1")][..], Ok(None)),
        ("source: kubelet", &[("NODE_IP", "10.0.0.1")], Ok(Some("https://10.0.0.1:10250/pods"))),
        ("source: kubelet", &[("NODE_IP", "fd00::7")], Ok(Some("https://[fd00::7]:10250/pods"))),
        ("source: kubelet, address: \"http://n:10255/\"", &[], Ok(Some("http://n:10255/pods"))),
        ("source: kubelet, address: \"http://$NODE_IP:10255\"", &[("NODE_IP", "h")], Ok(Some("http://h:10255/pods"))),
        ("source: kubelet", &[], Err("NODE_IP of the environment is not set")),
        (
            "source: api",
            &[("NODE_NAME", "n"), ("KUBERNETES_SERVICE_HOST", "fd00::1"), ("KUBERNETES_SERVICE_PORT", "443")],
            Ok(Some("https://[fd00::1]:443/api/v1/pods?fieldSelector=spec.nodeName%3Dn&resourceVersion=0")),
        ),
        ("source: api, node: n", &[("KUBERNETES_SERVICE_HOST", "h")], Err("KUBERNETES_SERVICE_PORT")),
        ("source: api, address: \"https://h\"", &[], Err("NODE_NAME")),
        ("source: api, address: \"https://h\"", &[("NODE_NAME", "n&x=1")], Err("NODE_NAME")),
    ] {
        let found = configured(settings, environment);
        match (found, expected) {
            (Ok(None), Ok(None)) => {}
            (Ok(Some(source)), Ok(Some(uri))) => {
                assert!(format!("{source:?}").contains(&format!("uri: {uri},")), "{source:?}")
            }
            (Err(unsaid), Err(why)) => assert!(unsaid.contains(why), "{unsaid}"),
            (found, _) => panic!("{settings}: {found:?}"),
        }
    }
}

#[test]
fn ways_not_to_answer() {
    let token = Token::new("faults", "abc");
    let elsewhere = Server::start(Security::Plain, Behaviour::Answer(API));
    let server = Server::start(Security::Tls, Behaviour::Hang);
    for (who, behaviour, expected) in [
        ("kubelet", Behaviour::Status(401), "not accepted (401): kubelets ask the API server"),
        ("api", Behaviour::Status(401), "not accepted (401)"),
        ("kubelet", Behaviour::Status(403), "needs `get` on nodes/pods from Kubernetes 1.33 on, or on nodes/proxy"),
        ("api", Behaviour::Status(403), "needs `list` on pods; the chart's pods.metadata.source=api"),
        ("kubelet", Behaviour::Status(404), "HTTP status 404"),
        ("api", Behaviour::Status(503), "HTTP status 503"),
        ("api", Behaviour::Redirect(elsewhere.address.clone()), "redirect (302), which is not followed"),
        ("api", Behaviour::Answer(b"canary"), "no list of pods (line 1, column 1)"),
        ("api", Behaviour::Answer(b"{\"kind\":\"canary\"}"), "no list of pods"),
        ("kubelet", Behaviour::Endless, "longer than 32 MiB"),
        ("api", Behaviour::Cut, ""),
        ("kubelet", Behaviour::Hang, "no answer in 10 s"),
    ] {
        server.now(behaviour);
        let began = Instant::now();
        let why = why(&source(&server, &format!("source: {who}, token: {:?}", token.0)));
        assert!(why.contains(expected) && why.len() < 300 && !why.contains("canary"), "{expected}: {why}");
        assert!(began.elapsed() < SOON);
    }
    assert_eq!(elsewhere.came(), []);
    let settings = "source: api, token: \"/nowhere/token\"";
    assert!(why(&source(&server, settings)).starts_with("/nowhere/token: No such file"));
    let address = server.address.clone();
    drop(server);
    let gone = format!("source: kubelet, address: \"{address}\", ca: {:?}, token: \"\"", testdata("ca.pem"));
    std::thread::sleep(Duration::from_millis(50));
    assert!(why(&configured(&gone, &[]).unwrap().unwrap()).contains("refused"));
}

#[test]
fn certificates_are_verified_unless_the_configuration_says_otherwise() {
    let token = Token::new("trust", "abc");
    let server = Server::start(Security::Tls, Behaviour::Answer(KUBELET));
    let settings = |more: &str| {
        let (address, other) = (&server.address, testdata("other.pem"));
        format!("source: kubelet, address: \"{address}\", token: {:?}, ca: {other:?}{more}", token.0)
    };
    let source = |more| configured(&settings(more), &[]).unwrap().unwrap();
    assert!(why(&source("")).contains("certificate"), "{}", why(&source("")));
    assert_eq!(server.came(), [], "nobody was told the token");
    assert_eq!(ask(&source(", certificate: unverified")).unwrap().len(), 5);
    let missing = configured("source: kubelet, address: \"https://localhost\", ca: /nowhere/ca.crt", &[]);
    assert!(why(&missing.unwrap().unwrap()).starts_with("/nowhere/ca.crt: "));
}

#[test]
fn what_was_said_holds_while_nobody_answers() {
    let server = Server::start(Security::Plain, Behaviour::Answer(KUBELET));
    let (tell, told) = mpsc::channel();
    let rhythm = Rhythm { interval: Duration::from_millis(20), belief: Duration::MAX };
    let source = source(&server, "source: kubelet");
    let _inquiry = Inquiry::start("metadata", source, rhythm, move |turn| drop(tell.send(turn))).unwrap();
    let until = |wanted: &dyn Fn(&Turn<Metadata, Refusal>) -> bool| {
        assert!(std::iter::from_fn(|| told.recv_timeout(SOON).ok()).any(|turn| wanted(&turn)));
    };
    until(&|turn| matches!(turn, Turn::Known(metadata) if metadata.len() == 5));
    server.now(Behaviour::Status(503));
    until(&|turn| matches!(turn, Turn::Silent(Refusal::Status(503))));
    server.now(Behaviour::Answer(API));
    until(&|turn| matches!(turn, Turn::Known(metadata) if metadata.len() == 3));
}
