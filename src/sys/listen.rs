//! Listening sockets: one per worker and address, sharing the address among themselves and with nobody
//! else.

use std::io;
use std::net::{SocketAddr, TcpListener};

use rustix::io::Errno;
use rustix::net::sockopt;
use socket2::{Domain, Protocol, SockRef, Socket, Type};

/// Connections that may wait to be accepted.
const BACKLOG: i32 = 4096;

/// What connections have from their listener.
#[derive(Clone, Copy, Debug, Default)]
pub struct Manners<'a> {
    /// The congestion control; none: the system's choice.
    pub congestion_control: Option<&'a str>,
    /// What the kernel may keep in each direction, in bytes (`SO_SNDBUF`, `SO_RCVBUF`: it takes twice as much, with
    /// what it needs itself); none: it finds out what is best, and each may take megabytes.
    pub buffer_bytes: Option<u32>,
}

/// Opens `count` listeners on `address`, and says which port it is if that was left open. One on `[::]` is
/// reached over IPv4 as well, unless it is to be `only_v6`.
///
/// `SO_REUSEPORT` lets any process of the same user join silently and take a share of the connections. So
/// the first of them binds and listens without it, which fails beside any other listener, whatever options
/// that has (`EADDRINUSE`); only then may the others join. There is no probe to be closed again: a client
/// that comes in this instant waits in the first one's queue.
///
/// # Errors
/// What the system says of the address (`EADDRINUSE`, `EADDRNOTAVAIL`, `EACCES`, ...).
pub fn listeners(
    address: SocketAddr,
    only_v6: bool,
    count: usize,
    manners: Manners<'_>,
) -> io::Result<(SocketAddr, Vec<TcpListener>)> {
    let first = open(address, only_v6, false, manners)?;
    first.set_reuse_port(count > 1)?;
    let address = first.local_addr()?.as_socket().unwrap_or(address);
    let mut listeners = vec![TcpListener::from(first)];
    for _ in 1..count {
        listeners.push(open(address, only_v6, true, manners)?.into());
    }
    Ok((address, listeners))
}

/// Opens one more listener beside `others`, which has a queue of its own.
///
/// # Errors
/// What the system says of the address.
pub fn join(
    others: &[TcpListener],
    address: SocketAddr,
    only_v6: bool,
    manners: Manners<'_>,
) -> io::Result<TcpListener> {
    for other in others {
        SockRef::from(other).set_reuse_port(true)?;
    }
    Ok(open(address, only_v6, true, manners)?.into())
}

/// Has a listener that somebody else has bound give to connections what they are to have, from now on.
///
/// # Errors
/// What the system says of it.
pub fn adapt(listener: &TcpListener, manners: Manners<'_>) -> io::Result<()> {
    let socket = SockRef::from(listener);
    socket.set_nonblocking(true)?;
    socket.set_out_of_band_inline(true)?;
    give(&socket, manners)
}

fn open(
    address: SocketAddr,
    only_v6: bool,
    joins: bool,
    manners: Manners<'_>,
) -> io::Result<Socket> {
    let socket = socket(address, only_v6)?;
    socket.set_reuse_port(joins)?;
    give(&socket, manners)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket)
}

/// What accepted sockets inherit.
fn give(socket: &Socket, manners: Manners<'_>) -> io::Result<()> {
    socket.set_tcp_nodelay(true)?;
    if let Some(name) = manners.congestion_control {
        sockopt::set_tcp_congestion(socket, name)?;
    }
    if let Some(bytes) = manners.buffer_bytes {
        socket.set_send_buffer_size(bytes as usize)?;
        socket.set_recv_buffer_size(bytes as usize)?;
    }
    Ok(())
}

/// Whether the kernel lets this process use a congestion control.
///
/// # Errors
/// `ENOENT` where it does not know it, `EPERM` where this process may not use it.
pub fn check_congestion_control(name: &str) -> io::Result<()> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::TCP))?;
    Ok(sockopt::set_tcp_congestion(&socket, name)?)
}

/// The congestion controls that the kernel has loaded, for people.
pub fn congestion_controls() -> String {
    let path = "/proc/sys/net/ipv4/tcp_available_congestion_control";
    match std::fs::read_to_string(path) {
        Ok(names) => names.split_whitespace().collect::<Vec<_>>().join(", "),
        Err(_) => "not told by this kernel".to_owned(),
    }
}

/// Whether an error of [`listeners`] means that this host has no such address (no IPv6, mostly).
pub fn is_family_absent(error: &io::Error) -> bool {
    matches!(
        Errno::from_io_error(error),
        Some(Errno::ADDRNOTAVAIL | Errno::AFNOSUPPORT)
    )
}

fn socket(address: SocketAddr, only_v6: bool) -> io::Result<Socket> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    socket.set_nonblocking(true)?;
    socket.set_reuse_address(true)?;
    // Accepted sockets inherit it. An urgent byte is one like any other; kept apart, it would count as received
    // and never be.
    socket.set_out_of_band_inline(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(only_v6)?;
    }
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use std::net::TcpStream;

    use super::*;

    fn open() -> SocketAddr {
        "127.0.0.1:0".parse().unwrap()
    }

    #[test]
    fn workers_share_an_address_and_a_stranger_does_not() {
        let (address, shared) = listeners(open(), true, 3, Manners::default()).unwrap();
        assert_eq!(shared.len(), 3);
        for listener in &shared {
            assert_eq!(listener.local_addr().unwrap(), address);
        }
        let clients: Vec<_> = (0..100)
            .map(|_| TcpStream::connect(address).unwrap())
            .collect();
        let taken = shared
            .iter()
            .map(|listener| std::iter::from_fn(|| listener.accept().ok()).count());
        let taken: Vec<_> = taken.collect();
        assert_eq!(taken.iter().sum::<usize>(), clients.len());
        assert!(!taken.contains(&0), "one of the three is idle: {taken:?}");
        let error = listeners(address, true, 1, Manners::default()).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
    }

    #[test]
    fn another_listener_is_an_error_whatever_its_options() {
        for (reuse_address, reuse_port) in
            [(false, false), (true, false), (false, true), (true, true)]
        {
            let other = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
            other.set_reuse_address(reuse_address).unwrap();
            other.set_reuse_port(reuse_port).unwrap();
            other.bind(&open().into()).unwrap();
            other.listen(1).unwrap();
            let address = other.local_addr().unwrap().as_socket().unwrap();
            let error = listeners(address, true, 2, Manners::default()).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
        }
    }
}
