//! What a run found, as JSON for machines and as a table for people.

pub(crate) mod document;
pub(crate) mod histogram;
pub(crate) mod table;

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

use anyhow::Context;
use serde::Serialize;

/// Hands a finished document to whoever asked for it: the table to standard output, the error
/// to standard error, the JSON to `json` (`-` is standard output, which then gets no table).
pub(crate) fn deliver(
    document: &impl Serialize,
    table: impl FnOnce() -> String,
    error: Option<&str>,
    json: Option<&Path>,
    quiet: bool,
) -> anyhow::Result<()> {
    let json_on_stdout = json.is_some_and(|path| path.as_os_str() == "-");
    if !quiet && !json_on_stdout {
        print!("{}", table());
    }
    if let Some(error) = error {
        eprintln!("ringload: {error}");
    }
    json.map_or(Ok(()), |path| write_json(path, document))
}

fn write_json(path: &Path, document: &impl Serialize) -> anyhow::Result<()> {
    let mut text = serde_json::to_vec_pretty(document).context("encoding the result")?;
    text.push(b'\n');
    if path.as_os_str() == "-" {
        return io::stdout()
            .write_all(&text)
            .context("writing to standard output");
    }
    File::create(path)
        .and_then(|mut file| file.write_all(&text))
        .with_context(|| format!("writing {}", path.display()))
}
