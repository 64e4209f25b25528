//! The runtimes with a WebSocket of their own that npm has.

use std::process::Command;

use super::SCRIPTS;
use super::support::scripts::leave_out;

/// One of them.
pub(crate) struct Runtime {
    name: &'static str,
    /// In `node_modules`, for x86-64 and for ARM.
    programs: [&'static str; 2],
    options: &'static [&'static str],
}

pub(crate) const NODE_22: Runtime = Runtime {
    name: "Node 22",
    programs: ["node22-linux-x64/bin/node", "node22-linux-arm64/bin/node"],
    options: &[],
};

pub(crate) const NODE_24: Runtime = Runtime {
    name: "Node 24",
    programs: ["node24-linux-x64/bin/node", "node24-linux-arm64/bin/node"],
    options: &[],
};

pub(crate) const DENO: Runtime = Runtime {
    name: "Deno",
    programs: ["@deno/linux-x64-glibc/deno", "@deno/linux-arm64-glibc/deno"],
    options: &[
        "run",
        "--quiet",
        "--no-config",
        "--no-lock",
        "--no-remote",
        "--no-npm",
        "--allow-net",
    ],
};

pub(crate) const BUN: Runtime = Runtime {
    name: "Bun",
    programs: [
        "@oven/bun-linux-x64/bin/bun",
        "@oven/bun-linux-aarch64/bin/bun",
    ],
    options: &[],
};

impl Runtime {
    /// The command that runs a script in it: the program for this machine, and its arguments. None, and said so, if
    /// it cannot be had.
    pub(crate) fn command(&self, script: &str) -> Option<Vec<String>> {
        if !SCRIPTS.are_ready() {
            return None;
        }
        let runs = |program: &String| {
            let mut version = Command::new(SCRIPTS.folder().join(program));
            let output = version.arg("--version").output();
            output.is_ok_and(|output| output.status.success())
        };
        let mut programs = self
            .programs
            .map(|it| format!("node_modules/{it}"))
            .into_iter();
        let Some(program) = programs.find(runs) else {
            leave_out(self.name, "npm has none that runs on this machine");
            return None;
        };
        let arguments = self.options.iter().copied().chain([script]);
        Some(
            [program]
                .into_iter()
                .chain(arguments.map(str::to_owned))
                .collect(),
        )
    }
}
