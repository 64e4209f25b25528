//! `ringload compare`: two commands, interleaved rounds, an interval.
//!
//! Each is started by this program, in each round afresh ([`rounds`]), and loaded by a `ringload run` of
//! its own. Ratios are taken inside the rounds; what they leave unresolved is said to be so ([`gate`]).

mod document;
pub(crate) mod gate;
pub(crate) mod options;
mod rounds;
mod table;

use std::process::Command;
use std::time::Duration;

use anyhow::Context;

use self::gate::{Condition, METRICS, Metric};
use self::rounds::{Match, OVERHEAD};
use crate::assess::estimate::{Estimate, ROUNDS_TO_DECIDE, confidence_percent};
use crate::assess::finding::Id;
use crate::compare::document::{COMPARE_SCHEMA, CompareDocument, Contestant, Ratio, Round};
use crate::compare::options::CompareOptions;
use crate::interrupt::Interrupt;
use crate::observe::placement::Placement;
use crate::output::{deliver, tell};
use crate::result::gate::Outcome;
use crate::result::{Environment, Status};
use crate::run::options::RunOptions;
use crate::target::Target;
use crate::trial::agenda::{Agenda, short};
use crate::trial::process::Interrupted;
use crate::trial::random::Random;
use crate::trial::server::Launch;
use crate::trial::version::first_line;
use crate::usage::UsageError;

/// How long a program may take to say its version.
const VERSION_LIMIT: Duration = Duration::from_secs(2);

/// Options of `ringload run` that this program sets, and that `--` cannot.
const OURS: [&str; 13] = [
    "--fail-if",
    "--summary",
    "--junit",
    "--json",
    "--quiet",
    "--csv",
    "--histogram",
    "--hdr-log",
    "--server-pid",
    "--cpu",
    "--warmup",
    "--start-at",
    "--seed",
];

/// Runs and reports.
pub(crate) fn run(options: &CompareOptions) -> anyhow::Result<Status> {
    options.check()?;
    check_url(&options.url)?;
    let load = load(options)?;
    let placement = Placement::choose(options.server_cpu.as_ref(), options.generator_cpu.as_ref())?;
    let launches = [
        launch("A", &options.a, options, &placement)?,
        launch("B", &options.b, options, &placement)?,
    ];
    if !options.output.quiet {
        launches.iter().for_each(tell_of_port);
    }
    let interrupt = Interrupt::install().context("taking over signals")?;
    let seed = crate::run::seed(options.seed)?;
    let mut random = Random::new(seed);
    let contestants = [&launches[0], &launches[1]].map(|launch| version(launch, &interrupt));
    let [a_version, b_version] = contestants;
    let pairing = Match {
        launches,
        load: load.clone(),
        duration: options.duration,
        warmup: options.warmup,
        placement: &placement,
        interrupt: &interrupt,
    };
    let (rounds, ended) = play(&pairing, options, &mut random);
    let estimates = METRICS.map(|metric| estimate(metric, &rounds));
    let held: Vec<_> = rounds
        .iter()
        .map(|round| [&round.a, &round.b].map(|side| side.has(&[Id::GeneratorSaturated])))
        .collect();
    let gate: Vec<_> = options
        .fail_if
        .iter()
        .map(|condition| {
            let at = METRICS
                .iter()
                .position(|metric| *metric == condition.metric);
            condition.judge(at.and_then(|at| estimates[at]), &held)
        })
        .collect();
    let missed = gate.iter().find(|result| match result.outcome {
        Outcome::Failed => true,
        Outcome::Unresolved => options.strict,
        Outcome::Passed => false,
    });
    let (status, error) = match (&ended, missed) {
        (Ok(()), None) => (Status::Ok, None),
        (Ok(()), Some(missed)) => {
            let why = format!("--fail-if {}: {}", missed.condition, missed.reason);
            (Status::Missed, Some(why))
        }
        (Err(error), _) if error.is::<Interrupted>() => {
            (Status::Interrupted, Some("interrupted".to_owned()))
        }
        (Err(error), _) => (Status::Failed, Some(format!("{error:#}"))),
    };
    let contestant = |command: &String, version| Contestant {
        command: command.clone(),
        version,
    };
    let document = CompareDocument {
        schema: COMPARE_SCHEMA.to_owned(),
        status,
        error,
        environment: Environment::read(),
        placement: placement.clone(),
        seed,
        rounds_asked: options.rounds,
        load,
        a: contestant(&options.a, a_version),
        b: contestant(&options.b, b_version),
        rounds,
        ratios: ratios(&estimates),
        gate,
        strict: options.strict,
    };
    deliver(
        &document,
        || table::table(&document),
        document.error.as_deref(),
        options.output.json.as_deref(),
        options.output.quiet,
    )?;
    Ok(document.status)
}

