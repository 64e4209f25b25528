//! The rounds: in each, both servers once, in random order, each in a fresh process.
//!
//! Two processes of one program differ, too: where the kernel happened to put their memory moves CPU per
//! message by a few per cent for as long as they live. Servers that stayed up would carry that difference
//! through all rounds, and the verdict would be on two processes rather than two programs; started afresh
//! it is drawn anew each time, and is part of the interval.

use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use serde::Deserialize as _;

use crate::compare::document::{Figures, Round};
use crate::interrupt::Interrupt;
use crate::observe::placement::{Placement, cpu_list};
use crate::result::Document;
use crate::trial::agenda::Agenda;
use crate::trial::generator::{Generator, Outcome};
use crate::trial::process::{Interrupted, check};
use crate::trial::random::Random;
use crate::trial::server::{Launch, Server};

/// How long a server must answer the load rightly before it is measured.
const CHECK_DURATION: Duration = Duration::from_millis(50);

/// The same once it did not: on a busy machine nothing may come back in so short a time.
const SECOND_DURATION: Duration = Duration::from_secs(1);

/// How long a server whose port is open may go on refusing that.
const CHECK_LIMIT: Duration = Duration::from_secs(3);

/// Time between two attempts.
const CHECK_PAUSE: Duration = Duration::from_millis(100);

/// What a run may take beyond its time: connecting, draining.
const RUN_MARGIN: Duration = Duration::from_secs(30);

/// What starting, checking and ending a server takes, roughly.
pub(crate) const OVERHEAD: Duration = Duration::from_millis(400);

/// Names of the two in an order.
const NAMES: [char; 2] = ['a', 'b'];

/// What is the same in all rounds.
pub(crate) struct Match<'a> {
    /// A and B.
    pub(crate) launches: [Launch; 2],
    /// Options of `ringload run`.
    pub(crate) load: Vec<String>,
    pub(crate) duration: Duration,
    pub(crate) warmup: Duration,
    pub(crate) placement: &'a Placement,
    pub(crate) interrupt: &'a Interrupt,
}

impl Match<'_> {
    /// Plays round number `round` in random order.
    pub(crate) fn play(
        &self,
        round: u32,
        random: &mut Random,
        agenda: &mut Agenda,
    ) -> anyhow::Result<Round> {
        let mut order = [0, 1];
        random.shuffle(&mut order);
        let mut figures = [None, None];
        for side in order {
            let launch = &self.launches[side];
            let step = self.warmup + self.duration + OVERHEAD;
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
    fn measure(&self, launch: &Launch) -> anyhow::Result<Figures> {
        let mut server = Server::start(launch, self.interrupt)?;
        let name = &launch.name;
        self.await_echo(&mut server)?;
        let outcome = self.run(&server, self.duration, self.warmup)?;
        if let Some(failure) = outcome.failure {
            // If the server is gone, its own words say more than the generator's.
            server.check()?;
            bail!("{name}: {failure}");
        }
        let document = Document::deserialize(outcome.document)
            .with_context(|| format!("{name}: reading what ringload wrote"))?;
        Figures::of(document).with_context(|| format!("{name}: ringload measured nothing"))
    }

    /// Waits until the very load to come is answered rightly for a moment.
    fn await_echo(&self, server: &mut Server) -> anyhow::Result<()> {
        let deadline = Instant::now() + CHECK_LIMIT;
        let mut duration = CHECK_DURATION;
        loop {
            let Some(failure) = self.run(server, duration, Duration::ZERO)?.failure else {
                return Ok(());
            };
            duration = SECOND_DURATION;
            server.check()?;
            check(self.interrupt)?;
            if Instant::now() >= deadline {
                bail!("{} does not echo: {failure}", server.name);
            }
            if !self.interrupt.sleep(CHECK_PAUSE)? {
                return Err(Interrupted.into());
            }
        }
    }

    fn run(
        &self,
        server: &Server,
        duration: Duration,
        warmup: Duration,
    ) -> anyhow::Result<Outcome> {
        let generator = Generator {
            cpus: &self.placement.generator_cpus,
            directory: None,
            interrupt: self.interrupt,
        };
        let mut arguments = vec!["run".to_owned(), server.url.clone()];
        arguments.extend(self.load.iter().cloned());
        arguments.extend(
            [
                ("--duration", milliseconds(duration)),
                ("--warmup", milliseconds(warmup)),
                ("--server-pid", server.id().to_string()),
                ("--cpu", cpu_list(&self.placement.generator_cpus)),
            ]
            .into_iter()
            .flat_map(|(name, value)| [name.to_owned(), value]),
        );
        generator.measure(&arguments, duration + warmup + RUN_MARGIN)
    }
}

/// A length of time as an option of ringload takes it.
fn milliseconds(time: Duration) -> String {
    format!("{}ms", time.as_millis())
}
