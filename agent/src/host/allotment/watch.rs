//! The thread that asks the kubelet, now and then and when a container is new. A kubelet may take its time, or hang: nothing
//! else waits for it.

use super::Allotments;
use super::kubelet::{self, Refusal};
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};
use tokio::sync::{Notify, oneshot};

/// What the kubelet said is believed for so long after it fell silent: a restart takes it seconds, and pods outlive it.
const BELIEF: Duration = Duration::from_secs(60);
/// At least so long between two calls, however many containers are new.
const PAUSE: Duration = Duration::from_secs(1);

/// The thread; it ends when this is dropped, behind the call that it is in.
#[derive(Debug)]
pub struct Watch {
    _stop: oneshot::Sender<()>,
    prompt: Arc<Notify>,
}

/// What a turn brought.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Turn {
    /// This is how devices are given now.
    Known(Allotments),
    /// Nobody answers; what was known holds.
    Silent(Refusal),
    /// Nobody has answered for a while: nothing is known.
    Unknown(Refusal),
}

/// What the thread has.
struct Asker<F> {
    socket: PathBuf,
    interval: Duration,
    prompt: Arc<Notify>,
    belief: Duration,
    heard: Option<Instant>,
    tell: F,
}

impl Watch {
    /// Asks at `socket` every `interval`; what comes of it goes to `tell`, on that thread.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn start(socket: PathBuf, interval: Duration, tell: impl FnMut(Turn) + Send + 'static) -> io::Result<Watch> {
        Watch::believing(BELIEF, socket, interval, tell)
    }

    pub(super) fn believing(
        belief: Duration,
        socket: PathBuf,
        interval: Duration,
        tell: impl FnMut(Turn) + Send + 'static,
    ) -> io::Result<Watch> {
        let (stop, stopped) = oneshot::channel();
        let prompt = Arc::new(Notify::new());
        let asker = Asker { socket, interval, prompt: Arc::clone(&prompt), belief, heard: None, tell };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        thread::Builder::new().name("pods".to_owned()).spawn(move || runtime.block_on(asker.run(stopped)))?;
        Ok(Watch { _stop: stop, prompt })
    }

    /// A container is new: ask soon.
    pub fn prompt(&self) {
        self.prompt.notify_one();
    }
}

impl<F: FnMut(Turn)> Asker<F> {
    async fn run(mut self, mut stopped: oneshot::Receiver<()>) {
        loop {
            tokio::select! {
                _ = &mut stopped => return,
                () = self.turn() => {}
            }
            tokio::select! {
                _ = &mut stopped => return,
                () = self.pause() => {}
            }
        }
    }

    async fn turn(&mut self) {
        let turn = match kubelet::list(&self.socket).await {
            Ok(list) => {
                self.heard = Some(Instant::now());
                Turn::Known(Allotments::of(&list))
            }
            Err(refusal) if self.heard.is_some_and(|heard| heard.elapsed() < self.belief) => Turn::Silent(refusal),
            Err(refusal) => {
                self.heard = None;
                Turn::Unknown(refusal)
            }
        };
        (self.tell)(turn);
    }

    async fn pause(&self) {
        tokio::time::sleep(PAUSE.min(self.interval)).await;
        tokio::select! {
            () = self.prompt.notified() => {}
            () = tokio::time::sleep(self.interval.saturating_sub(PAUSE)) => {}
        }
    }
}
