//! Scripts that Node runs, with the packages from npm that their folder names.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;

use super::scripts::{self, leave_out};

/// A folder of them, as a path from the root.
pub(crate) struct Scripts(pub(crate) &'static str);

impl Scripts {
    /// Where they are.
    pub(crate) fn folder(&self) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join(self.0)
    }

    /// Whether they can run. The packages are installed if they are not.
    pub(crate) fn are_ready(&self) -> bool {
        static MISSING: Mutex<BTreeMap<&str, Option<String>>> = Mutex::new(BTreeMap::new());
        let mut known = MISSING.lock().expect("no test panics in here");
        let missing = known.entry(self.0).or_insert_with(|| self.missing());
        let missing = missing.clone();
        drop(known);
        if let Some(reason) = &missing {
            leave_out("Node", reason);
        }
        missing.is_none()
    }

    /// Why they cannot run; none: Node and the packages are here.
    fn missing(&self) -> Option<String> {
        for tool in ["node", "npm"] {
            if Command::new(tool).arg("--version").output().is_err() {
                return Some(format!(
                    "{tool} is not installed (Debian: apt install nodejs npm)"
                ));
            }
        }
        if self.is_installed() {
            return None;
        }
        let mut install = Command::new("npm");
        install
            .args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"])
            .current_dir(self.folder());
        let output = install.output().expect("npm starts");
        let said = String::from_utf8_lossy(&output.stderr);
        (!output.status.success()).then(|| format!("npm ci in {} failed: {said}", self.0))
    }

    /// Whether what `package-lock.json` names is installed, and not what it named before.
    fn is_installed(&self) -> bool {
        let changed =
            |file: &str| fs::metadata(self.folder().join(file)).and_then(|it| it.modified());
        let named = changed("package-lock.json").expect("it is in the repository");
        changed("node_modules/.package-lock.json").is_ok_and(|installed| installed >= named)
    }

    /// Runs `command`, a program and its arguments, in the folder, and returns what it prints.
    ///
    /// # Panics
    /// If it fails, with all that it said.
    pub(crate) fn run(&self, command: &[&str]) -> String {
        scripts::run(&self.folder(), command)
    }
}
