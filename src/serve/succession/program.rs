//! Which program a successor is, and how it is started.

use std::env;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};

use rustix::io::FdFlags;

use super::VARIABLE;
use crate::sys::inherited;

/// What a service manager says to one process and to none of its children: the listeners that it has opened are
/// handed over, and its watchdog watches over whoever is the main process.
const NOT_FOR_CHILDREN: [&str; 4] = ["LISTEN_FDS", "LISTEN_FDNAMES", "LISTEN_PID", "WATCHDOG_PID"];

/// The program that this process runs, wherever it will lie on disk.
#[derive(Clone, Debug)]
pub(in crate::serve) struct Program {
    path: PathBuf,
    /// How this process was called, and with what.
    arguments: Vec<OsString>,
}

impl Program {
    /// To be found when the process starts, as long as its file has its name.
    ///
    /// The name by which the process was started is preferred to the file that the kernel tells of, since that is
    /// what an upgrade replaces: it may be a link, which then names another file.
    pub(in crate::serve) fn of_this_process() -> Self {
        let arguments: Vec<_> = env::args_os().collect();
        let running = env::current_exe().ok();
        let called = arguments.first().and_then(|name| find(name));
        let is_running = |called: &PathBuf| running.as_ref().is_none_or(|it| is_same(called, it));
        let path = called.filter(is_running).or(running.clone());
        // Where neither is known it cannot be started, and the operator is told so when he asks for that.
        let path = path.unwrap_or_default();
        Program { path, arguments }
    }

    /// Where it lies.
    pub(in crate::serve) fn path(&self) -> &Path {
        &self.path
    }

    /// Starts it anew, as it lies there now, with the same arguments and environment, and `line` to speak with.
    pub(super) fn start(&self, line: &OwnedFd) -> io::Result<Child> {
        let mut arguments = self.arguments.iter();
        let mut command = Command::new(&self.path);
        if let Some(name) = arguments.next() {
            command.arg0(name);
        }
        command.args(arguments);
        for variable in NOT_FOR_CHILDREN {
            command.env_remove(variable);
        }
        command.env(VARIABLE, line.as_raw_fd().to_string());
        inherited::keep();
        rustix::io::fcntl_setfd(line, FdFlags::empty())?;
        let child = command.spawn();
        rustix::io::fcntl_setfd(line, FdFlags::CLOEXEC)?;
        child
    }
}

/// The file that `name` stands for, as a shell would find it.
fn find(name: &OsStr) -> Option<PathBuf> {
    let here = env::current_dir().ok()?;
    if name.as_encoded_bytes().contains(&b'/') {
        return Some(here.join(name));
    }
    let path = env::var_os("PATH")?;
    let candidates = env::split_paths(&path).map(|folder| here.join(folder).join(name));
    candidates.into_iter().find(|candidate| candidate.is_file())
}

fn is_same(one: &Path, other: &Path) -> bool {
    let identity = |path| fs::metadata(path).map(|file| (file.dev(), file.ino()));
    matches!((identity(one), identity(other)), (Ok(one), Ok(other)) if one == other)
}
