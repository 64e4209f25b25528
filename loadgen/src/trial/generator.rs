//! This very program, run as the load generator of a measurement.

use std::io::Read;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::thread;
use std::time::Duration;

use anyhow::Context;
use serde_json::Value;

use super::process::{Process, check};
use super::words::Words;
use crate::interrupt::Interrupt;
use crate::result::Status;

/// How the generator's side is set up.
pub struct Generator<'a> {
    /// CPUs that it is kept on.
    pub cpus: &'a [usize],
    /// Where it works: files in its arguments are found from there, and named so in what it records.
    pub directory: Option<&'a Path>,
    /// What ends it early.
    pub interrupt: &'a Interrupt,
}

/// What came of a measurement.
#[derive(Debug)]
pub struct Outcome {
    /// What `--json` gave, as it was written; empty if nothing was.
    pub text: String,
    /// The same, read; null if nothing was.
    pub document: Value,
    /// Why it is not a result, if it is none: one sentence.
    pub failure: Option<String>,
}

impl Generator<'_> {
    /// Runs `ringload` with `arguments`, which choose a command that takes `--json` and `--quiet`, for
    /// `limit` at most.
    ///
    /// A run that fails is an outcome; the error is that there was no run, or a signal.
    pub fn measure(&self, arguments: &[String], limit: Duration) -> anyhow::Result<Outcome> {
        let program = std::env::current_exe().context("finding this program")?;
        let mut command = Command::new(program);
        command
            .arg0("ringload")
            .args(arguments)
            .args(["--quiet", "--json", "-"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        if let Some(directory) = self.directory {
            command.current_dir(directory);
        }
        let mut process = Process::start(&mut command, self.cpus)?;
        let output = process.child().stdout.take();
        let reader = thread::spawn(move || {
            let mut bytes = Vec::new();
            match output {
                Some(mut output) => output.read_to_end(&mut bytes).map(|_| bytes),
                None => Ok(bytes),
            }
        });
        let mut words = Words::default();
        if let Some(errors) = process.child().stderr.take() {
            words.listen_to(errors);
        }
        let ended = process.wait(limit, self.interrupt);
        drop(process);
        check(self.interrupt)?;
        let bytes = reader
            .join()
            .map_err(|_| anyhow::anyhow!("reading what ringload wrote failed"))?;
        let text = String::from_utf8(bytes.unwrap_or_default()).unwrap_or_default();
        let document: Value = serde_json::from_str(&text).unwrap_or_default();
        let failure = match ended {
            Err(error) => Some(format!("the generator was given up: {error:#}")),
            Ok(status) if is_result(status) && document.is_object() => None,
            Ok(status) => Some(why(&document, &words, &format!("ringload: {status}"))),
        };
        Ok(Outcome {
            text,
            document,
            failure,
        })
    }
}

/// Whether what was measured counts: it does, too, if it does not meet what was asked for.
fn is_result(status: ExitStatus) -> bool {
    status.success() || status.code() == Some(i32::from(Status::Missed.exit_code()))
}

/// Why a run failed: the document's own sentence, what was said instead, or only how it ended.
fn why(document: &Value, words: &Words, status: &str) -> String {
    let told = document["error"].as_str().map(str::to_owned);
    told.or_else(|| {
        let said = words.last()?;
        Some(said.trim_start_matches("ringload: ").to_owned())
    })
    .unwrap_or_else(|| status.to_owned())
}
