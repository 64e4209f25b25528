//! `ringbench selftest`: measures the generator's own ceiling.
//!
//! One generator thread loads a peer of our own, on another CPU where there is one, in the ways that
//! cost differently: small messages one by one, small messages in batches, large ones, and by schedule.
//! The generator's CPU time per message is its ceiling, whether or not the peer is the slower side.

mod comparing;
pub(crate) mod document;
mod replies;
mod report;
mod responder;

use std::thread;
use std::time::Duration;

use anyhow::{Context, bail};
use ringload::assess::finding::Id;
use ringload::assess::findings::LATE_NS;
use ringload::engine::select;
use ringload::interrupt::Interrupt;
use ringload::load::pin;
use ringload::observe::others::allowed_cpus;
use ringload::output::{check_writable, deliver, tell};
use ringload::quantity::CpuList;
use ringload::quantity::{grouped, time};
use ringload::result::latency::Latency;
use ringload::result::{Document, Environment, Status};
use ringload::run;
use ringload::run::options::{RunOptions, Verify};
use ringload::usage::UsageError;

use self::comparing::comparing;
use self::responder::Responder;
use crate::options::selftest::SelftestOptions;
use crate::selftest::document::{Case, SELFTEST_SCHEMA, ScheduleTest, SelftestDocument};

/// Messages per second of the schedule that one thread is to hold.
const SCHEDULE_RATE: f64 = 100_000.0;

/// Load before each measuring, which does not count.
const WARMUP: Duration = Duration::from_millis(200);

/// How much longer a load is measured that was not answered at all, and how often it is tried.
const LONGER: u32 = 4;
const LONGER_MAX: usize = 4;

/// A load that is tried.
struct Trial {
    name: &'static str,
    connections: usize,
    message_bytes: usize,
    /// `None` is the schedule.
    depth: Option<usize>,
}

const TRIALS: [Trial; 4] = [
    Trial {
        name: "64x32B-d1",
        connections: 64,
        message_bytes: 32,
        depth: Some(1),
    },
    Trial {
        name: "64x32B-d16",
        connections: 64,
        message_bytes: 32,
        depth: Some(16),
    },
    Trial {
        name: "16x64KiB-d1",
        connections: 16,
        message_bytes: 64 * 1024,
        depth: Some(1),
    },
    Trial {
        name: "64x32B-open",
        connections: 64,
        message_bytes: 32,
        depth: None,
    },
];

/// Runs and reports.
pub(crate) fn run(options: &SelftestOptions) -> anyhow::Result<Status> {
    options.check()?;
    if let Some(path) = &options.output.json {
        check_writable(path)?;
    }
    let interrupt = Interrupt::install().context("taking over signals")?;
    let document = measure(options, &interrupt)?;
    let (json, quiet) = (options.output.json.as_deref(), options.output.quiet);
    let delivered = deliver(&document, || report::table(&document), None, json, quiet);
    if let Some(error) = &document.error {
        tell(format_args!("ringbench: {error}"));
    }
    delivered.map(|()| document.status)
}

/// Measures from a thread of its own: which CPUs that one is kept on concerns nobody else.
pub(crate) fn measure(
    options: &SelftestOptions,
    interrupt: &Interrupt,
) -> anyhow::Result<SelftestDocument> {
    thread::scope(|scope| {
        let measuring = scope.spawn(|| measure_here(options, interrupt));
        let measured = measuring.join();
        measured.unwrap_or_else(|_| bail!("the thread of the self-test panicked"))
    })
}

