//! What the main thread does while workers serve: it waits for news, and acts on it.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tracing::{info, warn};

use super::ServeError;
use super::account::Account;
use super::admin::Desk;
use super::http::Http;
use super::inbox::{Event, Inbox};
use super::manager::{self, Watchdog};
use super::secrets;
use super::succession::{Accession, Estate, Handover, Inheritance, News};
use super::tls::Keeper;
use crate::admin::State;
use crate::choose::{is_shortage, refusal};
use crate::engine::{Engine, Goodbye, Stop};
use crate::protocol::CloseCode;

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
    /// The same where there are secrets.
    pub(super) secrets: Option<secrets::Keeper>,
    pub(super) account: Account,
    /// Answers the operator, until the end or until a successor does.
    pub(super) desk: Desk,
    /// What is said once all workers serve.
    pub(super) announcement: Vec<String>,
    pub(super) estate: Arc<Estate>,
    pub(super) succession: Succession,
    /// How long it serves on once it is told to stop, and how it says goodbye then.
    pub(super) drain_delay: Duration,
    pub(super) goodbye: Goodbye,
    /// Whoever supervises this process takes its end for the service's.
    pub(super) supervisor_is_deaf: bool,
    /// Shows the service manager that all goes on, if it wants to see that.
    pub(super) watchdog: Option<Watchdog>,
}

/// Where this process stands between the one before it and the one after it.
pub(super) enum Succession {
    /// There is no other, or none that it has anything to do with.
    None,
    /// Once its workers are ready it takes over from the one before it.
    Inherits(Inheritance, Vec<usize>),
    /// It takes over.
    Accedes(Accession),
    /// It was to take over, and leaves whoever it does not have yet to the one before it.
    Renounces,
    /// It hands over.
    HandsOver(Handover),
    /// It has handed over, and has only to end.
    Over(Handover),
}

impl Service {
    /// Serves until all workers have said goodbye.
    ///
    /// # Errors
    /// What a worker died of.
    pub(super) fn run(mut self, inbox: &Inbox) -> Result<(), ServeError> {
        let served = self.supervise(inbox);
        let since = served
            .as_ref()
            .ok()
            .map_or(Duration::MAX, |told| told.elapsed());
        // Nobody accepts here any more: whoever comes hears so at once, unless a successor listens.
        if let Some(estate) = Arc::get_mut(&mut self.estate) {
            estate.listeners.0.clear();
        }
        let left = self.stop.drain_timeout.saturating_sub(since);
        self.http.finish(left);
        if let Succession::Over(handover) = self.succession {
            handover.finish(&self.estate.exchange);
        }
        info!("{}", self.account.done());
        served.map(|_| ())
    }

    /// Waits for every worker to serve, which is announced, for a signal, upon which all are to go, and for every
    /// worker to say goodbye. A signal that comes before all of them serve is obeyed once they do. When the end began.
    fn supervise(&mut self, inbox: &Inbox) -> Result<Instant, ServeError> {
        let (mut starting, mut serving) = (self.workers, self.workers);
        let mut told: Option<Instant> = None;
        let mut leaves: Option<Instant> = None;
        while serving > 0 {
            let drains = told.filter(|_| leaves.is_none() && !self.hands_over());
            let drains = drains.map(|told| told + self.drain_delay);
            if drains.is_some_and(|due| due <= Instant::now()) {
                leaves = Some(self.drain());
            }
            let watches = self.watchdog.as_ref().map(Watchdog::due);
            let due = [drains.filter(|_| leaves.is_none()), watches];
            let event = match due.into_iter().flatten().min() {
                Some(due) => inbox.next_until(due),
                None => Some(inbox.next()),
            };
            let Some(event) = event else {
                self.watch();
                continue;
            };
            match event {
                Event::Ready => {
                    starting -= 1;
                    if starting == 0 && told.is_none() {
                        self.begin(inbox)?;
                    }
                }
                Event::Signal(signal) => match told {
                    None => {
                        told = Some(Instant::now());
                        self.announce_end(leaves.is_some());
                    }
                    Some(first) if first.elapsed() < REPEAT_AFTER => {}
                    Some(_) => std::process::exit(128 + signal),
                },
                Event::Asked => self.tell(),
                Event::Reload => self.reload(),
                Event::Succeed if told.is_some() || leaves.is_some() => {
                    warn!("SIGUSR2: this process is on its way down already");
                }
                Event::Succeed if starting > 0 => {
                    warn!("SIGUSR2: not all workers serve yet; try again");
                }
                Event::Succeed => self.succeed(inbox),
                Event::Succession(news) => {
                    if self.hear(news, told.is_some(), leaves.is_some()) {
                        leaves = Some(self.leave());
                    }
                }
                Event::Ended(_, Ok(())) if leaves.is_some() => serving -= 1,
                // One ring was to be had when the engine was chosen, and now there are more of them.
                Event::Ended(_, Err(error)) if starting > 0 && is_shortage(&error) => {
                    return Err(refusal(self.engine, &error).into());
                }
                Event::Ended(number, outcome) => return Err(died(number, outcome)),
                Event::HttpPanicked => return Err(ServeError::Http),
            }
        }
        Ok(leaves.unwrap_or_else(Instant::now))
    }

