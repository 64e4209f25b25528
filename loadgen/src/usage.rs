//! Arguments that cannot be followed: what is wrong, and what would be right.

use std::fmt;

/// File descriptors kept for everything that is not a connection.
const SPARE_FDS: u64 = 64;

/// Refuses what is wrong, and says why.
pub(crate) fn refuse_if(is_wrong: bool, why: impl Into<String>) -> Result<(), UsageError> {
    if is_wrong {
        return Err(UsageError(why.into()));
    }
    Ok(())
}

/// Refuses 0.
pub(crate) fn at_least_one(name: &str, value: usize) -> Result<(), UsageError> {
    refuse_if(value == 0, format!("--{name} is 0; give at least 1"))
}

/// Refuses options, by name and whether each is given, that `why` speaks against.
pub(crate) fn refuse_given(options: &[(&str, bool)], why: &str) -> Result<(), UsageError> {
    match options.iter().find(|(_, is_given)| *is_given) {
        Some((name, _)) => Err(UsageError(format!("{name} {why}"))),
        None => Ok(()),
    }
}

/// Arguments that cannot be followed: exit status 2.
#[derive(Debug)]
pub struct UsageError(pub String);

impl fmt::Display for UsageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for UsageError {}

/// What clap says of a line that it does not take, in one line.
pub fn first_line(error: &clap::Error) -> String {
    let text = error.to_string();
    let first = text.split("\n\n").next().unwrap_or_default();
    first.trim_start_matches("error: ").replace('\n', " ")
}

/// Raises the soft limit of open files to the hard one and refuses more connections than fit.
pub fn make_room_for(connections: usize) -> Result<(), UsageError> {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    // Raising soft to hard is always allowed; should it fail, the soft limit is what there is.
    let current = limit.maximum;
    let usable = match setrlimit(Resource::Nofile, Rlimit { current, ..limit }) {
        Ok(()) => limit.maximum,
        Err(_) => limit.current,
    };
    let needed = (connections as u64).saturating_add(SPARE_FDS);
    match usable {
        Some(usable) if usable < needed => Err(UsageError(format!(
            "--connections {connections} needs {needed} open files and the limit is {usable}; \
             raise it (ulimit -Hn) or ask for at most {}",
            usable.saturating_sub(SPARE_FDS)
        ))),
        _ => Ok(()),
    }
}
