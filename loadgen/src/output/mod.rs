//! What a run found, as JSON for machines and as a table for people.

pub(crate) mod csv;
pub(crate) mod figures;
pub(crate) mod gate;
pub(crate) mod hdr_log;
pub(crate) mod histogram;
pub(crate) mod junit;
pub mod page;
pub(crate) mod table;
pub(crate) mod tables;

use std::fmt::Display;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Args;
use serde::Serialize;

use crate::output::gate::GateOptions;
use crate::output::tables::table;
use crate::result::Document;
use crate::usage::UsageError;

/// What a file's name ends with before it is whole.
const PART: &str = ".part";

/// Where the result goes.
#[derive(Args, Clone, Debug)]
pub struct OutputOptions {
    /// Write the result as JSON; - is standard output, which then gets no table
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,

    /// Print no progress and no table
    #[arg(long)]
    pub quiet: bool,
}

/// The heading of a column, and what stands below it of each `T`.
type Column<T> = (&'static str, fn(&T) -> String);

/// Says a line on standard error. If that fails, nobody is left who could be told.
pub fn tell(line: impl Display) {
    let _ = io::stderr().write_all(format!("{line}\n").as_bytes());
}

/// Writes to standard output. Somebody who reads no further, such as head, is no failure.
pub fn print(text: &str) -> anyhow::Result<()> {
    let mut out = io::stdout();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(error).context("writing to standard output")
        }
        _ => Ok(()),
    }
}

/// Judges a document by what was asked of it, and hands it to whoever asked for it: the last thing that a command
/// does with it.
pub(crate) fn publish(
    document: &mut Document,
    gate: &GateOptions,
    output: &OutputOptions,
) -> anyhow::Result<()> {
    gate.judge(document);
    let (error, json) = (document.error.as_deref(), output.json.as_deref());
    let text = || table(document).into_text();
    let delivered = deliver(document, text, error, json, output.quiet);
    delivered.and(gate.report(document, || table(document)))
}

/// Hands a finished document to whoever asked for it: the table to standard output, the error
/// to standard error, the JSON to `json` (`-` is standard output, which then gets no table). What
/// cannot be written keeps the rest from nobody.
pub fn deliver(
    document: &impl Serialize,
    table: impl FnOnce() -> String,
    error: Option<&str>,
    json: Option<&Path>,
    quiet: bool,
) -> anyhow::Result<()> {
    let json_on_stdout = json.is_some_and(|path| path.as_os_str() == "-");
    let is_shown = !quiet && !json_on_stdout;
    let shown = if is_shown { print(&table()) } else { Ok(()) };
    if let Some(error) = error {
        tell(format_args!("ringload: {error}"));
    }
    let written = json.map_or(Ok(()), |path| write_json(path, document));
    shown.and(written)
}

fn write_json(path: &Path, document: &impl Serialize) -> anyhow::Result<()> {
    let mut text = serde_json::to_vec_pretty(document).context("encoding the result")?;
    text.push(b'\n');
    if path.as_os_str() == "-" {
        return io::stdout()
            .write_all(&text)
            .context("writing to standard output");
    }
    write_file(path, &text)
}

/// Writes a file so that whoever waits for it finds all of it or nothing. What is no file, such as a
/// device, a pipe or a link, is written to and never replaced.
pub(crate) fn write_file(path: &Path, text: &impl AsRef<[u8]>) -> anyhow::Result<()> {
    let write = || {
        if !is_replaceable(path) {
            return fs::write(path, text);
        }
        let part = part_of(path);
        fs::write(&part, text)?;
        fs::rename(part, path)
    };
    write().with_context(|| format!("writing {}", path.display()))
}

/// The name under which a file is written: the same with something behind it, so that what ends in a slash is no file.
fn part_of(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(PART);
    name.into()
}

/// Appends to a file, as to one that others write to as well.
pub(crate) fn append_file(path: &Path, text: &str) -> anyhow::Result<()> {
    let append = || appended(path)?.write_all(text.as_bytes());
    append().with_context(|| format!("writing {}", path.display()))
}

/// A file to append to, which is made if there is none.
fn appended(path: &Path) -> io::Result<File> {
    File::options().append(true).create(true).open(path)
}

/// Whether there is a plain file, or nothing yet.
fn is_replaceable(path: &Path) -> bool {
    fs::symlink_metadata(path).map_or(true, |metadata| metadata.is_file())
}

/// The same as `check_file`, for what may also go to standard output, which is `-`.
pub fn check_writable(path: &Path) -> Result<(), UsageError> {
    match path.as_os_str() == "-" {
        true => Ok(()),
        false => check_file(path),
    }
}

/// Refuses a file that cannot be written, before there is anything to write into it.
pub(crate) fn check_file(path: &Path) -> Result<(), UsageError> {
    if path.as_os_str() == "-" {
        return Err(UsageError(
            "only --json may go to standard output; name a file".to_owned(),
        ));
    }
    let probe = || {
        if path.is_dir() {
            return Err(io::Error::other("it is a directory"));
        }
        if !is_replaceable(path) {
            return File::options().write(true).open(path).map(drop);
        }
        let part = part_of(path);
        File::create(&part)?;
        fs::remove_file(part)
    };
    probe().map_err(|error| unwritable(path.display(), &error))
}

/// Refuses a file of --summary that cannot be appended to.
pub(crate) fn check_appended(path: &Path) -> Result<(), UsageError> {
    let file = format!("--summary {}", path.display());
    appended(path)
        .map(drop)
        .map_err(|error| unwritable(file, &error))
}

fn unwritable(file: impl Display, error: &io::Error) -> UsageError {
    let right = "name a file in a directory that exists";
    UsageError(format!("{file} cannot be written ({error}); {right}"))
}
