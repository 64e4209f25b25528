//! The `ringback` binary: reads what the operator wants, and does it.
#![forbid(unsafe_code)]

use std::io::Write;
use std::process::ExitCode;

use anyhow::Context;
use mimalloc::MiMalloc;
use ringback::config::{self, Command, Config, ConfigError, LogFormat};
use ringback::engine::UringTuning;
use ringback::log;
use ringback::ping;
use ringback::probe::Report;
use ringback::serve::{Inbox, ServeError, serve};
use ringback::status::Status;
use ringback::sys::memory;

#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

/// The exit status where the operator has to change something.
const USAGE: u8 = 2;

fn main() -> ExitCode {
    memory::keep_to_small_pages();
    match run() {
        Ok(code) => code,
        Err(error) => {
            // Nobody may be reading standard error any more.
            let _ = writeln!(std::io::stderr(), "ringback: {error:#}");
            if error.is::<ConfigError>() {
                ExitCode::from(USAGE)
            } else {
                ExitCode::FAILURE
            }
        }
    }
}

fn run() -> anyhow::Result<ExitCode> {
    // Before anything that takes time: until then a signal kills, or is lost where this is process 1.
    let mut inbox = Inbox::open().context("cannot watch for signals")?;
    match config::from_process()? {
        Command::Serve(config) => run_server(&config, &mut inbox).map(|()| ExitCode::SUCCESS),
        // The inbox stays, so that a signal does not end the process before it was told what came of it.
        Command::Ping(plan) => {
            let all_came_back = ping::run(&plan)?;
            Ok(ExitCode::from(u8::from(!all_came_back)))
        }
        Command::Print(text) => print(&text),
        Command::Status { address, json } => {
            drop(inbox);
            let status = Status::ask(&address)
                .with_context(|| format!("no server tells how it is at {address}"))?;
            let text = if json {
                serde_json::to_string_pretty(&status.json())? + "\n"
            } else {
                status.words()
            };
            std::io::stdout()
                .write_all(text.as_bytes())
                .context("cannot write the status")?;
            if status.serves {
                Ok(ExitCode::SUCCESS)
            } else {
                Err(anyhow::anyhow!("the server does not welcome newcomers"))
            }
        }
        Command::Probe { json } => {
            drop(inbox);
            let report = Report::new(&UringTuning::default());
            let text = if json {
                serde_json::to_string_pretty(&report)? + "\n"
            } else {
                report.to_string()
            };
            print(text.as_bytes())
        }
    }
}

fn print(text: &[u8]) -> anyhow::Result<ExitCode> {
    std::io::stdout()
        .write_all(text)
        .context("cannot write to standard output")?;
    Ok(ExitCode::SUCCESS)
}

fn run_server(config: &Config, inbox: &mut Inbox) -> anyhow::Result<()> {
    let is_json = config.log_format == LogFormat::Json;
    let _flushes_at_the_end = log::init(is_json, &config.log_filter, config.access_log);
    serve(config, inbox).map_err(|error| match error {
        ServeError::Config(error) => anyhow::Error::new(error),
        ServeError::Listen(error) => anyhow::anyhow!("{error}"),
        ServeError::Worker { number, cause } => {
            anyhow::anyhow!("worker {number} has died: {cause}; the process ends with it")
        }
        ServeError::Http => {
            anyhow::anyhow!("the thread of the HTTP side has panicked; the process ends with it")
        }
        ServeError::Orphaned => {
            anyhow::anyhow!(
                "the process that this one was to succeed has ended, or was told to stop"
            )
        }
        ServeError::System(error) => anyhow::Error::new(error).context("cannot start"),
    })
}
