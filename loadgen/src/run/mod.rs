//! `ringload run`: connect, warm up, measure, drain, report.

mod result;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow};
use hdrhistogram::Histogram;

use crate::control::{Control, Phase};
use crate::dial::Dialer;
use crate::echo::connection::Workload;
use crate::echo::payload::{Kind, Pool, Random};
use crate::echo::tally::latency_histogram;
use crate::engine::{Selection, select};
use crate::interrupt::{Interrupt, Woken};
use crate::load::{Harvest, Plan, pin};
use crate::measure::process::{Memory, cpu_source, family_memory, tasks};
use crate::measure::window::{Observed, Snapshot, Window};
use crate::options::run::{RunOptions, Threads};
use crate::options::{UsageError, make_room_for};
use crate::output::document::run::{Checks, Load, Loop, MessageSize, RUN_SCHEMA, RunDocument};
use crate::output::document::{Environment, Status};
use crate::output::{deliver, histogram, table};
use crate::progress::{Progress, TICK};

/// How long the last replies and the closing handshakes may take once the load has stopped.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(5);

/// A wait that ends by news or a signal.
const LONG: Duration = Duration::from_secs(3600);

/// Runs and reports. The status says how it ended; errors are those that left nothing to
/// report.
pub(crate) fn run(options: &RunOptions) -> anyhow::Result<Status> {
    options.check()?;
    make_room_for(options.traffic.connections)?;
    let observed = observe(&options.traffic.server_pids)?;
    let interrupt = Interrupt::install().context("taking over signals")?;
    if let Some(cpus) = &options.traffic.cpu {
        pin(&cpus.0).map_err(|error| {
            UsageError(format!(
                "--cpu: the kernel does not allow these CPUs ({error})"
            ))
        })?;
    }
    let selection = select(options.traffic.engine)
        .context("io_uring cannot be used here; --engine epoll does without")?;
    let plan = plan(options, &selection)?;
    let threads = plan.start().context("starting a thread")?;
    let conductor = Conductor {
        options,
        control: &plan.control,
        interrupt: &interrupt,
        observed: &observed,
        progress: Progress::new(options.output.quiet),
    };
    let course = conductor.conduct()?;
    conductor.progress.finish();
    let harvest = gather(threads)?;
    let document = document(options, &plan, &selection, &observed, &course, &harvest);
    report(options, &document, &harvest.latency)?;
    Ok(document.status)
}

/// Checks that the server's process can be read.
pub(crate) fn observe(server_pids: &[i32]) -> Result<Observed, UsageError> {
    let source = cpu_source();
    for &pid in server_pids {
        tasks(pid, source).map_err(|error| {
            UsageError(format!(
                "--server-pid {pid}: that process cannot be read ({error})"
            ))
        })?;
    }
    Ok(Observed {
        server_pids: server_pids.to_vec(),
        source,
    })
}

/// The seed asked for, or one from the kernel.
pub(crate) fn seed(asked: Option<u64>) -> anyhow::Result<u64> {
    if let Some(seed) = asked {
        return Ok(seed);
    }
    let mut bytes = [0; 8];
    rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty())
        .context("asking the kernel for a seed")?;
    Ok(u64::from_ne_bytes(bytes))
}

/// How many load threads.
fn threads(options: &RunOptions) -> usize {
    match options.traffic.threads {
        Threads::Count(threads) => threads,
        Threads::Auto => std::thread::available_parallelism().map_or(1, usize::from),
    }
}

fn plan(options: &RunOptions, selection: &Selection) -> anyhow::Result<Plan> {
    let protocol = options.target.protocol();
    let dialer = Dialer::new(options.target.urls[0].clone(), protocol)
        .with_context(|| format!("resolving {:?}", options.target.urls[0].host))?;
    let seed = seed(options.traffic.seed)?;
    let pool = Pool::new(
        options.traffic.kind(),
        options.traffic.size.bytes_max(),
        &mut Random::new(seed, 0),
    );
    Ok(Plan {
        control: Arc::new(Control::new(threads(options)).context("creating an event fd")?),
        dialer: Arc::new(dialer),
        workload: Workload {
            protocol,
            kind: options.traffic.kind(),
            depth: options.depth(),
            pool: Arc::new(pool),
        },
        engine: selection.engine,
        connections: options.traffic.connections,
        seed,
        cpus: options
            .traffic
            .cpu
            .as_ref()
            .map_or_else(Vec::new, |cpus| cpus.0.clone()),
    })
}

/// How the run went, as far as the main thread saw it.
struct Course {
    window: Option<Window>,
    memory: Option<Memory>,
    interrupted: bool,
}

