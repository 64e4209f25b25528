//! The service manager, if there is one: what it is told (`sd_notify(3)`), what it has opened (`sd_listen_fds(3)`), and
//! how it is shown that every thread goes on.

use std::env;
use std::io;
use std::net::TcpListener;
use std::os::fd::{OwnedFd, RawFd};
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant};

use rustix::net::sockopt;
use rustix::net::{AddressFamily, SocketType};
use rustix::process::Pid;
use sd_notify::NotifyState;
use tracing::warn;

use super::http::Http;
use super::listeners::{Label, Served};
use crate::config::ConfigError;
use crate::engine::Exchange;
use crate::sys::inherited;

/// The first descriptor that it hands over (`SD_LISTEN_FDS_START`).
const FIRST_DESCRIPTOR: RawFd = 3;

/// So often within the time that it waits for a sign of life is one given.
const SIGNS_OF_LIFE: u32 = 4;

/// All workers serve.
pub(super) fn ready() {
    tell(&[NotifyState::Ready]);
}

/// The server goes down, and nobody is to serve in its place.
pub(super) fn stopping() {
    tell(&[NotifyState::Stopping]);
}

/// A successor is being started, or certificates are read again: [`ready`] says when that is over.
pub(super) fn reloading() {
    match NotifyState::monotonic_usec_now() {
        Ok(now) => tell(&[NotifyState::Reloading, now]),
        Err(error) => warn!("the clock cannot be read: {error}"),
    }
}

/// That process is the service now.
pub(super) fn main_process_is(pid: u32) {
    tell(&[NotifyState::MainPid(pid)]);
}

/// Whether process 1 has started this process and cannot be told which one is the service: it takes the end of this one
/// for the service's. To be asked at the start: later it has adopted whoever has lost his parent.
pub(super) fn is_deaf() -> bool {
    rustix::process::getppid() == Some(Pid::INIT) && env::var_os("NOTIFY_SOCKET").is_none()
}

fn tell(what: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(what) {
        warn!("the service manager cannot be told {what:?}: {error}");
    }
}

/// Shows that every worker makes turns, and the HTTP side, by asking them all. Where one does not, nothing is shown,
/// and the service manager does what it is configured to do.
pub(super) struct Watchdog {
    /// How often.
    period: Duration,
    due: Instant,
    /// Answers to what was asked last, and how many are still to come.
    answers: Receiver<usize>,
    missing: usize,
}

impl Watchdog {
    /// If the service manager asks for it.
    pub(super) fn new() -> Option<Self> {
        let period = sd_notify::watchdog_enabled()? / SIGNS_OF_LIFE;
        Some(Watchdog {
            period,
            due: Instant::now(),
            answers: mpsc::channel().1,
            missing: 0,
        })
    }

    /// When [`Watchdog::look`] is to be called.
    pub(super) fn due(&self) -> Instant {
        self.due
    }

    /// Tells the service manager whether all have answered since the last time, and asks again if they have.
    pub(super) fn look(&mut self, exchange: &Exchange, http: &Http) {
        self.due = Instant::now() + self.period;
        if self.all_answer(exchange, http) {
            tell(&[NotifyState::Watchdog]);
        }
    }

    /// Whether all that were asked have answered; if so they are asked again.
    fn all_answer(&mut self, exchange: &Exchange, http: &Http) -> bool {
        self.missing -= self.answers.try_iter().count();
        let all_answer = self.missing == 0;
        if all_answer {
            let (answers, answered) = mpsc::channel();
            self.missing = exchange.call_the_roll(&answers) + http.call(&answers);
            self.answers = answered;
        }
        all_answer
    }
}

/// The listeners that it has opened for this process.
///
/// # Errors
/// Where it has handed over something else.
pub(super) fn activated() -> Result<Vec<Served>, ConfigError> {
    let is_ours = env::var("LISTEN_PID").is_ok_and(|pid| pid == std::process::id().to_string());
    let Some(count) = env::var_os("LISTEN_FDS").filter(|_| is_ours) else {
        return Ok(Vec::new());
    };
    let count: RawFd = count
        .to_str()
        .and_then(|count| count.parse().ok())
        .filter(|count| (0..i32::from(i16::MAX)).contains(count))
        .ok_or_else(|| {
            let problem = format!("{count:?} is no number of sockets");
            error(problem, "leave it to the service manager")
        })?;
    let names = env::var("LISTEN_FDNAMES").unwrap_or_default();
    let mut names = names.split(':');
    (FIRST_DESCRIPTOR..FIRST_DESCRIPTOR + count)
        .map(|number| {
            let name = names.next().unwrap_or_default().to_owned();
            let socket = inherited::take(number).map_err(|why| {
                let problem = format!("descriptor {number} (`{name}`) is not to be had: {why}");
                error(problem, "leave LISTEN_FDS to the service manager")
            })?;
            serve(number, name, socket)
        })
        .collect()
}

fn serve(number: RawFd, name: String, socket: OwnedFd) -> Result<Served, ConfigError> {
    let is_listener = is_tcp_listener(&socket).unwrap_or(false);
    let listener = TcpListener::from(socket);
    match listener.local_addr() {
        Ok(address) if is_listener => Ok(Served {
            tls: speaks_tls(&name),
            label: Label::Activated { name, address },
            sockets: vec![listener],
        }),
        _ => {
            let problem = format!("descriptor {number} (`{name}`) is no listening TCP socket");
            let remedy = "write ListenStream= with an address and a port in the socket unit, and no Accept=yes";
            Err(error(problem, remedy))
        }
    }
}

/// Whether a socket of this name is one for TLS (`FileDescriptorName=tls`, or `tls-admin`).
pub(super) fn speaks_tls(name: &str) -> bool {
    name.starts_with("tls")
}

fn is_tcp_listener(socket: &OwnedFd) -> io::Result<bool> {
    let domain = sockopt::socket_domain(socket)?;
    Ok(
        [AddressFamily::INET, AddressFamily::INET6].contains(&domain)
            && sockopt::socket_type(socket)? == SocketType::STREAM
            && sockopt::socket_acceptconn(socket)?,
    )
}

fn error(problem: String, remedy: &str) -> ConfigError {
    ConfigError::new("LISTEN_FDS", problem, remedy)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Stop;

    #[test]
    fn a_worker_that_does_not_look_into_its_mailbox_is_no_sign_of_life() {
        let stop = Stop::new(2, Duration::ZERO).unwrap();
        let exchange = Exchange::new(&stop, false, None);
        let http = Http::none();
        let mut watchdog = Watchdog {
            period: Duration::ZERO,
            due: Instant::now(),
            answers: mpsc::channel().1,
            missing: 0,
        };
        assert!(watchdog.all_answer(&exchange, &http), "nobody was asked");
        exchange.answer_roll(0);
        assert!(!watchdog.all_answer(&exchange, &http), "worker 1 is wedged");
        exchange.answer_roll(1);
        assert!(watchdog.all_answer(&exchange, &http));
        assert!(!watchdog.all_answer(&exchange, &http), "all are");
    }
}