/// Plays the rounds until all are played or one is not: what was played is kept.
fn play(
    pairing: &Match<'_>,
    options: &CompareOptions,
    random: &mut Random,
) -> (Vec<Round>, anyhow::Result<()>) {
    let planned = (options.warmup + options.duration + OVERHEAD) * 2 * options.rounds;
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
    for round in 1..=options.rounds {
        match pairing.play(round, random, &mut agenda) {
            Ok(played) => rounds.push(played),
            Err(error) => {
                agenda.finish();
                return (rounds, Err(error));
            }
        }
    }
    agenda.finish();
    (rounds, Ok(()))
}

/// Refuses what is no URL once its port is known.
fn check_url(url: &str) -> Result<(), UsageError> {
    Target::parse(&url.replace("{port}", "1"))
        .map(drop)
        .map_err(|why| UsageError(format!("--url: {why}")))
}

/// The load, once `ringload run` would take it.
fn load(options: &CompareOptions) -> anyhow::Result<Vec<String>> {
    let load = options.load_arguments();
    for argument in &load {
        let name = argument.split('=').next().unwrap_or_default();
        if OURS.contains(&name) {
            let why = format!("{name} is set by compare itself; give it before -- or not at all");
            return Err(UsageError(why).into());
        }
    }
    let url = options.url.replace("{port}", "1");
    let words = std::iter::once(url).chain(load.iter().cloned());
    let run = RunOptions::parse(words)
        .map_err(|UsageError(why)| UsageError(format!("the load: {why}")))?;
    if run.duration.is_some() {
        let why = "--duration is set by compare itself; give it before -- or not at all";
        return Err(UsageError(why.to_owned()).into());
    }
    run.check()?;
    check_load(&run, &options.fail_if)?;
    Ok(load)
}

/// Refuses a load that would not be what is compared.
fn check_load(run: &RunOptions, conditions: &[Condition]) -> Result<(), UsageError> {
    // Each would be a server that this program has not started.
    if run.target.urls.len() != 1 {
        let why = "behind -- there is a URL; both servers are reached at --url, give it there";
        return Err(UsageError(why.to_owned()));
    }
    let throughput = conditions
        .iter()
        .find(|condition| condition.metric == Metric::Throughput);
    match throughput.filter(|_| run.rate.is_some()) {
        None => Ok(()),
        Some(condition) => Err(UsageError(format!(
            "--fail-if {condition}: at a --rate both have that throughput, whatever they are; judge cpu, \
             p50 or p99, or leave out --rate"
        ))),
    }
}

/// How one of the two is started.
fn launch(
    name: &str,
    command: &str,
    options: &CompareOptions,
    placement: &Placement,
) -> anyhow::Result<Launch> {
    let words = shlex::split(command).filter(|words| !words.is_empty());
    let words = words.ok_or_else(|| {
        UsageError(format!(
            "{name}: {command:?} is no command; write it as for a shell, with quotes in pairs"
        ))
    })?;
    Ok(Launch {
        name: name.to_owned(),
        command: words,
        directory: None,
        url: options.url.clone(),
        cpus: placement.server_cpus.clone(),
    })
}

/// Says of a server that it may not listen where it is awaited, before it is awaited there.
fn tell_of_port(launch: &Launch) {
    let is_told = |text: &String| text.contains("{port}") || text.contains("PORT");
    if launch.url.contains("{port}") && !launch.command.iter().any(is_told) {
        tell(format_args!(
            "ringload: {} has no {{port}} in its command, and is awaited on a free port: unless it listens on \
             the one in its variable PORT, write {{port}} where its port stands, or give a fixed --url",
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

/// What the rounds say about the ratio B/A of `metric`.
fn estimate(metric: Metric, rounds: &[Round]) -> Option<Estimate> {
    let ratio = |round: &Round| Some(metric.of(&round.b)? / metric.of(&round.a)?);
    Estimate::of(rounds.iter().filter_map(ratio), METRICS.len())
}

fn ratios(estimates: &[Option<Estimate>; METRICS.len()]) -> Vec<Ratio> {
    let ratio = |(metric, estimate): (Metric, &Option<Estimate>)| {
        let estimate = (*estimate)?;
        let verdict = match estimate.is_resolved() {
            false => "unresolved",
            true if estimate.ratio > 1.0 => "b is higher",
            true => "b is lower",
        };
        Some(Ratio {
            metric: metric.name().to_owned(),
            estimate: estimate.ratio,
            low: estimate.low,
            high: estimate.high,
            confidence_percent: confidence_percent(METRICS.len()),
            rounds: estimate.rounds,
            verdict: verdict.to_owned(),
        })
    };
    METRICS
        .into_iter()
        .zip(estimates)
        .filter_map(ratio)
        .collect()
}