/// How a stretch of the run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stretch {
    Complete,
    Failed,
    Interrupted,
}

struct Conductor<'a> {
    options: &'a RunOptions,
    control: &'a Control,
    interrupt: &'a Interrupt,
    observed: &'a Observed,
    progress: Progress,
}

impl Conductor<'_> {
    fn conduct(&self) -> anyhow::Result<Course> {
        match self.connect()? {
            Stretch::Complete => {}
            // The threads may sit in a connect; the process ends without them.
            Stretch::Interrupted => return Err(anyhow!("interrupted before the load began")),
            Stretch::Failed => return self.wind_up(Phase::Abandon, None, None, false),
        }
        if !self.options.warmup.is_zero() {
            self.control.advance(Phase::WarmUp);
            let warm_up = self.stretch("warm-up", self.options.warmup)?;
            if warm_up != Stretch::Complete {
                let interrupted = warm_up == Stretch::Interrupted;
                return self.wind_up(Phase::Drain, None, None, interrupted);
            }
        }
        let from = Snapshot::take(self.control, self.observed);
        self.control.open_window(from.at);
        let measured = self.stretch(
            "measuring",
            self.options.duration.unwrap_or(Duration::from_secs(5)),
        )?;
        let to = Snapshot::take(self.control, self.observed);
        let memory = family_memory(&self.observed.server_pids).ok();
        let window = Window::between(self.control, &from, &to);
        self.wind_up(
            Phase::Drain,
            Some(window),
            memory,
            measured == Stretch::Interrupted,
        )
    }

    /// Waits until all connections stand.
    fn connect(&self) -> anyhow::Result<Stretch> {
        let threads = self.control.lines.len();
        while self.control.ready.load(Ordering::Acquire) < threads {
            let wait = if self.progress.is_shown() { TICK } else { LONG };
            let woken = self
                .interrupt
                .wait(&self.control.news, Instant::now() + wait)?;
            if woken == Woken::Interrupted {
                return Ok(Stretch::Interrupted);
            }
            if self.control.failed.load(Ordering::Acquire) {
                return Ok(Stretch::Failed);
            }
            let connected = self.control.connected.load(Ordering::Relaxed);
            let share = connected as f64 / self.options.traffic.connections as f64;
            self.progress
                .show("connecting", share, format!("{connected} connections"));
        }
        Ok(Stretch::Complete)
    }

    /// Lets the load run for `length`.
    fn stretch(&self, stage: &'static str, length: Duration) -> anyhow::Result<Stretch> {
        let start = Instant::now();
        let end = start + length;
        let mut last = (start, self.messages());
        loop {
            let next = if self.progress.is_shown() {
                end.min(Instant::now() + TICK)
            } else {
                end
            };
            let woken = self.interrupt.wait(&self.control.news, next)?;
            if woken == Woken::Interrupted {
                return Ok(Stretch::Interrupted);
            }
            if self.control.failed.load(Ordering::Acquire) {
                return Ok(Stretch::Failed);
            }
            let now = Instant::now();
            if now >= end {
                return Ok(Stretch::Complete);
            }
            let messages = self.messages();
            let rate = (messages - last.1) as f64 / (now - last.0).as_secs_f64().max(1e-9);
            last = (now, messages);
            let share = (now - start).as_secs_f64() / length.as_secs_f64();
            let message = format!("{} messages/s", table::grouped(rate as u64));
            self.progress.show(stage, share, message);
        }
    }

    fn messages(&self) -> u64 {
        self.control
            .lines
            .iter()
            .map(|line| line.messages.load(Ordering::Relaxed))
            .sum()
    }

    /// Stops the load; threads that do not finish in time are told to leave.
    fn wind_up(
        &self,
        phase: Phase,
        window: Option<Window>,
        memory: Option<Memory>,
        interrupted: bool,
    ) -> anyhow::Result<Course> {
        self.control.advance(phase);
        let deadline = Instant::now() + DRAIN_TIMEOUT;
        let threads = self.control.lines.len();
        while self.control.ended.load(Ordering::Acquire) < threads && Instant::now() < deadline {
            if interrupted {
                // The interrupt stays raised, so waiting for it again would spin.
                std::thread::sleep(Duration::from_millis(10));
            } else if self.interrupt.wait(&self.control.news, deadline)? == Woken::Interrupted {
                break;
            }
        }
        self.control.advance(Phase::Abandon);
        Ok(Course {
            window,
            memory,
            interrupted,
        })
    }
}

/// What all threads counted together.
struct Gathered {
    latency: Histogram<u64>,
    checks: Checks,
    faults: Vec<String>,
}

