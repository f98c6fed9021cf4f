//! One `EngineCoreOutputs`: what an iteration of the scheduler brought for each sequence, and the scheduler's figures.

use super::is_cut;
use crate::engine::report::{Finish, Frame, Iteration, Output, Report, Scheduler};
use crate::event::Nanos;
use crate::wire::msgpack::{Fault, Reader, Token};

/// How many fields it may have: those up to the timestamp must be there, versions append others (8 or 9 so far).
const FIELDS: std::ops::RangeInclusive<u32> = 4..=64;

/// Fields of an `EngineCoreOutput` behind its id and its tokens, at the same place in all versions.
const FINISH_REASON: u32 = 5;
const EVENTS: u32 = 7;
/// Behind here places differ: the statistics of the prefill are known by their names.
const FIRST_MOVED: u32 = 9;
/// Before there were such statistics, the number of cached tokens stood here. Later versions have no number here.
const CACHED_TOKENS: u32 = 10;

/// `EngineCoreEventType`.
const QUEUED: u64 = 1;
const SCHEDULED: u64 = 2;
const PREEMPTED: u64 = 3;

/// Reads `frame`, if it begins like an `EngineCoreOutputs`. What was read before a fault is said.
pub(super) fn read<'a>(frame: &Frame<'a>, say: &mut dyn FnMut(Report<'_>)) -> Result<(), Fault> {
    let mut reader = Reader::new(frame.bytes);
    let Some((index, outputs)) = begin(&mut reader) else {
        return Ok(());
    };
    let mut iteration = Iteration { index, truncated: true, ..Iteration::default() };
    let read = fill(&mut iteration, outputs, &mut reader);
    // Without either it answers a utility call or ends a wave; in a frame that was cut, something may have been.
    let is_iteration = !iteration.outputs.is_empty() || iteration.scheduler.is_some();
    if is_iteration || (read == Err(Fault::Truncated) && is_cut(frame)) {
        say(Report::Iteration(iteration));
    }
    read
}

/// The engine's index and the number of outputs; `None` for what begins differently.
fn begin(reader: &mut Reader<'_>) -> Option<(u32, u32)> {
    let fields = reader.array().ok()??;
    let index = reader.unsigned().ok()??;
    let outputs = reader.array().ok()??;
    FIELDS.contains(&fields).then_some((u32::try_from(index).ok()?, outputs))
}

fn fill<'a>(iteration: &mut Iteration<'a>, outputs: u32, reader: &mut Reader<'a>) -> Result<(), Fault> {
    for _ in 0..outputs {
        iteration.outputs.push(output(reader)?);
    }
    let figures = reader.token()?;
    match figures {
        Token::Nil => {}
        Token::Map(entries) => iteration.scheduler = scheduler(entries, reader)?,
        _ => return Err(Fault::Malformed),
    }
    iteration.at = reader.float()?.and_then(nanos);
    iteration.truncated = false;
    // Figures under names that this build does not know: the outputs are good all the same.
    if figures != Token::Nil && iteration.scheduler.is_none() {
        return Err(Fault::Malformed);
    }
    Ok(())
}

fn output<'a>(reader: &mut Reader<'a>) -> Result<Output<'a>, Fault> {
    let Some(fields @ 2..) = reader.array()? else {
        return Err(Fault::Malformed);
    };
    let id = reader.text()?.ok_or(Fault::Malformed)?;
    let mut output = Output { id, tokens: count(reader)?, ..Output::default() };
    for field in 2..fields {
        match field {
            FINISH_REASON => output.finish = finish(reader)?,
            EVENTS => events(&mut output, reader)?,
            FIRST_MOVED.. => moved(&mut output, field, reader)?,
            _ => reader.skip()?,
        }
    }
    Ok(output)
}

/// How many integers the array here has. Anything else in it would be another thing than a list of tokens: some versions
/// send arrays of numbers as a type, a shape and bytes.
fn count(reader: &mut Reader<'_>) -> Result<u64, Fault> {
    let tokens = reader.array()?.ok_or(Fault::Malformed)?;
    for _ in 0..tokens {
        reader.unsigned()?.ok_or(Fault::Malformed)?;
    }
    Ok(tokens.into())
}

fn finish(reader: &mut Reader<'_>) -> Result<Option<Finish>, Fault> {
    let token = reader.token()?;
    reader.skip_inside(token)?;
    Ok(match token {
        Token::Nil => None,
        Token::Unsigned(0) => Some(Finish::Stop),
        Token::Unsigned(1) => Some(Finish::Length),
        Token::Unsigned(2) => Some(Finish::Abort),
        Token::Unsigned(3) => Some(Finish::Error),
        Token::Unsigned(4) => Some(Finish::Repetition),
        _ => Some(Finish::Other),
    })
}

