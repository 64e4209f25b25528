//! The rounds: in each, both servers once, in random order, each in a fresh process.
//!
//! Two processes of one program differ, too: where the kernel happened to put their memory moves CPU per
//! message by a few per cent for as long as they live. Servers that stayed up would carry that difference
//! through all rounds, and the verdict would be on two processes rather than two programs; started afresh
//! it is drawn anew each time, and is part of the interval. The generator is this process: its threads are the
//! same for both, so what is particular about them cancels out.

use std::time::{Duration, Instant};

use anyhow::{anyhow, bail};
use rand::RngExt as _;
use rand_chacha::ChaCha8Rng;

use crate::assess::estimate::ROUNDS_TO_DECIDE;
use crate::interrupt::Interrupt;
use crate::observe::placement::Placement;
use crate::quantity::CpuList;
use crate::result::compare::{Round, RoundFigures};
use crate::result::load::Load;
use crate::result::{Outcome, Status};
use crate::run::measure;
use crate::run::options::RunOptions;
use crate::run::place::PlaceArgs;
use crate::target::Target;
use crate::trial::agenda::{Agenda, short};
use crate::trial::process::{Interrupted, check};
use crate::trial::server::{Launch, Server};

/// How long a server must answer the load rightly before it is measured.
const CHECK_DURATION: Duration = Duration::from_millis(50);

/// The same once it did not: on a busy machine nothing may come back in so short a time.
const SECOND_DURATION: Duration = Duration::from_secs(1);

/// How long a server whose port is open may go on refusing that.
const CHECK_LIMIT: Duration = Duration::from_secs(3);

/// Time between two attempts.
const CHECK_PAUSE: Duration = Duration::from_millis(100);

/// What starting, checking and ending a server takes, roughly.
const OVERHEAD: Duration = Duration::from_millis(400);

/// What is the same in all rounds.
pub(super) struct Match<'a> {
    /// A and B.
    pub(super) launches: [Launch; 2],
    /// The load, but for where the server is.
    pub(super) load: RunOptions,
    pub(super) placement: &'a Placement,
    pub(super) interrupt: &'a Interrupt,
}

impl Match<'_> {
    /// The load as the result tells it.
    pub(super) fn describe(&self) -> Load {
        let (load, timing) = (&self.load.load, &self.load.timing);
        let kinds = self.load.traffic.kinds(load);
        Load {
            cpus: self.placement.generator_cpus.clone(),
            ..timing.describe(load.describe(kinds, load.seed.unwrap_or_default()))
        }
    }

    /// Plays `count` rounds, until all are played or one is not: what was played is kept.
    pub(super) fn play(
        &self,
        count: u32,
        mut random: ChaCha8Rng,
        quiet: bool,
    ) -> (Vec<Round>, anyhow::Result<()>) {
        let planned = self.planned() * 2 * count;
        let mut agenda = Agenda::new(planned, quiet);
        agenda.say(&format!("{count} rounds, about {}", short(planned)));
        if (count as usize) < ROUNDS_TO_DECIDE {
            let why = format!("fewer than {ROUNDS_TO_DECIDE} rounds settle nothing");
            agenda.say(&why);
        }
        let mut rounds = Vec::new();
        let ended = (1..=count).try_for_each(|number| {
            rounds.push(self.round(number, &mut random, &mut agenda)?);
            Ok(())
        });
        agenda.finish();
        (rounds, ended)
    }

    /// How long it takes to measure one of the two, roughly.
    fn planned(&self) -> Duration {
        self.load.timing.warmup + self.load.timing.duration() + OVERHEAD
    }

    /// Plays one round in random order.
    fn round(
        &self,
        round: u32,
        random: &mut ChaCha8Rng,
        agenda: &mut Agenda,
    ) -> anyhow::Result<Round> {
        let mut measure = |launch: &Launch| {
            let text = format!("round {round}  {}", launch.name);
            agenda.step(self.planned(), &text);
            self.measure(launch)
        };
        let [a, b] = &self.launches;
        let (order, a, b) = if random.random() {
            let b = measure(b)?;
            ("ba", measure(a)?, b)
        } else {
            ("ab", measure(a)?, measure(b)?)
        };
        Ok(Round {
            round,
            order: order.to_owned(),
            a,
            b,
        })
    }

    /// One of the two in a process of its own.
    fn measure(&self, launch: &Launch) -> anyhow::Result<RoundFigures> {
        let mut server = Server::start(launch, self.interrupt)?;
        let mut load = self.load.clone();
        let target = Target::parse(&server.url);
        load.load.target.urls = vec![target.map_err(|why| anyhow!("{}: {why}", server.url))?];
        load.place = PlaceArgs {
            cpu: Some(CpuList(self.placement.generator_cpus.clone())),
            server_pids: vec![server.id().cast_signed()],
            server_cgroup: None,
        };
        self.await_echo(&mut server, &load)?;
        let measured = self.run(&mut server, &load)?;
        measured.map_err(|failure| anyhow!("{}: {failure}", launch.name))
    }

    /// Waits until the very load to come is answered rightly for a moment.
    fn await_echo(&self, server: &mut Server, load: &RunOptions) -> anyhow::Result<()> {
        let deadline = Instant::now() + CHECK_LIMIT;
        let mut load = load.clone();
        load.timing.warmup = Duration::ZERO;
        load.timing.duration = Some(CHECK_DURATION);
        loop {
            let Err(failure) = self.run(server, &load)? else {
                return Ok(());
            };
            load.timing.duration = Some(SECOND_DURATION);
            if Instant::now() >= deadline {
                bail!("{} does not echo: {failure}", server.name);
            }
            if !self.interrupt.sleep(CHECK_PAUSE)? {
                return Err(Interrupted.into());
            }
        }
    }

    /// One run, or why it failed. If the server is gone its own words, which say more, are the error; so is a signal.
    fn run(
        &self,
        server: &mut Server,
        load: &RunOptions,
    ) -> anyhow::Result<Result<RoundFigures, String>> {
        let measured = measure(load, self.interrupt);
        check(self.interrupt)?;
        let document = measured?.document;
        if document.status != Status::Ok {
            server.check()?;
            return Ok(Err(document.error.unwrap_or_default()));
        }
        let Outcome::Run(Some(figures)) = document.outcome else {
            bail!("nothing was measured");
        };
        Ok(Ok(RoundFigures {
            window_start_unix_seconds: figures.window_start_unix_seconds,
            window_seconds: figures.window_seconds,
            completed_per_second: figures.completed_per_second,
            server_cpu_ns_each: figures.server.and_then(|server| server.cpu_ns_each),
            generator_cpu_ns_each: figures.generator.cpu_ns_each,
            latency: figures.latency,
            steal_percent: figures.steal_percent,
            others_percent: figures.others_percent,
            findings: document.findings,
        }))
    }
}
