//! From options to what every load thread is given, and what it does with that: connect, wait for the start, drive,
//! hand back what was counted.

use std::sync::Arc;

use anyhow::Context;

use crate::alarm::precise_timers;
use crate::control::{Control, GivenUp, Share};
use crate::dial::Dialer;
use crate::echo::tally::Tally;
use crate::echo::workload::{Limits, Pace, Workload};
use crate::engine::{Driver, Selection, select};
use crate::fault::Fault;
use crate::load::{Harvest, settle};
use crate::pacer::Pacer;
use crate::payload::Random;
use crate::payload::size::Sizes;
use crate::result::load::{HeavyLoad, Load, Loop};
use crate::run::options::{RunOptions, Schedule, Verify};
use crate::run::seed;
use crate::session::Crew;
use crate::session::opener::{Gate, Opener};
use crate::slow::SlowReaders;
use crate::worker::Worker;

/// What every load thread is given.
pub(super) struct Plan {
    pub(super) options: RunOptions,
    selection: Selection,
    /// Each thread takes a stream of its own.
    seed: u64,
    /// Shared state.
    pub(super) control: Arc<Control>,
    dialer: Arc<Dialer>,
    /// What to send.
    workload: Workload,
    /// What the heavy connections send, on a thread of their own.
    heavy: Option<Workload>,
    /// When to send it, in an open loop.
    pub(super) schedule: Option<Schedule>,
}

/// What a thread counted.
pub(super) struct Counts {
    pub(super) tally: Tally,
    /// What was still owed at the end.
    pub(super) given_up: GivenUp,
    /// Connections that had ended before their time and were made again.
    pub(super) reconnects: u64,
    /// Of the heavy connections: messages answered within the window, by connection.
    pub(super) heavy_shares: Option<Vec<u64>>,
}

impl Plan {
    /// Everything that the load threads need.
    pub(super) fn new(options: &RunOptions) -> anyhow::Result<Plan> {
        let RunOptions {
            load,
            traffic,
            timing,
            ..
        } = options;
        let selection = select(traffic.engine)
            .context("io_uring cannot be used here; --engine epoll does without")?;
        let seed = seed(load.seed)?;
        let dialer = Dialer::from_options(&load.target)?;
        let kinds = traffic.kinds(load);
        let sizes = load.sizes();
        let heavy_bytes = (traffic.heavy > 0).then_some(traffic.heavy_size);
        let bytes_max = sizes.bytes_max().max(heavy_bytes.unwrap_or(0));
        let random = &mut Random::new(seed, 0);
        let pool = load.exchange.pool(kinds, bytes_max, random);
        let pace = match (&timing.rate, options.pace.duplex) {
            (Some(_), _) => Pace::Scheduled,
            (None, true) => Pace::Duplex,
            (None, false) => Pace::Depth(options.in_flight()),
        };
        let workload = Workload {
            protocol: load.target.protocol(),
            kinds,
            sizes,
            pool: Arc::new(pool),
            pace,
            fragments: traffic.fragments,
            keep_going: traffic.keep_going,
            dialogue: load.exchange.dialogue(load.target.answer()),
            verify_all: traffic.verify == Verify::Full,
            limits: Limits::for_connections(load.connections),
        };
        let heavy = heavy_bytes.map(|bytes| Workload {
            sizes: Sizes::fixed(bytes),
            pace: Pace::Duplex,
            ..workload.clone()
        });
        let mut control = Control::new(load.threads(), usize::from(heavy.is_some()))
            .context("creating an event fd")?;
        control.parties += usize::from(traffic.slow_readers > 0);
        Ok(Plan {
            options: options.clone(),
            selection,
            seed,
            control: Arc::new(control),
            dialer: Arc::new(dialer),
            workload,
            heavy,
            schedule: timing.schedule(),
        })
    }

    /// Starts those that hardly read, if there are to be any.
    pub(super) fn slow_readers(&self) -> anyhow::Result<Option<SlowReaders>> {
        let RunOptions { load, traffic, .. } = &self.options;
        if traffic.slow_readers == 0 {
            return Ok(None);
        }
        let first = load.connections + traffic.heavy;
        let numbers = first..first + traffic.slow_readers;
        let (dialer, control) = (&self.dialer, &self.control);
        let readers = SlowReaders::start(dialer, control, &self.workload, numbers, self.seed);
        readers.map(Some).context("starting a thread")
    }

