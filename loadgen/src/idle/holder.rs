//! The connections: opened, held, asked for a sample, closed.

use std::collections::HashSet;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;

use crate::control::Clock;
use crate::dial::Dialer;
use crate::echo::workload::Workload;
use crate::idle::options::IdleOptions;
use crate::interrupt::Interrupt;
use crate::observe::limits::full_process;
use crate::payload::Random;
use crate::session::crowd::{Crowd, Ended, Ready};
use crate::session::opener::Gate;
use crate::session::scout::{Scouted, scout};
use crate::session::{Crew, Task};

/// Connections being closed at a time.
const AT_ONCE: usize = 64;

/// Connections that must still echo after the hold, evenly spread over all.
const SAMPLE: usize = 100;

/// How long one connection may take to open, and then to close.
const PATIENCE: Duration = Duration::from_secs(5);

/// Longest wait for events.
const WAIT: Duration = Duration::from_millis(50);

/// Sign of the descriptor that tells to stop.
const STOP: u8 = 0;

/// What came of the opening.
#[derive(Default)]
pub(super) struct Opened {
    /// Connections that stand.
    pub(super) connections: usize,
    /// Why there are no more, if there should be.
    pub(super) error: Option<String>,
    pub(super) interrupted: bool,
    /// Where they go.
    pub(super) address: Option<String>,
    /// What TLS agreed on.
    pub(super) tls: Option<String>,
}

/// What came of the closing.
#[derive(Default)]
pub(super) struct Closed {
    /// Connections that gave the echo they were asked for.
    pub(super) echoed: u64,
    /// Connections that ended while they were held.
    pub(super) lost: usize,
    /// What was wrong first.
    pub(super) error: Option<String>,
    pub(super) interrupted: bool,
}

/// The connections.
pub(super) struct Holder<'a> {
    stop: BorrowedFd<'a>,
    crew: Crew,
    workload: Workload,
    seed: u64,
    /// How many there are to be.
    connections: usize,
    server_pids: Vec<i32>,
    crowd: Crowd,
    /// Number and slot of each that stands, in order once all do.
    standing: Vec<(usize, usize)>,
    lost: usize,
    lost_first: Option<String>,
}

