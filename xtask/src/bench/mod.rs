//! `bench`: Ringback on each engine, beside the RFC 862 echo on the same engine and its peers.
//!
//! A comparison has parts, each of which can be run alone: [`plan::Part`]. Each is a file here that says
//! how it measures and why so.

mod agenda;
mod bootstrap;
mod calendar;
mod choice;
mod environment;
mod grid;
mod launch;
mod memory;
mod node;
mod options;
mod paired;
mod peers;
mod placement;
mod plan;
mod process;
mod random;
mod reports;
mod results;
mod ringload;
mod rounds;
mod server;
mod statistics;
mod storm;
mod summary;
mod tables;

pub(crate) use options::Options;
use options::Pace;

use agenda::{Agenda, minutes};
use anyhow::{Context, ensure};
use environment::Environment;
use launch::Programs;
use placement::Placement;
use plan::{DEEP, Part, Subject, Workload};
use process::Interrupt;
use random::Random;
use results::Results;
use ringload::Generator;
use server::Server;
use std::process::ExitCode;
use std::time::Duration;
use summary::Summary;

/// A machine that is busier than this before anything is started is called busy.
const BUSY_PERCENT_MAX: f64 = 5.0;

/// What every server has to echo before it is timed: lengths of eight bytes, more than one receive.
const CHECK: Workload = Workload {
    name: "check",
    connections: 2,
    depth: 2,
    size_bytes: 100_000,
};

/// For how long.
const CHECK_PACE: Pace = Pace {
    rounds: 1,
    duration: Duration::from_millis(100),
    warmup: Duration::ZERO,
};

/// What a run takes beyond its measured time and its warm-up, roughly.
const RUN_OVERHEAD: Duration = Duration::from_millis(250);

