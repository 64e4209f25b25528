//! What ringload writes for machines: one JSON document for each command.
//!
//! Every number has its unit in its name; `_percent` is 0 to 100. A field is added without a new
//! version of the schema; a change of meaning or a removal needs one. `docs/ringload-json.md`
//! documents them all.

#![expect(
    missing_docs,
    reason = "docs/ringload-json.md has every field, and a test that it does"
)]

pub mod gate;
pub mod idle;
pub mod knee;
pub mod latency;
pub(crate) mod merge;
pub mod run;
pub mod storm;

use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use crate::observe::host::Host;
use crate::observe::process::cpus_online;

/// How a command ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// As planned.
    #[default]
    Ok,
    /// Something was wrong with the server or the way to it; figures are partial.
    Failed,
    /// A signal cut it short; figures are partial.
    Interrupted,
    /// All went well, and what was asked for (`--fail-if`, `--slo`) is not met.
    Missed,
}

impl Status {
    /// What a command that ended so exits with.
    pub fn exit_code(self) -> u8 {
        match self {
            Status::Ok => 0,
            Status::Failed => 1,
            Status::Missed => 3,
            // 128 and the number of SIGINT, as a shell reports it.
            Status::Interrupted => 130,
        }
    }
}

/// Circumstances without which a number is not a result.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub struct Environment {
    pub command_line: Vec<String>,
    pub ringload_version: String,
    pub kernel: String,
    pub machine: String,
    pub cpus_online: usize,
    /// Absent in what earlier versions wrote.
    pub host: Option<Host>,
    /// When the program wrote this, seconds since 1970.
    pub written_unix_seconds: u64,
}

impl Environment {
    /// Reads it.
    pub fn read() -> Environment {
        let uname = rustix::system::uname();
        Environment {
            command_line: std::env::args().collect(),
            ringload_version: env!("CARGO_PKG_VERSION").to_owned(),
            kernel: uname.release().to_string_lossy().into_owned(),
            machine: uname.machine().to_string_lossy().into_owned(),
            cpus_online: cpus_online(),
            host: Some(Host::read()),
            written_unix_seconds: SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .map_or(0, |time| time.as_secs()),
        }
    }
}
