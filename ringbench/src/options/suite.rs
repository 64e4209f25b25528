//! `ringbench suite`.

use std::path::PathBuf;

use clap::Args;
use ringload::quantity::{CpuList, parse_cpu_list};

/// `ringbench suite`.
#[derive(Args, Clone, Debug)]
pub(crate) struct SuiteOptions {
    /// The suite, such as scripts/suites/quick.toml
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,

    /// Directory to write, which must be empty or absent [default: results/DATE-MACHINE-SUITE]
    #[arg(long, value_name = "DIR")]
    pub(crate) out: Option<PathBuf>,

    /// Go on with what was begun in this directory: do what is missing, in the order and on the CPUs it had
    #[arg(long, value_name = "DIR", conflicts_with_all = [
        "out", "only", "rounds", "seed", "machine", "server_cpu", "generator_cpu",
    ])]
    pub(crate) resume: Option<PathBuf>,

    /// Only this workload; repeatable
    #[arg(long, value_name = "WORKLOAD")]
    pub(crate) only: Vec<String>,

    /// Only this server; or another one: NAME='COMMAND {port}', which listens on 127.0.0.1 at that port; repeatable
    #[arg(long, value_name = "NAME")]
    pub(crate) server: Vec<String>,

    /// Rounds of every workload [default: as the file says]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(crate) rounds: Option<u32>,

    /// Seed of the order [default: from the kernel]
    #[arg(long, value_name = "N")]
    pub(crate) seed: Option<u64>,

    /// Name of this machine in the name of the directory [default: from its CPU model and count]
    #[arg(long, value_name = "NAME", value_parser = parse_name)]
    pub(crate) machine: Option<String>,

    /// Directory of the servers, with a peer.toml in folders below it [default: scripts/peers of the
    /// project that this is called in]
    #[arg(long, value_name = "DIR")]
    pub(crate) peers: Option<PathBuf>,

    /// CPUs of the servers: 0 or 0,2-3 [default: the first that may be used]
    #[arg(long, value_name = "LIST", value_parser = parse_cpu_list)]
    pub(crate) server_cpu: Option<CpuList>,

    /// CPUs of the generator [default: the next one on a core of its own]
    #[arg(long, value_name = "LIST", value_parser = parse_cpu_list)]
    pub(crate) generator_cpu: Option<CpuList>,

    /// Only say what would be done, with --resume what is left, and how long it would take
    #[arg(long)]
    pub(crate) dry_run: bool,

    /// Print no progress
    #[arg(long)]
    pub(crate) quiet: bool,
}

/// A name becomes part of a directory's name, or of an argument.
pub(crate) fn parse_name(text: &str) -> Result<String, String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if !text.is_empty() && text.chars().all(plain) && !text.starts_with(['.', '-']) {
        Ok(text.to_owned())
    } else {
        Err("use letters, digits, '-', '_' and '.' only".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn machine_names_cannot_leave_the_directory() {
        assert!(parse_name("ryzen-9.7950x_32cpu").is_ok());
        for wrong in ["", "..", "a/b", ".hidden", "a b"] {
            assert!(parse_name(wrong).is_err(), "{wrong:?}");
        }
    }
}
