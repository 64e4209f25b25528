//! Reads a results directory, as far as it is there. What is missing or broken becomes a sentence on the
//! page, never an error: half a night of measuring is worth looking at.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read};
use std::path::{Component, Path};

use ringload::usage::UsageError;
use serde_json::Value;

use super::documents::Document;
use crate::suite::document::{RunLine, SUITE_SCHEMA, ServerEntry, SuiteDocument, WorkloadEntry};

/// No document is near this long.
const FILE_BYTES_MAX: u64 = 256 << 20;

/// Names of files in one sentence.
const NAMES_SHOWN: usize = 3;

/// A results directory.
pub(super) struct Results {
    /// The directory's own name.
    pub(super) name: String,
    /// `suite.json`; of what is not there, nothing.
    pub(super) suite: SuiteDocument,
    /// `environment.json`, whatever it holds.
    pub(super) environment: Option<Value>,
    /// `selftest.json`, whatever it holds.
    pub(super) selftest: Option<Value>,
    /// In the order measured; of runs that were repeated the last.
    pub(super) runs: Vec<Run>,
    /// What is missing or could not be read, a sentence each.
    pub(super) missing: Vec<String>,
}

/// A line of `runs.jsonl`, with its document.
pub(super) struct Run {
    pub(super) round: u32,
    pub(super) server: String,
    pub(super) workload: String,
    /// Below the results directory.
    pub(super) raw: String,
    pub(super) document: Document,
}

impl Results {
    /// Reads what is there. The error says that it is no results directory.
    pub(super) fn read(directory: &Path) -> Result<Results, UsageError> {
        if !directory.is_dir() {
            return Err(UsageError(format!(
                "{} is no directory; give one that ringbench suite wrote",
                directory.display()
            )));
        }
        if !directory.join("suite.json").is_file() && !directory.join("runs.jsonl").is_file() {
            return Err(UsageError(format!(
                "{} holds neither suite.json nor runs.jsonl; give a directory that ringbench suite wrote",
                directory.display()
            )));
        }
        let mut missing = Vec::new();
        let suite = suite(directory, &mut missing);
        let environment = json(directory, "environment.json", &mut missing);
        let selftest = match directory.join("selftest.json").is_file() {
            true => json(directory, "selftest.json", &mut missing),
            false => None,
        };
        let runs = runs(directory, &mut missing);
        let name = fs::canonicalize(directory)
            .ok()
            .and_then(|path| Some(path.file_name()?.to_string_lossy().into_owned()))
            .unwrap_or_else(|| directory.display().to_string());
        let mut results = Results {
            name,
            suite,
            environment,
            selftest,
            runs,
            missing,
        };
        results.complete();
        Ok(results)
    }

    /// Gives titles to what has none, and entries to what only runs name.
    fn complete(&mut self) {
        let suite = &mut self.suite;
        for run in &self.runs {
            if !suite.servers.iter().any(|server| server.name == run.server) {
                suite.servers.push(ServerEntry {
                    name: run.server.clone(),
                    ..ServerEntry::default()
                });
            }
            if !suite
                .workloads
                .iter()
                .any(|workload| workload.name == run.workload)
            {
                suite.workloads.push(WorkloadEntry {
                    name: run.workload.clone(),
                    ..WorkloadEntry::default()
                });
            }
        }
        for server in &mut suite.servers {
            or(&mut server.title, &server.name);
        }
        for workload in &mut suite.workloads {
            or(&mut workload.title, &workload.name);
        }
        let name = match suite.name.is_empty() {
            true => &self.name,
            false => &suite.name,
        };
        or(&mut suite.title, name);
    }
}

fn or(text: &mut String, fallback: &str) {
    if text.trim().is_empty() {
        fallback.clone_into(text);
    }
}

fn suite(directory: &Path, missing: &mut Vec<String>) -> SuiteDocument {
    let Some(value) = json(directory, "suite.json", missing) else {
        return SuiteDocument::default();
    };
    match serde_json::from_value::<SuiteDocument>(value) {
        Ok(suite) => {
            if suite.schema != SUITE_SCHEMA {
                missing.push(format!(
                    "suite.json has the schema {:?} and this ringbench knows {SUITE_SCHEMA}: parts of it may \
                     be misunderstood.",
                    suite.schema
                ));
            }
            if suite.finished.is_none() {
                missing.push(
                    "The suite is not finished: what is shown is what there was until then."
                        .to_owned(),
                );
            }
            suite
        }
        Err(error) => {
            missing.push(format!("suite.json is no {SUITE_SCHEMA} ({error})."));
            SuiteDocument::default()
        }
    }
}

fn json(directory: &Path, name: &str, missing: &mut Vec<String>) -> Option<Value> {
    let read = || -> Result<Value, String> {
        let bytes = bounded(&directory.join(name)).map_err(|error| error.to_string())?;
        serde_json::from_slice(&bytes).map_err(|error| error.to_string())
    };
    read()
        .map_err(|error| missing.push(format!("{name} could not be read ({error}).")))
        .ok()
}

/// Reads a file of reasonable length.
fn bounded(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    fs::File::open(path)?
        .take(FILE_BYTES_MAX + 1)
        .read_to_end(&mut bytes)?;
    match bytes.len() as u64 > FILE_BYTES_MAX {
        true => Err(io::Error::other("it is too long to be a result")),
        false => Ok(bytes),
    }
}

fn runs(directory: &Path, missing: &mut Vec<String>) -> Vec<Run> {
    let bytes = match bounded(&directory.join("runs.jsonl")) {
        Ok(bytes) => bytes,
        Err(error) => {
            missing.push(format!("runs.jsonl could not be read ({error})."));
            return Vec::new();
        }
    };
    let mut lines: Vec<RunLine> = Vec::new();
    for (number, line) in String::from_utf8_lossy(&bytes).lines().enumerate() {
        if line.trim().is_empty() {
            continue;
        }
        match serde_json::from_str::<RunLine>(line) {
            Ok(line) => {
                // A suite that was resumed may have repeated a run.
                lines.retain(|other| {
                    (other.round, &other.server, &other.workload)
                        != (line.round, &line.server, &line.workload)
                });
                lines.push(line);
            }
            Err(error) => missing.push(format!(
                "Line {} of runs.jsonl could not be read ({error}).",
                number + 1
            )),
        }
    }
    let mut runs = Vec::new();
    let mut unread: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for line in lines {
        match document(directory, &line.raw) {
            Ok(document) => runs.push(Run {
                round: line.round,
                server: line.server,
                workload: line.workload,
                raw: line.raw,
                document,
            }),
            Err(why) => unread.entry(why.to_string()).or_default().push(line.raw),
        }
    }
    for (why, files) in unread {
        missing.push(format!("{} could not be read: {why}.", listed(&files)));
    }
    runs
}

/// The first few of many names.
fn listed(names: &[String]) -> String {
    let shown = names.len().min(NAMES_SHOWN);
    let mut text = names[..shown].join(", ");
    if names.len() > shown {
        text.push_str(&format!(" and {} more", names.len() - shown));
    }
    text
}

/// Reads the document at `raw`, which has to be below `directory`.
fn document(directory: &Path, raw: &str) -> anyhow::Result<Document> {
    let path = Path::new(raw);
    let is_below = path
        .components()
        .all(|part| matches!(part, Component::Normal(_)));
    if !is_below {
        anyhow::bail!("it is not below the results directory");
    }
    Document::read(&bounded(&directory.join(path))?)
}
