//! `ringload idle`.

use std::time::Duration;

use clap::Args;

use super::run::OutputOptions;
use super::target::TargetOptions;
use super::{UsageError, at_least_one};
use crate::quantity::parse_duration;

/// Most processes that hold connections.
const PROCESSES_MAX: usize = 256;

/// `ringload idle`.
#[derive(Args, Clone, Debug)]
pub struct IdleOptions {
    #[command(flatten)]
    pub(crate) target: TargetOptions,

    /// Connections to open
    #[arg(long, default_value_t = 10_000, value_name = "N")]
    pub(crate) connections: usize,

    /// Processes that hold them; auto is as many as the limit of open files makes necessary
    #[arg(long, default_value = "auto", value_name = "N|auto", value_parser = parse_processes)]
    pub(crate) processes: Processes,

    /// How long to hold them, once open
    #[arg(long, default_value = "2s", value_name = "TIME", value_parser = parse_duration)]
    pub(crate) hold: Duration,

    /// How long to wait at most, once all are closed, for their memory to be given back
    #[arg(long, default_value = "5s", value_name = "TIME", value_parser = parse_duration)]
    pub(crate) settle: Duration,

    /// A process of the server, which stands for those that it started too; repeatable
    #[arg(long = "server-pid", value_name = "PID", required = true, value_parser = clap::value_parser!(i32).range(1..))]
    pub(crate) server_pids: Vec<i32>,

    /// Seed of payloads and masking keys [default: from the kernel]
    #[arg(long, value_name = "N")]
    pub(crate) seed: Option<u64>,

    /// Given to the processes that this one starts: hold the connections FIRST up to END, as told over
    /// standard input
    #[arg(long, hide = true, value_name = "FIRST..END", value_parser = parse_share)]
    pub(crate) share: Option<Share>,

    #[command(flatten)]
    pub(crate) output: OutputOptions,
}

/// How many processes hold connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Processes {
    /// As many as are necessary.
    Auto,
    /// So many.
    Count(usize),
}

/// The connections of one process, by number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Share {
    pub(crate) first: usize,
    pub(crate) end: usize,
}

fn parse_processes(text: &str) -> Result<Processes, String> {
    match text.parse() {
        _ if text == "auto" => Ok(Processes::Auto),
        Ok(count @ 1..=PROCESSES_MAX) => Ok(Processes::Count(count)),
        _ => Err(format!("expected a number up to {PROCESSES_MAX}, or auto")),
    }
}

fn parse_share(text: &str) -> Result<Share, String> {
    let (first, end) = text.split_once("..").ok_or("expected FIRST..END")?;
    match (first.parse(), end.parse()) {
        (Ok(first), Ok(end)) if first < end => Ok(Share { first, end }),
        _ => Err("expected two numbers FIRST..END, the second above the first".to_owned()),
    }
}

impl IdleOptions {
    /// How many processes are to hold the connections, if each may hold `each_max`.
    pub(crate) fn processes(&self, each_max: usize) -> Result<usize, UsageError> {
        at_least_one("connections", self.connections)?;
        let needed = self.connections.div_ceil(each_max.max(1));
        let processes = match self.processes {
            Processes::Auto => needed,
            Processes::Count(count) => count.min(self.connections),
        };
        if processes < needed {
            return Err(UsageError(format!(
                "--connections {} do not fit into {processes} processes of at most {each_max} open \
                 files each; give --processes {needed} or raise the limit (ulimit -Hn)",
                self.connections
            )));
        }
        if processes > PROCESSES_MAX {
            return Err(UsageError(format!(
                "--connections {} needs {processes} processes of at most {each_max} open files each; \
                 raise the limit (ulimit -Hn) or ask for at most {}",
                self.connections,
                each_max * PROCESSES_MAX
            )));
        }
        Ok(processes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_and_processes_are_read() {
        assert_eq!(parse_processes("auto"), Ok(Processes::Auto));
        assert_eq!(parse_processes("3"), Ok(Processes::Count(3)));
        assert_eq!(parse_share("5..9"), Ok(Share { first: 5, end: 9 }));
        for wrong in ["", "0", "257", "many"] {
            assert!(parse_processes(wrong).is_err(), "{wrong:?}");
        }
        for wrong in ["", "5", "9..5", "5..5", "a..b", "-1..2"] {
            assert!(parse_share(wrong).is_err(), "{wrong:?}");
        }
    }
}
