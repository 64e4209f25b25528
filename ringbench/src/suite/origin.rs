//! What was measured with what: the sources, the kernel and the generator, which must not change halfway.

use std::ffi::OsString;
use std::path::Path;
use std::process::Command;

use ringload::interrupt::Interrupt;
use ringload::observe::placement::allowed_cpus;
use ringload::trial::version::first_line;
use serde::Serialize;
use serde_json::Value;

use super::environment::{VERSION_LIMIT, kernel};

/// What the programs were built from.
#[derive(Debug, Serialize)]
pub(crate) struct Source {
    /// The checked-out commit, where Git can tell.
    pub(crate) git_commit: Option<String>,
    /// Whether files other than results differ from it.
    pub(crate) git_dirty: Option<bool>,
}

impl Source {
    /// What is checked out in `root`. Changes in `results`, a directory of results, are none.
    pub(crate) fn gather(
        root: &Path,
        results: Option<&Path>,
        cpus: &[usize],
        interrupt: &Interrupt,
    ) -> Source {
        let mut git = Command::new("git");
        git.args(["rev-parse", "HEAD"]).current_dir(root);
        Source {
            git_commit: first_line(&mut git, cpus, VERSION_LIMIT, interrupt),
            git_dirty: is_dirty(root, results),
        }
    }
}

/// What must be the same for runs to stand in one table.
pub(crate) struct Origin {
    kernel: String,
    source: Source,
    ringload: &'static str,
}

impl Origin {
    /// That of now.
    pub(crate) fn now(
        root: &Path,
        results: &Path,
        interrupt: &Interrupt,
    ) -> anyhow::Result<Origin> {
        Ok(Origin {
            kernel: kernel(),
            source: Source::gather(root, Some(results), &allowed_cpus()?, interrupt),
            ringload: env!("CARGO_PKG_VERSION"),
        })
    }

    /// How it differs from that of an `environment.json`, and what can be done about it, if it does.
    pub(crate) fn differs_from(&self, environment: &Value) -> Option<String> {
        let Some(kernel) = environment["kernel"].as_str() else {
            return Some("environment.json does not say where it was begun".to_owned());
        };
        let ringload = environment["versions"]["ringload"].as_str();
        let commit = environment["source"]["git_commit"].as_str();
        let dirty = environment["source"]["git_dirty"].as_bool();
        let or_none = |text: Option<&str>| text.unwrap_or("none that is known").to_owned();
        if kernel != self.kernel {
            Some("it was begun on another machine or kernel; begin a new directory".to_owned())
        } else if ringload != Some(self.ringload) {
            Some(format!(
                "it was begun by another version of ringload ({}), and this is {}; begin a new directory",
                or_none(ringload),
                self.ringload
            ))
        } else if commit != self.source.git_commit.as_deref() {
            Some(format!(
                "it was begun at another commit ({}), and this is {}; check that out, or begin a new directory",
                or_none(commit),
                or_none(self.source.git_commit.as_deref())
            ))
        } else if dirty != self.source.git_dirty {
            Some(match self.source.git_dirty {
                Some(true) => "files have changed since it was begun; put them back, or begin a new directory",
                _ => "it was begun with changed files, which are not there any more; begin a new directory",
            }.to_owned())
        } else {
            None
        }
    }
}

/// Whether files other than results, and other than those below `results`, differ from the checked-out
/// commit; `None` where Git cannot tell.
fn is_dirty(root: &Path, results: Option<&Path>) -> Option<bool> {
    let mut git = Command::new("git");
    git.args(["status", "--porcelain", "--", ".", ":(exclude)results"]);
    let root = root.canonicalize().ok()?;
    if let Some(below) = results.and_then(|results| results.strip_prefix(&root).ok())
        && below != Path::new("")
    {
        let mut exclude = OsString::from(":(exclude,literal)");
        exclude.push(below);
        git.arg(exclude);
    }
    let output = git.current_dir(root).output().ok()?;
    output.status.success().then_some(!output.stdout.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_begun_elsewhere_or_from_other_sources_differs_and_says_how() {
        let origin = |commit: Option<&str>, dirty| Origin {
            kernel: "Linux 6.18".to_owned(),
            source: Source {
                git_commit: commit.map(str::to_owned),
                git_dirty: dirty,
            },
            ringload: "1.2.3",
        };
        let begun = |kernel: &str, ringload: &str| {
            serde_json::json!({
                "kernel": kernel,
                "versions": {"ringload": ringload},
                "source": {"git_commit": "abc", "git_dirty": false},
            })
        };
        let same = origin(Some("abc"), Some(false));
        assert_eq!(same.differs_from(&begun("Linux 6.18", "1.2.3")), None);
        for (origin, begun, phrase) in [
            (&same, Value::Null, "does not say where"),
            (&same, begun("Linux 6.1", "1.2.3"), "machine or kernel"),
            (
                &same,
                begun("Linux 6.18", "1.2.2"),
                "(1.2.2), and this is 1.2.3",
            ),
            (
                &origin(Some("abd"), Some(false)),
                begun("Linux 6.18", "1.2.3"),
                "another commit (abc), and this is abd",
            ),
            (
                &origin(Some("abc"), Some(true)),
                begun("Linux 6.18", "1.2.3"),
                "files have changed",
            ),
        ] {
            let why = origin.differs_from(&begun).unwrap();
            assert!(why.contains(phrase), "{why}");
        }
        // Without Git nothing is known of either.
        let mut unknown = begun("Linux 6.18", "1.2.3");
        unknown["source"] = Value::Null;
        assert_eq!(origin(None, None).differs_from(&unknown), None);
    }
}