fn measure_here(
    options: &SelftestOptions,
    interrupt: &Interrupt,
) -> anyhow::Result<SelftestDocument> {
    let placement = Placement::choose(options)?;
    let selection = select(options.engine)
        .context("io_uring cannot be used here; --engine epoll does without")?;
    let mut document = SelftestDocument {
        schema: SELFTEST_SCHEMA.to_owned(),
        status: Status::Ok,
        error: None,
        environment: Environment::read(),
        engine: selection.engine.to_string(),
        cpus: placement.generator.clone(),
        peer_cpus: placement.peer.clone(),
        cases: Vec::new(),
        schedule: None,
        verify: comparing(),
    };
    let bench = Bench {
        options,
        placement,
        interrupt,
    };
    if let Err(ending) = bench.measure_all(&mut document) {
        (document.status, document.error) = match ending {
            Ending::Interrupted => (
                Status::Interrupted,
                Some("interrupted: the figures are partial".to_owned()),
            ),
            Ending::Failed(error) => (Status::Failed, Some(error)),
        };
    }
    Ok(document)
}

/// Which CPUs the two sides are kept on.
#[derive(Debug, PartialEq, Eq)]
struct Placement {
    generator: Vec<usize>,
    /// Empty where there is only one CPU to have.
    peer: Vec<usize>,
}

impl Placement {
    fn choose(options: &SelftestOptions) -> Result<Placement, UsageError> {
        let allowed = allowed_cpus(&[std::process::id() as i32]);
        let asked = |cpus: &Option<CpuList>| cpus.as_ref().and_then(|cpus| cpus.0.first().copied());
        let (generator, peer) = (asked(&options.cpu), asked(&options.peer_cpu));
        for (name, cpu) in [("cpu", generator), ("peer-cpu", peer)] {
            if let Some(cpu) = cpu.filter(|cpu| pin(&[*cpu]).is_err()) {
                return Err(UsageError(format!(
                    "--{name} {cpu}: the kernel does not allow that CPU; {allowed:?} may be used"
                )));
            }
        }
        let allowed: Vec<usize> = allowed.into_iter().collect();
        Ok(place(&allowed, generator, peer))
    }
}

/// The last CPU for the generator and the first for the peer, as far as nobody asked for others:
/// interrupts tend to be on the first.
fn place(allowed: &[usize], generator: Option<usize>, peer: Option<usize>) -> Placement {
    let last_but = |other: Option<usize>| allowed.iter().rev().find(|cpu| Some(**cpu) != other);
    let generator = generator.or_else(|| last_but(peer).or(allowed.last()).copied());
    let peer = peer.or_else(|| allowed.iter().find(|cpu| Some(**cpu) != generator).copied());
    Placement {
        generator: generator.into_iter().collect(),
        peer: peer.into_iter().collect(),
    }
}

/// Why not everything was measured.
enum Ending {
    Interrupted,
    Failed(String),
}

struct Bench<'a> {
    options: &'a SelftestOptions,
    placement: Placement,
    interrupt: &'a Interrupt,
}

