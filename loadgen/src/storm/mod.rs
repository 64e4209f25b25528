//! `ringload storm`: what coming and going costs the server.
//!
//! Closed loop: a fixed number of visits at a time; one that ends is followed by another. One
//! thread, epoll: the server is to be the busy side, and opening connections is mostly kernel.

mod report;
mod visit;

use std::collections::VecDeque;
use std::mem::MaybeUninit;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use anyhow::Context;
use hdrhistogram::Histogram;
use rustix::event::Timespec;
use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use rustix::fd::OwnedFd;

use self::visit::{Step, Visit};
use crate::control::Control;
use crate::dial::Dialer;
use crate::echo::connection::Turn;
use crate::echo::failure::Failure;
use crate::echo::payload::{Kinds, Pool, Random};
use crate::echo::tally::{Tally, latency_histogram};
use crate::echo::workload::Workload;
use crate::interrupt::Interrupt;
use crate::load::pin;
use crate::measure::window::{Observed, Snapshot, Window};
use crate::options::storm::StormOptions;
use crate::options::{UsageError, make_room_for};
use crate::output::document::Status;
use crate::run::{observe, seed};
use crate::target::Protocol;
use crate::worker::Fault;

/// Payload of a visit's message.
const MESSAGE_BYTES: usize = 32;

/// How long the last visits may take once the storm is over.
const DRAIN: Duration = Duration::from_secs(5);

/// Longest wait for events: bounds how late an edge of the window is noticed on a silent server.
const WAIT: Timespec = Timespec {
    tv_sec: 0,
    tv_nsec: 50_000_000,
};

/// Events taken per wait.
const EVENTS_MAX: usize = 256;

/// Event data of the signal descriptor; visits have their slot.
const SIGNAL: u64 = u64::MAX;

/// What a storm found.
struct Findings {
    window: Option<Window>,
    /// From the start of the connect to the open connection, nanoseconds.
    opening: Histogram<u64>,
    /// From the start of the connect to the server's end of stream, nanoseconds.
    visit: Histogram<u64>,
    visits: u64,
    status: Status,
    error: Option<String>,
}

/// Runs and reports; see [`crate::run::run`].
pub(crate) fn run(options: &StormOptions) -> anyhow::Result<Status> {
    if options.connections == 0 || options.duration.is_zero() {
        let error = "--connections and --duration must be above 0".to_owned();
        return Err(UsageError(error).into());
    }
    make_room_for(options.connections)?;
    let observed = observe(&options.server_pids)?;
    let interrupt = Interrupt::install().context("taking over signals")?;
    if let Some(cpus) = &options.cpu {
        pin(&cpus.0).map_err(|error| {
            UsageError(format!(
                "--cpu: the kernel does not allow these CPUs ({error})"
            ))
        })?;
    }
    let protocol = options.target.protocol();
    let dialer = Dialer::new(options.target.urls[0].clone(), protocol)
        .with_context(|| format!("resolving {:?}", options.target.urls[0].host))?;
    let mut random = Random::new(seed(options.seed)?, 0);
    let pool = Arc::new(Pool::new(Kinds::Binary, MESSAGE_BYTES, &mut random));
    let workload = Workload::simple(protocol, MESSAGE_BYTES, pool);
    let mut tally = Tally::new();
    let first_visit = options.first_visit as usize;

    // The first visit finds the address that works, and what is wrong in plain order.
    let mut turn = Turn {
        now: 0,
        workload: &workload,
        random: &mut random,
        tally: &mut tally,
    };
    let dialed = dialer.dial(first_visit, turn.random)?;
    dialed.leave(true, &mut turn)?;

    let epoll = epoll::create(CreateFlags::CLOEXEC).context("creating an epoll instance")?;
    epoll::add(
        &epoll,
        &interrupt,
        EventData::new_u64(SIGNAL),
        EventFlags::IN,
    )
    .context("watching for signals")?;
    let control = Control::new(1).context("creating an event fd")?;
    let thread_id = rustix::thread::gettid().as_raw_nonzero().get();
    control.lines[0]
        .thread_id
        .store(thread_id, Ordering::Relaxed);
    let storm = Storm {
        dialer: &dialer,
        control: &control,
        observed: &observed,
        epoll,
        workload,
        random,
        tally,
        slots: (0..options.connections).map(|_| None).collect(),
        free: (0..options.connections).collect(),
        next_ordinal: first_visit + 1,
        findings: Findings {
            window: None,
            opening: latency_histogram(),
            visit: latency_histogram(),
            visits: 0,
            status: Status::Ok,
            error: None,
        },
        counts_from: u64::MAX,
    };
    let findings = storm.rage(options)?;
    report::write(options, &dialer, &observed, &findings)?;
    Ok(findings.status)
}

struct Storm<'a> {
    dialer: &'a Dialer,
    control: &'a Control,
    observed: &'a Observed,
    epoll: OwnedFd,
    workload: Workload,
    random: Random,
    tally: Tally,
    slots: Vec<Option<Visit>>,
    free: VecDeque<usize>,
    /// Number of the next visit's connection, which decides its source address.
    next_ordinal: usize,
    findings: Findings,
    /// Visits begun at or after this time count; `u64::MAX` outside the window.
    counts_from: u64,
}

