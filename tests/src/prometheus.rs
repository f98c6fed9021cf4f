//! The real Prometheus as a guard: scrapes one agent every second, evaluates the rules of deploy/, answers queries.
//!
//! It installs nothing: `cargo xtask setup --deploy` does.

use crate::deploy_folder;
use crate::process_group::ProcessGroup;
use crate::repository;
use crate::serving::Wait;
use anyhow::{Context, Result, ensure};
use inferscope::crosscheck::page;
use serde_json::Value;
use std::fmt::Write;
use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

const START: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(100);

/// A running Prometheus.
#[derive(Debug)]
pub struct Prometheus {
    address: SocketAddr,
    started: f64,
    group: ProcessGroup,
}

impl Prometheus {
    /// Starts it with its data in `folder`, and the agent there as its only target.
    pub fn start(agent: SocketAddr, folder: &Path) -> Result<Prometheus> {
        let program = deploy_folder().join("bin/prometheus");
        ensure!(program.is_file(), "no {}: run cargo xtask setup --deploy", program.display());
        fs::create_dir_all(folder)?;
        let rules = repository("deploy/prometheus/*.yaml");
        let config = folder.join("prometheus.yaml");
        let rules = serde_json::json!([rules]);
        let scrape =
            serde_json::json!([{"job_name": "inferscope", "static_configs": [{"targets": [agent.to_string()]}]}]);
        let global = "global: {scrape_interval: 1s, evaluation_interval: 5s}";
        // JSON is YAML.
        fs::write(&config, format!("{global}\nrule_files: {rules}\nscrape_configs: {scrape}\n"))?;
        let address = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?;
        let log = folder.join("prometheus.log");
        let file = File::create(&log)?;
        let mut command = Command::new(program);
        command.arg(format!("--config.file={}", config.display()));
        command.arg(format!("--storage.tsdb.path={}", folder.join("data").display()));
        command.arg(format!("--web.listen-address={address}")).arg("--enable-feature=exemplar-storage");
        command.stdin(Stdio::null()).stdout(file.try_clone()?).stderr(file);
        let mut group = ProcessGroup::spawn(&mut command).context("Prometheus does not start")?;
        let wait = Wait { name: "Prometheus", log: &log, patience: START, poll: POLL };
        wait.until(&mut group, || page::read(address, "/-/ready").is_ok())?;
        Ok(Prometheus { address, started: now(), group })
    }

    /// The series of an expression at any time since the start, each with at least one number. NaN is none: it is what
    /// quantiles of nothing are.
    pub fn series(&self, expression: &str) -> Result<Vec<Value>> {
        let query = encoded(expression);
        let path = format!("/api/v1/query_range?query={query}&start={}&end={}&step=1", self.started, now());
        let result = self.api(&path).with_context(|| expression.to_owned())?["result"].take();
        let has_number = |series: &Value| {
            let values = series["values"].as_array().cloned().unwrap_or_default();
            values.iter().any(|pair| pair[1].as_str().is_some_and(|number| number != "NaN"))
        };
        Ok(result.as_array().cloned().unwrap_or_default().into_iter().filter(has_number).collect())
    }

    /// What it says of its rules.
    pub fn rules(&self) -> Result<Vec<Value>> {
        let groups = self.api("/api/v1/rules")?["groups"].take();
        let groups = groups.as_array().cloned().unwrap_or_default();
        Ok(groups.iter().flat_map(|group| group["rules"].as_array().cloned().unwrap_or_default()).collect())
    }

    fn api(&self, path: &str) -> Result<Value> {
        let mut answer: Value = serde_json::from_str(&page::read(self.address, path)?)?;
        ensure!(answer["status"] == "success", "Prometheus answers {answer}");
        Ok(answer["data"].take())
    }

    /// Ends it.
    pub fn stop(mut self) -> Result<()> {
        self.group.end()?;
        Ok(())
    }
}

fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64()
}

/// As a part of an address.
fn encoded(text: &str) -> String {
    text.bytes().fold(String::new(), |mut encoded, byte| {
        if byte.is_ascii_alphanumeric() {
            encoded.push(char::from(byte));
        } else {
            let _ = write!(encoded, "%{byte:02X}");
        }
        encoded
    })
}
