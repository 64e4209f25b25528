#![allow(dead_code, reason = "each test file uses its own part")]
//! The fake server of `examples/echo.rs`, as a program of its own for each test.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// Far more than anything here takes, however busy the machine is.
pub(crate) const LONG: Duration = Duration::from_secs(120);

/// A copy of the fake server under a name of its own, so that those still running can be found.
pub(crate) struct Fake {
    pub(crate) folder: TempDir,
}

impl Fake {
    pub(crate) fn new() -> Fake {
        let folder = tempfile::tempdir().unwrap();
        fs::copy(built(), folder.path().join("echo")).unwrap();
        Fake { folder }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A command line for `compare` that notes its starts under `name`.
    pub(crate) fn command(&self, name: &str, habits: &str) -> String {
        let (echo, note) = (self.path("echo"), self.path("note"));
        let (echo, note) = (echo.display(), note.display());
        format!("{echo} --port {{port}} --note {note} --as {name} {habits}")
    }

    /// Who was started, in order.
    pub(crate) fn starts(&self) -> Vec<String> {
        let text = fs::read_to_string(self.path("note")).unwrap_or_default();
        text.lines()
            .filter_map(|line| line.strip_prefix("start "))
            .map(str::to_owned)
            .collect()
    }

    /// Waits until so many were started.
    pub(crate) fn await_starts(&self, count: usize) {
        let deadline = Instant::now() + LONG;
        while self.starts().len() < count {
            assert!(Instant::now() < deadline, "{:?}", self.starts());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Fails if any of its processes is left.
    pub(crate) fn assert_none_is_left(&self) {
        let echo = self.path("echo").into_os_string().into_encoded_bytes();
        let is_one = |process: &Path| {
            let line = fs::read(process.join("cmdline")).unwrap_or_default();
            line.starts_with(&echo)
        };
        let left: Vec<PathBuf> = fs::read_dir("/proc")
            .unwrap()
            .flatten()
            .map(|entry| entry.path())
            .filter(|process| is_one(process))
            .collect();
        assert!(left.is_empty(), "{left:?}");
    }
}

/// The example, built by cargo beside this test.
fn built() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| {
        let test = std::env::current_exe().unwrap();
        // target/PROFILE/deps/TEST
        let profile = test.parent().unwrap().parent().unwrap();
        let example = profile.join("examples/echo");
        // `cargo test` builds examples, `cargo test --test NAME` does not.
        let mut cargo = Command::new(env!("CARGO"));
        cargo.args(["build", "--quiet", "--locked", "--package", "ringload"]);
        cargo.args(["--example", "echo", "--target-dir"]);
        cargo.arg(profile.parent().unwrap());
        if profile.ends_with("release") {
            cargo.arg("--release");
        }
        assert!(cargo.status().unwrap().success());
        example
    })
}
