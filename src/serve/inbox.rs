//! What the main thread waits for: signals, and news of the workers.

use std::io;
use std::sync::mpsc::{self, Receiver, SendError, Sender};
use std::thread;
use std::time::{Duration, Instant};

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGUSR1, SIGUSR2};
use signal_hook::iterator::Signals;

use super::succession::News;

/// A piece of news.
pub(super) enum Event {
    /// A worker serves.
    Ready,
    /// A worker has ended, with what came of it.
    Ended(usize, io::Result<()>),
    /// The thread of the HTTP side has panicked.
    HttpPanicked,
    /// The process was told to stop, by this signal.
    Signal(i32),
    /// The process was asked how things stand.
    Asked,
    /// The process was told to read again what may have changed on disk.
    Reload,
    /// The process was told to hand over to a successor.
    Succeed,
    /// What became of that, or of the process that this one succeeds.
    Succession(News),
}

/// Where news is told.
#[derive(Clone)]
pub(super) struct Events(Sender<Event>);

impl Events {
    /// Tells. Nobody hears it where the main thread has ended serving already.
    pub(super) fn send(&self, event: Event) {
        let _ = self.0.send(event);
    }
}

/// Where the main thread hears of it. While there is one, SIGTERM and SIGINT are news; once it is dropped,
/// they end the process. SIGHUP, SIGUSR1 and SIGUSR2 never do.
pub struct Inbox {
    events: Events,
    news: Receiver<Event>,
    /// Whether [`Inbox::is_told_within`] has met a signal.
    told: bool,
}

impl Inbox {
    /// Starts to watch for signals.
    ///
    /// # Errors
    /// Where there are no descriptors or threads left.
    pub fn open() -> io::Result<Self> {
        let mut signals = Signals::new([SIGTERM, SIGINT, SIGHUP, SIGUSR1, SIGUSR2])?;
        let (sender, news) = mpsc::channel();
        let events = Events(sender.clone());
        thread::Builder::new()
            .name("signals".to_owned())
            .spawn(move || {
                for signal in signals.forever() {
                    let event = match signal {
                        SIGUSR1 => Event::Asked,
                        SIGHUP => Event::Reload,
                        SIGUSR2 => Event::Succeed,
                        signal => Event::Signal(signal),
                    };
                    // Where nobody serves any more, there is nothing to do but to end.
                    if let Err(SendError(Event::Signal(signal))) = sender.send(event) {
                        std::process::exit(128 + signal);
                    }
                }
            })?;
        Ok(Inbox {
            events,
            news,
            told: false,
        })
    }

    /// For those who have news.
    pub(super) fn events(&self) -> Events {
        self.events.clone()
    }

    /// The next piece of news.
    pub(super) fn next(&self) -> Event {
        self.news.recv().expect("the inbox has a sender of its own")
    }

    /// The next piece of news; none until then.
    pub(super) fn next_until(&self, then: Instant) -> Option<Event> {
        let left = then.saturating_duration_since(Instant::now());
        self.news.recv_timeout(left).ok()
    }

    /// Whether the process was told to stop, or is within `span`. To be asked only while there are no
    /// workers: what they tell would be lost.
    pub(super) fn is_told_within(&mut self, span: Duration) -> bool {
        self.told |= matches!(self.news.recv_timeout(span), Ok(Event::Signal(_)));
        self.told
    }
}
