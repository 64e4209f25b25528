//! Which files are merged: each whole, each once, and so many as were waited for.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow};

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
    let started = Instant::now();
    loop {
        // What cannot be read now may be there, or be whole, at the next look.
        let outcome = read_all(paths, true);
        let (count, why) = match outcome {
            Ok(found) if found.len() >= wanted => return Ok(found),
            Ok(found) => (Some(found.len()), None),
            Err(error) => (None, Some(error)),
        };
        if started.elapsed() >= timeout {
            let seconds = timeout.as_secs_f64();
            return Err(match (count, why) {
                (_, Some(error)) => error.context(format!("after {seconds} s of waiting")),
                (count, None) => anyhow!(
                    "after {seconds} s there are {} of {wanted} results",
                    count.unwrap_or_default()
                ),
            });
        }
        thread::sleep(LOOK.min(timeout.saturating_sub(started.elapsed())));
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
    let listing = || -> io::Result<Vec<PathBuf>> {
        let mut members = Vec::new();
        for entry in fs::read_dir(directory)? {
            let path = entry?.path();
            let hidden = path
                .file_name()
                .is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
            if !hidden && path.extension().is_some_and(|end| end == "json") && path.is_file() {
                members.push(path);
            }
        }
        members.sort();
        Ok(members)
    };
    listing().with_context(|| format!("reading {}", directory.display()))
}

/// Reads one result. `None`: a document of another kind that merely lies in the same directory.
fn read(path: &Path, is_member: bool) -> anyhow::Result<Option<Found>> {
    let reading = || format!("reading {}", path.display());
    let length = fs::metadata(path).with_context(reading)?.len();
    if length > FILE_BYTES_MAX {
        return Err(anyhow!(
            "{} has {length} bytes, and no result is that long",
            path.display()
        ));
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
            let same_file = match (fs::canonicalize(&one.path), fs::canonicalize(&other.path)) {
                (Ok(a), Ok(b)) => a == b,
                _ => one.path == other.path,
            };
            if same_file {
                return Err(UsageError(format!(
                    "{} is given twice; each result counts once",
                    one.path.display()
                )));
            }
            if one.bytes == other.bytes {
                return Err(UsageError(format!(
                    "{} and {} hold the same result; each counts once",
                    other.path.display(),
                    one.path.display()
                )));
            }
        }
    }
    Ok(())
}

/// Names each by its file, or by its whole path where that is not enough.
fn name(found: Vec<Found>) -> Vec<Input> {
    let short = |path: &Path| {
        path.file_name().map_or_else(
            || path.display().to_string(),
            |name| name.to_string_lossy().into_owned(),
        )
    };
    let shorts: Vec<String> = found.iter().map(|found| short(&found.path)).collect();
    found
        .into_iter()
        .map(|found| {
            let name = short(&found.path);
            let is_unique = shorts.iter().filter(|other| **other == name).count() == 1;
            Input {
                name: match is_unique {
                    true => name,
                    false => found.path.display().to_string(),
                },
                document: found.document,
            }
        })
        .collect()
}