    fn hands_over(&self) -> bool {
        matches!(self.succession, Succession::HandsOver(_))
    }

    /// All workers serve, or will once they are told to accept.
    fn begin(&mut self, inbox: &Inbox) -> io::Result<()> {
        for line in &self.announcement {
            info!("{line}");
        }
        self.account.0.enter(State::Serving);
        let succession = std::mem::replace(&mut self.succession, Succession::None);
        self.succession = match succession {
            Succession::Inherits(inheritance, unused) => {
                let (estate, events) = (self.estate.clone(), inbox.events());
                Succession::Accedes(inheritance.accede(unused, estate, events)?)
            }
            other => {
                manager::ready();
                other
            }
        };
        self.watchdog = Watchdog::new();
        Ok(())
    }

    /// Shows the service manager that all goes on, if it is time to.
    fn watch(&mut self) {
        if let Some(watchdog) = &mut self.watchdog
            && watchdog.due() <= Instant::now()
        {
            watchdog.look(&self.estate.exchange, &self.http);
        }
    }

    /// The process is told to stop: says so to whoever asks, and serves on for a time. `leaves`: it is on its way down
    /// already.
    fn announce_end(&self, leaves: bool) {
        if leaves {
            return;
        }
        manager::stopping();
        if let Succession::HandsOver(handover) = &self.succession {
            // Who is on the way comes back first.
            handover.call_off();
        }
        self.account.0.enter(State::Leaving);
        if !self.drain_delay.is_zero() {
            self.http.announce_end();
            info!("told to stop: serving on for {:?}", self.drain_delay);
        }
    }

    /// Has everyone say goodbye, from now on.
    fn drain(&mut self) -> Instant {
        self.account.0.enter(State::Leaving);
        self.renounce();
        self.stop.drain(self.goodbye);
        self.http.drain();
        info!(
            "stopping: closing connections, for at most {:?}",
            self.stop.drain_timeout
        );
        Instant::now()
    }

    /// Leaves to the process before this one what it has still, and whoever comes, if there is one.
    fn renounce(&mut self) {
        match std::mem::replace(&mut self.succession, Succession::Renounces) {
            Succession::Accedes(accession) => accession.renounce(),
            other => self.succession = other,
        }
    }

    /// Has everyone say goodbye here, since another process serves.
    fn leave(&self) -> Instant {
        self.stop.drain(Goodbye {
            code: CloseCode::SERVICE_RESTART,
            spread: self.stop.drain_timeout / 2,
        });
        self.http.drain();
        Instant::now()
    }

    /// Tells how things stand (SIGUSR1).
    fn tell(&self) {
        info!("holds {}", self.account.holdings());
        info!("so far {}", self.account.done());
        info!("counted {}", self.account.counted());
    }

