//! The connections: opened, held, asked for a sample, closed.

use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use anyhow::Context;

use crate::idle::options::IdleOptions;
use crate::interrupt::Interrupt;
use crate::observe::limits::full_process;
use crate::observe::process::{Memory, family_memory};
use crate::session::crowd::{Crowd, Ended, Ready};
use crate::session::opener::Gate;
use crate::session::scout::{Scouted, scout};
use crate::session::{Crew, OPEN_TIMEOUT_NS as PATIENCE_NS, Task};

/// Connections being closed at a time.
const AT_ONCE: usize = 64;

/// Connections that must still echo after the hold, evenly spread over all.
const SAMPLE: usize = 100;

/// The deadline of a connection that is held: it has none.
const NEVER: u64 = u64::MAX;

/// Longest wait for events.
const WAIT: Duration = Duration::from_millis(50);

/// Sign of the descriptor that tells to stop.
const STOP: u8 = 0;

/// The connections, and what came of them.
pub(super) struct Holder<'a> {
    options: &'a IdleOptions,
    interrupt: &'a Interrupt,
    pub(super) crew: Crew,
    crowd: Crowd,
    /// Connections that stood, and those of them that ended before they were to be closed.
    pub(super) stood: usize,
    pub(super) lost: usize,
    /// Which connection ended first and why, until it is told as a failure.
    ended: Option<String>,
    /// What went wrong first.
    pub(super) failure: Option<String>,
    pub(super) is_interrupted: bool,
}

