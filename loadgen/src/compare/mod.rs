//! `ringload compare`: two commands, interleaved rounds, an interval.
//!
//! Each is started by this program, in each round afresh ([`rounds`]), and loaded by a run in this process. Ratios are
//! taken inside the rounds; what they leave unresolved is said to be so ([`gate`]).

mod gate;
pub(crate) mod options;
mod rounds;
mod table;

use std::process::Command;
use std::time::Duration;

use anyhow::Context;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng as _;

use self::gate::{Condition, METRICS, Metric};
use self::options::{CompareOptions, PORT};
use self::rounds::{Match, OVERHEAD};
use crate::assess::estimate::{ROUNDS_TO_DECIDE, confidence_percent};
use crate::interrupt::Interrupt;
use crate::observe::placement::Placement;
use crate::output::table::Table;
use crate::output::{check_writable, deliver, tell};
use crate::result::compare::{CompareResult, Contestant, Ratio, Round, RoundFigures};
use crate::result::gate::{GateResult, Outcome};
use crate::result::load::Load;
use crate::result::{self, Checks, Document, Status};
use crate::run::options::RunOptions;
use crate::run::place::PlaceArgs;
use crate::run::seed;
use crate::trial::agenda::{Agenda, short};
use crate::trial::process::Interrupted;
use crate::trial::server::Launch;
use crate::trial::version::first_line;
use crate::usage::UsageError;

/// How long a program may take to say its version.
const VERSION_LIMIT: Duration = Duration::from_secs(2);

/// Runs and reports.
pub(crate) fn run(options: &CompareOptions) -> anyhow::Result<Status> {
    if let Some(file) = &options.output.json {
        check_writable(file)?;
    }
    let conditions = conditions(options)?;
    let seed = seed(options.load.seed)?;
    let mut load = options.load.clone();
    load.seed = Some(seed);
    let load = RunOptions::within(
        load,
        options.traffic.clone(),
        options.pace.clone(),
        options.timing.clone(),
        PlaceArgs::default(),
    );
    load.check()?;
    load.load.target.check()?;
    let placement = Placement::choose(options.server_cpu.as_ref(), options.generator_cpu.as_ref())
        .map_err(UsageError)?;
    let launch = |name: &str, command: &str| -> Result<Launch, UsageError> {
        Ok(Launch {
            name: name.to_owned(),
            command: CompareOptions::words(name, command)?,
            directory: None,
            url: options.url().to_owned(),
            cpus: placement.server_cpus.clone(),
        })
    };
    let launches = [launch("A", &options.a)?, launch("B", &options.b)?];
    if !options.output.quiet {
        launches.iter().for_each(tell_of_port);
    }
    let interrupt = Interrupt::install().context("taking over signals")?;
    let contestant = |launch: &Launch, command: &str| Contestant {
        command: command.to_owned(),
        version: version(launch, &interrupt),
    };
    let a = contestant(&launches[0], &options.a);
    let b = contestant(&launches[1], &options.b);
    let pairing = Match {
        launches,
        load,
        placement: &placement,
        interrupt: &interrupt,
    };
    let (rounds, ended) = play(&pairing, options, &mut ChaCha8Rng::seed_from_u64(seed));
    let gate = conditions.iter().map(|condition| {
        let metric = condition.metric;
        condition.judge(metric.estimate(&rounds), metric.obstacle(&rounds))
    });
    let gate: Vec<_> = gate.collect();
    let (status, error) = status(ended, &gate, options.strict);
    let ratios: Vec<_> = METRICS
        .into_iter()
        .filter_map(|it| ratio(it, &rounds))
        .collect();
    let load = Load {
        cpus: placement.generator_cpus.clone(),
        ..pairing.describe()
    };
    let summary = table::summary(&ratios);
    let result = CompareResult {
        rounds_asked: options.rounds,
        a,
        b,
        rounds,
        ratios,
        strict: options.strict,
        placement: placement.clone(),
    };
    let outcome = result::Outcome::Compare(Box::new(result));
    let document = Document {
        summary,
        gate,
        ..Document::new((status, error), load, Checks::default(), outcome)
    };
    report(&document, options)?;
    Ok(status)
}

/// Prints and writes what was asked for.
fn report(document: &Document, options: &CompareOptions) -> anyhow::Result<()> {
    let table = || match &document.outcome {
        result::Outcome::Compare(result) => table::table(document, result),
        _ => Table::default(),
    };
    let error = document.error.as_deref();
    let (json, quiet) = (options.output.json.as_deref(), options.output.quiet);
    let delivered = deliver(document, || table().into_text(), error, json, quiet);
    delivered.and(options.gate.report(document, table))
}

