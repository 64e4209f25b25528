//! What `ringbench suite` writes, and how it is read back: one file, [`ARCHIVE`], of a JSON object a line, compressed.
//!
//! ```text
//! {"suite": ...}         what was to be done and what became of it; the last line of these counts
//! {"environment": ...}   the machine and the programs
//! {"selftest": ...}      what the generator can do there; none if it could not be had
//! {"run": ...}           a run that is over, with its whole document; of one that was done again the last
//! ```
//!
//! What is missing is empty when it is read, and named: half a result is worth looking at.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::{Path, PathBuf};

use flate2::read::MultiGzDecoder;
use ringload::observe::placement::Placement;
use ringload::result::{Document, Status};
use ringload::usage::UsageError;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Name and version of the schema.
pub(crate) const SUITE_SCHEMA: &str = "ringload-suite/2";

/// Name of the file in a directory of results.
pub(crate) const ARCHIVE: &str = "suite.jsonl.gz";

/// No archive unpacks to more.
const BYTES_MAX: u64 = 1 << 30;

/// Everything that a suite left.
#[derive(Debug, Default)]
pub(crate) struct Archive {
    pub(crate) suite: SuiteDocument,
    /// Null if there is none.
    pub(crate) environment: Value,
    pub(crate) selftest: Option<Value>,
    /// In the order measured.
    pub(crate) runs: Vec<Run>,
    /// What could not be read, a sentence each.
    pub(crate) missing: Vec<String>,
}

/// A run that is over.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Run {
    pub(crate) round: u32,
    pub(crate) server: String,
    pub(crate) workload: String,
    /// What the server held in memory before the load came; `None` if that was not looked at.
    #[serde(default)]
    pub(crate) rss_before_bytes: Option<u64>,
    pub(crate) document: Document,
}

impl Run {
    /// What there is one run of.
    pub(crate) fn key(&self) -> (u32, &str, &str) {
        (self.round, &self.server, &self.workload)
    }

    /// Whether it ended as planned.
    pub(crate) fn is_whole(&self) -> bool {
        matches!(self.document.status, Status::Ok | Status::Missed)
    }
}

/// A line of the file.
#[derive(Debug, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Line {
    Suite(Box<SuiteDocument>),
    Environment(Value),
    Selftest(Value),
    Run(Box<Run>),
}

/// What was to be done, and what became of it.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default)]
pub(crate) struct SuiteDocument {
    /// Always [`SUITE_SCHEMA`].
    pub(crate) schema: String,
    /// `interrupted` until it is finished.
    pub(crate) status: Status,
    /// One sentence, unless the status is `ok`.
    pub(crate) error: Option<String>,
    pub(crate) name: String,
    pub(crate) title: String,
    /// What was expected, written down before it was measured.
    pub(crate) prediction: Option<String>,
    /// Of the order.
    pub(crate) seed: u64,
    /// RFC 3339, as the next.
    pub(crate) started: String,
    pub(crate) finished: Option<String>,
    /// Of the workload that has most.
    pub(crate) rounds: u32,
    /// The server that others are compared with.
    pub(crate) baseline: Option<String>,
    pub(crate) placement: Placement,
    pub(crate) servers: Vec<ServerEntry>,
    pub(crate) workloads: Vec<WorkloadEntry>,
    /// What a reader should know, a sentence each.
    pub(crate) notes: Vec<String>,
    /// What went wrong while it was measured, a sentence each.
    pub(crate) failures: Vec<String>,
}

/// A server of the suite.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default)]
pub(crate) struct ServerEntry {
    pub(crate) name: String,
    pub(crate) title: String,
    pub(crate) what: String,
    pub(crate) source: String,
    pub(crate) speed: String,
    /// `ours`, `limit`, `baseline` or `peer`.
    pub(crate) role: String,
    /// `one` or `all`: the CPUs that it has.
    pub(crate) threads: String,
    /// The first line that its version command prints.
    pub(crate) version: Option<String>,
    /// As it was given, with `{port}` and the other places; `run` in a peer.toml.
    #[serde(alias = "run")]
    pub(crate) command: Vec<String>,
    pub(crate) url: String,
    pub(crate) status: ServerStatus,
    /// Why, unless it is `ok`.
    pub(crate) reason: Option<String>,
}

