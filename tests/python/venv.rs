//! The virtual environment that all tests with Python share, below Cargo's own folder.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

use super::support::scripts;

/// Where the scripts are, and what they need.
pub(crate) const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/python");

/// The folder of its programs. It is made if it is not there, or is not what `requirements.txt` names.
///
/// Says so if it cannot be had: then there is none.
pub(crate) fn programs() -> Option<&'static Path> {
    static PROGRAMS: LazyLock<Result<PathBuf, String>> = LazyLock::new(make);
    match &*PROGRAMS {
        Ok(programs) => Some(programs),
        Err(reason) => {
            scripts::leave_out("Python", reason);
            None
        }
    }
}

fn make() -> Result<PathBuf, String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let venv = Path::new(env!("CARGO_TARGET_TMPDIR")).join("python");
    let requirements = Path::new(FOLDER).join("requirements.txt");
    let named = fs::read(&requirements).expect("it is in the repository");
    // What it was made from is put into it when it is whole, and not before.
    let made_from = venv.join("requirements.txt");
    if !fs::read(&made_from).is_ok_and(|made_from| made_from == named) {
        let mut make = Command::new("python3");
        make.arg(root.join("scripts/peers/make-venv"));
        let output = make.args([&venv, &requirements]).output();
        let output = output.map_err(|_| {
            "python3 is not installed (Debian: apt install python3-venv)".to_owned()
        })?;
        if !output.status.success() {
            return Err(String::from_utf8_lossy(&output.stderr).trim().to_owned());
        }
        fs::write(made_from, named).expect("a folder that was made");
    }
    Ok(venv.join("bin"))
}
