//! The cases of the Autobahn test suite, which `kosoku` runs as a client.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::thread;

use serde::Deserialize;

use super::support::scripts;
use super::support::server::{self, Server};
use super::support::slow_on_every_engine;
use super::{table, venv};

/// All there are.
const CASES: usize = 517;

/// Seconds after which a share of them is ended: many times what it takes.
const LIMIT: &str = "2400";

/// Of which the suite says that any outcome is right, since RFC 6455 leaves it open.
const INFORMATIONAL: [&str; 3] = ["7.1.6", "7.13.1", "7.13.2"];

/// What takes some seconds: all but the large messages (9) and most of compression (12, 13).
const QUICK: &[&str] = &[
    "--include=1.*",
    "--include=2.*",
    "--include=3.*",
    "--include=4.*",
    "--include=5.*",
    "--include=6.*",
    "--include=7.*",
    "--include=10.*",
    "--include=12.1.1",
    "--include=12.5.3",
    "--include=13.2.1",
    "--include=13.3.2",
    "--include=13.5.3",
    "--include=13.6.4",
    "--include=13.7.1",
];

/// All of it, in two shares: each is a process, and takes most of a CPU for compression.
const ALL: [&[&str]; 2] = [&["--include=12.*"], &["--exclude=12.*"]];

/// How one ended, in the suite's words.
#[derive(Deserialize)]
pub(crate) struct Outcome {
    /// Of what is said while the connection is open.
    pub(crate) behavior: String,
    /// Of its end.
    #[serde(rename = "behaviorClose")]
    pub(crate) close: String,
}

/// Of each case.
pub(crate) type Outcomes = BTreeMap<Number, Outcome>;

/// The number of a case, in the order of its parts.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Number(pub(crate) Vec<u32>);

impl Number {
    /// From its parts with dots between them.
    pub(crate) fn new(name: &str) -> Self {
        let part = |part: &str| part.parse().expect("a number");
        Number(name.split('.').map(part).collect())
    }
}

impl std::fmt::Display for Number {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let parts: Vec<_> = self.0.iter().map(ToString::to_string).collect();
        formatter.write_str(&parts.join("."))
    }
}

/// Runs the cases that each of `shares` selects, all at once; nothing if Python is not to be had.
///
/// # Panics
/// If one ends otherwise than it must.
fn run(engine: &'static str, shares: &[&'static [&'static str]]) -> Option<Outcomes> {
    let kosoku = venv::programs()?.join("kosoku");
    let server = Server::start(engine, &[]);
    let address = server.address.to_string();
    let (kosoku, address) = (&kosoku.display().to_string(), &address);
    let outcomes: Outcomes = thread::scope(|scope| {
        let start = |selection| scope.spawn(move || run_share(kosoku, address, selection));
        let running: Vec<_> = shares.iter().copied().map(start).collect();
        let finished = running
            .into_iter()
            .map(|share| share.join().expect("a report"));
        finished.flatten().collect()
    });
    for (number, outcome) in &outcomes {
        let name = number.to_string();
        let is_open = INFORMATIONAL.contains(&name.as_str());
        let expected = if is_open { "INFORMATIONAL" } else { "OK" };
        assert_eq!(outcome.behavior, expected, "{engine}: {number}");
        assert_eq!(outcome.close, expected, "{engine}: end of {number}");
    }
    Some(outcomes)
}

/// The outcome of each case that `selection` names to `kosoku`.
fn run_share(kosoku: &str, address: &str, selection: &[&str]) -> Outcomes {
    let reports = tempfile::tempdir().expect("a folder");
    let options = ["--parallelism=4", "--outdir=.", address];
    let command = [&[kosoku], selection, &options].concat();
    let output = scripts::output(reports.path(), LIMIT, &command);
    let said = String::from_utf8_lossy(&output.stderr);
    print!("{said}");
    read(reports.path()).unwrap_or_else(|| panic!("no report: {}: {said}", output.status))
}

/// What `kosoku` reports, of its one server.
fn read(reports: &Path) -> Option<Outcomes> {
    let index = fs::read(reports.join("index.json")).ok()?;
    let servers: BTreeMap<String, BTreeMap<String, Outcome>> =
        serde_json::from_slice(&index).expect("an index of cases");
    let (_, outcomes) = servers.into_iter().next()?;
    let numbered = |(name, outcome): (String, Outcome)| (Number::new(&name), outcome);
    Some(outcomes.into_iter().map(numbered).collect())
}

#[test]
fn quick_cases_end_as_they_must() {
    for engine in server::usable_engines() {
        if let Some(outcomes) = run(engine, &[QUICK]) {
            assert!(outcomes.len() > 240, "{} cases", outcomes.len());
        }
    }
}

fn every_case_ends_as_it_must(engine: &'static str) {
    if let Some(outcomes) = run(engine, &ALL) {
        assert_eq!(outcomes.len(), CASES);
        if std::env::var_os("RINGBACK_WRITE_RESULTS").is_some() {
            table::record(engine, &outcomes);
        }
    }
}

slow_on_every_engine!(every_case_ends_as_it_must);
