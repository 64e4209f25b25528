//! The directory that a comparison leaves behind.

use super::environment::Environment;
use super::options::Options;
use super::summary::Summary;
use anyhow::{Context, ensure};
use serde::Serialize;
use std::fs;
use std::path::{Path, PathBuf};

/// Generator reports, one file per run.
const RAW: &str = "raw";

/// `results/<date>-<machine>/`. Dropped before it is written, it leaves nothing behind.
pub(crate) struct Results {
    directory: PathBuf,
    shown: String,
    is_written: bool,
}

impl Results {
    /// Makes the directory that `options` names, or the first free one of the day: earlier results
    /// are never overwritten.
    pub(crate) fn create(
        root: &Path,
        options: &Options,
        environment: &Environment,
    ) -> anyhow::Result<Results> {
        let directory = match &options.out {
            Some(directory) => directory.clone(),
            None => {
                let quick = if options.quick { "-quick" } else { "" };
                let date = environment.date_time.get(..10).unwrap_or_default();
                first_free(
                    &root.join("results"),
                    &format!("{date}-{}{quick}", environment.machine),
                )
            }
        };
        fs::create_dir_all(&directory)
            .with_context(|| format!("cannot create {}", directory.display()))?;
        let directory = directory.canonicalize()?;
        let is_empty = fs::read_dir(&directory)?.next().is_none();
        ensure!(is_empty, "{} is not empty", directory.display());
        fs::create_dir(directory.join(RAW))?;
        let shown = match directory.strip_prefix(root) {
            Ok(inside) => inside.display().to_string(),
            Err(_) => directory.display().to_string(),
        };
        Ok(Results {
            directory,
            shown,
            is_written: false,
        })
    }

    /// Where the files are.
    pub(crate) fn directory(&self) -> &Path {
        &self.directory
    }

    /// The same for people: relative to the project where it is inside.
    pub(crate) fn shown(&self) -> &str {
        &self.shown
    }

    /// Writes what stands beside the raw files.
    pub(crate) fn write(
        &mut self,
        environment: &Environment,
        summary: &Summary,
        report: &str,
    ) -> anyhow::Result<()> {
        self.write_json("environment.json", environment)?;
        self.write_json("summary.json", summary)?;
        self.write_text("summary.md", report)?;
        self.is_written = true;
        Ok(())
    }

    fn write_json(&self, name: &str, value: &impl Serialize) -> anyhow::Result<()> {
        self.write_text(name, &format!("{}\n", serde_json::to_string_pretty(value)?))
    }

    fn write_text(&self, name: &str, text: &str) -> anyhow::Result<()> {
        fs::write(self.directory.join(name), text).with_context(|| format!("cannot write {name}"))
    }
}

impl Drop for Results {
    fn drop(&mut self) {
        if !self.is_written {
            // Half a comparison is none. The second call fails, rightly, if anything else is there.
            let _ = fs::remove_dir_all(self.directory.join(RAW));
            let _ = fs::remove_dir(&self.directory);
        }
    }
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
