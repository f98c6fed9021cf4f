//! A machine with the agent installed as users install it, and a server in a container's scope beside it.

use crate::disk::MOUNTED;
use crate::guest::Guest;
use inferscope_tests::release;
pub use inferscope_tests::release::{BINARY, NEW, RELEASE};
use inferscope_tests::sum;
use serde_json::Value;

const CONTAINER: &str = "4f5e6d7c8b9a4f5e6d7c8b9a4f5e6d7c8b9a4f5e6d7c8b9a4f5e6d7c8b9a4f5e";
const AGENT: u16 = 9464;
const SERVER: u16 = 8000;
/// What is asked each time.
const STREAMS: u32 = 3;
const EACH: u32 = 4;
const TOKENS: u32 = 16;

/// The machine.
pub struct Site {
    pub guest: Guest,
}

impl Site {
    /// With a release on it that is not installed yet, a server, and a configuration that names this.
    pub fn boot(kernel: &str) -> Site {
        let mut guest = Guest::boot(kernel);
        guest.expect(&format!("cp -r {MOUNTED}/release {RELEASE}"));
        guest.expect("mkdir /etc/inferscope");
        let rule = format!(r#"servers: [{{engine: vllm, argv: "--port {SERVER}", service: guest}}]"#);
        guest.expect(&format!("echo '{rule}' >/etc/inferscope/inferscope.yaml"));
        // As docker and containerd call the scopes of their containers.
        let scope = format!("systemd-run --quiet --scope --unit=docker-{CONTAINER}");
        guest.expect(&format!("{scope} {MOUNTED}/demo-server --model guest --port {SERVER} >/run/server 2>&1 &"));
        guest.wait_for("grep http: /run/server");
        Site { guest }
    }

    /// A page of the agent. What comes over a serial line takes its time.
    pub fn page(&mut self, path: &str) -> String {
        self.lines(path, ".")
    }

    /// What is asserted of /metrics.
    fn metrics(&mut self) -> String {
        self.lines(
            "/metrics",
            "^(llm_(request|tokens)|llm_time_to_first_token_seconds_count|inferscope_(events_lost|issues))",
        )
    }

    /// The lines of a page in which an expression is found.
    fn lines(&mut self, path: &str, expression: &str) -> String {
        let ask = format!("exec 3<>/dev/tcp/127.0.0.1/{AGENT} && printf 'GET {path} HTTP/1.0\\r\\n\\r\\n' >&3");
        self.guest.wait_for(&format!("{ask} && sed '1,/^\\r$/d' <&3 >/run/page && [ -s /run/page ]"));
        self.guest.run(&format!("grep -E '{expression}' /run/page")).text
    }

    /// That the agent counts the server's requests and tokens: exactly those, by their container, with nothing lost and
    /// nothing odd.
    pub fn measures(&mut self) {
        self.wait_until("it is attached", |site| {
            let status: Value = serde_json::from_str(&site.page("/status")).expect("/status is JSON");
            status["processes"].as_array().is_some_and(|all| all.iter().any(|one| one["state"] == "attached"))
        });
        let container = format!("container=\"{}\"", &CONTAINER[..12]);
        let seen = |page: &str| {
            let ok = sum(page, "llm_request_total", &["service=\"guest\"", &container, "status=\"ok\""]);
            let measured = sum(page, "llm_time_to_first_token_seconds_count", &["service=\"guest\""]);
            [ok, measured, sum(page, "llm_tokens_generated_total", &["service=\"guest\""])]
        };
        let before = seen(&self.metrics());
        let load = format!("{MOUNTED}/demo-load --base http://127.0.0.1:{SERVER} --model guest");
        let said = self.guest.expect(&format!("{load} --streams {STREAMS} --requests {EACH} --max-tokens {TOKENS}"));
        let requests = STREAMS * EACH;
        assert_eq!(said, format!("requests {requests}, failed 0, tokens {}\n", requests * TOKENS));
        let [ok, measured, tokens] = before;
        let after = [ok + f64::from(requests), measured + f64::from(requests), tokens + f64::from(requests * TOKENS)];
        self.wait_until(&format!("{after:?} are counted"), |site| seen(&site.metrics()) == after);
        let page = self.metrics();
        for none in ["inferscope_events_lost_total", "inferscope_issues_total"] {
            let lines: Vec<&str> = page.lines().filter(|line| line.starts_with(none)).collect();
            assert_eq!(sum(&page, none, &[]), 0.0, "{lines:#?}");
        }
    }

    /// The agent's process, as systemd knows it.
    pub fn main_process(&mut self) -> u32 {
        let text = self.guest.expect("systemctl show --property MainPID --value inferscope");
        text.trim_end().parse().expect("a process id")
    }

    /// A release in [`NEW`] that differs from the first one by what this line of shell does in its folder.
    pub fn another_release(&mut self, change: &str) {
        self.guest.expect(&release::another(change));
    }

    fn wait_until(&mut self, what: &str, mut holds: impl FnMut(&mut Site) -> bool) {
        for _ in 0..60 {
            if holds(self) {
                return;
            }
            self.guest.expect("sleep 0.5");
        }
        let (status, metrics) = (self.page("/status"), self.page("/metrics"));
        let told = self.guest.run("journalctl -u inferscope --no-pager -o cat").text;
        panic!("never: {what}\n{status}\n{metrics}\n{told}");
    }
}
