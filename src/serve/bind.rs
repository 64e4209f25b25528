//! The addresses that are served, bound once for each worker.

use std::fmt;
use std::io;
use std::time::{Duration, Instant};

use tracing::info;

use super::listeners::{Label, Listeners, Served};
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
#[derive(Debug, Default)]
pub(super) struct Bound {
    /// The addresses, for people.
    pub(super) addresses: Vec<String>,
    pub(super) listeners: Listeners,
    /// Which of those that were there already are none of them, by number.
    pub(super) unused: Vec<usize>,
}

/// Binds every address once per worker, but for those that are among what is `open` already. A signal cuts the waiting
/// for an address short.
pub(super) fn bind(
    config: &Config,
    workers: usize,
    open: Vec<Served>,
    inbox: &mut Inbox,
) -> Result<Bound, ServeError> {
    let mut open: Vec<_> = open.into_iter().map(Some).collect();
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
    let mut bound = Bound::default();
    let mut patience = BIND_PATIENCE;
    for served in open
        .iter_mut()
        .filter_map(|it| it.take_if(|it| it.is_activated()))
    {
        if served.tls && config.tls.is_none() {
            return Err(ConfigError::new(
                "LISTEN_FDNAMES",
                format!("names a socket for TLS ({}), and there is no certificate", served.label.address()),
                "add --tls-cert FILE and --tls-key FILE, or give the socket a name that does not begin with tls",
            )
            .into());
        }
        let (scheme, address) = (scheme(config.protocol, served.tls), served.label.address());
        let text = format!("{scheme}://{address} (opened by the service manager)");
        bound.addresses.push(text);
        let served = served.adapt(None, workers, manners)?;
        bound.listeners.0.push(served);
    }
    let is_listening = !bound.listeners.0.is_empty();
    let named = config
        .listen
        .iter()
        .filter(|_| config.listen_is_named || !is_listening);
    for wanted in named {
        let address = wanted.address;
        let scheme = scheme(config.protocol, wanted.tls);
        let text = |address| format!("{scheme}://{address}{}", families(wanted));
        let is_wanted = |it: &&mut Option<Served>| it.as_ref().is_some_and(|it| it.answers(wanted));
        if let Some(served) = open.iter_mut().find(is_wanted).and_then(Option::take) {
            bound.addresses.push(text(served.label.address()));
            let served = served.adapt(Some(wanted), workers, manners)?;
            bound.listeners.0.push(served);
            continue;
        }
        let started = Instant::now();
        let mut opened = listen::listeners(address, wanted.only_v6, workers, manners);
        if is_in_use(&opened) && !patience.is_zero() {
            info!("{address} is in use: trying again for {patience:?}");
        }
        while is_in_use(&opened)
            && started.elapsed() < patience
            && !inbox.is_told_within(BINDS_APART)
        {
            opened = listen::listeners(address, wanted.only_v6, workers, manners);
        }
        patience = patience.saturating_sub(started.elapsed());
        match opened {
            Ok((address, sockets)) => {
                bound.addresses.push(text(address));
                let label = Label::Bound {
                    wanted: wanted.address,
                    address,
                };
                bound.listeners.0.push(Served {
                    label,
                    sockets,
                    tls: wanted.tls,
                });
            }
            Err(error) if wanted.optional && listen::is_family_absent(&error) => {
                info!("not listening on {address}: this host has no such address");
            }
            Err(error) => return Err(ServeError::Listen(unusable("--listen", address, &error))),
        }
    }
    if bound.addresses.is_empty() {
        let problem = "none of the addresses exists on this host";
        let error = ConfigError::new("--listen", problem, "name one that does");
        return Err(ServeError::Listen(error));
    }
    let left = (0..).zip(&open).filter(|(_, it)| it.is_some());
    bound.unused = left.map(|(number, _)| number).collect();
    Ok(bound)
}

/// How those are served who come in by a listener.
pub(super) fn entrance(protocol: Protocol, tls: bool) -> Entrance {
    let protocol = match protocol {
        Protocol::WebSocket => shard::Protocol::WebSocket,
        Protocol::Tcp => shard::Protocol::Tcp,
    };
    Entrance {
        protocol,
        tls,
        number: 0,
    }
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

/// What the operator can do about an address that cannot be listened on.
pub(super) fn unusable(option: &str, address: impl fmt::Display, error: &io::Error) -> ConfigError {
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
        option,
        format!("cannot listen on {address}: {error}"),
        remedy,
    )
}
