//! `ringbench selftest`: what the generator can do at most, and whether it sees what goes wrong.
//!
//! One generator thread loads a peer of our own, on another CPU where there is one, in the ways that cost differently:
//! small messages one by one, small messages in batches, large ones, and by schedule. The generator's CPU time per
//! message is its ceiling, whether or not the peer is the slower side. Then the peer does wrong, and that must be seen.

mod responder;

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, bail};
use ringload::interrupt::Interrupt;
use ringload::observe::placement::Placement;
use ringload::output::{check_writable, deliver, tell};
use ringload::quantity::{grouped, time};
use ringload::result::{Document, Environment, Status};
use ringload::usage::UsageError;
use serde::Serialize;

use self::responder::{LATE, LATE_BY, WRONG};
use crate::generator;
use crate::options::selftest::SelftestOptions;

/// What a run may take beside its window.
const MARGIN: Duration = Duration::from_secs(60);

/// How much longer a load is measured that was not answered at all: a thread on a machine that others fill may wait
/// that long for a CPU.
const LONGER: [u32; 3] = [1, 4, 16];

const CASES: [&str; 4] = [
    "--connections=64 --size=32 --in-flight=1",
    "--connections=64 --size=32 --in-flight=16",
    "--connections=16 --size=64KiB --in-flight=1",
    "--connections=64 --size=32 --rate=100000",
];

/// The load under which the peer does wrong.
const WATCHED: &str = "--connections=4 --size=32 --rate=2000";

/// What is written.
#[derive(Debug, Serialize)]
pub(crate) struct SelftestDocument {
    /// Always `ringload-selftest/2`.
    pub(crate) schema: &'static str,
    pub(crate) status: Status,
    /// One sentence, unless the status is `ok`.
    pub(crate) error: Option<String>,
    pub(crate) environment: Environment,
    /// The first of the CPUs of each side is taken.
    pub(crate) placement: Placement,
    pub(crate) cases: Vec<Case>,
    /// What the peer did wrong, and how that was seen.
    pub(crate) seen: Vec<[String; 2]>,
}

/// One load, by one thread, on a peer that answers at once.
#[derive(Debug, Serialize)]
pub(crate) struct Case {
    /// The options for it.
    pub(crate) load: &'static str,
    /// What the generator and the peer did together.
    pub(crate) messages_per_second: f64,
    /// The generator's CPU time, every byte compared.
    pub(crate) cpu_ns_per_message: f64,
    /// What one thread could do if the peer cost nothing: 1 s over the CPU time of a message.
    pub(crate) ceiling_messages_per_second: f64,
    /// By a schedule: how late the generator took up one message in a thousand, at least.
    pub(crate) send_lag_p99_9_ns: Option<u64>,
    /// What was found: where others took part, a message costs less than on a quiet machine.
    pub(crate) summary: String,
}

/// Runs and reports.
pub(crate) fn run(options: &SelftestOptions) -> anyhow::Result<Status> {
    options.check()?;
    if let Some(path) = &options.json {
        check_writable(path)?;
    }
    let interrupt = Interrupt::install().context("taking over signals")?;
    let placement = Placement::choose(options.server_cpu.as_ref(), options.generator_cpu.as_ref())
        .map_err(UsageError)?;
    let (json, quiet) = (options.json.as_deref(), options.quiet);
    let (duration, engine) = (options.duration, &options.engine);
    let document = measure(&placement, duration, engine, quiet, &interrupt)?;
    let delivered = deliver(&document, || table(&document), None, json, quiet);
    if let Some(error) = &document.error {
        tell(format_args!("ringbench: {error}"));
    }
    delivered.map(|()| document.status)
}

/// Measures, each load for `duration`.
pub(crate) fn measure(
    placement: &Placement,
    duration: Duration,
    engine: &str,
    quiet: bool,
    interrupt: &Interrupt,
) -> anyhow::Result<SelftestDocument> {
    let mut document = SelftestDocument {
        schema: "ringload-selftest/2",
        status: Status::Ok,
        error: None,
        environment: Environment::read(),
        placement: placement.clone(),
        cases: Vec::new(),
        seen: Vec::new(),
    };
    let bench = Bench {
        address: responder::start(&placement.server_cpus[..1]).context("starting the peer")?,
        cpu: placement.generator_cpus[0],
        interrupt,
        duration,
        engine,
        quiet,
    };
    if let Err(error) = bench.measure_all(&mut document) {
        document.error = Some(format!("{error:#}"));
        document.status = Status::Failed;
    }
    if interrupt.is_raised() {
        document.error = Some("interrupted: the figures are partial".to_owned());
        document.status = Status::Interrupted;
    }
    Ok(document)
}