impl<'a> Holder<'a> {
    /// Gets ready; nothing is opened yet.
    pub(super) fn new(
        options: &'a IdleOptions,
        interrupt: &'a Interrupt,
        crew: Crew,
    ) -> anyhow::Result<Holder<'a>> {
        let crowd = Crowd::new(options.load.connections).context("creating an epoll set")?;
        let watched = crowd.watch(interrupt, STOP);
        watched.context("watching for a signal")?;
        Ok(Holder {
            options,
            interrupt,
            crew,
            crowd,
            stood: 0,
            lost: 0,
            ended: None,
            failure: None,
            is_interrupted: false,
        })
    }

    /// What the server has. That it cannot be read any more is a failure.
    pub(super) fn server_memory(&mut self) -> Option<Memory> {
        let memory = family_memory(&self.options.place.server_pids);
        if let Err(error) = &memory {
            self.failure.get_or_insert(format!(
                "the memory of the server cannot be read any more ({error}); did it end?"
            ));
        }
        memory.ok()
    }

    /// Opens the connections after a first one of `scouts`, and tells `progress` how many stand, until all do, one
    /// fails or a signal comes.
    pub(super) fn open(&mut self, scouts: Crew, progress: impl Fn(usize)) -> anyhow::Result<()> {
        let scouted = scout(scouts, 0, false, self.interrupt.as_fd());
        match scouted.context("making the first connection")? {
            Scouted::Open(tls) => self.crew.tls = tls,
            Scouted::Failed(_, failure) => self.ended = Some(failure.to_string()),
            Scouted::Stopped => self.is_interrupted = true,
        }
        let (asked, clock) = (self.options.load.connections, self.crew.clock);
        let mut gate = Gate::new(0..asked, self.crew.dialer.pace(), 1, clock.now());
        while self.ended.is_none() && !self.is_interrupted && self.stood < asked {
            while self.ended.is_none()
                && let Some(next) = gate.next(clock.now())
            {
                let (crew, task) = (&self.crew, Task::Rest);
                let ended = self.crowd.begin(crew, next, task, u64::MAX, PATIENCE_NS);
                self.note(ended);
            }
            let before = self.stood;
            self.turn()?;
            (before..self.stood).for_each(|_| gate.is_through());
            progress(self.stood);
        }
        if let Some(why) = self.ended.take() {
            // Now, while those are open that the server has no room for.
            let limit = full_process(&self.options.place.server_pids);
            let limit = limit.map_or(String::new(), |limit| format!("; {limit}"));
            let stood = self.stood;
            self.failure.get_or_insert(format!(
                "{stood} of {asked} connections stood when the next failed: {why}{limit}"
            ));
        }
        for slot in 0..asked {
            if self.crowd.session(slot).is_some_and(|it| !it.is_resting()) {
                drop(self.crowd.remove(slot));
            }
        }
        Ok(())
    }

    /// Holds all for as long as was asked for, or until a signal comes; not if something is wrong already. Answers
    /// pings.
    pub(super) fn hold(&mut self) -> anyhow::Result<()> {
        let until = Instant::now() + self.options.hold;
        while self.failure.is_none() && Instant::now() < until && self.turn()? {}
        Ok(())
    }

    /// Closes every connection in good order, some of them after one more echo: every so many-th of all. Once a
    /// signal has come, or one does not answer, what is left is closed without taking leave.
    pub(super) fn close(&mut self) -> anyhow::Result<()> {
        if let Some(first) = self.ended.take() {
            let (lost, stood) = (self.lost, self.stood);
            self.failure.get_or_insert(format!(
                "{lost} of {stood} connections ended while they were held: {first}"
            ));
        }
        let slots = self.crowd.sessions().map(|(slot, _)| slot);
        let numbered: Vec<(usize, usize)> = slots.enumerate().collect();
        let stride = numbered.len().div_ceil(SAMPLE).max(1);
        let lost = self.lost;
        let mut goes_on = !self.is_interrupted;
        for wave in numbered.chunks(AT_ONCE) {
            if !goes_on {
                break;
            }
            for &(index, slot) in wave {
                let deadline = self.crew.clock.now().saturating_add(PATIENCE_NS);
                // It may have ended by itself.
                let Some(session) = self.crowd.session(slot) else {
                    continue;
                };
                session.deadline = deadline;
                let is_asked = index.is_multiple_of(stride);
                let ended = self.crowd.leave(slot, is_asked, &mut self.crew);
                self.note(ended);
            }
            while goes_on && wave.iter().any(|it| self.crowd.session(it.1).is_some()) {
                goes_on = self.turn()?;
            }
        }
        self.crowd.clear();
        // Who ends before its turn to be closed is a failure, but was held to the end.
        self.lost = lost;
        self.failure = self.failure.take().or(self.ended.take());
        Ok(())
    }

    /// Waits a little, lets go on what can, and takes out what is over. Says whether that leads anywhere: no signal
    /// has come, and nobody was silent for too long.
    fn turn(&mut self) -> anyhow::Result<bool> {
        let mut ready = Vec::new();
        let waited = self.crowd.wait(WAIT, &mut ready);
        waited.context("waiting for events")?;
        for event in ready {
            let Ready::Session(slot) = event else {
                self.is_interrupted = true;
                continue;
            };
            let ended = self.crowd.advance(slot, &mut self.crew);
            self.note(ended);
            match self.crowd.session(slot) {
                Some(session) if session.is_resting() && session.deadline != NEVER => {
                    session.deadline = NEVER;
                    self.stood += 1;
                }
                // All is said: the server need not end the stream first.
                Some(session) if session.is_closed() => drop(self.crowd.remove(slot)),
                _ => {}
            }
        }
        let late = self.crowd.expire(&mut self.crew, PATIENCE_NS as f64 / 1e9);
        let is_answered = late.is_empty();
        self.note(late);
        Ok(is_answered && !self.is_interrupted)
    }

    /// Notes what ended, if it was not closed in good order.
    fn note(&mut self, ended: impl IntoIterator<Item = Ended>) {
        for Ended { session, how } in ended {
            let Err(ending) = how else { continue };
            let number = session.map_or(String::new(), |session| {
                self.lost += usize::from(session.deadline == NEVER);
                format!("connection {}: ", session.ordinal)
            });
            self.ended.get_or_insert(format!("{number}{ending}"));
        }
    }
}