    /// Reads again what may have changed on disk (SIGHUP).
    fn reload(&self) {
        if self.tls.is_none() && self.secrets.is_none() {
            info!("SIGHUP: there is nothing that would be read again");
        }
        if let Some(tls) = &self.tls {
            tls.reload();
        }
        if let Some(secrets) = &self.secrets {
            secrets.reload();
        }
    }

    /// Hands over to a successor (SIGUSR2).
    fn succeed(&mut self, inbox: &Inbox) {
        match &self.succession {
            Succession::None => {}
            Succession::HandsOver(_) | Succession::Over(_) => {
                return warn!("SIGUSR2: handing over to a successor is under way already");
            }
            Succession::Inherits(..) | Succession::Accedes(_) | Succession::Renounces => {
                return warn!(
                    "SIGUSR2: taking over from the process before this one is still under way"
                );
            }
        }
        if std::process::id() == 1 {
            return warn!(
                "SIGUSR2: this is process 1, whose end is the container's, so it cannot hand over; replace the \
                 container by a rolling update"
            );
        }
        if self.supervisor_is_deaf {
            return warn!(
                "SIGUSR2: process 1 has started this process, and without NOTIFY_SOCKET it would take its end for the \
                 service's, so it cannot hand over; replace the container by a rolling update, or restart the service"
            );
        }
        manager::reloading();
        self.estate.counters.started.note();
        match Handover::begin(self.estate.clone(), inbox.events()) {
            Ok(handover) => self.succession = Succession::HandsOver(handover),
            Err(why) => self.go_on(&why),
        }
    }

    /// The successor is no good.
    fn go_on(&self, why: &str) {
        self.estate.counters.failed.note();
        warn!("cannot hand over to a successor: {why}; this process goes on as before");
        manager::ready();
    }

    /// The process before this one serves no more. `told`: this one is to stop.
    fn reign(&mut self, told: bool) {
        self.succession = Succession::None;
        self.estate.counters.succeeded.note();
        // Nobody else does, be it to refuse.
        self.estate.stop.set_accepting(true);
        self.desk.succeed(&self.account.0);
        if !told {
            manager::ready();
        }
    }

    /// Takes note of what became of a succession; whether everyone here is to say goodbye now, since another process
    /// serves. `told`: this one is to stop. `leaves`: everyone says goodbye already.
    fn hear(&mut self, news: News, told: bool, leaves: bool) -> bool {
        match news {
            News::Serves { pid } => info!("process {pid} accepts connections now"),
            News::Done {
                sent,
                staying,
                took,
            } => {
                // It is the successor that is watched now.
                self.watchdog = None;
                // And asked.
                self.desk = Desk::Closed;
                info!("handed {sent} connections over within {took:?}; {staying} stay");
                let succession = std::mem::replace(&mut self.succession, Succession::None);
                if let Succession::HandsOver(handover) = succession {
                    if told {
                        // It was the service that was to stop, and who was told so has no say any more.
                        info!("the successor is told to stop, too");
                        handover.stop_successor();
                    }
                    self.succession = Succession::Over(handover);
                }
                return !told;
            }
            News::Failed(why) => {
                self.succession = Succession::None;
                if !told {
                    self.go_on(&why);
                }
            }
            News::Begins if leaves => {}
            News::Begins => self.estate.stop.set_accepting(true),
            News::TookOver { connections, took } => {
                self.reign(told);
                info!("took {connections} connections over within {took:?}");
            }
            News::Alone => {
                if let Succession::Accedes(_) = self.succession {
                    self.reign(told);
                    warn!(
                        "the process before this one has died, or was told to stop, before it had handed everything over"
                    );
                }
            }
            News::GivesUp(why) => {
                warn!("nothing more is taken over from the process before this one: {why}");
                if let Succession::Accedes(_) = self.succession {
                    // That one goes on, and two that serve would be one that nobody knows of.
                    self.renounce();
                    return !leaves;
                }
            }
        }
        false
    }
}

fn died(number: usize, outcome: io::Result<()>) -> ServeError {
    let cause = match outcome {
        Ok(()) => "it stopped without being told to".to_owned(),
        Err(error) => error.to_string(),
    };
    ServeError::Worker { number, cause }
}
