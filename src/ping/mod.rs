//! `ringback ping`: a small client for probes and people, against any WebSocket echo server.
//!
//! It resolves, connects, makes TLS and upgrades, and says what each step took and found; then it sends texts and times
//! their echoes; then it closes. It is put together from published libraries and imports nothing of the server, so that
//! one mistake cannot agree with itself. It runs on the main thread alone, within a runtime of its own.

mod dial;
mod fault;
mod report;
mod talk;
mod tls;

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use http::HeaderMap;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::time::{Instant, timeout_at};

use fault::{Fault, Step};
use report::Report;
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
/// that was sent, and anything, was answered.
///
/// # Errors
/// Where there is no runtime.
pub fn run(plan: &Plan) -> io::Result<bool> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let stop = interrupts()?;
    let done = runtime.block_on(ping(plan, stop));
    // A name that is still looked up is nobody's concern any more.
    runtime.shutdown_background();
    match done {
        // Whoever read this has seen enough, as in `ringback ping URL | head -1`.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(false),
        done => done,
    }
}

/// Where it is told once to stop. The second time ends the process.
fn interrupts() -> io::Result<UnboundedReceiver<()>> {
    let mut signals = Signals::new([SIGINT, SIGTERM])?;
    let (sender, receiver) = unbounded_channel();
    std::thread::Builder::new()
        .name("interrupts".to_owned())
        .spawn(move || {
            for (number, signal) in signals.forever().enumerate() {
                if number > 0 || sender.send(()).is_err() {
                    std::process::exit(128 + signal);
                }
            }
        })?;
    Ok(receiver)
}

async fn ping(plan: &Plan, mut stop: UnboundedReceiver<()>) -> io::Result<bool> {
    let mut report = Report::new(plan);
    let opened = tokio::select! {
        opened = dial::open(plan) => opened,
        Some(()) = stop.recv() => return Ok(false),
    };
    let (details, socket) = match opened {
        Ok(opened) => opened,
        Err(fault) => {
            report.fault(&fault)?;
            return Ok(false);
        }
    };
    report.opened(&details)?;
    let mut talk = Talk::new(socket, plan.size);
    tokio::select! {
        spoken = speak(plan, &mut talk, &mut report) => match spoken {
            Ok(()) => {}
            Err(End::Unread(error)) => return Err(error),
            Err(End::Fault(fault)) => {
                report.fault(&fault)?;
                report.conclude()?;
                return Ok(false);
            }
        },
        Some(()) = stop.recv() => report.interrupted(),
    }
    let closed = fault::within(plan.timeout, Step::Close, talk.close()).await;
    report.closed(&closed)?;
    report.conclude()
}

/// Why there is nothing more to say.
enum End {
    Fault(Fault),
    /// Nobody reads what it says.
    Unread(io::Error),
}

impl From<Fault> for End {
    fn from(fault: Fault) -> Self {
        End::Fault(fault)
    }
}

impl From<io::Error> for End {
    fn from(error: io::Error) -> Self {
        End::Unread(error)
    }
}

/// Sends and hears, again and again.
async fn speak(plan: &Plan, talk: &mut Talk, report: &mut Report<'_>) -> Result<(), End> {
    let last = plan.count.unwrap_or(u64::MAX);
    for number in 1..=last {
        let begun = Instant::now();
        report.sent();
        let answered = async {
            talk.send(number).await;
            hear(talk, report, Some(number)).await
        };
        match timeout_at(begun + plan.timeout, answered).await {
            Ok(answered) => answered?,
            Err(_) => report.lost(number, talk.instead())?,
        }
        if number < last
            && let Ok(Err(end)) = timeout_at(begun + plan.interval, hear(talk, report, None)).await
        {
            return Err(end);
        }
    }
    Ok(())
}

/// Tells of what is heard, up to the echo of message `number`; others are late.
async fn hear(talk: &mut Talk, report: &mut Report<'_>, number: Option<u64>) -> Result<(), End> {
    loop {
        let echo = talk.hear().await?;
        report.echo(&echo)?;
        if Some(echo.number) == number {
            return Ok(());
        }
    }
}
