//! A thread that asks somebody the same question again and again: now and then, and soon when it is prompted. Whoever is asked
//! may take his time, or hang: nothing else waits for him.
//!
//! Knows neither question nor answer.

use std::io;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};
use tokio::sync::{Notify, oneshot};

/// At least so long between two calls, however often it is prompted.
const PAUSE: Duration = Duration::from_secs(1);

/// What is asked, of whom.
pub trait Question: Send + 'static {
    /// What is said.
    type Answer;
    /// Why nothing is.
    type Refusal;

    /// Asks once, within bounded time.
    fn ask(&self) -> impl Future<Output = Result<Self::Answer, Self::Refusal>>;
}

/// When it is asked, and how long an answer holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rhythm {
    /// Between two calls.
    pub interval: Duration,
    /// An answer holds for so long after silence began.
    pub belief: Duration,
}

/// What a turn brought.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Turn<A, R> {
    /// This is so now.
    Known(A),
    /// Nobody answers; what was known holds.
    Silent(R),
    /// Nobody has answered for a while: nothing is known.
    Unknown(R),
}

/// The thread; it ends when this is dropped, within the call that it is in.
#[derive(Debug)]
pub struct Inquiry {
    _stop: oneshot::Sender<()>,
    prompt: Arc<Notify>,
}

/// What the thread has.
struct Asker<Q, F> {
    question: Q,
    rhythm: Rhythm,
    prompt: Arc<Notify>,
    heard: Option<Instant>,
    tell: F,
}

impl Inquiry {
    /// Asks from now on, on a thread of this name; what comes of it goes to `tell`, on that thread.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn start<Q: Question>(
        name: &str,
        question: Q,
        rhythm: Rhythm,
        tell: impl FnMut(Turn<Q::Answer, Q::Refusal>) + Send + 'static,
    ) -> io::Result<Inquiry> {
        let (stop, stopped) = oneshot::channel();
        let prompt = Arc::new(Notify::new());
        let asker = Asker { question, rhythm, prompt: Arc::clone(&prompt), heard: None, tell };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        thread::Builder::new().name(name.to_owned()).spawn(move || runtime.block_on(asker.run(stopped)))?;
        Ok(Inquiry { _stop: stop, prompt })
    }

    /// Something is new: ask soon.
    pub fn prompt(&self) {
        self.prompt.notify_one();
    }
}

impl<Q: Question, F: FnMut(Turn<Q::Answer, Q::Refusal>)> Asker<Q, F> {
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
        let turn = match self.question.ask().await {
            Ok(answer) => {
                self.heard = Some(Instant::now());
                Turn::Known(answer)
            }
            Err(refusal) if self.heard.is_some_and(|heard| heard.elapsed() < self.rhythm.belief) => {
                Turn::Silent(refusal)
            }
            Err(refusal) => {
                self.heard = None;
                Turn::Unknown(refusal)
            }
        };
        (self.tell)(turn);
    }

    async fn pause(&self) {
        let interval = self.rhythm.interval;
        tokio::time::sleep(PAUSE.min(interval)).await;
        tokio::select! {
            () = self.prompt.notified() => {}
            () = tokio::time::sleep(interval.saturating_sub(PAUSE)) => {}
        }
    }
}
