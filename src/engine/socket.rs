//! What the kernel knows of a TCP connection, and how it is reset.

use std::mem::{size_of, zeroed};
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd};
use std::time::Duration;

use rustix::net::sockopt::set_socket_linger;
use rustix::net::{getpeername, getsockname};

use crate::shard::Standing;

/// `TCP_CLOSE` of `net/tcp_states.h`: nothing goes in either direction any more.
const CLOSED: u8 = 7;

/// Those of its states in which the peer's FIN has come: `TCP_TIME_WAIT`, `TCP_CLOSE_WAIT`, `TCP_LAST_ACK`, `TCP_CLOSING`.
const FINISHED: [u8; 4] = [6, 8, 9, 11];

/// The address of a connection's peer; of one that is broken, none.
pub(super) fn peer(socket: impl AsFd) -> Option<SocketAddr> {
    SocketAddr::try_from(getpeername(socket).ok()??)
        .ok()
        .map(canonical)
}

/// The address that its peer has connected to; of one that is no TCP connection, none.
pub(super) fn local(socket: impl AsFd) -> Option<SocketAddr> {
    SocketAddr::try_from(getsockname(socket).ok()?)
        .ok()
        .map(canonical)
}

/// An address as it is compared: of IPv4 even where IPv6 carries it, and without a scope.
pub(super) fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

/// How the peer of a connection stands; of one that is broken, nothing.
pub(super) fn standing(socket: impl AsFd) -> Standing {
    let Some(info) = info(&socket).filter(|info| info.tcpi_state != CLOSED) else {
        return Standing::default();
    };
    Standing {
        acknowledged: info.tcpi_bytes_acked,
        outstanding: info.tcpi_unacked > 0 || info.tcpi_notsent_bytes > 0,
        received: info.tcpi_bytes_received,
        finished: FINISHED.contains(&info.tcpi_state),
    }
}

/// Has the close that follows send RST: the peer learns that bytes were lost.
pub(super) fn reset_on_close(socket: impl AsFd) {
    // Without lingering, close sends RST. Of a connection that is broken already nobody learns anything.
    let _ = set_socket_linger(&socket, Some(Duration::ZERO));
}

/// `TCP_INFO`. Linux has had `tcpi_bytes_acked` and `tcpi_bytes_received` since 4.1, and `tcpi_notsent_bytes`
/// since 4.6; what a kernel does not fill stays zero.
fn info(socket: &impl AsFd) -> Option<libc::tcp_info> {
    // SAFETY: it is numbers throughout.
    let mut info: libc::tcp_info = unsafe { zeroed() };
    let mut length = size_of::<libc::tcp_info>() as libc::socklen_t;
    // SAFETY: the kernel writes at most `length` bytes to `info`, and how many to `length`.
    let failed = unsafe {
        libc::getsockopt(
            socket.as_fd().as_raw_fd(),
            libc::IPPROTO_TCP,
            libc::TCP_INFO,
            (&raw mut info).cast(),
            &raw mut length,
        )
    };
    (failed == 0).then_some(info)
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::{Shutdown, TcpListener, TcpStream};
    use std::thread::yield_now;

    use socket2::SockRef;

    use super::*;

    fn pair() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let peer = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        (listener.accept().unwrap().0, peer)
    }

    #[test]
    fn what_a_peer_has_not_read_is_acknowledged_all_the_same() {
        let (mut server, mut peer) = pair();
        assert_eq!(standing(&server), Standing::default());
        server.write_all(&[7; 1000]).unwrap();
        while standing(&server).outstanding {
            yield_now();
        }
        assert_eq!(standing(&server).acknowledged, 1000);
        peer.write_all(b"ring").unwrap();
        while standing(&server).received < 4 {
            yield_now();
        }
        assert!(!standing(&server).finished);
        peer.shutdown(Shutdown::Write).unwrap();
        while !standing(&server).finished {
            yield_now();
        }
        assert_eq!(standing(&server).received, 5, "FIN counts, too");
        server.shutdown(Shutdown::Write).unwrap();
        while standing(&server).outstanding {
            yield_now();
        }
    }

    #[test]
    fn what_does_not_fit_the_peers_window_is_outstanding_until_it_reads() {
        let (mut server, mut peer) = pair();
        server.set_nonblocking(true).unwrap();
        while server.write(&[7; 1 << 16]).is_ok() {}
        let mut full = standing(&server);
        assert!(full.outstanding);
        let mut bytes = vec![0; 1 << 20];
        while standing(&server).outstanding {
            assert!(peer.read(&mut bytes).unwrap() > 0);
        }
        assert!(standing(&server).acknowledged > std::mem::take(&mut full.acknowledged));
    }

    #[test]
    fn of_a_broken_connection_nothing_is_told() {
        let (mut server, peer) = pair();
        server.write_all(&[7; 1000]).unwrap();
        SockRef::from(&peer)
            .set_linger(Some(Duration::ZERO))
            .unwrap();
        drop(peer);
        while standing(&server) != Standing::default() {
            yield_now();
        }
    }
}
