//! Which files are merged: each whole, each once, and so many as were waited for.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};

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
}

/// A file that was read.
struct Found {
    path: PathBuf,
    bytes: Vec<u8>,
    document: Document,
}

/// Reads all results that `options` names; waits for them if it says so.
pub(crate) fn gather(options: &MergeOptions) -> anyhow::Result<Vec<Input>> {
    let found = match options.wait {
        None => read_all(&options.files, false)?,
        Some(wanted) => wait(&options.files, wanted, options.timeout)?,
    };
    if found.is_empty() {
        return Err(UsageError(format!(
            "there is no result ({SCHEMA} of a run) to merge; ringload run --json FILE writes one"
        ))
        .into());
    }
    refuse_twins(&found)?;
    Ok(name(found))
}

/// Waits until `wanted` results can be read.
fn wait(paths: &[PathBuf], wanted: usize, timeout: Duration) -> anyhow::Result<Vec<Found>> {
    let deadline = Instant::now() + timeout;
    loop {
        // What cannot be read now may be there, or be whole, at the next look.
        let outcome = read_all(paths, true);
        if outcome.as_ref().is_ok_and(|found| found.len() >= wanted) {
            return outcome;
        }
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            let seconds = timeout.as_secs_f64();
            let count = outcome
                .with_context(|| format!("after {seconds} s of waiting"))?
                .len();
            bail!("after {seconds} s there are {count} of {wanted} results");
        }
        thread::sleep(LOOK.min(left));
    }
}

/// Reads every result. A file that is missing is an error, unless it is waited for.
fn read_all(paths: &[PathBuf], waiting: bool) -> anyhow::Result<Vec<Found>> {
    let mut found = Vec::new();
    for path in paths {
        match fs::metadata(path) {
            Ok(metadata) if metadata.is_dir() => {
                for member in members(path)? {
                    found.extend(read(&member, true)?);
                }
            }
            Ok(_) => found.extend(read(path, false)?),
            Err(error) if waiting && error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => {
                let text = format!("{} cannot be read ({error})", path.display());
                return Err(UsageError(text).into());
            }
        }
    }
    Ok(found)
}

/// The `*.json` of a directory by name; those that begin with a dot are still being written.
fn members(directory: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let entries = fs::read_dir(directory).and_then(Iterator::collect::<io::Result<Vec<_>>>);
    let entries = entries.with_context(|| format!("reading {}", directory.display()))?;
    let is_result = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().as_encoded_bytes();
        !name.starts_with(b".") && name.ends_with(b".json") && path.is_file()
    };
    let paths = entries.iter().map(fs::DirEntry::path);
    let mut members: Vec<_> = paths.filter(is_result).collect();
    members.sort();
    Ok(members)
}

/// Reads one result. `None`: a document of another kind that merely lies in the same directory.
fn read(path: &Path, is_member: bool) -> anyhow::Result<Option<Found>> {
    let reading = || format!("reading {}", path.display());
    let length = fs::metadata(path).with_context(reading)?.len();
    if length > FILE_BYTES_MAX {
        bail!(
            "{} has {length} bytes, and no result is that long",
            path.display()
        );
    }
    let bytes = fs::read(path).with_context(reading)?;
    let value: serde_json::Value = serde_json::from_slice(&bytes)
        .with_context(|| format!("{} is not whole, or no JSON", path.display()))?;
    let of = |name: &str| value.get(name).and_then(|text| text.as_str());
    if (of("schema"), of("kind")) != (Some(SCHEMA), Some("run")) {
        if is_member {
            return Ok(None);
        }
        let schema = of("schema").map_or("no schema".to_owned(), |schema| format!("{schema:?}"));
        let kind = of("kind").map_or(String::new(), |kind| format!(" of kind {kind:?}"));
        return Err(UsageError(format!(
            "{} holds {schema}{kind}; give files of {SCHEMA} as ringload run --json writes them",
            path.display()
        ))
        .into());
    }
    let document: Document = serde_json::from_value(value)
        .with_context(|| format!("{} is no {SCHEMA}", path.display()))?;
    Ok(Some(Found {
        path: path.to_owned(),
        bytes,
        document,
    }))
}

/// Refuses to count one run twice: the same file by two names, or a copy of it.
fn refuse_twins(found: &[Found]) -> Result<(), UsageError> {
    for (index, one) in found.iter().enumerate() {
        for other in &found[..index] {
            let (path, other_path) = (one.path.display(), other.path.display());
            let real = |path: &Path| fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
            if real(&one.path) == real(&other.path) {
                let why = format!("{path} is given twice; each result counts once");
                return Err(UsageError(why));
            }
            if one.bytes == other.bytes {
                let why = format!("{other_path} and {path} hold the same result; each counts once");
                return Err(UsageError(why));
            }
        }
    }
    Ok(())
}

/// Names each by its file, or by its whole path where that is not enough.
fn name(found: Vec<Found>) -> Vec<Input> {
    let short = |found: &Found| {
        let name = found.path.file_name().unwrap_or(found.path.as_os_str());
        name.to_string_lossy().into_owned()
    };
    let shorts: Vec<String> = found.iter().map(short).collect();
    let named = found.into_iter().zip(&shorts).map(|(found, name)| {
        let is_unique = shorts.iter().filter(|other| *other == name).count() == 1;
        Input {
            name: if is_unique {
                name.clone()
            } else {
                found.path.display().to_string()
            },
            document: found.document,
        }
    });
    named.collect()
}