fn events(output: &mut Output<'_>, reader: &mut Reader<'_>) -> Result<(), Fault> {
    for _ in 0..reader.array()?.unwrap_or_default() {
        let (mut kind, mut at) = (None, None);
        for _ in 0..reader.map()?.unwrap_or_default() {
            match reader.text()? {
                Some("type") => kind = reader.unsigned()?,
                Some("timestamp") => at = reader.float()?.and_then(nanos),
                _ => reader.skip()?,
            }
        }
        match kind {
            Some(QUEUED) => output.queued = output.queued.or(at),
            Some(SCHEDULED) => output.scheduled = output.scheduled.or(at),
            Some(PREEMPTED) => output.preemptions = output.preemptions.saturating_add(1),
            _ => {}
        }
    }
    Ok(())
}

fn moved(output: &mut Output<'_>, field: u32, reader: &mut Reader<'_>) -> Result<(), Fault> {
    match reader.token()? {
        Token::Map(entries) => prefill(output, entries, reader),
        // An output without tokens may be an error's, of a sequence that was never looked up: then 0 is only the default.
        Token::Unsigned(cached) if field == CACHED_TOKENS && output.tokens > 0 => {
            output.cached_tokens = Some(cached);
            Ok(())
        }
        other => reader.skip_inside(other),
    }
}

/// Reads a map, which is that of the prefill's statistics if the prompt's length is in it.
fn prefill(output: &mut Output<'_>, entries: u32, reader: &mut Reader<'_>) -> Result<(), Fault> {
    let (mut prompt, mut cached) = (None, None);
    for _ in 0..entries {
        match reader.text()? {
            Some("num_prompt_tokens") => prompt = reader.unsigned()?,
            Some("num_cached_tokens") => cached = reader.unsigned()?,
            _ => reader.skip()?,
        }
    }
    if prompt.is_some() {
        output.prompt_tokens = prompt;
        output.cached_tokens = cached;
    }
    Ok(())
}

/// Reads the scheduler's figures; `None` where it doesn't say what runs and what waits.
fn scheduler(entries: u32, reader: &mut Reader<'_>) -> Result<Option<Scheduler>, Fault> {
    let mut figures = Scheduler::default();
    let (mut running, mut waiting, mut deferred) = (None, None, None);
    for _ in 0..entries {
        match reader.text()? {
            Some("num_running_reqs") => running = reader.unsigned()?,
            Some("num_waiting_reqs") => waiting = reader.unsigned()?,
            // Since 0.23 apart; before, they were among those that wait.
            Some("num_skipped_waiting_reqs") => deferred = reader.unsigned()?,
            Some("kv_cache_usage") => figures.kv_cache_usage = reader.float()?,
            Some("prefix_cache_stats") => prefix_cache(&mut figures, reader)?,
            _ => reader.skip()?,
        }
    }
    let (Some(running), Some(waiting)) = (running, waiting) else {
        return Ok(None);
    };
    figures.running = running;
    figures.waiting = waiting.saturating_add(deferred.unwrap_or_default());
    figures.kv_cache_usage = figures.kv_cache_usage.filter(|usage| is_said(*usage, running));
    Ok(Some(figures))
}

/// What runs has a place in the cache: 0 beside it is the field's default (before 0.32, in what an engine tells the
/// coordinator of several).
fn is_said(usage: f64, running: u64) -> bool {
    (0.0..=1.0).contains(&usage) && (usage > 0.0 || running == 0)
}

fn prefix_cache(figures: &mut Scheduler, reader: &mut Reader<'_>) -> Result<(), Fault> {
    for _ in 0..reader.map()?.unwrap_or_default() {
        match reader.text()? {
            Some("queries") => figures.prefix_queries = reader.unsigned()?,
            Some("hits") => figures.prefix_hits = reader.unsigned()?,
            _ => reader.skip()?,
        }
    }
    Ok(())
}

/// Seconds of a monotonic clock; `None` where they are none, and for 0, which is the default of what was not stamped.
fn nanos(seconds: f64) -> Option<Nanos> {
    let nanos = (seconds * 1e9).round();
    // The range leaves nothing for the conversion to cut off.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    (1.0..1e19).contains(&nanos).then_some(Nanos(nanos as u64))
}
