//! The directory that a suite leaves behind, and what is read of it to go on.

use std::fs::{self, File, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::Context;
use ringload::usage::UsageError;
use serde::Serialize;
use serde_json::Value;

use super::scrub::Scrubber;
use crate::suite::document::{RunLine, SUITE_SCHEMA, SuiteDocument};

/// What was to be done, and what became of it.
const SUITE: &str = "suite.json";

/// A line for each run that is over.
const RUNS: &str = "runs.jsonl";

/// The machine.
const ENVIRONMENT: &str = "environment.json";

/// What the generator can do.
pub(super) const SELFTEST: &str = "selftest.json";

/// The document of each run.
const RAW: &str = "raw";

/// What is gone in the end.
const TEMPORARY: &str = "tmp";

/// A results directory.
pub(super) struct Results {
    directory: PathBuf,
    /// The same for people.
    shown: String,
}

impl Results {
    /// Takes `out`, or the first free directory of that name in `parent`: earlier results are never
    /// overwritten.
    pub(super) fn create(out: Option<&Path>, parent: &Path, name: &str) -> anyhow::Result<Results> {
        let directory = out.map_or_else(|| first_free(parent, name), Path::to_path_buf);
        let shown = directory.display().to_string();
        fs::create_dir_all(&directory).with_context(|| format!("creating {shown}"))?;
        if fs::read_dir(&directory)?.next().is_some() {
            let why = format!("{shown} is not empty; give another --out, or --resume it");
            return Err(UsageError(why).into());
        }
        Results::open(&directory)
    }

    /// Takes a directory that was begun.
    pub(super) fn resume(directory: &Path) -> anyhow::Result<(Results, SuiteDocument)> {
        let shown = directory.display();
        let text = fs::read_to_string(directory.join(SUITE)).map_err(|error| {
            UsageError(format!(
                "--resume {shown}: no {SUITE} to go on with ({error})"
            ))
        })?;
        let document: SuiteDocument = serde_json::from_str(&text)
            .map_err(|error| UsageError(format!("--resume {shown}: {SUITE}: {error}")))?;
        if document.schema != SUITE_SCHEMA {
            let schema = document.schema;
            let why = format!("--resume {shown}: {SUITE} is {schema:?}, not {SUITE_SCHEMA}");
            return Err(UsageError(why).into());
        }
        Ok((Results::open(directory)?, document))
    }

    fn open(directory: &Path) -> anyhow::Result<Results> {
        let shown = directory.display().to_string();
        let directory = directory
            .canonicalize()
            .with_context(|| format!("opening {shown}"))?;
        fs::create_dir_all(directory.join(RAW)).with_context(|| format!("writing to {shown}"))?;
        Ok(Results { directory, shown })
    }

    /// Where the files are.
    pub(super) fn directory(&self) -> &Path {
        &self.directory
    }

    /// The same for people.
    pub(super) fn shown(&self) -> &str {
        &self.shown
    }

    /// A directory for what is gone in the end.
    pub(super) fn temporary(&self) -> anyhow::Result<PathBuf> {
        let directory = self.directory.join(TEMPORARY);
        fs::create_dir_all(&directory).context("creating a temporary directory")?;
        Ok(directory)
    }

    /// Removes what was temporary.
    pub(super) fn tidy(&self) {
        // Nothing depends on its being gone.
        let _ = fs::remove_dir_all(self.directory.join(TEMPORARY));
    }

    /// Whether the generator's self-test was kept.
    pub(super) fn has_selftest(&self) -> bool {
        self.directory.join(SELFTEST).is_file()
    }

    /// Writes `suite.json` anew.
    pub(super) fn write_suite(
        &self,
        document: &SuiteDocument,
        scrubber: &Scrubber,
    ) -> anyhow::Result<()> {
        self.write_json(SUITE, document, scrubber)
    }

    /// Writes `environment.json`.
    pub(super) fn write_environment(
        &self,
        environment: &impl Serialize,
        scrubber: &Scrubber,
    ) -> anyhow::Result<()> {
        self.write_json(ENVIRONMENT, environment, scrubber)
    }

    /// What `environment.json` says; null if it cannot be read.
    pub(super) fn environment(&self) -> Value {
        let text = fs::read_to_string(self.directory.join(ENVIRONMENT)).unwrap_or_default();
        serde_json::from_str(&text).unwrap_or_default()
    }

    /// Writes a document.
    pub(super) fn write_json(
        &self,
        name: &str,
        value: &impl Serialize,
        scrubber: &Scrubber,
    ) -> anyhow::Result<()> {
        let text = serde_json::to_string_pretty(value).context("encoding the results")?;
        self.write(name, &scrubber.clean(&format!("{text}\n")))
    }

    /// Writes a file whole or not at all, below the directory.
    pub(super) fn write(&self, name: &str, text: &str) -> anyhow::Result<()> {
        let path = self.directory.join(name);
        let half = self.directory.join(format!("{name}.part"));
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent).with_context(|| format!("creating the folder of {name}"))?;
        }
        fs::write(&half, text)
            .and_then(|()| fs::rename(&half, &path))
            .with_context(|| format!("writing {name}"))
    }

    /// Appends a run that is over.
    pub(super) fn append(&self, line: &RunLine) -> anyhow::Result<()> {
        let mut text = serde_json::to_string(line).context("encoding a run")?;
        text.push('\n');
        let mut file = OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.directory.join(RUNS))
            .with_context(|| format!("opening {RUNS}"))?;
        file.write_all(text.as_bytes())
            .and_then(|()| file.sync_data())
            .with_context(|| format!("writing {RUNS}"))
    }

    /// The runs that are over, whose documents are there. A line that was cut off by a crash is none.
    pub(super) fn runs(&self) -> Vec<RunLine> {
        let text = fs::read_to_string(self.directory.join(RUNS)).unwrap_or_default();
        self.runs_of(&text)
    }

    fn runs_of(&self, text: &str) -> Vec<RunLine> {
        text.lines()
            .filter_map(|line| serde_json::from_str(line).ok())
            .filter(|line: &RunLine| self.directory.join(&line.raw).is_file())
            .collect()
    }

    /// The same, once all other lines are taken away: the next one would become part of one cut off.
    pub(super) fn runs_mended(&self) -> anyhow::Result<Vec<RunLine>> {
        let path = self.directory.join(RUNS);
        let text = fs::read_to_string(&path).unwrap_or_default();
        let lines = self.runs_of(&text);
        if lines.len() != text.lines().count() || !(text.is_empty() || text.ends_with('\n')) {
            let mut whole = String::new();
            for line in &lines {
                whole.push_str(&serde_json::to_string(line).context("encoding a run")?);
                whole.push('\n');
            }
            self.write(RUNS, &whole)?;
            File::open(&path)
                .and_then(|file| file.sync_all())
                .with_context(|| format!("writing {RUNS}"))?;
        }
        Ok(lines)
    }
}

