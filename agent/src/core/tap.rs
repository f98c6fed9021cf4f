//! One place where a server's messages are read, frame by frame: what the engine's reader makes of them goes to the group.
//!
//! Where nothing is understood among a number of frames, the place is given up. How frames are put together is not known
//! here.

use super::Output;
use super::connection::Fate;
use super::group::{End, Group};
use crate::engine::Engine;
use crate::engine::report::{Frame, Messages, Report};
use crate::event::Nanos;

/// Frames that meant nothing, before nobody listens any more: worker processes are woken through such sockets.
const MAX_STRANGE: u32 = 256;

/// A place where messages are read.
pub(super) struct Tap {
    engine: &'static dyn Engine,
    end: End,
    reader: Box<dyn Messages>,
    strange: u32,
    understood: bool,
}

/// What a frame said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Said {
    Nothing,
    Something,
    /// That a sequence was handed to the scheduler.
    HandedOver,
}

impl Tap {
    /// `None` where servers of this kind have no messages.
    pub fn new(engine: &'static dyn Engine, end: End) -> Option<Tap> {
        Some(Tap { engine, end, reader: engine.messages()?, strange: 0, understood: false })
    }

    /// Reads one frame.
    pub fn frame(&mut self, time: Nanos, frame: &Frame<'_>, group: &mut Group, out: &mut Vec<Output>) -> Said {
        let (mut issues, mut said) = (Vec::new(), Said::Nothing);
        let end = self.end;
        self.reader.frame(frame, &mut issues, &mut |report| {
            said = match report {
                Report::Added { .. } => Said::HandedOver,
                Report::Aborted { .. } | Report::Iteration(_) => Said::Something,
            };
            group.report(time, end, report, out);
        });
        out.extend(issues.into_iter().map(Output::Issue));
        self.understood |= said != Said::Nothing;
        self.passed();
        said
    }

    /// Something passed in which no frame was found; it counts like one that meant nothing.
    pub fn passed(&mut self) {
        self.strange = self.strange.saturating_add(1);
    }

    /// Whether to go on.
    pub fn fate(&self) -> Fate {
        if self.understood || self.strange < MAX_STRANGE { Fate::Lives } else { Fate::Unwatched }
    }

    /// The next frame does not continue the message of the last.
    pub fn restart(&mut self) {
        if let Some(reader) = self.engine.messages() {
            self.reader = reader;
        }
    }

    /// Whether any frame meant something.
    pub fn has_understood(&self) -> bool {
        self.understood
    }
}