    /// What the thread of `line` does: connects, loads, hands back what it counted.
    pub(super) fn work(&self, line: usize) -> Harvest<Counts> {
        let RunOptions { load, traffic, .. } = &self.options;
        let share = self.share(line);
        let heavy = self.heavy.as_ref().filter(|_| share.is_heavy);
        let workload = Workload {
            limits: Limits::for_connections(share.ordinals().len()),
            ..heavy.unwrap_or(&self.workload).clone()
        };
        let random = Random::new(self.seed, 1 + line as u64);
        let mut worker = Worker::new(self.control.clone(), share, workload, random);
        if let Some((timeline, arrivals)) = self.schedule.as_ref().filter(|_| !share.is_heavy) {
            let (timeline, ordinals) = (Arc::clone(timeline), share.ordinals());
            let random = &mut worker.random;
            let pacer = Pacer::new(timeline, *arrivals, ordinals, load.connections, random);
            worker.follow(pacer);
        }
        worker.ping_every = traffic.ping_every.filter(|_| !share.is_heavy);
        worker.reconnects = traffic.reconnect;
        let fault = self.connect_and_drive(share, &mut worker).err();
        worker.publish();
        let given_up = worker.give_up();
        Harvest {
            counts: Counts {
                heavy_shares: share.is_heavy.then(|| worker.answered_within()),
                reconnects: worker.reconnected,
                tally: worker.tally,
                given_up,
            },
            fault: fault.map(|fault| fault.to_string()),
        }
    }

    fn share(&self, line: usize) -> Share {
        let RunOptions { load, traffic, .. } = &self.options;
        let threads = self.control.measured().len();
        let is_heavy = line >= threads;
        let (first, step, end) = if is_heavy {
            (load.connections, 1, load.connections + traffic.heavy)
        } else {
            (line, threads, load.connections)
        };
        Share {
            line,
            first,
            step,
            end,
            is_heavy,
        }
    }

    fn connect_and_drive(&self, share: Share, worker: &mut Worker) -> Result<(), Fault> {
        let control = &self.control;
        settle(control, share.line, &self.options.place.cpus())?;
        if self.schedule.is_some() {
            precise_timers();
        }
        // Streams below the number of threads serve the load; nonces get one of their own.
        let nonces = Random::new(self.seed, u64::MAX - share.line as u64);
        let (dialer, workload) = (Arc::clone(&self.dialer), self.workload.clone());
        let crew = Crew::new(control.clock, dialer, workload, nonces);
        let (pace, now) = (self.dialer.pace(), control.clock.now());
        let gate = Gate::new(share.ordinals(), pace, control.lines.len(), now);
        let opener = Opener::new(crew, gate, &control.standing)
            .map_err(|error| Fault::engine("preparing to connect", error))?;
        let driver = Driver::new(worker, &control.wakes[share.line], opener)?;
        self.selection.engine.drive(driver)
    }

    /// The load as the result tells it.
    pub(super) fn describe(&self) -> Load {
        let RunOptions {
            load,
            traffic,
            timing,
            ..
        } = &self.options;
        let addresses = self.dialer.addresses();
        // Every connection gets the same answer from the same server; the first URL's speaks for all.
        let (accepted, tls) = self.control.agreed.get().cloned().unwrap_or_default();
        let (loop_kind, in_flight) = match self.workload.pace {
            Pace::Depth(depth) => (Loop::Closed, Some(depth)),
            Pace::Scheduled => (Loop::Open, None),
            Pace::Duplex => (Loop::Duplex, None),
        };
        let mut described = timing.describe(load.describe(self.workload.kinds, self.seed));
        described.message.fragments = traffic.fragments;
        if load.exchange.expect.is_exact() && traffic.verify == Verify::Sample {
            described.message.verify = "sample".to_owned();
        }
        Load {
            addresses: addresses.iter().map(ToString::to_string).collect(),
            tls,
            deflate: accepted.deflate.map(|deflate| deflate.to_string()),
            subprotocol: accepted.subprotocol,
            loop_kind,
            in_flight,
            ping_every_seconds: traffic.ping_every.map(|every| every.as_secs_f64()),
            keep_going: traffic.keep_going,
            slow_readers: traffic.slow_readers,
            heavy: self.heavy.as_ref().map(|_| HeavyLoad {
                connections: traffic.heavy,
                message_bytes: traffic.heavy_size,
            }),
            cpus: self.options.place.cpus(),
            engine: self.selection.engine.to_string(),
            engine_reason: self.selection.reason.clone(),
            ..described
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::schedule::{Arrivals, Rates};

    #[test]
    fn messages_that_are_due_one_after_the_other_are_spread_over_the_threads() {
        let timeline = Arc::new(Rates::constant(1000.0).timeline(Duration::ZERO));
        let mut whose = Vec::new();
        for line in 0..3 {
            let share = Share {
                line,
                first: line,
                step: 3,
                end: 8,
                is_heavy: false,
            };
            let mut random = Random::new(1, 0);
            let arrivals = Arrivals::Even;
            let ordinals = share.ordinals();
            assert!((2..=3).contains(&ordinals.len()));
            let mut pacer = Pacer::new(Arc::clone(&timeline), arrivals, ordinals, 8, &mut random);
            pacer.start(0);
            while let Some((index, due)) = pacer.pop(7_000_000) {
                assert_eq!(share.ordinal(index) as u64 * 1_000_000, due);
                whose.push((due, line));
                pacer.taken(index, &mut random);
            }
        }
        whose.sort_unstable();
        let lines: Vec<usize> = whose.iter().map(|(_, line)| *line).collect();
        assert_eq!(lines, [0, 1, 2, 0, 1, 2, 0, 1]);
    }
}
