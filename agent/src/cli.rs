//! The command line: its types and its help. Runs nothing.

use crate::config::{Config, Invalid, parse_log_filter};
use crate::export::otlp::environment;
use crate::host::metadata::source::Source;
use clap::{Args, Parser, Subcommand};
use std::net::SocketAddr;
use std::path::PathBuf;

const EXAMPLES: &str = "\
Examples, as root:
  inferscope check                     first: what can be seen on this host, and why not the rest
  inferscope run                       attach to every server found; metrics on http://127.0.0.1:9464/metrics
  inferscope run --records -           also print each finished request as a line of JSON
  inferscope config --default          the beginning of a configuration; none is needed

Exit codes:
  0  done
  1  something failed while running; the last line says what
  2  the arguments or the configuration are wrong; nothing was started";

const CHECK_HELP: &str = "\
Run it first, as the user that will run the agent. It attaches to no server, and none notices it. A line that says
missing or problem says what to do about it.

Examples:
  inferscope check
  inferscope check --json | jq .servers
  inferscope check --engine-metrics --seconds 60    how far the agent's numbers are from the servers' own

Exit codes:
  0  everything that was found can be seen, or was compared
  1  nothing can run here, or a server that was found cannot be seen; the output says why
  2  the arguments or the configuration are wrong; nothing was checked";

const RUN_HELP: &str = "\
Needs root, or the capabilities that `inferscope check` names. The servers may be running already or start later, and are
not restarted. Metrics are on http://127.0.0.1:9464/metrics, if neither the configuration nor --listen says otherwise;
/status tells what is attached and what is not.

SIGTERM and SIGINT end it cleanly; SIGHUP reads the configuration again, or says why not and goes on with the old one.

Examples:
  inferscope run --listen 0.0.0.0:9464
  inferscope run --log info,bpf=debug
  inferscope run --records /var/log/inferscope/requests.jsonl";

const HEALTH_HELP: &str = "\
For installers, and for containers that hold no HTTP client.

