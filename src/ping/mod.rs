//! `ringback ping`: a small client for probes and people, against any WebSocket echo server.
//!
//! It resolves, connects, makes TLS and upgrades, and says what each step took and found; then it sends texts and times
//! their echoes; then it closes. It is put together from published libraries and imports nothing that the server speaks by,
//! so that one mistake cannot agree with itself. It runs on the main thread alone, within a runtime of its own.

mod dial;
mod fault;
mod report;
mod talk;
mod tls;

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use http::HeaderMap;
use serde_json::json;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;
use signal_hook::low_level::pipe;
use tokio::net::UnixStream;
use tokio::time::{Instant, timeout_at};

use fault::{Fault, Step, within};
use report::{Report, Told};
use talk::Talk;

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Who is asked.
    pub target: Target,
    /// Where to connect to instead of the target's host and port.
    pub connect_to: Option<(String, u16)>,
    /// Further fields of the upgrade request.
    pub headers: HeaderMap,
    /// Whose certificates are believed.
    pub trust: Trust,
    /// Bytes of each message, at least [`SIZE_MIN`].
    pub size: usize,
    /// How many messages; none: until told to stop.
    pub count: Option<u64>,
    /// From one message to the next.
    pub interval: Duration,
    /// For each step, and for each echo.
    pub timeout: Duration,
    /// What is said of it.
    pub form: Form,
}

/// The least that tells one message from another, in bytes.
pub const SIZE_MIN: usize = 8;

/// A URL, taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// As it was written.
    pub url: String,
    /// Whether it is TLS.
    pub secure: bool,
    /// A name or an address, without brackets.
    pub host: String,
    /// The port, if only by the scheme.
    pub port: u16,
    /// Host and port as the field Host has them.
    pub authority: String,
    /// Path and query.
    pub path: String,
}

/// Whose certificates are believed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trust {
    /// Those of the authorities that this machine trusts.
    Machine,
    /// Those of the authorities in this file (PEM).
    File(PathBuf),
    /// Everyone's.
    Anyone,
}

/// What is said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Lines for people.
    Text,
    /// An object a line.
    Json,
    /// Only what is wrong.
    Quiet,
}

/// Pings until all is answered, it is told to stop (SIGINT, SIGTERM), or nothing can be answered any more. Whether all
/// that was sent, and anything, was answered. Where nobody reads what it says, it ends the process.
///
/// # Errors
/// Where there is no runtime.
pub fn run(plan: &Plan) -> io::Result<bool> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let done = runtime.block_on(async { Ok(ping(plan, &told_to_stop()?).await) });
    // A name that is still looked up is nobody's concern any more.
    runtime.shutdown_background();
    done
}

/// What becomes readable when it is told to stop. The second time ends the process.
fn told_to_stop() -> io::Result<UnixStream> {
    let (told, teller) = UnixStream::pair()?;
    let teller = teller.into_std()?;
    let again = Arc::<AtomicBool>::default();
    for signal in [SIGINT, SIGTERM] {
        flag::register_conditional_shutdown(signal, 128 + signal, again.clone())?;
        flag::register(signal, again.clone())?;
        pipe::register(signal, teller.try_clone()?)?;
    }
    Ok(told)
}

/// From the first step to the last.
async fn ping(plan: &Plan, stop: &UnixStream) -> bool {
    let mut report = Report::new(plan);
    let opened = tokio::select! {
        opened = dial::open(plan) => opened,
        _ = stop.readable() => return false,
    };
    let (socket, address, Told { by, text }) = match opened {
        Ok(opened) => opened,
        Err(fault) => {
            report.fault(&fault);
            return false;
        }
    };
    let (url, size) = (&plan.target.url, plan.size);
    report.say(
        &json!({"event": "opened", "url": url, "by": by}),
        &format!("PING {url} ({address}) with {size} bytes of text{text}"),
    );
    let mut talk = Talk::new(socket, size).await;
    let spoken = tokio::select! {
        spoken = speak(address, &mut talk, &mut report) => spoken,
        _ = stop.readable() => {
            report.interrupted();
            Ok(())
        }
    };
    if let Err(fault) = spoken {
        report.fault(&fault);
        report.conclude();
        return false;
    }
    let begun = Instant::now();
    match within(plan.timeout, Step::Close, talk.close()).await {
        Ok(goodbye) => report.closed(&goodbye, begun.elapsed()),
        Err(fault) => report.fault(&fault),
    }
    report.conclude()
}

/// Sends and hears, again and again.
async fn speak(from: SocketAddr, talk: &mut Talk, report: &mut Report<'_>) -> Result<(), Fault> {
    let plan = report.plan;
    let last = plan.count.unwrap_or(u64::MAX);
    for seq in 1..=last {
        let begun = Instant::now();
        talk.send(seq);
        report.sent(seq);
        loop {
            let span = if report.is_pending {
                plan.timeout
            } else if seq == last {
                return Ok(());
            } else {
                plan.interval
            };
            match timeout_at(begun + span, talk.hear()).await {
                Ok(echo) => report.echo(from, &echo?),
                Err(_) if report.is_pending => report.lost(talk.instead()),
                Err(_) => break,
            }
        }
    }
    Ok(())
}