fn gather(threads: Vec<JoinHandle<Harvest>>) -> anyhow::Result<Gathered> {
    let mut latency = latency_histogram();
    let mut checks = Checks::default();
    let mut faults = Vec::new();
    for thread in threads {
        let harvest = thread
            .join()
            .map_err(|_| anyhow!("a load thread panicked"))?;
        let tally = &harvest.tally;
        latency.add(&tally.latency).context("merging histograms")?;
        checks.messages_verified += tally.messages;
        checks.payload_bytes_verified += tally.payload_bytes;
        checks.replies_fragmented += tally.fragmented;
        checks.pings_answered += tally.pings;
        checks.pongs_received += tally.pongs;
        checks.messages_unanswered += harvest.unanswered;
        let oldest_seconds = harvest.oldest_unanswered_ns as f64 / 1e9;
        checks.oldest_unanswered_seconds = checks.oldest_unanswered_seconds.max(oldest_seconds);
        faults.extend(harvest.fault.map(|fault| fault.to_string()));
    }
    Ok(Gathered {
        latency,
        checks,
        faults,
    })
}

fn document(
    options: &RunOptions,
    plan: &Plan,
    selection: &Selection,
    observed: &Observed,
    course: &Course,
    gathered: &Gathered,
) -> RunDocument {
    let (status, error) = judge(observed, course, gathered);
    RunDocument {
        schema: RUN_SCHEMA.to_owned(),
        status,
        error: error.clone(),
        environment: Environment::read(),
        load: Load {
            urls: options
                .target
                .urls
                .iter()
                .map(|target| target.url.clone())
                .collect(),
            addresses: plan
                .dialer
                .address()
                .iter()
                .map(ToString::to_string)
                .collect(),
            protocol: plan.workload.protocol.to_string(),
            tls: None,
            deflate: None,
            subprotocol: None,
            loop_kind: Loop::Closed,
            depth: Some(options.depth()),
            rate: None,
            message_kind: match plan.workload.kind {
                Kind::Text => "text".to_owned(),
                Kind::Binary => "binary".to_owned(),
            },
            message_size: MessageSize {
                text: options.traffic.size.text().to_owned(),
                bytes_min: options.traffic.size.bytes_min(),
                bytes_max: options.traffic.size.bytes_max(),
            },
            fragments: 1,
            ping_every_seconds: None,
            verify: "full".to_owned(),
            connections: options.traffic.connections,
            slow_readers: 0,
            threads: threads(options),
            cpus: plan.cpus.clone(),
            engine: selection.engine.to_string(),
            engine_reason: selection.reason.clone(),
            seed: plan.seed,
            warmup_seconds: options.warmup.as_secs_f64(),
            duration_seconds: options
                .duration
                .unwrap_or(Duration::from_secs(5))
                .as_secs_f64(),
        },
        checks: gathered.checks.clone(),
        result: course.window.as_ref().map(|window| {
            result::result(window, &gathered.latency, observed, course.memory, error)
        }),
    }
}

/// How the run ended, and the sentence that says so.
fn judge(observed: &Observed, course: &Course, gathered: &Gathered) -> (Status, Option<String>) {
    if let Some(first) = gathered.faults.first() {
        let error = match gathered.faults.len() {
            1 => first.clone(),
            faults => format!("{first}\n  ({} more threads failed too)", faults - 1),
        };
        return (Status::Failed, Some(error));
    }
    if course.interrupted {
        return (
            Status::Interrupted,
            Some("interrupted: the figures are partial".to_owned()),
        );
    }
    let unanswered = gathered.checks.messages_unanswered;
    if unanswered > 0 {
        let seconds = DRAIN_TIMEOUT.as_secs();
        let error = format!(
            "{unanswered} messages were not answered within {seconds} seconds after the load \
             had stopped"
        );
        return (Status::Failed, Some(error));
    }
    let Some(window) = &course.window else {
        return (Status::Failed, Some("the load never began".to_owned()));
    };
    if window.messages == 0 {
        let error = "no message was answered within the window; measure for longer";
        return (Status::Failed, Some(error.to_owned()));
    }
    match (&observed.server_pids[..], &window.server) {
        ([_, ..], None) => (
            Status::Failed,
            Some("a process of --server-pid ended during the run".to_owned()),
        ),
        _ => (Status::Ok, None),
    }
}

fn report(
    options: &RunOptions,
    document: &RunDocument,
    latency: &Histogram<u64>,
) -> anyhow::Result<()> {
    deliver(
        document,
        || table::run_table(document),
        document.error.as_deref(),
        options.output.json.as_deref(),
        options.output.quiet,
    )?;
    if let Some(path) = &options.histogram {
        histogram::write_file(path, latency)?;
    }
    Ok(())
}
