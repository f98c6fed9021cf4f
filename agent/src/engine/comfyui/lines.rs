//! The lines that ComfyUI writes while it works, to its standard error or output.
//!
//! None names a job. Of an exception only the type is kept, from the last line of its traceback: its message may hold
//! anything. Progress bars of other things than samplers (downloads, decoders) have a title or another unit.

use crate::engine::job::{Lasted, Outcome, Report};

/// The server begins to listen: what it worked on before is gone.
const LISTENING: &[u8] = b"Starting server";
/// A model goes to where it computes.
const LOADING: &[u8] = b"Requested to load ";
/// It is there, all of it or as much as fits.
const LOADED: [&[u8]; 2] = [b"loaded completely", b"loaded partially"];
/// A node failed; its exception follows.
const FAILED: &[u8] = b"!!! Exception during processing";
/// An exception's frames follow.
const TRACEBACK: &[u8] = b"Traceback (most recent call last):";
/// Somebody interrupted the job.
const INTERRUPTED: &[u8] = b"Processing interrupted";
/// The job is over.
const WORKED: &[u8] = b"Prompt executed in ";

/// Half of the hundredth of a second that times below ten minutes are rounded to.
const ROUNDING: u64 = 5_000_000;
const SECOND: u64 = 1_000_000_000;

/// Longest name of an exception.
const MAX_NAME: usize = 128;

/// The lines of one server.
#[derive(Debug, Default)]
pub(super) struct Lines {
    exception: Exception,
}

/// Where in the report of an exception the lines are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Exception {
    /// In none.
    #[default]
    None,
    /// A node failed.
    Failed,
    /// In the frames of a traceback, behind which the type stands.
    Frames,
}

impl Lines {
    /// Reads a line.
    pub fn read(&mut self, line: &[u8], say: &mut dyn FnMut(Report<'_>)) {
        if let Some(rest) = line.strip_prefix(WORKED) {
            if let Some(lasted) = lasted(rest.trim_ascii()) {
                self.exception = Exception::None;
                say(Report::Worked(lasted));
            }
        } else if line.starts_with(FAILED) {
            self.exception = Exception::Failed;
            say(Report::Failed(Outcome::Error(String::new())));
        } else if self.exception == Exception::Frames {
            self.frame(line, say);
        } else if self.exception == Exception::Failed && line.starts_with(TRACEBACK) {
            self.exception = Exception::Frames;
        } else if line.starts_with(LOADING) {
            say(Report::Loading);
        } else if LOADED.iter().any(|loaded| line.starts_with(loaded)) {
            say(Report::Loaded);
        } else if line.starts_with(INTERRUPTED) {
            say(Report::Failed(Outcome::Interrupted));
        } else if line.trim_ascii_end() == LISTENING {
            self.exception = Exception::None;
            say(Report::Listening);
        } else if let Some((value, max)) = bar(line) {
            say(Report::Bar { value, max });
        }
    }

    /// A line of a traceback: frames are indented, the exception is not.
    fn frame(&mut self, line: &[u8], say: &mut dyn FnMut(Report<'_>)) {
        if line.is_empty() || line.starts_with(b" ") {
            return;
        }
        // Another traceback may follow: an exception that came of this one.
        self.exception = Exception::Failed;
        let name = line.split(|byte| *byte == b':').next().unwrap_or_default();
        if let Some(name) = name_of(name) {
            say(Report::Failed(Outcome::Error(name.to_owned())));
        }
    }
}

/// The name of an exception's type: words with dots between them.
fn name_of(bytes: &[u8]) -> Option<&str> {
    let name = str::from_utf8(bytes).ok().filter(|name| name.len() <= MAX_NAME)?;
    let is_word = |word: &str| {
        word.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
            && word.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
    };
    name.split('.').all(is_word).then_some(name)
}

/// `0.16 seconds`, from ten minutes on `00:12:34`, which is cut to whole seconds.
fn lasted(text: &[u8]) -> Option<Lasted> {
    let text = str::from_utf8(text).ok()?;
    if let Some(seconds) = text.strip_suffix(" seconds") {
        let (whole, hundredths) = seconds.split_once('.')?;
        if hundredths.len() != 2 {
            return None;
        }
        let (whole, hundredths): (u64, u64) = (whole.parse().ok()?, hundredths.parse().ok()?);
        let nanos = whole.checked_mul(SECOND)?.checked_add(hundredths.checked_mul(SECOND / 100)?)?;
        return Some(Lasted { least: nanos.saturating_sub(ROUNDING), most: nanos.checked_add(ROUNDING)? });
    }
    let mut parts = text.split(':').map(|part| part.parse::<u64>().ok());
    let (hours, minutes, seconds) = (parts.next()??, parts.next()??, parts.next()??);
    if parts.next().is_some() {
        return None;
    }
    let seconds = hours.checked_mul(3600)?.checked_add(minutes.checked_mul(60)?)?.checked_add(seconds)?;
    let least = seconds.checked_mul(SECOND)?;
    Some(Lasted { least, most: least.checked_add(SECOND)? })
}

/// `" 12%|#2        | 1/8 [00:00<00:06,  1.00it/s]"`: steps that are done, and steps in all.
fn bar(line: &[u8]) -> Option<(u64, u64)> {
    let (percent, rest) = cut(line.trim_ascii_start(), b"%|")?;
    if !percent.iter().all(u8::is_ascii_digit) || percent.is_empty() {
        return None;
    }
    let (_, rest) = cut(rest, b"| ")?;
    let (counts, rest) = cut(rest, b" [")?;
    let (value, max) = cut(counts, b"/")?;
    let (_, rate) = cut(rest, b", ")?;
    // At the beginning there is no rate yet.
    let steps = [&b"it/s"[..], b"s/it"].iter().any(|unit| rate.windows(unit.len()).any(|part| part == *unit));
    let number = |bytes: &[u8]| str::from_utf8(bytes).ok()?.parse::<u64>().ok();
    Some((number(value)?, number(max)?)).filter(|_| steps)
}

/// What stands before and behind the first `mark`.
fn cut<'l>(line: &'l [u8], mark: &[u8]) -> Option<(&'l [u8], &'l [u8])> {
    let at = line.windows(mark.len()).position(|part| part == mark)?;
    Some((line.get(..at)?, line.get(at.checked_add(mark.len())?..)?))
}

#[cfg(test)]
mod tests;