Examples:
  inferscope health --wait 60       once the agent works, but for a minute at most
  HEALTHCHECK CMD [\"/inferscope\", \"health\"]

Exit codes:
  0  it works; prints where its metrics are
  1  it does not, or nobody answers; says which
  2  the arguments or the configuration are wrong; nothing was asked";

const RECORD_HELP: &str = "\
A tape holds what the kernel side reported: times, sizes, and the bytes that decoders need. By default it is redacted:
prompts and answers are blanked before anything is written, so that a tape can be attached to a bug report. With
--keep-text they are kept: such a tape is as confidential as the traffic.

Examples:
  inferscope record run.tape --seconds 60
  inferscope record run.tape               until SIGINT or SIGTERM";

const REPLAY_HELP: &str = "\
The same tape gives the same records and the same metrics, whatever the machine.

Examples:
  inferscope replay run.tape --records -
  inferscope replay run.tape --metrics";

const CONFIG_HELP: &str = "\
Examples:
  inferscope config --default > inferscope.yaml     then keep what differs; the rest has its default
  inferscope config --config inferscope.yaml        what it would have in effect; exit code 2 and every mistake if it is wrong";

/// Measures inference servers from outside: attaches to running vLLM, Triton and ComfyUI with eBPF, and exports request
/// latency, time to first token, inter-token latency, and what their GPUs do, to Prometheus and over OTLP. The servers are
/// neither changed nor restarted, and prompts are never kept.
#[derive(Clone, Debug, PartialEq, Eq, Parser)]
#[command(name = "inferscope", version, after_help = EXAMPLES)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Clone, Debug, PartialEq, Eq, Subcommand)]
pub enum Command {
    /// Watch the servers of this host and export their metrics.
    #[command(after_help = RUN_HELP)]
    Run(Run),
    /// Say what can be seen on this host, what cannot, and why. Changes nothing.
    #[command(after_help = CHECK_HELP)]
    Check(Check),
    /// Ask the running agent whether it does its work.
    #[command(after_help = HEALTH_HELP)]
    Health(Health),
    /// Write what the kernel side reports to a file, a tape: for bug reports, prompts blanked.
    #[command(after_help = RECORD_HELP)]
    Record(Record),
    /// Make the request log and metrics from a tape. Needs no privileges.
    #[command(after_help = REPLAY_HELP)]
    Replay(Replay),
    /// Print the configuration in effect, with comments, or all that is wrong with it.
    #[command(after_help = CONFIG_HELP)]
    Config(Show),
}

/// Where the configuration comes from, and what overrides it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Args)]
pub struct Settings {
    /// The configuration; without it, /etc/inferscope/inferscope.yaml if it is there, else the defaults.
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// What to log, instead of the configured filter, for example info,bpf=debug.
    #[arg(long, value_name = "FILTER", value_parser = parse_log_filter)]
    pub log: Option<String>,
}

/// Arguments of `run`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Args)]
#[allow(missing_docs)]
pub struct Run {
    #[command(flatten)]
    pub settings: Settings,
    /// Address of /metrics, /healthz and /status, instead of the configured one.
    #[arg(long, value_name = "ADDRESS")]
    pub listen: Option<SocketAddr>,
    /// Append each finished request to FILE as one line of JSON; - is standard output. Holds no prompt and no answer.
    #[arg(long, value_name = "FILE")]
    pub records: Option<PathBuf>,
}

/// Arguments of `check`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Args)]
pub struct Check {
    /// The configuration, as for `run`.
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Print JSON instead of text.
    #[arg(long)]
    pub json: bool,
    /// Compare what the running agent counted and timed with the servers' own metrics.
    #[arg(long, conflicts_with = "json")]
    pub engine_metrics: bool,
    /// With --engine-metrics: compare only what happens within the next N seconds, instead of all since both began.
    #[arg(long, value_name = "N", requires = "engine_metrics")]
    pub seconds: Option<u64>,
    /// Load every program and print the instructions that the verifier counted.
    #[arg(long, hide = true)]
    pub programs: bool,
}

/// Arguments of `health`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Args)]
pub struct Health {
    /// The configuration that the agent runs with, as for `run`.
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Where it listens, instead of the configured address.
    #[arg(long, value_name = "ADDRESS")]
    pub listen: Option<SocketAddr>,
    /// Ask again until it works, for so many seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 0)]
    pub wait: u64,
}

/// Arguments of `record`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Args)]
#[allow(missing_docs)]
pub struct Record {
    /// The tape to write.
    #[arg(value_name = "FILE")]
    pub tape: PathBuf,
    #[command(flatten)]
    pub settings: Settings,
    /// Stop after so long.
    #[arg(long, value_name = "N")]
    pub seconds: Option<u64>,
    /// Keep prompts and answers. Without this they are blanked before anything is written.
    #[arg(long)]
    pub keep_text: bool,
}

/// Arguments of `replay`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Args)]
pub struct Replay {
    /// The tape to read.
    #[arg(value_name = "FILE")]
    pub tape: PathBuf,
    /// Write each finished request to FILE as one line of JSON; - is standard output.
    #[arg(long, value_name = "FILE")]
    pub records: Option<PathBuf>,
    /// Print the metrics at the end, in Prometheus' text format.
    #[arg(long)]
    pub metrics: bool,
}

/// Arguments of `config`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Args)]
pub struct Show {
    /// The configuration to print, as for `run`.
    #[arg(long, value_name = "FILE", conflicts_with = "default")]
    pub config: Option<PathBuf>,
    /// Print the defaults, whatever is configured: the beginning of a file of one's own.
    #[arg(long)]
    pub default: bool,
}

impl Settings {
    /// The configuration, overridden by what the command line says.
    ///
    /// # Errors
    /// With every problem of the file at once.
    pub fn load(&self) -> Result<Config, Invalid> {
        let Settings { config, log } = self;
        let mut loaded = Config::load(config.as_deref())?;
        loaded.log = log.clone().unwrap_or(loaded.log);
        Ok(loaded)
    }
}

impl Run {
    /// As [`Settings::load`], the address as the command line says, and what the OTEL_* variables say. Others that settings
    /// refer to must be there.
    ///
    /// # Errors
    /// With every problem of the file at once, or every one of the environment.
    pub fn load(&self) -> Result<Config, Invalid> {
        let mut loaded = self.settings.load()?;
        loaded.otlp = environment::complete(loaded.otlp, &environment::process).map_err(Invalid::environment)?;
        // Whom to ask must be known before anything starts.
        Source::new(&loaded.pods.metadata, environment::process)
            .map_err(|unsaid| Invalid::environment(vec![unsaid.to_string()]))?;
        loaded.listen = self.listen.unwrap_or(loaded.listen);
        Ok(loaded)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]

    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_definition_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn flags_override_the_configuration() {
        let cli = Cli::try_parse_from(["inferscope", "run", "--listen", "[::1]:9", "--log", "warn"]).unwrap();
        let Command::Run(run) = cli.command else { panic!("not run") };
        let settings = Settings { config: Some("/dev/null".into()), ..run.settings };
        let config = Run { settings, ..run }.load().unwrap();
        assert_eq!((config.listen.to_string().as_str(), config.log.as_str()), ("[::1]:9", "warn"));
    }

    #[test]
    fn wrong_arguments_exit_with_2_and_say_what_is_right() {
        for (arguments, expected) in [
            (vec!["run", "--listen", "9464"], "invalid socket address"),
            (vec!["run", "--log", "a=b=c"], "expected a filter like"),
            (vec!["replay"], "<FILE>"),
            (vec!["config", "--default", "--config", "x"], "cannot be used with"),
        ] {
            let error = Cli::try_parse_from(["inferscope"].into_iter().chain(arguments)).unwrap_err();
            assert_eq!(error.exit_code(), 2);
            assert!(error.to_string().contains(expected), "{error}");
        }
    }

    #[test]
    fn help_teaches() {
        let mut command = Cli::command();
        assert!(command.render_help().to_string().contains("Exit codes:"));
        let record = command.find_subcommand_mut("record").unwrap().render_long_help().to_string();
        assert!(record.contains("redacted"), "{record}");
        let check = command.find_subcommand_mut("check").unwrap().render_long_help().to_string();
        assert!(!check.contains("--programs"), "{check}");
    }
}
