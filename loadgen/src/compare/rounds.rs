//! The rounds: in each, both servers once, in random order, each in a fresh process.
//!
//! Two processes of one program differ, too: where the kernel happened to put their memory moves CPU per
//! message by a few per cent for as long as they live. Servers that stayed up would carry that difference
//! through all rounds, and the verdict would be on two processes rather than two programs; started afresh
//! it is drawn anew each time, and is part of the interval. The generator is this process: its threads are the
//! same for both, so what is particular about them cancels out.

use std::time::{Duration, Instant};

use anyhow::{Context, anyhow, bail};
use rand::seq::SliceRandom as _;
use rand_chacha::ChaCha8Rng;

use crate::interrupt::Interrupt;
use crate::observe::placement::Placement;
use crate::quantity::CpuList;
use crate::result::Status;
use crate::result::compare::{Round, RoundFigures};
use crate::result::load::Load;
use crate::run::options::RunOptions;
use crate::run::place::PlaceArgs;
use crate::run::{Measured, measure};
use crate::target::Target;
use crate::trial::agenda::Agenda;
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
pub(super) const OVERHEAD: Duration = Duration::from_millis(400);

/// Names of the two in an order.
const NAMES: [char; 2] = ['a', 'b'];

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
        let RunOptions {
            load,
            traffic,
            timing,
            ..
        } = &self.load;
        let described = load.describe(traffic.kinds(load), load.seed.unwrap_or_default());
        timing.describe(described)
    }

    /// Plays round number `round` in random order.
    pub(super) fn play(
        &self,
        round: u32,
        random: &mut ChaCha8Rng,
        agenda: &mut Agenda,
    ) -> anyhow::Result<Round> {
        let mut order = [0, 1];
        order.shuffle(random);
        let mut figures = [None, None];
        for side in order {
            let launch = &self.launches[side];
            let timing = &self.load.timing;
            let step = timing.warmup + timing.duration() + OVERHEAD;
            agenda.step(step, &format!("round {round}  {}", launch.name));
            figures[side] = Some(self.measure(launch)?);
        }
        let [Some(a), Some(b)] = figures else {
            bail!("a round without one of its two");
        };
        Ok(Round {
            round,
            order: order.map(|side| NAMES[side]).iter().collect(),
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
        let name = &launch.name;
        measured.map_err(|failure| anyhow!("{name}: {failure}"))
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
        let Measured { document, .. } = measured?;
        if document.status != Status::Ok {
            server.check()?;
            return Ok(Err(document.error.unwrap_or_default()));
        }
        let figures = super::figures(document).context("nothing was measured")?;
        Ok(Ok(figures))
    }
}
