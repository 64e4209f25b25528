//! The outcomes of all cases as a table, in `results/conformance/`: one document for all engines, to which each run
//! adds its own.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::Mutex;
use std::time::SystemTime;

use serde::{Deserialize, Serialize};

use super::autobahn::{Number, Outcome, Outcomes};
use super::venv;

/// What the suite calls the first part of a number.
const GROUPS: [(u32, &str); 11] = [
    (1, "framing"),
    (2, "pings and pongs"),
    (3, "reserved bits"),
    (4, "opcodes"),
    (5, "fragmentation"),
    (6, "UTF-8"),
    (7, "close"),
    (9, "limits and performance"),
    (10, "fragments that the network makes"),
    (12, "compression of different payloads"),
    (13, "compression with different parameters"),
];

/// What was run, on what, and how it ended.
#[derive(Serialize, Deserialize)]
struct Run {
    ringback: String,
    profile: String,
    kosoku: String,
    python: String,
    kernel: String,
    finished: String,
    /// By case: behaviour and end.
    cases: BTreeMap<String, [String; 2]>,
}

/// Writes them down beside those of the other engines.
pub(crate) fn record(engine: &str, outcomes: &Outcomes) {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _guard = ONE_AT_A_TIME.lock().expect("nobody panics in here");
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("results/conformance");
    fs::create_dir_all(&folder).expect("a folder");
    let json = folder.join("autobahn.json");
    let mut runs: BTreeMap<String, Run> = match fs::read(&json) {
        Ok(before) => serde_json::from_slice(&before).expect("what was written before"),
        Err(_) => BTreeMap::new(),
    };
    let words = |(number, it): (&Number, &Outcome)| {
        (number.to_string(), [it.behavior.clone(), it.close.clone()])
    };
    let run = Run {
        ringback: said_by("git", &["describe", "--always", "--dirty"]),
        profile: if cfg!(debug_assertions) {
            "dev"
        } else {
            "release"
        }
        .to_owned(),
        kosoku: version("kosoku"),
        python: said_by("python3", &["--version"]),
        kernel: said_by("uname", &["-srm"]),
        finished: humantime::format_rfc3339_seconds(SystemTime::now()).to_string(),
        cases: outcomes.iter().map(words).collect(),
    };
    runs.insert(engine.to_owned(), run);
    let written = serde_json::to_string(&runs).expect("plain values");
    fs::write(json, written + "\n").expect("a document that can be written");
    let table = markdown(&runs);
    fs::write(folder.join("autobahn.md"), table).expect("a document that can be written");
}

/// The first line that a program says, or that it cannot be had.
fn said_by(program: &str, arguments: &[&str]) -> String {
    let mut command = Command::new(program);
    command
        .args(arguments)
        .current_dir(env!("CARGO_MANIFEST_DIR"));
    let said = command.output().map(|output| output.stdout);
    let said = String::from_utf8_lossy(&said.unwrap_or_default()).into_owned();
    said.lines().next().unwrap_or("unknown").to_owned()
}

/// The version of a package in `requirements.txt`.
fn version(package: &str) -> String {
    let requirements = fs::read_to_string(Path::new(venv::FOLDER).join("requirements.txt"));
    let requirements = requirements.expect("it is in the repository");
    let mut lines = requirements.lines();
    let version = lines.find_map(|line| line.strip_prefix(package)?.strip_prefix("=="));
    version
        .expect("a pinned version")
        .trim_end_matches([' ', '\\'])
        .to_owned()
}

/// Everything as a document.
fn markdown(runs: &BTreeMap<String, Run>) -> String {
    let mut out = String::from(
        "# The Autobahn test suite\n\n\
         Its cases against a plain echo with default options, run by `kosoku`, a client. Written by\n\
         `RINGBACK_WRITE_RESULTS=1 cargo test --test python every_case`. A cell says how the case ended\n\
         while the connection was open, and how it was closed. INFORMATIONAL is the suite's word for what RFC 6455\n\
         leaves open (7.1.6: what comes behind a Close; 7.13: codes from 5000 on): it has no better one there.\n\n\
         ## Circumstances\n\n\
         | engine | Ringback | profile | kosoku | Python | kernel | finished |\n\
         |---|---|---|---|---|---|---|\n",
    );
    for (engine, run) in runs {
        let Run {
            ringback,
            profile,
            kosoku,
            python,
            kernel,
            finished,
            ..
        } = run;
        let row = [engine, ringback, profile, kosoku, python, kernel, finished];
        line(&mut out, row);
    }
    out.push_str("\n## Summary\n\n");
    heading(&mut out, &["group", "what it is about"], runs);
    for (group, about) in GROUPS {
        let cells = runs.values().map(|run| summary(run, group));
        let head = [group.to_string(), about.to_owned()];
        line(&mut out, head.into_iter().chain(cells));
    }
    out.push_str("\n## Each case\n\n");
    heading(&mut out, &["case"], runs);
    let mut numbers: Vec<_> = runs.values().flat_map(|run| run.cases.keys()).collect();
    numbers.sort_by_key(|name| Number::new(name));
    numbers.dedup();
    for name in numbers {
        let cells = runs.values().map(|run| {
            run.cases
                .get(name)
                .map_or_else(String::new, |it| it.join(", "))
        });
        line(&mut out, [name.clone()].into_iter().chain(cells));
    }
    out
}

fn heading(out: &mut String, first: &[&str], runs: &BTreeMap<String, Run>) {
    let columns = first.iter().copied().chain(runs.keys().map(String::as_str));
    line(out, columns);
    let rule = "---|".repeat(first.len() + runs.len());
    out.push('|');
    out.push_str(&rule);
    out.push('\n');
}

fn line(out: &mut String, cells: impl IntoIterator<Item = impl std::fmt::Display>) {
    out.push('|');
    for cell in cells {
        write!(out, " {cell} |").expect("a string takes all");
    }
    out.push('\n');
}

/// How many cases of a group ended how, the most frequent first.
fn summary(run: &Run, group: u32) -> String {
    let mut counts = BTreeMap::new();
    for (name, outcome) in &run.cases {
        if Number::new(name).0[0] == group {
            *counts.entry(outcome.join(", ")).or_insert(0) += 1;
        }
    }
    let mut counts: Vec<(String, u32)> = counts.into_iter().collect();
    counts.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    let words = counts
        .iter()
        .map(|(outcome, count)| format!("{count} {outcome}"));
    words.collect::<Vec<_>>().join("; ")
}