impl Bench<'_> {
    fn measure_all(&self, document: &mut SelftestDocument) -> Result<(), Ending> {
        let responder = Responder::start(&self.placement.peer)
            .map_err(|error| Ending::Failed(format!("starting the peer: {error}")))?;
        let url = format!("ws://{}/", responder.address);
        for trial in &TRIALS {
            self.tell(trial.name);
            let verified = self.measure(&url, trial, Verify::Full)?;
            if trial.depth.is_none() {
                document.schedule = schedule_test(&verified, &self.placement);
            }
            let case = case(trial, &verified).ok_or_else(|| {
                Ending::Failed(format!("{}: no message was answered", trial.name))
            })?;
            document.cases.push(case);
            let sampled = self.measure(&url, trial, Verify::Sample)?;
            if let Some(case) = document.cases.last_mut() {
                case.cpu_ns_per_message_unverified = cpu_ns_per_message(&sampled);
            }
        }
        Ok(())
    }

    fn tell(&self, name: &str) {
        if !self.options.output.quiet {
            tell(format_args!(
                "ringbench: {name}, with every byte compared and with a sample"
            ));
        }
    }

    /// Measures for longer, a few times, if not one message was answered: a thread on a machine that
    /// others fill may wait that long for a CPU.
    fn measure(&self, url: &str, trial: &Trial, verify: Verify) -> Result<Document, Ending> {
        let mut options = self.run_options(url, trial, verify);
        for _ in 0..LONGER_MAX {
            match self.measure_once(&options, trial)? {
                Some(document) => return Ok(document),
                None => {
                    options.timing.duration =
                        options.timing.duration.map(|duration| LONGER * duration)
                }
            }
        }
        Err(Ending::Failed(format!(
            "{}: the machine is too busy for a single message",
            trial.name
        )))
    }

    /// `None` if nothing went wrong and nothing was answered either.
    fn measure_once(
        &self,
        options: &RunOptions,
        trial: &Trial,
    ) -> Result<Option<Document>, Ending> {
        let failed = |error: String| Ending::Failed(format!("{}: {error}", trial.name));
        let document = match run::measure(options, self.interrupt) {
            Ok(measured) => measured.document,
            Err(_) if self.interrupt.is_raised() => return Err(Ending::Interrupted),
            Err(error) => return Err(failed(format!("{error:#}"))),
        };
        let messages = document.figures().map(|result| result.completed);
        match (document.status, &document.error) {
            (Status::Ok, _) => Ok(Some(document)),
            (Status::Interrupted, _) => Err(Ending::Interrupted),
            _ if messages == Some(0) && document.checks.faults.is_empty() => Ok(None),
            (_, Some(error)) => Err(failed(error.clone())),
            (_, None) => Err(failed("the run failed".to_owned())),
        }
    }

    /// What a user would type for it.
    fn run_options(&self, url: &str, trial: &Trial, verify: Verify) -> RunOptions {
        let (pace, value) = match trial.depth {
            Some(depth) => ("--in-flight", depth.to_string()),
            None => ("--rate", SCHEDULE_RATE.to_string()),
        };
        let connections = trial.connections.to_string();
        let bytes = trial.message_bytes.to_string();
        let words = [
            "--connections",
            &connections,
            "--size",
            &bytes,
            pace,
            &value,
            "--quiet",
        ];
        let words = std::iter::once(url).chain(words).map(str::to_owned);
        let Ok(mut options) = RunOptions::parse(words) else {
            unreachable!("constants and an address, as `every_trial_can_be_run` tries");
        };
        let is_test_of_schedule = trial.depth.is_none() && verify == Verify::Full;
        let times = if is_test_of_schedule { 2 } else { 1 };
        options.timing.duration = Some(self.options.duration * times);
        options.timing.warmup = WARMUP.min(self.options.duration);
        options.traffic.engine = self.options.engine;
        options.traffic.verify = verify;
        if !self.placement.generator.is_empty() {
            let cpus = self.placement.generator.clone();
            options.place.cpu = Some(CpuList(cpus));
        }
        options
    }
}

fn cpu_ns_per_message(document: &Document) -> Option<f64> {
    let result = document.figures()?;
    result.generator.cpu_ns_each.filter(|cpu| *cpu > 0.0)
}

fn case(trial: &Trial, document: &Document) -> Option<Case> {
    let cpu_ns_per_message = cpu_ns_per_message(document)?;
    let result = document.figures()?;
    Some(Case {
        name: trial.name.to_owned(),
        connections: trial.connections,
        depth: trial.depth,
        rate: trial.depth.is_none().then_some(SCHEDULE_RATE),
        message_bytes: trial.message_bytes,
        messages_per_second: result.completed_per_second,
        cpu_ns_per_message,
        cpu_ns_per_message_unverified: None,
        ceiling_messages_per_second: 1e9 / cpu_ns_per_message,
        noise: noise(document),
    })
}

/// What disturbed it, if anything did.
fn noise(document: &Document) -> Option<String> {
    let disturbances = [Id::Steal, Id::CpuShared, Id::Unsteady];
    let mut found = document.findings.iter();
    let found = found.find(|finding| disturbances.contains(&finding.id))?;
    Some(found.means.clone())
}