/// What is asked of the ratios. The error says what would be right.
fn conditions(options: &CompareOptions) -> Result<Vec<Condition>, UsageError> {
    options.gate.check_files()?;
    let asked = options.gate.fail_if.iter().map(|written| {
        let refused = |why: String| UsageError(format!("--fail-if {written}: {why}"));
        let condition = Condition::of(written).map_err(refused)?;
        if condition.metric == Metric::Throughput && options.timing.rate.is_some() {
            let why = "at a --rate both have that throughput, whatever they are; judge cpu, p50 or p99, or leave \
                       out --rate";
            return Err(refused(why.to_owned()));
        }
        Ok(condition)
    });
    asked.collect()
}

/// How it ended, and the sentence that says so.
fn status(
    ended: anyhow::Result<()>,
    gate: &[GateResult],
    strict: bool,
) -> (Status, Option<String>) {
    let missed = gate.iter().find(|result| match result.outcome {
        Outcome::Failed => true,
        Outcome::Unresolved => strict,
        Outcome::Passed => false,
    });
    match (ended, missed) {
        (Ok(()), None) => (Status::Ok, None),
        (Ok(()), Some(missed)) => {
            let why = format!("--fail-if {}: {}", missed.condition, missed.reason);
            (Status::Missed, Some(why))
        }
        (Err(error), _) if error.is::<Interrupted>() => {
            (Status::Interrupted, Some("interrupted".to_owned()))
        }
        (Err(error), _) => (Status::Failed, Some(format!("{error:#}"))),
    }
}

/// Plays the rounds until all are played or one is not: what was played is kept.
fn play(
    pairing: &Match<'_>,
    options: &CompareOptions,
    random: &mut ChaCha8Rng,
) -> (Vec<Round>, anyhow::Result<()>) {
    let timing = &options.timing;
    let planned = (timing.warmup + timing.duration() + OVERHEAD) * 2 * options.rounds;
    let mut agenda = Agenda::new(planned, options.output.quiet);
    agenda.say(&format!(
        "{} rounds, about {}",
        options.rounds,
        short(planned)
    ));
    if (options.rounds as usize) < ROUNDS_TO_DECIDE {
        agenda.say(&format!(
            "fewer than {ROUNDS_TO_DECIDE} rounds settle nothing"
        ));
    }
    let mut rounds = Vec::new();
    let mut ended = Ok(());
    for round in 1..=options.rounds {
        match pairing.play(round, random, &mut agenda) {
            Ok(played) => rounds.push(played),
            Err(error) => {
                ended = Err(error);
                break;
            }
        }
    }
    agenda.finish();
    (rounds, ended)
}

/// Says of a server that it may not listen where it is awaited, before it is awaited there.
fn tell_of_port(launch: &Launch) {
    let is_told = |text: &String| text.contains(PORT) || text.contains("PORT");
    if launch.url.contains(PORT) && !launch.command.iter().any(is_told) {
        tell(format_args!(
            "ringload: {} has no {PORT} in its command, and is awaited on a free port: unless it listens on \
             the one in its variable PORT, write {PORT} where its port stands, or give a fixed --url",
            launch.name
        ));
    }
}

/// What the program of a command says to `--version`, if it says anything and ends.
fn version(launch: &Launch, interrupt: &Interrupt) -> Option<String> {
    let program = launch.command.first()?;
    let mut command = Command::new(program);
    command.arg("--version");
    first_line(&mut command, &launch.cpus, VERSION_LIMIT, interrupt)
}

/// How B differs from A in one respect.
fn ratio(metric: Metric, rounds: &[Round]) -> Option<Ratio> {
    let estimate = metric.estimate(rounds)?;
    let (low, high) = (estimate.low, estimate.high);
    let (verdict, reason) = if let Some(obstacle) = metric.obstacle(rounds) {
        ("not compared", Some(obstacle))
    } else if !estimate.is_resolved() {
        let why = table::unresolved(low, high, estimate.rounds);
        ("unresolved", Some(why))
    } else if estimate.ratio > 1.0 {
        ("b is higher", None)
    } else {
        ("b is lower", None)
    };
    Some(Ratio {
        metric: metric.name().to_owned(),
        estimate: estimate.ratio,
        low,
        high,
        confidence_percent: confidence_percent(METRICS.len()),
        rounds: estimate.rounds,
        verdict: verdict.to_owned(),
        reason,
    })
}

/// Takes a round's figures out of what a run found; `None` if it has no window.
fn figures(document: Document) -> Option<RoundFigures> {
    let result::Outcome::Run(Some(figures)) = document.outcome else {
        return None;
    };
    Some(RoundFigures {
        window_start_unix_seconds: figures.window_start_unix_seconds,
        window_seconds: figures.window_seconds,
        completed_per_second: figures.completed_per_second,
        server_cpu_ns_each: figures.server.and_then(|server| server.cpu_ns_each),
        generator_cpu_ns_each: figures.generator.cpu_ns_each,
        latency: figures.latency,
        steal_percent: figures.steal_percent,
        others_percent: figures.others_percent,
        findings: document.findings,
    })
}
