//! `ringbench suite`: servers × workloads × rounds, interleaved in random order.
//!
//! ```text
//! workload (the suite file) ─┐
//! peers (peer.toml) ─────────┴─ selection ── plan (order) ── conduct ── stage (a run) ── results
//! ```
//!
//! What is written is documented in `results/README.md`; `ringbench report` reads it.

mod certificate;
mod conduct;
pub(crate) mod document;
mod environment;
mod install;
mod origin;
pub(crate) mod peers;
mod plan;
mod results;
mod scrub;
mod selection;
mod stage;
mod time_wait;
mod toml_file;
pub(crate) mod workload;

use std::env;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use ringload::interrupt::Interrupt;
use ringload::observe::placement::Placement;
use ringload::output::{print, tell};
use ringload::result::Status;
use ringload::trial::agenda::short;
use ringload::usage::{UsageError, make_room_for};

use self::conduct::Conductor;
use self::environment::Environment;
use self::origin::Origin;
use self::peers::Places;
use self::plan::{START_OVERHEAD, Step, is_done, order, time_of, times};
use self::results::Results;
use self::scrub::Scrubber;
use self::selection::Selection;
use self::workload::{Suite, Workload};
use crate::options::suite::SuiteOptions;
use crate::report;
use crate::suite::document::{RunLine, SUITE_SCHEMA, ServerStatus, SuiteDocument};

/// Where a project keeps its servers.
const PEERS: &str = "scripts/peers";

/// A machine that is busier than this before anything is started is called busy.
const BUSY_PERCENT_MAX: f64 = 5.0;

/// What the preparation takes, and for each server, roughly.
const PREPARATION: Duration = Duration::from_secs(20);

/// Runs and reports.
pub(crate) fn run(options: &SuiteOptions) -> anyhow::Result<Status> {
    let suite = Suite::read(&options.file)?;
    let (root, folder) = project(options.peers.as_deref())?;
    let peers = peers::load(&folder)?;
    let placement = Placement::choose(options.server_cpu.as_ref(), options.generator_cpu.as_ref())
        .map_err(UsageError)?;
    make_room_for(0)?;
    let places = Places {
        target: target(&root)?,
        root,
    };
    let interrupt = Interrupt::install().context("taking over signals")?;
    let scrubber = Scrubber::new(&places);
    let (results, document, selection) = match &options.resume {
        Some(directory) => {
            let (results, document) = Results::resume(directory)?;
            let selection = Selection::resumed(&suite, &peers, &document, &scrubber)?;
            check_origin(&results, directory, &places.root, &interrupt)?;
            (Some(results), document, selection)
        }
        None => {
            let selection = Selection::of(&suite, &peers, options)?;
            let seed = ringload::run::seed(options.seed)?;
            let document = begin(&suite, &selection, &placement, &peers, seed);
            (None, document, selection)
        }
    };
    let steps = steps(&document, &selection);
    let lines = results.as_ref().map(Results::runs).unwrap_or_default();
    let table = plan_table(&selection, &left(&steps, &lines, &document, &selection));
    if options.dry_run {
        print(&table)?;
        return Ok(Status::Ok);
    }
    let (results, document) = match results {
        Some(results) => (results, document),
        None => create(options, &places, document, &scrubber, &interrupt)?,
    };
    if !options.quiet {
        let (seed, shown) = (document.seed, results.shown());
        tell(format_args!("{table}seed {seed}; writing {shown}"));
    }
    let conductor = Conductor {
        selection: &selection,
        places: &places,
        placement: &document.placement.clone(),
        results: &results,
        scrubber: &scrubber,
        interrupt: &interrupt,
        quiet: options.quiet,
        document,
    };
    let status = conductor.conduct(&steps)?;
    if status == Status::Interrupted {
        tell(format_args!(
            "ringbench: interrupted; go on with ringbench suite {} --resume {}",
            options.file.display(),
            results.shown()
        ));
    } else {
        let (tables, page) = report::make(results.directory())?;
        if !options.quiet {
            print(&format!(
                "{tables}{}\n{}\n",
                page.display(),
                results.shown()
            ))?;
        }
    }
    Ok(status)
}

