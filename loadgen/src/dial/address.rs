//! Sockets: where they go and from which address they come.

use std::fmt;
use std::io::{self, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use socket2::{Domain, SockAddr, Socket, Type};

use crate::target::parse_authority;
use crate::wire::failure::Failure;

/// How long a unix socket may wait for its server.
const UNIX_TIMEOUT: Duration = Duration::from_secs(5);

/// Connections per source address: fewer than the 28,232 ports of Linux's default ephemeral
/// range, so that those left by an earlier run in TIME_WAIT do no harm.
const CONNECTIONS_PER_SOURCE: usize = 20_000;

/// Addresses of 127.0.0.0/8 from the first one on.
const LOOPBACK_ADDRESSES: usize = 0x00ff_fffd;

/// Where a socket goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Peer {
    Network(SocketAddr),
    /// A unix socket in the file system.
    Unix(PathBuf),
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Peer::Network(address) => address.fmt(f),
            Peer::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// Where `--connect-to` leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Elsewhere {
    Network(String, u16),
    Unix(PathBuf),
}

impl Elsewhere {
    /// Reads `HOST:PORT` or `unix:PATH`. The error says what would be right.
    pub(crate) fn parse(text: &str) -> Result<Elsewhere, String> {
        match text.strip_prefix("unix:") {
            Some("") => Err("the path is missing; write unix:PATH".to_owned()),
            Some(path) => Ok(Elsewhere::Unix(path.into())),
            None => parse_authority(text, None).map(|(host, port)| Elsewhere::Network(host, port)),
        }
    }
}

/// Begins to connect as number `ordinal` of connections that go to so many URLs in turn, from one of `sources` if
/// there are any: the socket becomes writable once the connection stands.
pub(super) fn begin(
    peer: &Peer,
    ordinal: usize,
    routes: usize,
    sources: &[IpAddr],
) -> Result<Socket, Failure> {
    let address = match peer {
        Peer::Network(address) => *address,
        Peer::Unix(path) => return begin_unix(path).map_err(connecting),
    };
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None);
    let socket = socket.map_err(connecting)?;
    let is_of_kind = |source: &&IpAddr| source.is_ipv4() == address.is_ipv4();
    let sources: Vec<&IpAddr> = sources.iter().filter(is_of_kind).collect();
    let source = match sources.len() {
        0 => loopback_source(address.ip(), ordinal, routes),
        sources_count => Some(*sources[ordinal / routes % sources_count]),
    };
    if let Some(source) = source {
        let bound = socket.bind(&SocketAddr::new(source, 0).into());
        bound.map_err(|error| {
            let doing = match error.kind() {
                ErrorKind::AddrNotAvailable => {
                    "binding to a --source that is no address of this machine"
                }
                _ => "binding to the source address",
            };
            Failure::Io(doing, error)
        })?;
    }
    let begun = || {
        socket.set_nonblocking(true)?;
        socket.set_tcp_nodelay(true)?;
        socket.connect(&address.into())
    };
    match begun() {
        Err(error) if error.raw_os_error() != Some(libc::EINPROGRESS) => Err(connecting(error)),
        _ => Ok(socket),
    }
}

/// Connecting failed.
pub(crate) fn connecting(error: io::Error) -> Failure {
    let doing = match error.kind() {
        ErrorKind::AddrNotAvailable => {
            "connecting (no source port is free: closed connections hold theirs for a minute)"
        }
        _ => "connecting",
    };
    Failure::Io(doing, error)
}

/// A unix socket connects at once, or waits for the server to take others first.
fn begin_unix(path: &Path) -> io::Result<Socket> {
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.set_write_timeout(Some(UNIX_TIMEOUT))?;
    socket.connect(&SockAddr::unix(path)?)?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

/// The source address for a connection beyond the first 20,000 to a target in 127.0.0.0/8:
/// every address of that network is the local host's, and each has ports of its own. The kernel
/// gives out a bound port whatever the target, so no two URLs share a source.
fn loopback_source(target: IpAddr, ordinal: usize, routes: usize) -> Option<IpAddr> {
    let block = ordinal / routes / CONNECTIONS_PER_SOURCE;
    if !target.is_ipv4() || !target.is_loopback() || block == 0 {
        return None;
    }
    let offset = 1 + ((block - 1) * routes + ordinal % routes) % (LOOPBACK_ADDRESSES - 1);
    let source = Ipv4Addr::from(u32::from(Ipv4Addr::LOCALHOST) + offset as u32);
    Some(source.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_spread_over_the_loopback_network_only() {
        let local = IpAddr::V4(Ipv4Addr::LOCALHOST);
        let source = loopback_source;
        assert_eq!(source(local, 19_999, 1), None);
        assert_eq!(source(local, 20_000, 1), Some("127.0.0.2".parse().unwrap()));
        assert_eq!(source(local, 65_000, 1), Some("127.0.0.4".parse().unwrap()));
        assert_eq!(
            source(IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1)), 99_999, 1),
            None
        );
        assert_eq!(source("::1".parse().unwrap(), 99_999, 1), None);
        assert!(source(local, usize::MAX, 1).unwrap().is_loopback());
    }

    #[test]
    fn other_places_are_read() {
        let read = |text| Elsewhere::parse(text);
        assert_eq!(read("[::1]:9"), Ok(Elsewhere::Network("::1".to_owned(), 9)));
        assert_eq!(read("unix:/a b"), Ok(Elsewhere::Unix("/a b".into())));
        for wrong in ["h", "h:", "unix:", ":1", "h:0"] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn each_url_has_ports_and_sources_of_its_own() {
        let local = IpAddr::V4(Ipv4Addr::LOCALHOST);
        let source = |ordinal| loopback_source(local, ordinal, 3);
        assert_eq!(source(59_999), None);
        let blocks: Vec<_> = (60_000..60_006)
            .map(|ordinal| source(ordinal).unwrap())
            .collect();
        assert_eq!(blocks[..3], blocks[3..], "the same three in turn");
        let mut sources: Vec<_> = (0..3)
            .flat_map(|route| (1..4).map(move |block| block * 60_000 + route))
            .map(|ordinal| source(ordinal).unwrap())
            .collect();
        sources.sort_unstable();
        sources.dedup();
        assert_eq!(sources.len(), 9);
    }
}
