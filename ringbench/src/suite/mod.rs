//! `ringbench suite`: servers × workloads × rounds, interleaved in random order.
//!
//! ```text
//! workload (the suite file) ──────────────┐
//! peers (peer.toml, --server NAME=...) ───┴─ plan (order) ── conduct ── stage (a run) ── results ── table
//! ```
//!
//! What is written is documented in `results/README.md`; `ringbench report` reads it.

mod conduct;
pub(crate) mod document;
mod environment;
mod install;
mod peers;
mod plan;
mod results;
mod stage;
mod workload;

use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};
use std::{env, fs};

use anyhow::Context as _;
use ringload::interrupt::Interrupt;
use ringload::observe::placement::Placement;
use ringload::output::{print, tell};
use ringload::result::Status;
use ringload::usage::{UsageError, make_room_for};
use serde_json::Value;

use self::conduct::Conductor;
use self::document::{Archive, Line, SUITE_SCHEMA};
use self::peers::{Peer, Places};
use self::results::{Results, Scrubber};
use self::workload::Suite;
use crate::options::suite::SuiteOptions;
use crate::report;

/// Where a project keeps its servers.
const PEERS: &str = "scripts/peers";

/// A machine that is busier than this before anything is started is called busy.
const BUSY_PERCENT_MAX: f64 = 5.0;

/// Runs and reports.
pub(crate) fn run(options: &SuiteOptions) -> anyhow::Result<Status> {
    let suite = Suite::read(&options.file)?;
    let (root, folder) = project(options.peers.as_deref())?;
    let peers = all_servers(&suite, folder.as_deref(), &options.server)?;
    let placement = Placement::choose(options.server_cpu.as_ref(), options.generator_cpu.as_ref())
        .map_err(UsageError)?;
    make_room_for(0)?;
    let temporary = tempfile::tempdir().context("making a directory for the certificate")?;
    let places = Places {
        target: target(&root),
        temporary: temporary.path().to_path_buf(),
        root,
    };
    let scrubber = Scrubber::new(&places);
    let interrupt = Interrupt::install().context("taking over signals")?;
    let mut archive = Archive::default();
    let peers = if let Some(path) = &options.resume {
        archive = unfinished(path, &options.server)?;
        plan::resume(&suite, &peers, &mut archive.suite, &scrubber)?
    } else {
        let (peers, document) = plan::begin(&suite, &peers, options, placement)?;
        archive.suite = document;
        peers
    };
    let steps = archive.suite.steps();
    let planned = archive
        .suite
        .table(&archive.suite.left(&steps, &archive.runs));
    if options.dry_run {
        print(&planned)?;
        return Ok(Status::Ok);
    }
    let (machine, placement) = (options.machine.as_deref(), &archive.suite.placement);
    let environment = environment::gather(&places.root, placement, machine, &interrupt);
    let results = if let Some(path) = &options.resume {
        if let Some(why) = environment::differs(&archive.environment, &environment) {
            return Err(UsageError(format!("--resume {}: {why}", path.display())).into());
        }
        Results::resume(path, scrubber)?
    } else {
        if let Some(percent) = environment["busy_percent_before"].as_f64()
            && percent > BUSY_PERCENT_MAX
        {
            let busy = format!("{percent:.0} % of the machine's CPU time was in use before.");
            archive.suite.notes.push(busy);
        }
        let directory = options.out.clone();
        let directory = directory.unwrap_or_else(|| free(&places.root, &environment, &suite.name));
        let mut results = Results::create(&directory, scrubber)?;
        results.write(&Line::Environment(environment))?;
        results.write(&Line::Suite(Box::new(archive.suite.clone())))?;
        results
    };
    let directory = results.directory.clone();
    let shown = directory.display();
    if !options.quiet {
        let seed = archive.suite.seed;
        tell(format_args!("{planned}seed {seed}; writing {shown}"));
    }
    make_certificate(&places)?;
    let mut conductor = Conductor {
        archive,
        peers,
        places: &places,
        interrupt: &interrupt,
        results,
        quiet: options.quiet,
        up: BTreeMap::new(),
    };
    let status = conductor.conduct(&steps)?;
    if status == Status::Interrupted {
        let file = options.file.display();
        tell(format_args!(
            "ringbench: interrupted; go on with ringbench suite {file} --resume {shown}"
        ));
        return Ok(status);
    }
    let (tables, page) = report::make(&directory)?;
    if !options.quiet {
        print(&format!("{tables}{}\n{shown}\n", page.display()))?;
    }
    Ok(status)
}