/// The document before anything is done.
fn begin(
    suite: &Suite,
    selection: &Selection,
    placement: &Placement,
    peers: &[peers::Peer],
    seed: u64,
) -> SuiteDocument {
    let is_baseline = |peer: &&peers::Peer| peer.role == peers::Role::Baseline;
    let baseline = peers.iter().find(is_baseline);
    let rounds = selection
        .workloads
        .iter()
        .map(|(workload, _)| workload.rounds);
    SuiteDocument {
        schema: SUITE_SCHEMA.to_owned(),
        status: Status::Interrupted,
        error: Some("not finished".to_owned()),
        name: suite.name.clone(),
        title: suite.title.clone(),
        prediction: None,
        seed,
        started: environment::now(),
        finished: None,
        rounds: rounds.max().unwrap_or_default(),
        baseline: suite
            .baseline
            .clone()
            .or_else(|| baseline.map(|peer| peer.name.clone())),
        placement: placement.clone(),
        servers: selection.server_entries(),
        workloads: selection.workload_entries(),
        notes: selection.notes.clone(),
        failures: Vec::new(),
    }
}

/// Looks around and makes the directory.
fn create(
    options: &SuiteOptions,
    places: &Places,
    mut document: SuiteDocument,
    scrubber: &Scrubber,
    interrupt: &Interrupt,
) -> anyhow::Result<(Results, SuiteDocument)> {
    let environment = Environment::gather(
        &places.root,
        &document.placement,
        options.machine.as_deref(),
        interrupt,
    )?;
    let date = environment.date_time.get(..10).unwrap_or_default();
    let name = format!("{date}-{}-{}", environment.machine, document.name);
    let parent = places.root.join("results");
    let results = Results::create(options.out.as_deref(), &parent, &name)?;
    if let Some(percent) = environment.busy_percent_before
        && percent > BUSY_PERCENT_MAX
    {
        document.notes.push(format!(
            "The machine was not quiet: {percent:.0} % of its CPU time was in use before."
        ));
    }
    document.notes.extend(document.placement.warning.clone());
    results.write_environment(&environment, scrubber)?;
    results.write_suite(&document, scrubber)?;
    Ok((results, document))
}

/// Refuses to go on with what was begun under other circumstances than those of now: the figures would
/// stand in one table.
fn check_origin(
    results: &Results,
    directory: &Path,
    root: &Path,
    interrupt: &Interrupt,
) -> anyhow::Result<()> {
    let now = Origin::now(root, results.directory(), interrupt)?;
    match now.differs_from(&results.environment()) {
        None => Ok(()),
        Some(why) => {
            let why = format!("--resume {}: {why}", directory.display());
            Err(UsageError(why).into())
        }
    }
}

/// All runs in their order. It depends on the seed and on who was asked for, not on who can be had.
fn steps(document: &SuiteDocument, selection: &Selection) -> Vec<Step> {
    let taking_part: Vec<(u32, Vec<usize>)> = selection
        .workloads
        .iter()
        .map(|(workload, servers)| (workload.rounds, servers.clone()))
        .collect();
    order(document.seed, &taking_part)
}

/// Those of `steps` that are to be done still.
fn left(
    steps: &[Step],
    lines: &[RunLine],
    document: &SuiteDocument,
    selection: &Selection,
) -> Vec<Step> {
    let is_left = |step: &&Step| {
        let workload = &selection.workloads[step.workload].0.name;
        let server = &document.servers[step.server];
        server.status == ServerStatus::Ok && !is_done(lines, step.round, workload, &server.name)
    };
    steps.iter().filter(is_left).copied().collect()
}

