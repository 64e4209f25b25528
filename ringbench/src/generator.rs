//! `ringload` in a process of its own, since a suite goes on for hours beside servers that stay up: what one measurement
//! leaves behind in its process (memory, threads, CPUs) is gone before the next. It is this very program.

use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::Context as _;
use ringload::interrupt::Interrupt;
use ringload::result::{Document, Status};
use ringload::trial::process::{check, complete};

/// More than any document has.
const DOCUMENT_BYTES_MAX: u64 = 256 << 20;

/// What a measurement left, if it left anything, and why it is not a result, if it is none: one sentence. There is one
/// of the two at least.
pub(crate) type Measured = (Option<Document>, Option<String>);

/// Runs `ringload` on `cpus` with `arguments`, which choose a command that takes `--json` and `--quiet`, for `limit` at
/// most. Files in its arguments are found from `directory`, and named so in what it records.
///
/// A run that fails is one, too; the error is that there was no run, or a signal.
pub(crate) fn measure(
    arguments: &[String],
    cpus: &[usize],
    directory: &Path,
    limit: Duration,
    interrupt: &Interrupt,
) -> anyhow::Result<Measured> {
    let program = std::env::current_exe().context("finding this program")?;
    let mut command = Command::new(program);
    command
        .arg0("ringload")
        .args(arguments)
        .args(["--quiet", "--json", "-"])
        .current_dir(directory);
    let ended = complete(&mut command, cpus, DOCUMENT_BYTES_MAX, limit, interrupt)?;
    check(interrupt)?;
    let document = serde_json::from_str::<Document>(&ended.output).ok();
    let missed = Status::Missed.exit_code().into();
    let failure = match (ended.status, &document) {
        (Err(error), _) => Some(format!("the generator was given up: {error:#}")),
        // What was measured counts, too, if it does not meet what was asked for.
        (Ok(status), Some(_)) if [Some(0), Some(missed)].contains(&status.code()) => None,
        (Ok(status), _) => {
            let told = document.as_ref().and_then(|it| it.error.clone());
            let said = ended.said_last;
            let said = said.map(|it| it.trim_start_matches("ringload: ").to_owned());
            told.or(said).or(Some(format!("ringload: {status}")))
        }
    };
    Ok((document, failure))
}
