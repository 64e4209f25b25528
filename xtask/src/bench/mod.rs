//! `bench`: Ringback on each engine, beside the RFC 862 echo on the same engine and Node `ws`.
//!
//! All servers are started once, pinned to one CPU, and stay up; in each round every server meets
//! every workload once, in random order. So a server is measured warm, as it would be in service
//! (a just-started Node compiles its code for a while), and idle ones cost nothing: that is
//! checked, not assumed. Memory of idle connections is measured on servers started afresh.

mod calendar;
mod choice;
mod environment;
mod node;
mod options;
mod placement;
mod plan;
mod process;
mod results;
mod ringload;
mod server;
mod statistics;
mod summary;
mod tables;

pub(crate) use options::Options;

use anyhow::{Context, ensure};
use environment::Environment;
use placement::Placement;
use plan::{Shuffler, Subject, Workload};
use process::Interrupt;
use results::Results;
use ringload::Generator;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use server::{Programs, Server};
use std::io::{IsTerminal, stderr};
use std::process::ExitCode;
use std::time::Instant;
use summary::{IdleRow, Sample, Summary};

/// Descriptors that a server or the generator needs beside its connections.
const SPARE_FILES: u64 = 200;

/// A machine that is busier than this before anything is started is called busy.
const BUSY_PERCENT_MAX: f64 = 5.0;

/// Runs the comparison that `options` asks for.
///
/// Prints the report, writes the results, and succeeds only if every run gave figures.
pub(crate) fn run(options: &Options) -> anyhow::Result<ExitCode> {
    let options = options.settled();
    let interrupt = Interrupt::install().context("cannot watch for signals")?;
    raise_open_files();
    let root = choice::project_root()?;
    let programs = choice::programs(&root, &options)?;
    let placement = Placement::choose(&options)?;
    let workloads = choice::chosen_workloads(&options)?;
    let mut summary = Summary::default();
    let (subjects, node) = choice::chosen_subjects(&options, &programs, &interrupt, &mut summary)?;
    let seed = options.seed.unwrap_or_else(seed_from_clock);
    let environment = Environment::gather(&root, &programs, &options, &placement, node, seed)?;
    let results = Results::create(&root, &options, &environment)?;
    let mut bench = Bench {
        options,
        programs,
        placement,
        interrupt,
        results,
    };
    bench.note_circumstances(&environment, &mut summary);
    let servers = bench.start_all(&subjects, &mut summary)?;
    let subjects: Vec<Subject> = servers.iter().map(|server| server.subject).collect();
    bench.announce(&workloads, &subjects);
    bench.measure_rounds(servers, &workloads, seed, &mut summary)?;
    bench.measure_idle(&subjects, &mut summary)?;
    summary::note_disturbances(&mut summary);
    summary.tables = summary::tabulate(&summary.samples);
    let report = tables::report(&environment, &summary);
    bench.results.write(&environment, &summary, &report)?;
    print!("\n{report}");
    println!("\nWritten to {}", bench.results.shown());
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
}

impl Bench {
    fn announce(&self, workloads: &[Workload], subjects: &[Subject]) {
        let runs = self.options.rounds as usize * workloads.len() * subjects.len();
        let seconds = (self.options.warmup + self.options.duration).as_secs_f64() * runs as f64;
        eprintln!(
            "{} rounds of {} workloads and {} servers: {runs} runs, about {:.0} s",
            self.options.rounds,
            workloads.len(),
            subjects.len(),
            seconds * 1.1,
        );
        if let Some(warning) = &self.placement.warning {
            eprintln!("{warning}");
        }
    }

    fn note_circumstances(&self, environment: &Environment, summary: &mut Summary) {
        if self.options.quick {
            summary.note("A quick look: too short and too few rounds to settle anything.");
        }
        if let Some(percent) = environment.busy_percent_before
            && percent > BUSY_PERCENT_MAX
        {
            summary.note(&format!(
                "The machine was not quiet: {percent:.0} % of its CPU time was in use before."
            ));
        }
    }

    fn measure_rounds(
        &self,
        mut servers: Vec<Server>,
        workloads: &[Workload],
        seed: u64,
        summary: &mut Summary,
    ) -> anyhow::Result<()> {
        let mut shuffler = Shuffler::new(seed);
        let mut workloads = workloads.to_vec();
        for round in 1..=self.options.rounds {
            shuffler.shuffle(&mut workloads);
            for workload in &workloads {
                shuffler.shuffle(&mut servers);
                for at in 0..servers.len() {
                    match self.measure(&servers, at, workload, round) {
                        Ok(sample) => summary.samples.push(sample),
                        Err(error) => {
                            self.interrupt.check()?;
                            let server = servers[at].subject.name();
                            summary.fail(format!(
                                "{server}, {}, round {round}: {error:#}",
                                workload.name
                            ));
                        }
                    }
                }
                servers.retain_mut(|server| match server.check() {
                    Ok(()) => true,
                    Err(error) => {
                        summary.fail(error.to_string());
                        false
                    }
                });
            }
        }
        finish_progress();
        Ok(())
    }

