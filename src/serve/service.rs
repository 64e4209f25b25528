//! What the main thread does while workers serve: it waits for news, and acts on it.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tracing::{info, warn};

use super::ServeError;
use super::account::Account;
use super::http::Http;
use super::inbox::{Event, Inbox};
use super::tls::Keeper;
use crate::choose::{is_shortage, refusal};
use crate::engine::{Engine, Stop};

/// What follows a signal within this time is the same wish: `timeout` and other wrappers signal the process
/// and then its group, which the process is in.
const REPEAT_AFTER: Duration = Duration::from_millis(250);

/// A server whose workers have been started.
pub(super) struct Service {
    pub(super) engine: &'static Engine,
    pub(super) workers: usize,
    pub(super) stop: Arc<Stop>,
    pub(super) http: Http,
    /// What is read again when it changes, where TLS is spoken.
    pub(super) tls: Option<Keeper>,
    pub(super) account: Account,
    /// What is said once all workers serve.
    pub(super) announcement: Vec<String>,
}

impl Service {
    /// Serves until all workers have said goodbye.
    ///
    /// # Errors
    /// What a worker died of.
    pub(super) fn run(self, inbox: &Inbox) -> Result<(), ServeError> {
        let served = self.supervise(inbox);
        let since = served
            .as_ref()
            .ok()
            .map_or(Duration::MAX, |told| told.elapsed());
        let left = self.stop.drain_timeout.saturating_sub(since);
        self.http.finish(left);
        info!("{}", self.account.done());
        served.map(|_| ())
    }

    /// Waits for every worker to serve, which is announced, for a signal, upon which all are to go, and for every
    /// worker to say goodbye. A signal that comes before all of them serve is obeyed once they do. When it came.
    fn supervise(&self, inbox: &Inbox) -> Result<Instant, ServeError> {
        let (mut starting, mut serving) = (self.workers, self.workers);
        let mut told: Option<Instant> = None;
        while serving > 0 {
            match inbox.next() {
                Event::Ready => {
                    starting -= 1;
                    if starting == 0 && told.is_none() {
                        self.announce();
                    }
                }
                Event::Signal(signal) => match told {
                    None => told = Some(self.drain()),
                    Some(first) if first.elapsed() < REPEAT_AFTER => {}
                    Some(_) => std::process::exit(128 + signal),
                },
                Event::Asked => self.tell(),
                Event::Reload => self.reload(),
                Event::Succeed => self.succeed(),
                Event::Ended(_, Ok(())) if told.is_some() => serving -= 1,
                // One ring was to be had when the engine was chosen, and now there are more of them.
                Event::Ended(_, Err(error)) if starting > 0 && is_shortage(&error) => {
                    return Err(refusal(self.engine, &error).into());
                }
                Event::Ended(number, outcome) => return Err(died(number, outcome)),
                Event::HttpPanicked => return Err(ServeError::Http),
            }
        }
        Ok(told.unwrap_or_else(Instant::now))
    }

    /// Says that all workers serve.
    fn announce(&self) {
        for line in &self.announcement {
            info!("{line}");
        }
    }

    /// Has everyone say goodbye, from now on.
    fn drain(&self) -> Instant {
        self.stop.drain();
        self.http.drain();
        info!(
            "stopping: closing connections, for at most {:?}",
            self.stop.drain_timeout
        );
        Instant::now()
    }

    /// Tells how things stand (SIGUSR1).
    fn tell(&self) {
        info!("holds {}", self.account.holdings());
        info!("so far {}", self.account.done());
    }

    /// Reads again what may have changed on disk (SIGHUP).
    fn reload(&self) {
        match &self.tls {
            Some(tls) => tls.reload(),
            None => info!("SIGHUP: there is nothing that would be read again"),
        }
    }

    /// Hands over to a successor (SIGUSR2).
    fn succeed(&self) {
        warn!("SIGUSR2: this server cannot hand over yet");
    }
}

fn died(number: usize, outcome: io::Result<()>) -> ServeError {
    let cause = match outcome {
        Ok(()) => "it stopped without being told to".to_owned(),
        Err(error) => error.to_string(),
    };
    ServeError::Worker { number, cause }
}
