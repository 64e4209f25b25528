//! Which files are merged: each whole, each once, and so many as were waited for.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use serde_json::Value;

use crate::merge::options::MergeOptions;
use crate::result::{Document, SCHEMA};
use crate::usage::UsageError;

/// Between two looks while waiting.
const LOOK: Duration = Duration::from_millis(100);

/// No result is near this long: its histograms are a few KiB, its series 600 rows.
const FILE_BYTES_MAX: u64 = 256 << 20;

/// One result.
pub(crate) struct Input {
    /// The file's name; with its folders where two have the same.
    pub(crate) name: String,
    pub(crate) document: Document,
    path: PathBuf,
    bytes: Vec<u8>,
}

/// Reads all results that `options` names; waits for them if it says so.
pub(crate) fn gather(options: &MergeOptions) -> anyhow::Result<Vec<Input>> {
    let mut inputs = match options.wait {
        None => read_all(&options.files, false)?,
        Some(wanted) => wait(&options.files, wanted, options.timeout)?,
    };
    if inputs.is_empty() {
        return Err(UsageError(format!(
            "there is no result ({SCHEMA} of a run) to merge; ringload run --json FILE writes one"
        ))
        .into());
    }
    refuse_twins(&inputs)?;
    let names: Vec<_> = inputs.iter().map(|input| input.name.clone()).collect();
    for input in &mut inputs {
        if names.iter().filter(|name| **name == input.name).count() > 1 {
            input.name = input.path.display().to_string();
        }
    }
    Ok(inputs)
}

/// Waits until `wanted` results can be read.
fn wait(paths: &[PathBuf], wanted: usize, timeout: Duration) -> anyhow::Result<Vec<Input>> {
    let deadline = Instant::now() + timeout;
    loop {
        let outcome = read_all(paths, true);
        let left = deadline.saturating_duration_since(Instant::now());
        match outcome {
            Ok(found) if found.len() >= wanted => return Ok(found),
            // What cannot be read now may be there, or be whole, at the next look.
            _ if !left.is_zero() => thread::sleep(LOOK.min(left)),
            outcome => {
                let seconds = timeout.as_secs_f64();
                let found = outcome.with_context(|| format!("after {seconds} s of waiting"))?;
                let count = found.len();
                bail!("after {seconds} s there are {count} of {wanted} results");
            }
        }
    }
}

/// Reads every result. A file that is missing is an error, unless it is waited for.
fn read_all(paths: &[PathBuf], waiting: bool) -> anyhow::Result<Vec<Input>> {
    let mut found = Vec::new();
    for path in paths {
        let metadata = match fs::metadata(path) {
            Err(error) if waiting && error.kind() == io::ErrorKind::NotFound => continue,
            metadata => metadata,
        };
        let refused = |error| UsageError(format!("{} cannot be read ({error})", path.display()));
        if metadata.map_err(refused)?.is_dir() {
            for member in members(path)? {
                found.extend(read(&member, true)?);
            }
        } else {
            found.extend(read(path, false)?);
        }
    }
    Ok(found)
}

/// The `*.json` of a directory by name; those that begin with a dot are still being written.
fn members(directory: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let paths = || fs::read_dir(directory)?.map(|it| Ok(it?.path())).collect();
    let paths: io::Result<Vec<PathBuf>> = paths();
    let mut paths = paths.with_context(|| format!("reading {}", directory.display()))?;
    paths.retain(|path| {
        let name = path.file_name().unwrap_or_default().as_encoded_bytes();
        !name.starts_with(b".") && name.ends_with(b".json") && path.is_file()
    });
    paths.sort();
    Ok(paths)
}

/// Reads one result. `None`: a document of another kind that merely lies in the same directory.
fn read(path: &Path, is_member: bool) -> anyhow::Result<Option<Input>> {
    let shown = path.display();
    let reading = || format!("reading {shown}");
    let length = fs::metadata(path).with_context(reading)?.len();
    if length > FILE_BYTES_MAX {
        bail!("{shown} has {length} bytes, and no result is that long");
    }
    let bytes = fs::read(path).with_context(reading)?;
    let value: Value = serde_json::from_slice(&bytes)
        .with_context(|| format!("{shown} is not whole, or no JSON"))?;
    let (schema, kind) = (value["schema"].as_str(), value["kind"].as_str());
    if (schema, kind) != (Some(SCHEMA), Some("run")) {
        if is_member {
            return Ok(None);
        }
        let schema = schema.map_or("no schema".to_owned(), |schema| format!("{schema:?}"));
        let kind = kind.map_or(String::new(), |kind| format!(" of kind {kind:?}"));
        return Err(UsageError(format!(
            "{shown} holds {schema}{kind}; give files of {SCHEMA} as ringload run --json writes them"
        ))
        .into());
    }
    let name = path.file_name().unwrap_or(path.as_os_str());
    Ok(Some(Input {
        name: name.to_string_lossy().into_owned(),
        document: serde_json::from_value(value)
            .with_context(|| format!("{shown} is no {SCHEMA}"))?,
        path: path.to_owned(),
        bytes,
    }))
}

/// Refuses to count one run twice: the same file by two names, or a copy of it.
fn refuse_twins(inputs: &[Input]) -> Result<(), UsageError> {
    for (index, one) in inputs.iter().enumerate() {
        let (path, real) = (one.path.display(), fs::canonicalize(&one.path).ok());
        for other in &inputs[..index] {
            let why = if real.is_some() && fs::canonicalize(&other.path).ok() == real {
                format!("{path} is given twice; each result counts once")
            } else if one.bytes == other.bytes {
                let other = other.path.display();
                format!("{other} and {path} hold the same result; each counts once")
            } else {
                continue;
            };
            return Err(UsageError(why));
        }
    }
    Ok(())
}
