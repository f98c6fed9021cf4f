//! `inferscope record`: what the core would be told, on a tape.

use super::{failed, keep_memory, unusable};
use crate::cli::Record;
use crate::config::Config;
use crate::core::{Core, Options, Output};
use crate::live::{Arrived, Live};
use crate::log::Log;
use crate::tape::{Header, Text, Writer, Written};
use std::fs::File;
use std::io::BufWriter;
use std::process::ExitCode;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::signal::unix::{SignalKind, signal};

/// Records until SIGTERM, SIGINT or the given time.
pub(super) fn record(arguments: &Record) -> ExitCode {
    let config = match arguments.settings.load() {
        Ok(config) => config,
        Err(problems) => return unusable(&problems),
    };
    let _log = Log::start(&config.log);
    keep_memory();
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return failed(&format!("cannot start: {error}")),
    };
    match runtime.block_on(tape(arguments, &config)) {
        Ok(written) => {
            eprintln!("{} inputs, {} bytes in {}", written.inputs, written.bytes, arguments.tape.display());
            ExitCode::SUCCESS
        }
        Err(error) => failed(&error),
    }
}

async fn tape(arguments: &Record, config: &Config) -> anyhow::Result<Written> {
    let path = arguments.tape.display();
    let file = File::create(&arguments.tape).map_err(|error| anyhow::anyhow!("cannot write {path}: {error}"))?;
    let seconds = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let header = Header {
        created_at: format!("{seconds} seconds after 1970-01-01"),
        agent_version: env!("CARGO_PKG_VERSION").to_owned(),
        text: if arguments.keep_text { Text::Kept } else { Text::Masked },
    };
    let mut writer = Writer::new(BufWriter::new(file), &header)?;
    let mut live = Live::start(config)?;
    tracing::info!("recording to {path}; end with SIGINT");
    let mut failure = None;
    // The core runs along, so that connections which are nobody's request cost as little as in `run`.
    let mut core = Core::new(Options::default());
    let mut outputs = Vec::new();
    let mut batch = Vec::new();
    let mut write = |arrived, live: Option<&Live>| {
        let Arrived::Input(input) = arrived else { return };
        if failure.is_none() {
            failure = writer.write(&input).err();
        }
        core.step(input, &mut outputs);
        for output in outputs.drain(..) {
            if let (Output::Volume { conn, direction, volume }, Some(live)) = (output, live) {
                live.set_volume(&conn, direction, volume);
            }
        }
    };
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let end = tokio::time::sleep(Duration::from_secs(arguments.seconds.unwrap_or(u64::from(u32::MAX))));
    tokio::pin!(end);
    loop {
        let mut keep = |arrived| batch.push(arrived);
        tokio::select! {
            biased;
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
            () = &mut end => break,
            () = live.turn(&mut keep) => {}
        }
        batch.drain(..).for_each(|arrived| write(arrived, Some(&live)));
    }
    live.rest(&mut |arrived| write(arrived, None));
    let written = match failure {
        Some(error) => Err(anyhow::anyhow!("cannot write {path}: {error}")),
        None => writer.flush().map(|()| writer.written()).map_err(Into::into),
    };
    live.stop();
    written
}
