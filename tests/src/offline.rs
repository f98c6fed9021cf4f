//! vLLM without a server as a guard: `LLM.generate` in a process of its own (tests/engines/run-offline.sh), which says
//! itself what it did.

use crate::process_group::ProcessGroup;
use crate::vllm::engines;
use anyhow::{Context, Result};
use inferscope::crosscheck::exposition::Total;
use inferscope::crosscheck::{Figures, Quantity};
use serde_json::Value;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, PipeWriter, Write};
use std::path::Path;
use std::process::Command;
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::Duration;

/// Loading the model on a busy machine takes minutes, and so may generating.
const PATIENCE: Duration = Duration::from_secs(240);

/// A loaded model. It generates when it is told to.
#[derive(Debug)]
pub struct Offline {
    group: ProcessGroup,
    orders: PipeWriter,
    lines: Receiver<String>,
}

/// What it says that it did.
#[derive(Clone, Debug, PartialEq)]
pub struct Done {
    /// Each request.
    pub requests: Vec<Generated>,
    /// vLLM's own totals.
    pub figures: Figures,
}

/// One request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Generated {
    /// Tokens of its prompt.
    pub prompt_tokens: u64,
    /// Tokens of its answer.
    pub generated_tokens: u64,
    /// Why it ended.
    pub finish: String,
}

impl Offline {
    /// Loads the model for `requests` requests. What vLLM prints goes to `logs`.
    pub fn start(requests: u32, logs: &Path) -> Result<Offline> {
        fs::create_dir_all(logs)?;
        let log = File::create(logs.join("vllm-offline.log"))?;
        let mut command = Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("engines/run-offline.sh"));
        command.args(["--wait", "--requests", &requests.to_string()]).env("INFERSCOPE_ENGINES", engines());
        let (stdin, orders) = io::pipe()?;
        let (output, stdout) = io::pipe()?;
        command.stdin(stdin).stdout(stdout).stderr(log);
        let group = ProcessGroup::spawn(&mut command).context("run-offline.sh does not start")?;
        // It holds the child's ends of the pipes: an end of file comes only without them.
        drop(command);
        let (send, lines) = mpsc::channel();
        thread::spawn(move || {
            let lines = BufReader::new(output).lines().map_while(Result::ok);
            lines.for_each(|line| drop(send.send(line)));
        });
        let offline = Offline { group, orders, lines };
        offline.hears("ready")?;
        Ok(offline)
    }

    /// The process that was started: the ancestor of all the others.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.group.id()
    }

    /// Generates. The engine stays until this is dropped.
    pub fn generate(&mut self) -> Result<Done> {
        self.orders.write_all(b"\n")?;
        Done::from_json(&self.hears("done")?).context("a result of offline.py")
    }

    fn hears(&self, state: &str) -> Result<Value> {
        let line = self.lines.recv_timeout(PATIENCE).with_context(|| format!("it never was {state}"))?;
        let said: Value = serde_json::from_str(&line).with_context(|| line.clone())?;
        anyhow::ensure!(said["state"] == state, "it was to be {state}: {line}");
        Ok(said)
    }
}

impl Done {
    fn from_json(said: &Value) -> Option<Done> {
        let requests = said["requests"].as_array()?.iter().map(Generated::from_json).collect::<Option<_>>()?;
        let totals = Quantity::ALL.into_iter().filter_map(|quantity| {
            let total = &said["metrics"][quantity.name()];
            Some((quantity, Total { count: total["count"].as_f64()?, sum: total["sum"].as_f64()? }))
        });
        Some(Done { requests, figures: Figures::of(totals) })
    }
}

impl Generated {
    fn from_json(said: &Value) -> Option<Generated> {
        Some(Generated {
            prompt_tokens: said["prompt_tokens"].as_u64()?,
            generated_tokens: said["generated_tokens"].as_u64()?,
            finish: said["finish"].as_str()?.to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn its_account_is_read() {
        let said = json!({"state": "done", "requests": [{"prompt_tokens": 4, "generated_tokens": 8, "finish": "length"}],
            "metrics": {"prompt_tokens": {"count": 4, "sum": 0.0}, "queue": {"count": 1, "sum": 0.5}}});
        let done = Done::from_json(&said).unwrap();
        assert_eq!(done.requests, [Generated { prompt_tokens: 4, generated_tokens: 8, finish: "length".into() }]);
        assert_eq!(done.figures.total(Quantity::Queue), Some(Total { count: 1.0, sum: 0.5 }));
        assert_eq!(done.figures.total(Quantity::Prefill), None);
        assert_eq!(Done::from_json(&json!({"state": "done"})), None);
    }
}