/// Whether the schedule was held, and why it was said so.
fn schedule_test(document: &Document, placement: &Placement) -> Option<ScheduleTest> {
    let result = document.figures()?;
    let lateness: Latency = result.send_lag.clone()?;
    let holds = lateness.count > 0 && lateness.p99_9_ns <= LATE_NS;
    let late = format!(
        "at {} messages/s one message in a thousand was taken up {} late or more, of {} that may be",
        grouped(SCHEDULE_RATE as u64),
        time(lateness.p99_9_ns as f64),
        time(LATE_NS as f64)
    );
    let reason = match (holds, placement.peer.is_empty()) {
        (true, _) => format!("holds: {late}"),
        (false, true) => {
            format!("cannot hold: {late}; there is only one CPU, which the peer needs as well")
        }
        (false, false) => format!("cannot hold: {late}; {}", document.summary),
    };
    Some(ScheduleTest {
        rate: SCHEDULE_RATE,
        achieved_messages_per_second: result.completed_per_second,
        lateness,
        holds,
        reason,
    })
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    fn options(arguments: &str) -> SelftestOptions {
        #[derive(Parser)]
        struct Line {
            #[command(flatten)]
            options: SelftestOptions,
        }
        Line::parse_from(format!("selftest {arguments}").split_whitespace()).options
    }

    #[test]
    fn the_sides_are_kept_apart_where_there_is_room() {
        let placed = |allowed: &[usize], generator, peer| {
            let placement = place(allowed, generator, peer);
            (placement.generator, placement.peer)
        };
        assert_eq!(placed(&[0, 1, 5], None, None), (vec![5], vec![0]));
        assert_eq!(placed(&[0, 1], Some(0), None), (vec![0], vec![1]));
        assert_eq!(placed(&[0, 1], None, Some(1)), (vec![0], vec![1]));
        assert_eq!(placed(&[0, 1], Some(1), Some(1)), (vec![1], vec![1]));
        assert_eq!(placed(&[3], None, None), (vec![3], vec![]));
        assert_eq!(placed(&[3], None, Some(3)), (vec![3], vec![3]));
        assert_eq!(placed(&[], None, None), (vec![], vec![]));
    }

    #[test]
    fn every_trial_can_be_run() {
        let options = options("--duration 300ms --engine epoll");
        let interrupt = Interrupt::install().unwrap();
        let bench = Bench {
            options: &options,
            placement: place(&[0, 1], None, None),
            interrupt: &interrupt,
        };
        for trial in &TRIALS {
            for verify in [Verify::Full, Verify::Sample] {
                let run = bench.run_options("ws://127.0.0.1:1/", trial, verify);
                assert!(run.check().is_ok());
                assert_eq!(run.timing.rate.is_some(), trial.depth.is_none());
                assert_eq!(run.load.size.bytes_max(), trial.message_bytes);
                assert_eq!(
                    (run.pace.in_flight, run.load.connections),
                    (trial.depth, trial.connections)
                );
                assert!(run.traffic.verify == verify && run.output.quiet);
                let is_schedule = trial.depth.is_none() && verify == Verify::Full;
                let ms = if is_schedule { 600 } else { 300 };
                assert_eq!(run.timing.duration, Some(Duration::from_millis(ms)));
            }
        }
    }

    #[test]
    fn what_cannot_be_run_is_refused() {
        assert!(options("--duration 0s").check().is_err());
        let error = Placement::choose(&options("--cpu 1023")).unwrap_err();
        assert!(error.to_string().contains("--cpu 1023"), "{error}");
        let error = Placement::choose(&options("--peer-cpu 1023")).unwrap_err();
        assert!(error.to_string().contains("--peer-cpu 1023"), "{error}");
    }
}