impl Storm<'_> {
    fn rage(mut self, options: &StormOptions) -> anyhow::Result<Findings> {
        let opens = self.control.clock.now() + options.warmup.as_nanos() as u64;
        let closes = opens + options.duration.as_nanos() as u64;
        let mut visits_max = u64::MAX;
        let mut from = None;
        let ending = loop {
            let now = self.control.clock.now();
            if now >= closes || self.findings.visits >= visits_max {
                break Ok(Status::Ok);
            }
            if from.is_none() && now >= opens {
                let snapshot = Snapshot::take(self.control, self.observed);
                self.counts_from = snapshot.at;
                visits_max = self.findings.visits + options.visits.unwrap_or(u64::MAX / 2);
                from = Some(snapshot);
            }
            match self.begin_visits().and_then(|()| self.turn_once()) {
                Ok(true) => {}
                Ok(false) => break Ok(Status::Interrupted),
                Err(fault) => break Err(fault),
            }
        };
        self.findings.window = from.map(|from| {
            let to = Snapshot::take(self.control, self.observed);
            Window::between(self.control, &from, &to)
        });
        self.counts_from = u64::MAX;
        match ending {
            Ok(Status::Ok) => self.drain(),
            Ok(status) => self.end(status, "interrupted: the figures are partial".to_owned()),
            Err(fault) => self.end(Status::Failed, fault.to_string()),
        }
        Ok(self.findings)
    }

    fn end(&mut self, status: Status, error: String) {
        self.findings.status = status;
        self.findings.error = Some(error);
    }

    /// Lets the visits under way come to their end.
    fn drain(&mut self) {
        let deadline = self.control.clock.now() + DRAIN.as_nanos() as u64;
        while self.free.len() < self.slots.len() {
            if self.control.clock.now() >= deadline {
                let hung = self.slots.len() - self.free.len();
                let seconds = DRAIN.as_secs();
                let error = format!("{hung} connections did not end within {seconds} seconds");
                return self.end(Status::Failed, error);
            }
            match self.turn_once() {
                Ok(true) => {}
                // The signal's descriptor stays readable: the user does not want to wait.
                Ok(false) => return,
                Err(fault) => return self.end(Status::Failed, fault.to_string()),
            }
        }
    }

    /// Fills the free slots.
    fn begin_visits(&mut self) -> Result<(), Fault> {
        while let Some(slot) = self.free.pop_front() {
            let ordinal = self.next_ordinal;
            let fault = |error| Fault {
                connection: Some(ordinal),
                failure: Failure::Io("connecting", error),
            };
            let began = self.control.clock.now();
            let socket = self.dialer.begin(ordinal).map_err(fault)?;
            self.next_ordinal += 1;
            let data = EventData::new_u64(slot as u64);
            epoll::add(&self.epoll, &socket, data, EventFlags::OUT)
                .map_err(|error| fault(error.into()))?;
            self.slots[slot] = Some(Visit::new(socket, began));
        }
        Ok(())
    }

    /// Waits once and handles what happened; `false` if a signal came.
    fn turn_once(&mut self) -> Result<bool, Fault> {
        let mut events = [MaybeUninit::<epoll::Event>::uninit(); EVENTS_MAX];
        let ready = match epoll::wait(&self.epoll, &mut events, Some(&WAIT)) {
            Ok((ready, _)) => ready,
            Err(rustix::io::Errno::INTR) => return Ok(true),
            Err(error) => {
                let failure = Failure::Io("waiting for events", error.into());
                return Err(Fault {
                    connection: None,
                    failure,
                });
            }
        };
        for event in &*ready {
            let data = event.data.u64();
            if data == SIGNAL {
                return Ok(false);
            }
            self.advance(data as usize).map_err(|failure| Fault {
                connection: None,
                failure,
            })?;
        }
        let visits = &self.control.lines[0].messages;
        visits.store(self.findings.visits, Ordering::Relaxed);
        Ok(true)
    }

    fn advance(&mut self, slot: usize) -> Result<(), Failure> {
        let Some(visit) = &mut self.slots[slot] else {
            return Ok(());
        };
        let now = self.control.clock.now();
        let Storm {
            workload,
            random,
            tally,
            dialer,
            ..
        } = self;
        let step = if visit.is_connecting() {
            let websocket = workload.protocol == Protocol::Websocket;
            let handshake = websocket.then(|| dialer.handshake(random));
            let mut turn = Turn {
                now,
                workload,
                random,
                tally,
            };
            let step = visit.connected(&mut turn, handshake)?;
            let data = EventData::new_u64(slot as u64);
            epoll::modify(&self.epoll, visit.socket(), data, EventFlags::IN)
                .map_err(|error| Failure::Io("watching a socket", error.into()))?;
            step
        } else {
            let mut buffer = [0; 4096];
            visit.readable(
                &mut buffer,
                &mut Turn {
                    now,
                    workload,
                    random,
                    tally,
                },
            )?
        };
        let counts = visit.began >= self.counts_from;
        let age = now.saturating_sub(visit.began).max(1);
        match step {
            Step::Pending => {}
            Step::Opened if counts => self.findings.opening.saturating_record(age),
            Step::Opened => {}
            Step::Over => {
                if counts {
                    self.findings.visit.saturating_record(age);
                }
                self.findings.visits += 1;
                // Dropping the socket closes it and takes it out of the epoll set.
                self.slots[slot] = None;
                self.free.push_back(slot);
            }
        }
        Ok(())
    }
}
