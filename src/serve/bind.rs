//! The addresses that are served, bound once for each worker.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::time::{Duration, Instant};

use tracing::info;

use super::{Inbox, ServeError};
use crate::config::{Config, ConfigError, Listen, Protocol};
use crate::shard::{self, Entrance};
use crate::sys::listen;

/// How long an address that is in use is tried again: the kernel closes the listeners of a process that
/// was killed only with its rings, which is after it has ended.
const BIND_PATIENCE: Duration = Duration::from_secs(2);

/// How often it is tried.
const BINDS_APART: Duration = Duration::from_millis(20);

/// What is listened on.
pub(super) struct Bound {
    /// The addresses served, for people.
    pub(super) addresses: Vec<String>,
    /// What each listener says of those who come in by it, in the order of a worker's listeners.
    pub(super) entrances: Vec<Entrance>,
    /// Each worker's listeners.
    pub(super) listeners: Vec<Vec<TcpListener>>,
}

/// Binds every address once per worker. A signal cuts the waiting for an address short.
pub(super) fn bind(
    config: &Config,
    workers: usize,
    inbox: &mut Inbox,
) -> Result<Bound, ServeError> {
    let manners = listen::Manners {
        congestion_control: config.congestion_control.as_deref(),
        buffer_bytes: config.socket_buffer_bytes,
    };
    if let Some(name) = manners.congestion_control {
        listen::check_congestion_control(name).map_err(|error| {
            ConfigError::new(
                "--congestion-control",
                format!("the kernel refuses `{name}`: {error}"),
                format!("available here: {}", listen::congestion_controls()),
            )
        })?;
    }
    let mut bound_so_far = Bound {
        addresses: Vec::new(),
        entrances: Vec::new(),
        listeners: (0..workers).map(|_| Vec::new()).collect(),
    };
    let mut patience = BIND_PATIENCE;
    for wanted in &config.listen {
        let address = wanted.address;
        let started = Instant::now();
        let mut bound = listen::listeners(address, wanted.only_v6, workers, manners);
        if is_in_use(&bound) && !patience.is_zero() {
            info!("{address} is in use: trying again for {patience:?}");
        }
        while is_in_use(&bound)
            && started.elapsed() < patience
            && !inbox.is_told_within(BINDS_APART)
        {
            bound = listen::listeners(address, wanted.only_v6, workers, manners);
        }
        patience = patience.saturating_sub(started.elapsed());
        match bound {
            Ok((address, listeners)) => {
                let scheme = scheme(config.protocol, wanted.tls);
                let families = families(wanted);
                let shown = format!("{scheme}://{address}{families}");
                bound_so_far.addresses.push(shown);
                let entrance = entrance(config.protocol, wanted.tls);
                bound_so_far.entrances.push(entrance);
                for (worker, listener) in bound_so_far.listeners.iter_mut().zip(listeners) {
                    worker.push(listener);
                }
            }
            Err(error) if wanted.optional && listen::is_family_absent(&error) => {
                info!("not listening on {address}: this host has no such address");
            }
            Err(error) => return Err(ServeError::Listen(unusable(address, &error))),
        }
    }
    if bound_so_far.addresses.is_empty() {
        let problem = "none of the addresses exists on this host";
        let error = ConfigError::new("--listen", problem, "name one that does");
        return Err(ServeError::Listen(error));
    }
    Ok(bound_so_far)
}

/// How those are served who come in by a listener.
pub(super) fn entrance(protocol: Protocol, tls: bool) -> Entrance {
    let protocol = match protocol {
        Protocol::WebSocket => shard::Protocol::WebSocket,
        Protocol::Tcp => shard::Protocol::Tcp,
    };
    Entrance { protocol, tls }
}

fn scheme(protocol: Protocol, tls: bool) -> &'static str {
    match (protocol, tls) {
        (Protocol::WebSocket, false) => "ws",
        (Protocol::WebSocket, true) => "wss",
        (Protocol::Tcp, false) => "tcp",
        (Protocol::Tcp, true) => "tls",
    }
}

fn is_in_use<T>(bound: &io::Result<T>) -> bool {
    matches!(bound, Err(error) if error.kind() == io::ErrorKind::AddrInUse)
}

/// Whom a wildcard of IPv6 lets in, which its text does not tell.
fn families(listen: &Listen) -> &'static str {
    if !(listen.address.is_ipv6() && listen.address.ip().is_unspecified()) {
        ""
    } else if listen.only_v6 {
        " (IPv6 only)"
    } else {
        " (IPv6 and IPv4)"
    }
}

fn unusable(address: SocketAddr, error: &io::Error) -> ConfigError {
    let remedy = match error.kind() {
        io::ErrorKind::AddrInUse => {
            "another process listens there: stop it, or choose another port"
        }
        io::ErrorKind::AddrNotAvailable => "choose an address that this host has",
        io::ErrorKind::PermissionDenied => {
            "choose a port above 1023, or grant CAP_NET_BIND_SERVICE"
        }
        _ => "choose an address that can be listened on",
    };
    ConfigError::new(
        "--listen",
        format!("cannot listen on {address}: {error}"),
        remedy,
    )
}