/// What was begun at `path`, to go on with.
fn unfinished(path: &Path, servers: &[String]) -> anyhow::Result<Archive> {
    if let Some(name) = servers.iter().find(|text| !text.contains('=')) {
        let why = format!("--server {name}: --resume goes on with the servers it had");
        return Err(UsageError(why).into());
    }
    let archive = Archive::read(path)?;
    let schema = &archive.suite.schema;
    if schema != SUITE_SCHEMA {
        let why = format!("--resume: the schema is {schema:?}, not {SUITE_SCHEMA}");
        return Err(UsageError(why).into());
    }
    Ok(archive)
}

/// A directory for new results.
fn free(root: &Path, environment: &Value, suite: &str) -> PathBuf {
    let text = |key: &str| environment[key].as_str().unwrap_or_default();
    let date = text("date_time").get(..10).unwrap_or_default();
    let name = format!("{date}-{}-{suite}", text("machine"));
    let mut path = root.join("results").join(&name);
    for number in 2.. {
        if !path.exists() {
            break;
        }
        path.set_file_name(format!("{name}-{number}"));
    }
    path
}

/// The servers of the project, of the suite, and those given as a command.
fn all_servers(
    suite: &Suite,
    folder: Option<&Path>,
    given: &[String],
) -> anyhow::Result<Vec<Peer>> {
    let mut all = folder.map_or(Ok(Vec::new()), peers::load)?;
    all.extend(suite.own.iter().cloned());
    let here = env::current_dir().context("finding the current directory")?;
    for text in given {
        all.extend(Peer::given(text, &here).transpose()?);
    }
    let mut names = HashSet::new();
    let twice = all.iter().find(|peer| !names.insert(&peer.entry.name));
    let why = if let Some(peer) = twice {
        let name = &peer.entry.name;
        format!("two servers are called {name}; give another name")
    } else if all.is_empty() {
        format!("no {PEERS} is above this directory; give --server NAME='COMMAND {{port}}'")
    } else {
        return Ok(all);
    };
    Err(UsageError(why).into())
}

/// A certificate for the TLS workloads, which nobody else trusts and which is gone in the end.
fn make_certificate(places: &Places) -> anyhow::Result<()> {
    let names = ["127.0.0.1", "localhost"].map(str::to_owned);
    let made = rcgen::generate_simple_self_signed(names).context("making a certificate")?;
    for (file, text) in [
        ("cert.pem", made.cert.pem()),
        ("key.pem", made.signing_key.serialize_pem()),
    ] {
        fs::write(places.temporary.join(file), text).context("writing the certificate")?;
    }
    Ok(())
}

/// The project's directory and that of its servers, if there are any.
fn project(peers: Option<&Path>) -> anyhow::Result<(PathBuf, Option<PathBuf>)> {
    let current = env::current_dir().context("finding the current directory")?;
    let folder = if let Some(peers) = peers {
        let wrong = |error| UsageError(format!("--peers {}: {error}", peers.display()));
        Some(peers.canonicalize().map_err(wrong)?)
    } else {
        let mut folders = current.ancestors().map(|path| path.join(PEERS));
        folders.find(|path| path.is_dir())
    };
    let of_a_project = folder.as_ref().filter(|folder| folder.ends_with(PEERS));
    let root = of_a_project.and_then(|folder| folder.ancestors().nth(2));
    Ok((root.unwrap_or(&current).to_path_buf(), folder))
}

/// Where what is built goes: where cargo has it.
fn target(root: &Path) -> PathBuf {
    let told = env::var_os("CARGO_TARGET_DIR").filter(|told| !told.is_empty());
    let target = root.join(told.unwrap_or("target".into()));
    target.canonicalize().unwrap_or(target)
}