    fn start_all(
        &self,
        subjects: &[Subject],
        summary: &mut Summary,
    ) -> anyhow::Result<Vec<Server>> {
        let mut servers = Vec::new();
        for &subject in subjects {
            match self.start(subject) {
                Ok(server) => servers.push(server),
                Err(error) => {
                    self.interrupt.check()?;
                    summary.note(&format!("{} cannot run here: {error:#}", subject.name()));
                }
            }
        }
        ensure!(!servers.is_empty(), "none of the servers can run here");
        Ok(servers)
    }

    fn start(&self, subject: Subject) -> anyhow::Result<Server> {
        Server::start(
            subject,
            &self.programs,
            self.placement.server_cpu,
            &self.interrupt,
        )
    }

    /// One run against `servers[at]`, while all the others stand by.
    fn measure(
        &self,
        servers: &[Server],
        at: usize,
        workload: &Workload,
        round: u32,
    ) -> anyhow::Result<Sample> {
        let server = &servers[at];
        let name = server.subject.name();
        let raw = format!("raw/{}-{name}-{round}.json", workload.name);
        progress(&format!(
            "round {round}/{}  {}  {name}",
            self.options.rounds, workload.name
        ));
        let others = || {
            let others = servers
                .iter()
                .filter(|other| other.subject != server.subject);
            others.filter_map(Server::cpu_seconds).sum::<f64>()
        };
        let (others_before, start) = (others(), Instant::now());
        let run = self
            .generator()
            .run(server, workload, &raw, &self.interrupt)?;
        let seconds = start.elapsed().as_secs_f64();
        Ok(Sample {
            workload: workload.name,
            server: name,
            round,
            raw,
            other_servers_cpu_percent: 100.0 * (others() - others_before) / seconds,
            run,
        })
    }

    fn measure_idle(&self, subjects: &[Subject], summary: &mut Summary) -> anyhow::Result<()> {
        let wanted = self.options.idle_connections;
        let connections = wanted.min(open_files_max().saturating_sub(SPARE_FILES));
        if connections == 0 {
            return Ok(());
        }
        if connections < wanted {
            summary.note(&format!(
                "Idle memory is measured with {connections} connections, not {wanted}: the limit \
                 of open files (RLIMIT_NOFILE, `ulimit -Hn`) allows no more."
            ));
        }
        for &subject in subjects
            .iter()
            .filter(|subject| subject.has_idle_measurement())
        {
            let name = subject.name();
            let raw = format!("raw/idle-{name}.json");
            progress(&format!("idle memory  {name}"));
            let idle = self.start(subject).and_then(|server| {
                self.generator()
                    .idle(&server, connections, &raw, &self.interrupt)
            });
            match idle {
                Ok(idle) => summary.idle.push(IdleRow {
                    server: name,
                    raw,
                    idle,
                }),
                Err(error) => {
                    self.interrupt.check()?;
                    summary.fail(format!("{name}, idle connections: {error:#}"));
                }
            }
        }
        finish_progress();
        Ok(())
    }

    fn generator(&self) -> Generator<'_> {
        Generator {
            program: &self.programs.ringload,
            results: self.results.directory(),
            cpu: self.placement.generator_cpu,
            duration: self.options.duration,
            warmup: self.options.warmup,
        }
    }
}

/// Raises the soft limit of open files to the hard one, for every process started from here.
fn raise_open_files() {
    let limit = getrlimit(Resource::Nofile);
    // Allowed to everyone; should it fail all the same, the soft limit is what there is.
    let _ = setrlimit(
        Resource::Nofile,
        Rlimit {
            current: limit.maximum,
            ..limit
        },
    );
}

fn open_files_max() -> u64 {
    getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)
}

fn seed_from_clock() -> u64 {
    let since = std::time::UNIX_EPOCH.elapsed().unwrap_or_default();
    since.as_nanos() as u64 % 1_000_000_000
}

/// Where the bench has got to: a line that is rewritten on a terminal, one after another elsewhere.
fn progress(text: &str) {
    if stderr().is_terminal() {
        eprint!("\r\x1b[K{text}");
    } else {
        eprintln!("{text}");
    }
}

fn finish_progress() {
    if stderr().is_terminal() {
        eprint!("\r\x1b[K");
    }
}