/// Runs the comparison that `options` asks for.
///
/// Prints the report, writes the results, and succeeds only if every run gave figures.
pub(crate) fn run(options: &Options) -> anyhow::Result<ExitCode> {
    let options = options.clone();
    let interrupt = Interrupt::install().context("cannot watch for signals")?;
    memory::raise_open_files();
    let root = choice::project_root()?;
    let programs = choice::programs(&root, &options)?;
    let placement = Placement::choose(&options)?;
    let workloads = choice::chosen_workloads(&options)?;
    let mut summary = Summary::default();
    let (subjects, peers) = choice::chosen_subjects(&options, &programs, &interrupt, &mut summary)?;
    let seed = options.seed.unwrap_or_else(seed_from_clock);
    let environment = Environment::gather(&root, &programs, &options, &placement, peers, seed)?;
    let results = Results::create(&root, &options, &environment)?;
    let mut bench = Bench {
        options,
        programs,
        placement,
        interrupt,
        results,
        subjects,
        random: Random::new(seed),
        agenda: Agenda::new(Duration::ZERO),
        next_visit: 0,
        summary,
    };
    bench.note_circumstances(&environment);
    bench.check_all()?;
    bench.announce(&workloads, seed);
    for part in bench.options.parts() {
        bench.measure_part(part, &workloads)?;
    }
    let Bench {
        mut summary,
        mut results,
        ..
    } = bench;
    summary::note_disturbances(&mut summary);
    summary.tables = summary::tabulate(&summary.samples);
    summary.storms = storm::tabulate_storms(&summary.storm_samples);
    let report = tables::report(&environment, &summary);
    results.write(&environment, &summary, &report)?;
    print!("\n{report}");
    println!("\nWritten to {}", results.shown());
    Ok(if summary.failures.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// One comparison under way.
struct Bench {
    options: Options,
    programs: Programs,
    placement: Placement,
    interrupt: Interrupt,
    results: Results,
    /// The servers that can be had, of those asked for.
    subjects: Vec<Subject>,
    random: Random,
    agenda: Agenda,
    /// Number of the next visit of a storm.
    next_visit: u64,
    summary: Summary,
}

impl Bench {
    fn measure_part(&mut self, part: Part, workloads: &[Workload]) -> anyhow::Result<()> {
        let workloads = self.workloads_of(part, workloads);
        match part {
            Part::Echo | Part::Deep => self.measure_rounds(part, &workloads),
            Part::Paired => self.measure_pairs(&workloads),
            Part::Storm => self.measure_storms(),
            Part::Idle | Part::Crowd => self.measure_memory(part),
        }
    }

    /// Those of the chosen workloads that `part` is about.
    fn workloads_of(&self, part: Part, chosen: &[Workload]) -> Vec<Workload> {
        let is_deep = |workload: &&Workload| workload.name == DEEP;
        let chosen = chosen.iter();
        match part {
            Part::Echo => chosen
                .filter(|workload| !is_deep(workload))
                .copied()
                .collect(),
            Part::Deep => chosen.filter(is_deep).copied().collect(),
            Part::Paired => self.paired_workloads(chosen.as_slice()),
            Part::Storm | Part::Idle | Part::Crowd => Vec::new(),
        }
    }

    /// The servers that `part` measures.
    fn taking_part(&self, part: Part) -> Vec<Subject> {
        let subjects = self.subjects.iter().copied();
        subjects
            .filter(|subject| subject.takes_part_in(part))
            .collect()
    }

    /// How long one run of `part` should take.
    fn step_of(&self, part: Part) -> Duration {
        let pace = self.options.pace(part);
        match part {
            Part::Echo | Part::Deep | Part::Paired => pace.warmup + pace.duration + RUN_OVERHEAD,
            Part::Storm => self.storm_step(),
            Part::Idle | Part::Crowd => self.memory_step(part),
        }
    }

    /// How many runs `part` has.
    fn steps_of(&self, part: Part, workloads: &[Workload]) -> u32 {
        let workloads = self.workloads_of(part, workloads).len();
        let rounds = self.options.pace(part).rounds as usize;
        let servers = self.taking_part(part).len();
        let runs = match part {
            Part::Echo | Part::Deep => workloads * servers * rounds,
            Part::Paired => workloads * self.pair_count() * 2 * rounds,
            Part::Storm => servers * (rounds + 1),
            Part::Idle | Part::Crowd => servers,
        };
        runs as u32
    }

    /// Says what is planned and makes it the agenda.
    fn announce(&mut self, workloads: &[Workload], seed: u64) {
        let mut planned = Duration::ZERO;
        for part in self.options.parts() {
            let steps = self.steps_of(part, workloads);
            let time = self.step_of(part) * steps;
            if steps > 0 {
                eprintln!("{part:?}: {steps} runs, about {}", minutes(time));
            }
            planned += time;
        }
        eprintln!("in all about {}; seed {seed}", minutes(planned));
        if let Some(warning) = &self.placement.warning {
            eprintln!("{warning}");
        }
        self.agenda = Agenda::new(planned);
    }

    fn note_circumstances(&mut self, environment: &Environment) {
        if self.options.quick {
            self.summary
                .note("A quick look: too short and too few rounds to settle anything.");
        }
        if let Some(percent) = environment.busy_percent_before
            && percent > BUSY_PERCENT_MAX
        {
            self.summary.note(&format!(
                "The machine was not quiet: {percent:.0} % of its CPU time was in use before."
            ));
        }
    }

    /// Takes out the servers that cannot run here, and those that do not echo.
    fn check_all(&mut self) -> anyhow::Result<()> {
        for subject in self.subjects.clone() {
            let name = subject.name();
            let checked = match self.start(subject) {
                Ok(server) => self.check(&server),
                Err(error) => {
                    self.interrupt.check()?;
                    let why = format!("{error:#}");
                    let why = why.trim_end_matches('.');
                    self.summary
                        .note(&format!("{name} cannot run here: {why}."));
                    self.subjects.retain(|other| *other != subject);
                    continue;
                }
            };
            if let Err(error) = checked {
                self.interrupt.check()?;
                self.summary
                    .fail(format!("{name} is left out, it does not echo: {error:#}"));
                self.subjects.retain(|other| *other != subject);
            }
        }
        ensure!(
            !self.subjects.is_empty() || !self.options.pair.is_empty(),
            "none of the servers can run here"
        );
        Ok(())
    }

    /// A short run that must come back byte by byte.
    fn check(&self, server: &Server) -> anyhow::Result<()> {
        let raw = format!("raw/check-{}.json", server.name);
        self.generator().run(server, &CHECK, CHECK_PACE, &raw)?;
        Ok(())
    }

    fn start(&self, subject: Subject) -> anyhow::Result<Server> {
        let launch = self.programs.launch(subject);
        Server::start(&launch, self.placement.server_cpu, &self.interrupt)
    }

    /// Starts the servers that `part` measures.
    fn start_all(&mut self, part: Part) -> anyhow::Result<Vec<Server>> {
        let subjects = self.taking_part(part).into_iter();
        subjects.map(|subject| self.start(subject)).collect()
    }

    /// Takes out the servers that have ended, which is a failure.
    fn bury(&mut self, servers: &mut Vec<Server>) {
        servers.retain_mut(|server| match server.check() {
            Ok(()) => true,
            Err(error) => {
                self.summary.fail(error.to_string());
                false
            }
        });
    }

    fn generator(&self) -> Generator<'_> {
        Generator {
            program: &self.programs.ringload,
            results: self.results.directory(),
            cpu: self.placement.generator_cpu,
            interrupt: &self.interrupt,
        }
    }
}

fn seed_from_clock() -> u64 {
    let since = std::time::UNIX_EPOCH.elapsed().unwrap_or_default();
    since.as_nanos() as u64 % 1_000_000_000
}