/// Where a run's document is, below the directory.
pub(super) fn raw_path(workload: &str, server: &str, round: u32) -> String {
    format!("{RAW}/{workload}/{server}-{round}.json")
}

/// `name`, or `name-2`, `name-3` ... in `parent`.
fn first_free(parent: &Path, name: &str) -> PathBuf {
    let plain = parent.join(name);
    let numbered = (2u32..).map(|number| parent.join(format!("{name}-{number}")));
    std::iter::once(plain.clone())
        .chain(numbered)
        .find(|path| !path.exists())
        .unwrap_or(plain)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ringload::result::Status;

    fn line(round: u32) -> RunLine {
        RunLine {
            round,
            server: "s".to_owned(),
            workload: "w".to_owned(),
            raw: raw_path("w", "s", round),
            status: Status::Ok,
            started_unix_seconds: 1,
        }
    }

    #[test]
    fn earlier_results_are_never_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        let first = Results::create(None, folder.path(), "day").unwrap();
        let second = Results::create(None, folder.path(), "day").unwrap();
        assert!(first.directory().ends_with("day") && second.directory().ends_with("day-2"));
        let taken = Results::create(Some(first.directory()), folder.path(), "x").err();
        assert!(taken.unwrap().to_string().contains("is not empty"));
    }

    #[test]
    fn runs_that_are_over_are_known_and_a_line_cut_off_is_none() {
        let folder = tempfile::tempdir().unwrap();
        let results = Results::create(Some(folder.path()), folder.path(), "x").unwrap();
        for round in 1..=3 {
            results.append(&line(round)).unwrap();
        }
        // The document of round 3 was never written.
        for round in 1..=2 {
            results.write(&line(round).raw, "{}").unwrap();
        }
        let path = results.directory().join(RUNS);
        let text = fs::read_to_string(&path).unwrap();
        fs::write(&path, format!("{text}{{\"round\": 4, \"ser")).unwrap();
        let rounds = |results: &Results| -> Vec<u32> {
            results
                .runs_mended()
                .unwrap()
                .iter()
                .map(|line| line.round)
                .collect()
        };
        assert_eq!(results.runs().len(), 2);
        assert!(fs::read_to_string(&path).unwrap().ends_with("\"ser"));
        assert_eq!(rounds(&results), [1, 2]);
        results.append(&line(3)).unwrap();
        results.write(&line(3).raw, "{}").unwrap();
        assert_eq!(rounds(&results), [1, 2, 3]);
    }

    #[test]
    fn what_is_no_suite_cannot_be_gone_on_with() {
        let folder = tempfile::tempdir().unwrap();
        let why = |text: &str| {
            fs::write(folder.path().join(SUITE), text).unwrap();
            Results::resume(folder.path()).err().unwrap().to_string()
        };
        let missing = Results::resume(&folder.path().join("nowhere")).err();
        assert!(
            missing
                .unwrap()
                .to_string()
                .contains("no suite.json to go on with")
        );
        assert!(why("{").contains("suite.json: "));
        assert!(why("{}").contains("is \"\", not ringload-suite/1"));
    }
}
