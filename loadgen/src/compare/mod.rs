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

use self::gate::{METRICS, Metric};
use self::options::{CompareOptions, PORT};
use self::rounds::Match;
use crate::assess::condition::Condition;
use crate::interrupt::Interrupt;
use crate::observe::placement::Placement;
use crate::output::{check_writable, deliver, tell};
use crate::result::compare::{CompareResult, Contestant};
use crate::result::gate::{GateResult, Outcome};
use crate::result::{self, Checks, Document, Status};
use crate::run::options::{LoadArgs, RunOptions};
use crate::run::place::PlaceArgs;
use crate::run::seed;
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
    let load = RunOptions::within(
        LoadArgs {
            seed: Some(seed),
            ..options.load.clone()
        },
        options.traffic.clone(),
        options.pace.clone(),
        options.timing.clone(),
        PlaceArgs::default(),
    );
    load.check()?;
    load.load.target.check()?;
    let placement = Placement::choose(options.server_cpu.as_ref(), options.generator_cpu.as_ref())
        .map_err(UsageError)?;
    let launch = |name, command| launch(name, command, options, &placement);
    let launches = [launch("A", &options.a)?, launch("B", &options.b)?];
    if !options.output.quiet {
        launches.iter().for_each(tell_of_port);
    }
    let interrupt = Interrupt::install().context("taking over signals")?;
    let contestant = |launch: &Launch, command: &str| {
        let mut program = Command::new(&launch.command[0]);
        program.arg("--version");
        Contestant {
            command: command.to_owned(),
            version: first_line(&mut program, &launch.cpus, VERSION_LIMIT, &interrupt),
        }
    };
    let a = contestant(&launches[0], &options.a);
    let b = contestant(&launches[1], &options.b);
    let pairing = Match {
        launches,
        load,
        placement: &placement,
        interrupt: &interrupt,
    };
    let quiet = options.output.quiet;
    let (rounds, ended) = pairing.play(options.rounds, ChaCha8Rng::seed_from_u64(seed), quiet);
    let judge = |(metric, condition): &(&Metric, &Condition)| {
        metric.judge(
            condition,
            metric.estimate(&rounds),
            metric.obstacle(&rounds),
        )
    };
    let gate: Vec<_> = conditions.iter().map(judge).collect();
    let ending = ending(ended, &gate, options.strict);
    let ratios = METRICS.iter().filter_map(|it| it.ratio(&rounds));
    let ratios: Vec<_> = ratios.collect();
    let load = pairing.describe();
    let summary = table::summary(&ratios);
    let result = CompareResult {
        placement,
        rounds_asked: options.rounds,
        a,
        b,
        rounds,
        ratios,
        strict: options.strict,
    };
    let outcome = result::Outcome::Compare(Box::new(result));
    let document = Document {
        summary,
        gate,
        ..Document::new(ending, load, Checks::default(), outcome)
    };
    let table = || table::table(&document);
    let (error, json) = (document.error.as_deref(), options.output.json.as_deref());
    let delivered = deliver(&document, || table().into_text(), error, json, quiet);
    delivered.and(options.gate.report(&document, table))?;
    Ok(document.status)
}

/// What is asked of the ratios. The error says what would be right.
fn conditions(options: &CompareOptions) -> Result<Vec<(&'static Metric, &Condition)>, UsageError> {
    options.gate.check_files()?;
    let has_rate = options.timing.rate.is_some();
    let conditions = options.gate.fail_if.iter().map(|condition| {
        let metric = Metric::asked(condition, has_rate);
        let metric = metric.map_err(|why| UsageError(format!("--fail-if {condition}: {why}")))?;
        Ok((metric, condition))
    });
    conditions.collect()
}

/// How one of the two is started. The error says what would be right.
fn launch(
    name: &str,
    command: &str,
    options: &CompareOptions,
    placement: &Placement,
) -> Result<Launch, UsageError> {
    let words = shlex::split(command).filter(|words| !words.is_empty());
    let wrong = || {
        UsageError(format!(
            "{name}: {command:?} is no command; write it as for a shell, with quotes in pairs"
        ))
    };
    Ok(Launch {
        name: name.to_owned(),
        command: words.ok_or_else(wrong)?,
        directory: None,
        url: options.load.target.urls[0].url.clone(),
        cpus: placement.server_cpus.clone(),
    })
}

/// How it ended, and the sentence that says so.
fn ending(
    ended: anyhow::Result<()>,
    gate: &[GateResult],
    strict: bool,
) -> (Status, Option<String>) {
    if let Err(error) = ended {
        return if error.is::<Interrupted>() {
            (Status::Interrupted, Some("interrupted".to_owned()))
        } else {
            (Status::Failed, Some(format!("{error:#}")))
        };
    }
    let missed = gate.iter().find(|result| match result.outcome {
        Outcome::Failed => true,
        Outcome::Unresolved => strict,
        Outcome::Passed => false,
    });
    missed.map_or((Status::Ok, None), |missed| {
        let why = format!("--fail-if {}: {}", missed.condition, missed.reason);
        (Status::Missed, Some(why))
    })
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