/// The project's directory and that of its servers.
fn project(peers: Option<&Path>) -> anyhow::Result<(PathBuf, PathBuf)> {
    let current = env::current_dir().context("finding the current directory")?;
    if let Some(peers) = peers {
        let folder = peers
            .canonicalize()
            .map_err(|error| UsageError(format!("--peers {}: {error}", peers.display())))?;
        let root = folder
            .ancestors()
            .nth(2)
            .filter(|_| folder.ends_with(PEERS));
        let root = root.map_or(current, Path::to_path_buf);
        return Ok((root, folder));
    }
    let root = current.ancestors().find(|path| path.join(PEERS).is_dir());
    let root = root.ok_or_else(|| {
        UsageError(format!(
            "no {PEERS} is above this directory; call it in the project, or give --peers"
        ))
    })?;
    Ok((root.to_path_buf(), root.join(PEERS)))
}

/// Where what is built goes: where cargo has it, and there, if this program was built for a target or a
/// profile of its own, where this program is. One that was installed elsewhere does not tell.
fn target(root: &Path) -> anyhow::Result<PathBuf> {
    let program = env::current_exe().context("finding this program")?;
    let current = env::current_dir().context("finding the current directory")?;
    let told = env::var_os("CARGO_TARGET_DIR").filter(|told| !told.is_empty());
    let whole = told.map_or_else(|| root.join("target"), |told| current.join(told));
    // The path of the program has no links in it.
    let whole = whole.canonicalize().unwrap_or(whole);
    Ok(target_of(&program, &whole))
}

/// The part of the target directory `whole` that `program` was built into, or all of it.
fn target_of(program: &Path, whole: &Path) -> PathBuf {
    let own = program.ancestors().nth(2);
    let own = own.filter(|own| own.starts_with(whole));
    own.unwrap_or(whole).to_path_buf()
}

/// How long each workload that has any of `steps` and all of them take, as far as one can tell beforehand.
fn plan_table(selection: &Selection, steps: &[Step]) -> String {
    let mut text = String::new();
    for (position, (workload, servers)) in selection.workloads.iter().enumerate() {
        let runs = steps
            .iter()
            .filter(|step| step.workload == position)
            .count();
        let time = time_of(workload) * u32::try_from(runs).unwrap_or(u32::MAX);
        let (rounds, servers) = (workload.rounds, servers.len());
        let all = servers * rounds as usize;
        let what = match runs {
            _ if runs == all => format!("{servers:>3} servers × {rounds:>2} rounds"),
            0 => continue,
            _ => format!("{runs:>4} of {all:>4} runs left"),
        };
        text.push_str(&format!(
            "{:<24} {:<5} {what:<23}  {:>7}\n",
            workload.name,
            workload.kind.name(),
            short(time)
        ));
    }
    let whole = planned(selection, steps);
    let runs = steps.len();
    text.push_str(&format!("{runs} runs, about {} in all\n", short(whole)));
    text
}

/// How long `steps` take together, and what comes before them.
fn planned(selection: &Selection, steps: &[Step]) -> Duration {
    let workloads = selection.workloads.iter();
    let workloads: Vec<&Workload> = workloads.map(|(workload, _)| workload).collect();
    let runs: Duration = times(steps, &workloads).iter().sum();
    // Each has to echo before anything is timed.
    let starts = u32::try_from(selection.servers.len()).unwrap_or(u32::MAX);
    PREPARATION + START_OVERHEAD * starts + runs
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_built_goes_where_cargo_has_it_wherever_this_program_was_put() {
        let target = |program: &str| target_of(Path::new(program), Path::new("/p/target"));
        for (program, expected) in [
            ("/p/target/release/ringbench", "/p/target"),
            ("/p/target/x86-musl/release/ringbench", "/p/target/x86-musl"),
            ("/home/u/.cargo/bin/ringbench", "/p/target"),
            ("/p/target/ringbench", "/p/target"),
            ("/ringbench", "/p/target"),
        ] {
            assert_eq!(target(program), Path::new(expected), "{program}");
        }
    }
}