impl<'a> Holder<'a> {
    /// Gets ready; nothing is opened yet.
    pub(super) fn new(
        options: &IdleOptions,
        seed: u64,
        interrupt: &'a Interrupt,
    ) -> anyhow::Result<Holder<'a>> {
        let load = &options.load;
        let dialer = Arc::new(Dialer::from_options(&load.target)?);
        let answer = load.target.answer();
        let workload = load
            .exchange
            .workload(dialer.protocol(), answer, &load.size, seed);
        let random = Random::new(seed, 1);
        let crowd = Crowd::new(load.connections).context("creating an epoll set")?;
        let stop = interrupt.as_fd();
        crowd.watch(stop, STOP).context("watching for a signal")?;
        Ok(Holder {
            stop,
            crew: Crew::new(Clock::new(), dialer, workload.clone(), random),
            workload,
            seed,
            connections: load.connections,
            server_pids: options.place.server_pids.clone(),
            crowd,
            standing: Vec::new(),
            lost: 0,
            lost_first: None,
        })
    }

    /// Opens the connections, and tells `progress` how many stand, until all do, one fails or a
    /// signal comes.
    pub(super) fn open(&mut self, mut progress: impl FnMut(usize)) -> anyhow::Result<Opened> {
        let mut opened = Opened::default();
        let scouted = scout(self.new_crew(), 0, false, self.stop);
        match scouted.context("making the first connection")? {
            Scouted::Open(tls) => opened.tls = tls,
            Scouted::Failed(_, failure) => opened.error = Some(failure.to_string()),
            Scouted::Stopped => opened.interrupted = true,
        }
        let (pace, began) = (self.crew.dialer.pace(), self.crew.clock.now());
        let mut gate = Gate::new(0..self.connections, pace, 1, began);
        while opened.error.is_none()
            && !opened.interrupted
            && self.standing.len() < self.connections
        {
            while let Some(next) = gate.next(self.crew.clock.now()) {
                let ended = self.begin(next);
                if let Some(ended) = ended {
                    opened.error = Some(sentence(ended));
                    break;
                }
            }
            for event in self.wait()? {
                let Ready::Visit(slot) = event else {
                    opened.interrupted = true;
                    continue;
                };
                let before = self.standing.len();
                if let Some(ended) = self.go_on(slot) {
                    opened.error.get_or_insert(sentence(ended));
                }
                if self.standing.len() > before {
                    gate.is_through();
                }
            }
            for ended in self.crowd.expire(&mut self.crew, PATIENCE.as_secs_f64()) {
                opened.error.get_or_insert(sentence(ended));
            }
            if self.lost > 0 {
                opened.error = opened.error.or(self.lost_first.take());
            }
            progress(self.standing.len());
        }
        // Now, while those are open that the server has no room for.
        if let (Some(error), Some(limit)) = (&mut opened.error, full_process(&self.server_pids)) {
            *error += &format!("; {limit}");
        }
        let unopened: Vec<usize> = self
            .crowd
            .visits()
            .filter(|(_, visit)| !visit.is_resting())
            .map(|(slot, _)| slot)
            .collect();
        for slot in unopened {
            drop(self.crowd.remove(slot));
        }
        self.standing.sort_unstable();
        opened.connections = self.standing.len();
        opened.address = self.crew.dialer.address().map(|it| it.to_string());
        Ok(opened)
    }

    /// Holds what stands for `time`; `false` if a signal came. Answers pings.
    pub(super) fn hold(&mut self, time: Duration) -> anyhow::Result<bool> {
        let until = Instant::now() + time;
        while Instant::now() < until {
            for event in self.wait()? {
                match event {
                    Ready::Visit(slot) => drop(self.go_on(slot)),
                    Ready::Sign(_) => return Ok(false),
                }
            }
        }
        Ok(true)
    }

    /// Closes every connection in good order, some of them after one more echo: every so many-th of all. If a
    /// signal comes, or one does not answer, what is left is closed without taking leave; all of them if
    /// `is_hasty`.
    pub(super) fn close(&mut self, mut is_hasty: bool) -> anyhow::Result<Closed> {
        let mut closed = Closed {
            lost: self.lost,
            error: self.lost_first.take().map(|first| {
                let all = self.standing.len();
                let lost = self.lost;
                format!("{lost} of {all} connections ended while they were held: {first}")
            }),
            ..Closed::default()
        };
        let stride = self.standing.len().div_ceil(SAMPLE).max(1);
        let mut waiting = std::mem::take(&mut self.standing).into_iter().enumerate();
        let mut leaving = HashSet::new();
        while !is_hasty {
            while leaving.len() < AT_ONCE
                && let Some((index, (_, slot))) = waiting.next()
            {
                let patience = PATIENCE.as_nanos() as u64;
                let deadline = self.crew.clock.now().saturating_add(patience);
                // It may have ended while it was held.
                let Some(visit) = self.crowd.visit(slot) else {
                    continue;
                };
                visit.deadline = deadline;
                leaving.insert(slot);
                let is_asked = index.is_multiple_of(stride);
                let ended = self.crowd.leave(slot, is_asked, &mut self.crew);
                if let Some(ended) = ended {
                    leaving.remove(&slot);
                    note(&mut closed, ended);
                }
            }
            if leaving.is_empty() {
                break;
            }
            for event in self.wait()? {
                let Ready::Visit(slot) = event else {
                    closed.interrupted = true;
                    is_hasty = true;
                    continue;
                };
                let ended = self.crowd.advance(slot, &mut self.crew);
                let is_over = self.crowd.visit(slot).is_none_or(|visit| visit.is_closed());
                if let Some(ended) = ended {
                    note(&mut closed, ended);
                }
                if is_over {
                    // All is said: the server need not end the stream first.
                    drop(self.crowd.remove(slot));
                    leaving.remove(&slot);
                }
            }
            for ended in self.crowd.expire(&mut self.crew, PATIENCE.as_secs_f64()) {
                note(&mut closed, ended);
                // It no longer answers, so there is nobody to take leave of.
                is_hasty = true;
            }
        }
        closed.echoed = self.crew.tally.messages;
        let left: Vec<usize> = self.crowd.visits().map(|(slot, _)| slot).collect();
        for slot in left {
            drop(self.crowd.remove(slot));
        }
        Ok(closed)
    }

    fn begin(&mut self, ordinal: usize) -> Option<Ended> {
        let patience = PATIENCE.as_nanos() as u64;
        self.crowd
            .begin(&self.crew, ordinal, Task::Rest, u64::MAX, patience)
    }

    fn wait(&mut self) -> anyhow::Result<Vec<Ready>> {
        let mut ready = Vec::new();
        self.crowd
            .wait(WAIT, &mut ready)
            .context("waiting for events")?;
        Ok(ready)
    }

    /// Lets the visit in `slot` go on: one that is being opened may then stand, one that stands may end.
    /// Hands out one that ended before it stood.
    fn go_on(&mut self, slot: usize) -> Option<Ended> {
        let stood = self.crowd.visit(slot)?.is_resting();
        let ended = self.crowd.advance(slot, &mut self.crew);
        match ended {
            Some(ended) if stood => {
                self.lost += 1;
                self.lost_first.get_or_insert(sentence(ended));
                None
            }
            Some(ended) => Some(ended),
            None => {
                let visit = self.crowd.visit(slot)?;
                if !stood && visit.is_resting() {
                    visit.deadline = u64::MAX;
                    self.standing.push((visit.ordinal, slot));
                }
                None
            }
        }
    }

    fn new_crew(&self) -> Crew {
        Crew::new(
            self.crew.clock,
            Arc::clone(&self.crew.dialer),
            self.workload.clone(),
            Random::new(self.seed, u64::MAX),
        )
    }
}

/// Why a connection ended that should not have.
fn sentence(ended: Ended) -> String {
    let number = ended.visit.map_or(String::new(), |visit| {
        format!("connection {}: ", visit.ordinal)
    });
    match ended.how {
        Ok(_) => format!("{number}the server ended the stream"),
        Err(ending) => format!("{number}{ending}"),
    }
}

/// Notes how a connection took its leave.
fn note(closed: &mut Closed, ended: Ended) {
    if ended.how.is_err() {
        closed.error.get_or_insert(sentence(ended));
    }
}
