//! Sockets: where they go and from which address they come.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};

use socket2::{Domain, Protocol as TransportProtocol, Socket, Type};

use super::DIAL_TIMEOUT;

/// Connections per source address: fewer than the 28,232 ports of Linux's default ephemeral
/// range, so that those left by an earlier run in TIME_WAIT do no harm.
const CONNECTIONS_PER_SOURCE: usize = 20_000;

/// Addresses of 127.0.0.0/8 from the first one on.
const LOOPBACK_ADDRESSES: usize = 0x00ff_fffd;

/// A connection's place among those of the run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// Which URL it goes to.
    pub(super) route: usize,
    /// Its number among the connections of that URL.
    pub(super) nth: usize,
    /// How many URLs there are.
    pub(super) routes: usize,
}

impl Place {
    /// The place of connection number `ordinal`: connections go to the URLs in turn.
    pub(super) fn of(ordinal: usize, routes: usize) -> Place {
        Place {
            route: ordinal % routes,
            nth: ordinal / routes,
            routes,
        }
    }
}

/// Connects, waiting.
pub(super) fn connect(address: SocketAddr, place: Place) -> io::Result<TcpStream> {
    let socket = socket_for(address, place)?;
    socket.connect_timeout(&address.into(), DIAL_TIMEOUT)?;
    socket.set_tcp_nodelay(true)?;
    socket.set_read_timeout(Some(DIAL_TIMEOUT))?;
    socket.set_write_timeout(Some(DIAL_TIMEOUT))?;
    Ok(socket.into())
}

/// Begins to connect: the socket becomes writable once the connection stands.
pub(super) fn begin(address: SocketAddr, place: Place) -> io::Result<Socket> {
    let socket = socket_for(address, place)?;
    socket.set_nonblocking(true)?;
    socket.set_tcp_nodelay(true)?;
    match socket.connect(&address.into()) {
        Err(error) if error.raw_os_error() != Some(libc::EINPROGRESS) => Err(error),
        _ => Ok(socket),
    }
}

fn socket_for(address: SocketAddr, place: Place) -> io::Result<Socket> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(TransportProtocol::TCP),
    )?;
    if let Some(source) = loopback_source(address.ip(), place) {
        socket.bind(&SocketAddr::new(IpAddr::V4(source), 0).into())?;
    }
    Ok(socket)
}

/// The source address for a connection beyond the first 20,000 to a target in 127.0.0.0/8:
/// every address of that network is the local host's, and each has ports of its own. The kernel
/// gives out a bound port whatever the target, so no two URLs share a source.
fn loopback_source(target: IpAddr, place: Place) -> Option<Ipv4Addr> {
    let IpAddr::V4(target) = target else {
        return None;
    };
    let block = place.nth / CONNECTIONS_PER_SOURCE;
    if !target.is_loopback() || block == 0 {
        return None;
    }
    let offset = 1 + ((block - 1) * place.routes + place.route) % (LOOPBACK_ADDRESSES - 1);
    Some(Ipv4Addr::from(
        u32::from(Ipv4Addr::LOCALHOST) + offset as u32,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_spread_over_the_loopback_network_only() {
        let local = IpAddr::V4(Ipv4Addr::LOCALHOST);
        let source = |target, ordinal, routes| loopback_source(target, Place::of(ordinal, routes));
        assert_eq!(source(local, 19_999, 1), None);
        assert_eq!(source(local, 20_000, 1), Some(Ipv4Addr::new(127, 0, 0, 2)));
        assert_eq!(source(local, 65_000, 1), Some(Ipv4Addr::new(127, 0, 0, 4)));
        assert_eq!(
            source(IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1)), 99_999, 1),
            None
        );
        assert_eq!(source("::1".parse().unwrap(), 99_999, 1), None);
        assert!(source(local, usize::MAX, 1).unwrap().is_loopback());
    }

    #[test]
    fn each_url_has_ports_and_sources_of_its_own() {
        let local = IpAddr::V4(Ipv4Addr::LOCALHOST);
        let source = |ordinal| loopback_source(local, Place::of(ordinal, 3));
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