/// What became of a server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ServerStatus {
    /// It takes part.
    #[default]
    Ok,
    /// It cannot be had here, or does not echo: it was never measured.
    Skipped,
    /// It was given up while it was measured.
    Failed,
}

/// A workload of the suite.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(default)]
pub(crate) struct WorkloadEntry {
    pub(crate) name: String,
    /// `run`, `churn`, `idle` or `capacity`.
    pub(crate) kind: String,
    pub(crate) title: String,
    pub(crate) rounds: u32,
    /// Over `wss://`.
    pub(crate) tls: bool,
    /// Each run at a process of its own, whose memory was looked at before.
    pub(crate) fresh: bool,
    /// Those that it is measured with.
    pub(crate) servers: Vec<String>,
    /// Options of the command, by their long names.
    pub(crate) options: BTreeMap<String, Value>,
}

impl Archive {
    /// Reads a file, or that of a directory. The error says that there is none.
    pub(crate) fn read(path: &Path) -> anyhow::Result<Archive> {
        let mut archive = Archive::default();
        let lines;
        (lines, archive.missing) = read_lines(path)?;
        for line in lines {
            match line {
                Line::Suite(suite) => archive.suite = *suite,
                Line::Environment(environment) => archive.environment = environment,
                Line::Selftest(selftest) => archive.selftest = Some(selftest),
                Line::Run(run) => {
                    archive.runs.retain(|other| other.key() != run.key());
                    archive.runs.push(*run);
                }
            }
        }
        if archive.suite.schema != SUITE_SCHEMA {
            let schema = &archive.suite.schema;
            archive.missing.push(format!(
                "The suite's schema is {schema:?}, and this ringbench knows {SUITE_SCHEMA}."
            ));
        } else if archive.suite.finished.is_none() {
            let sentence = "The suite is not finished: this is what there was until then.";
            archive.missing.push(sentence.to_owned());
        }
        Ok(archive)
    }
}

/// A value as text: a string without its quotation marks.
pub(crate) fn plain(value: &Value) -> String {
    let text = value.as_str().map(str::to_owned);
    text.unwrap_or_else(|| value.to_string())
}

/// Where the archive is that `path` means: itself, or in that directory.
pub(super) fn file_of(path: &Path) -> PathBuf {
    if path.is_dir() {
        path.join(ARCHIVE)
    } else {
        path.to_path_buf()
    }
}

/// The lines that can be read, in order, and what could not be, a sentence each. The end of a file that was cut off is
/// none of these: the suite has no line about its end then.
pub(super) fn read_lines(path: &Path) -> anyhow::Result<(Vec<Line>, Vec<String>)> {
    let path = file_of(path);
    let shown = path.display();
    let wrong = |why: String| UsageError(format!("{shown}{why}"));
    let file = File::open(&path)
        .map_err(|error| wrong(format!(": {error}; give what ringbench suite wrote")))?;
    let mut text = BufReader::new(MultiGzDecoder::new(BufReader::new(file)).take(BYTES_MAX));
    let (mut lines, mut unreadable, mut bytes) = (Vec::new(), Vec::new(), Vec::new());
    for number in 1.. {
        bytes.clear();
        // What is wrong with compressed bytes further on is that they end too early.
        match text.read_until(b'\n', &mut bytes) {
            Err(error) if number == 1 => {
                return Err(wrong(format!(" is no archive of a suite ({error})")).into());
            }
            Ok(_) if bytes.ends_with(b"\n") => {}
            _ => break,
        }
        match serde_json::from_slice(&bytes) {
            Ok(line) => lines.push(line),
            Err(error) => unreadable.push(format!("Line {number} could not be read ({error}).")),
        }
    }
    Ok((lines, unreadable))
}