struct Bench<'a> {
    address: SocketAddr,
    cpu: usize,
    interrupt: &'a Interrupt,
    duration: Duration,
    engine: &'a str,
    quiet: bool,
}

impl Bench<'_> {
    fn measure_all(&self, document: &mut SelftestDocument) -> anyhow::Result<()> {
        for load in CASES {
            document.cases.push(self.case(load).context(load)?);
        }
        let byte = "a byte of a reply was another one".to_owned();
        let (wrong, why) = self.generate(WRONG, WATCHED, 1)?;
        if wrong.status != Status::Failed || wrong.checks.faults.is_empty() {
            bail!("{byte}, and that was not seen");
        }
        document.seen.push([byte, why.unwrap_or_default()]);
        let (late, _) = self.generate(LATE, WATCHED, 1)?;
        let p99_ns = late.figures().map_or(0, |figures| figures.latency.p99_ns);
        let stall = time(LATE_BY.as_nanos() as f64);
        let stall = format!("nothing was answered for {stall}");
        // All that was due meanwhile waited: a tenth of the window or more.
        if u128::from(p99_ns) < LATE_BY.as_nanos() / 2 {
            bail!("{stall}, and that was not seen");
        }
        let seen = format!("p99 of the latency: {}", time(p99_ns as f64));
        document.seen.push([stall, seen]);
        Ok(())
    }

    fn case(&self, load: &'static str) -> anyhow::Result<Case> {
        for times in LONGER {
            let (found, failure) = self.generate("/", load, times)?;
            let Some(figures) = found.figures().filter(|figures| figures.completed > 0) else {
                continue;
            };
            if let Some(why) = failure {
                bail!(why);
            }
            let cpu_ns = figures.generator.cpu_ns_each.unwrap_or(f64::NAN);
            return Ok(Case {
                load,
                messages_per_second: figures.completed_per_second,
                cpu_ns_per_message: cpu_ns,
                ceiling_messages_per_second: 1e9 / cpu_ns,
                send_lag_p99_9_ns: figures.send_lag.as_ref().map(|lag| lag.p99_9_ns),
                summary: found.summary.clone(),
            });
        }
        bail!("the machine is too busy for a single message")
    }

    /// A run of so many times the usual length, and why it failed if it did.
    fn generate(
        &self,
        path: &str,
        load: &str,
        times: u32,
    ) -> anyhow::Result<(Document, Option<String>)> {
        let Bench {
            address,
            cpu,
            engine,
            ..
        } = self;
        let duration = times * self.duration;
        let url = format!("ws://{address}{path}");
        if !self.quiet {
            tell(format_args!("ringbench: {url} {load}"));
        }
        let milliseconds = duration.as_millis();
        let words = format!(
            "run {url} {load} --duration={milliseconds}ms --warmup=200ms --cpu={cpu} --engine={engine}"
        );
        let words: Vec<String> = words.split(' ').map(str::to_owned).collect();
        let (here, limit) = (Path::new("."), duration + MARGIN);
        let measured = generator::measure(&words, &[*cpu], here, limit, self.interrupt);
        let (document, failure) = measured?;
        let document = document.with_context(|| failure.clone().unwrap_or_default())?;
        Ok((document, failure))
    }
}

/// For people.
fn table(document: &SelftestDocument) -> String {
    let mut text = String::new();
    for case in &document.cases {
        let Case { load, summary, .. } = case;
        let rate = grouped(case.messages_per_second as u64);
        let ceiling = grouped(case.ceiling_messages_per_second as u64);
        let cpu = time(case.cpu_ns_per_message);
        text += &format!("{load}\n  {rate} messages/s; {cpu} of CPU each: {ceiling}/s at most\n");
        if let Some(lag) = case.send_lag_p99_9_ns {
            let lag = time(lag as f64);
            text += &format!("  one message in a thousand was sent {lag} late or more\n");
        }
        text += &format!("  {summary}\n");
    }
    for [done, seen] in &document.seen {
        text += &format!("{done}: seen ({seen})\n");
    }
    text
}
