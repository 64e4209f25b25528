//! Listening sockets: one per worker and address, sharing the address among themselves and with nobody
//! else.

use std::io;
use std::net::{SocketAddr, TcpListener};

use rustix::io::Errno;
use rustix::net::sockopt;
use socket2::{Domain, Protocol, Socket, Type};

/// Connections that may wait to be accepted.
const BACKLOG: i32 = 4096;

/// Opens `count` listeners on `address`, and says which port it is if that was left open.
///
/// `SO_REUSEPORT` lets any process of the same user join silently and take a share of the connections,
/// so the address is first bound without it: another server there is an error, not a partner.
///
/// # Errors
/// What the system says of the address (`EADDRINUSE`, `EADDRNOTAVAIL`, `EACCES`, ...).
pub fn listeners(
    address: SocketAddr,
    count: usize,
    congestion_control: Option<&str>,
) -> io::Result<(SocketAddr, Vec<TcpListener>)> {
    let probe = socket(address)?;
    probe.bind(&address.into())?;
    // Binding alone does not clash with a listener that also has SO_REUSEADDR; listening does.
    probe.listen(1)?;
    let address = probe.local_addr()?.as_socket().unwrap_or(address);
    drop(probe);
    let mut listeners = Vec::with_capacity(count);
    for _ in 0..count {
        let socket = socket(address)?;
        socket.set_reuse_port(true)?;
        // Accepted sockets inherit both of these.
        socket.set_tcp_nodelay(true)?;
        if let Some(name) = congestion_control {
            sockopt::set_tcp_congestion(&socket, name)?;
        }
        socket.bind(&address.into())?;
        socket.listen(BACKLOG)?;
        listeners.push(socket.into());
    }
    Ok((address, listeners))
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
    let absent = [Errno::ADDRNOTAVAIL, Errno::AFNOSUPPORT];
    absent
        .iter()
        .any(|errno| error.raw_os_error() == Some(errno.raw_os_error()))
}

fn socket(address: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    socket.set_nonblocking(true)?;
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn workers_share_an_address_and_a_stranger_does_not() {
        let open = "127.0.0.1:0".parse().unwrap();
        let (address, listeners) = listeners(open, 3, None).unwrap();
        assert_eq!(listeners.len(), 3);
        for listener in &listeners {
            assert_eq!(listener.local_addr().unwrap(), address);
        }
        let error = super::listeners(address, 1, None).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
    }
}
