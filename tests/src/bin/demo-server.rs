//! The small server as a process of its own, for the demo and for tests that observe a process.

use clap::Parser;
use inferscope_tests::openai_server::{OpenAiServer, Options};
use std::io;
use std::time::Duration;

/// A small OpenAI-compatible server that makes DEMO TRAFFIC: its words mean nothing.
#[derive(Parser)]
struct Arguments {
    /// Port on loopback; 0 takes a free one
    #[arg(long, default_value_t = 0)]
    port: u16,
    /// Milliseconds from token to token
    #[arg(long, default_value_t = 20)]
    token_ms: u64,
    /// Name of the model
    #[arg(long, default_value = "demo")]
    model: String,
}

fn main() -> io::Result<()> {
    let Arguments { port, token_ms, model } = Arguments::parse();
    let server = OpenAiServer::start(Options { port, token_time: Duration::from_millis(token_ms), model })?;
    println!("demo traffic only: http://{}", server.address());
    server.join();
    Ok(())
}
