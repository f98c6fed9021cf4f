//! The load client as a program: a line of JSON for each request.

use anyhow::{Context, Result, anyhow};
use clap::Parser;
use inferscope_tests::load::{self, Delivery, Endpoint, Limit, Options, Seen};
use std::fs::File;
use std::io::{BufWriter, Write};
use std::net::{SocketAddr, ToSocketAddrs};
use std::path::PathBuf;
use std::sync::Mutex;
use std::time::Duration;

/// Asks an OpenAI-compatible server and writes what each client saw, timed by CLOCK_MONOTONIC.
#[derive(Parser)]
struct Arguments {
    /// The server: http://HOST:PORT
    #[arg(long)]
    base: String,
    /// Its model
    #[arg(long, default_value = "demo")]
    model: String,
    /// Concurrent clients
    #[arg(long, default_value_t = 8)]
    streams: u32,
    /// Ask for so many seconds
    #[arg(long, default_value_t = 10, conflicts_with = "requests")]
    seconds: u64,
    /// Ask so many times with each client, instead of for a time
    #[arg(long)]
    requests: Option<u64>,
    /// Tokens of each answer
    #[arg(long, default_value_t = 64)]
    max_tokens: u64,
    /// Ask /v1/chat/completions instead of /v1/completions
    #[arg(long)]
    chat: bool,
    /// Ask for answers in one piece
    #[arg(long)]
    no_stream: bool,
    /// The prompt
    #[arg(long, default_value = "the quick brown fox jumps")]
    prompt: String,
    /// A file for the records, one JSON object a line; without it only the totals are printed
    #[arg(long)]
    out: Option<PathBuf>,
}

#[derive(Default)]
struct Totals {
    requests: u64,
    failed: u64,
    tokens: u64,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let file = arguments.out.as_ref().map(|path| File::create(path).with_context(|| path.display().to_string()));
    let state = Mutex::new((Totals::default(), file.transpose()?.map(BufWriter::new), Ok(())));
    load::run(&arguments.options()?, &|seen| {
        let mut state = state.lock().expect("no client panics while it records");
        state.0.add(&seen);
        if let Some(file) = &mut state.1 {
            let written = writeln!(file, "{}", seen.to_json());
            state.2 = std::mem::replace(&mut state.2, Ok(())).and(written);
        }
    });
    let (totals, file, written) = state.into_inner().expect("no client panics while it records");
    written.context("a record could not be written")?;
    file.map(|mut file| file.flush()).transpose()?;
    println!("requests {}, failed {}, tokens {}", totals.requests, totals.failed, totals.tokens);
    Ok(())
}

impl Arguments {
    fn options(&self) -> Result<Options> {
        let time = Limit::Time(Duration::from_secs(self.seconds));
        Ok(Options {
            streams: self.streams,
            limit: self.requests.map_or(time, Limit::Requests),
            max_tokens: self.max_tokens,
            endpoint: if self.chat { Endpoint::Chat } else { Endpoint::Completions },
            delivery: if self.no_stream { Delivery::Whole } else { Delivery::Streamed },
            prompt: self.prompt.clone(),
            ..Options::new(address(&self.base)?, &self.model)
        })
    }
}

fn address(base: &str) -> Result<SocketAddr> {
    let host = base.strip_prefix("http://").ok_or_else(|| anyhow!("--base: only http://HOST:PORT is understood"))?;
    let mut addresses = host.trim_end_matches('/').to_socket_addrs().with_context(|| format!("--base {base}"))?;
    addresses.next().with_context(|| format!("--base {base} has no address"))
}

impl Totals {
    fn add(&mut self, seen: &Seen) {
        self.requests += 1;
        self.failed += u64::from(seen.status != Some(200) || seen.error.is_some());
        self.tokens += seen.completion_tokens.unwrap_or(0);
    }
}
