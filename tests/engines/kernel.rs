//! What the kernel knows of the server's sockets (proc(5), `/proc/net/tcp`): among others, what the server
//! has not read yet, so that a test need not guess when it has.

use std::net::{SocketAddr, SocketAddrV4};

use crate::server::{Server, until};
use crate::wire::Wire;

/// One of the server's sockets.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Socket {
    pub(crate) peer_port: u16,
    /// What it has to send or the peer has not acknowledged, in bytes.
    pub(crate) unsent_bytes: u64,
    /// What the server has not read, in bytes.
    pub(crate) unread_bytes: u64,
    /// The server has taken it from the listener's queue: before that it has no inode.
    accepted: bool,
}

/// The server's connections; those that are closed on both sides are none any more.
///
/// The table is no snapshot: while others come and go on this machine, it may show a socket twice, which
/// is put right here, or not at all, which the next reading does.
pub(crate) fn sockets(server: &Server) -> Vec<Socket> {
    let SocketAddr::V4(address) = server.address else {
        panic!("tests listen on 127.0.0.1");
    };
    let table = std::fs::read_to_string("/proc/net/tcp").expect("the kernel's table of sockets");
    let mut sockets: Vec<_> = table
        .lines()
        .skip(1)
        .filter_map(|line| read(line, address))
        .collect();
    sockets.sort_by_key(|socket| socket.peer_port);
    sockets.dedup_by_key(|socket| socket.peer_port);
    sockets
}

/// A line of the table, if it is one of the connections that were made to `address`.
fn read(line: &str, address: SocketAddrV4) -> Option<Socket> {
    const LISTEN: &str = "0A";
    const TIME_WAIT: &str = "06";
    let fields: Vec<_> = line.split_whitespace().collect();
    let (host, port) = fields[1].split_once(':')?;
    let host = u32::from_str_radix(host, 16).ok()?;
    let is_ours = host == u32::from_ne_bytes(address.ip().octets())
        && u16::from_str_radix(port, 16) == Ok(address.port());
    if !is_ours || [LISTEN, TIME_WAIT].contains(&fields[3]) {
        return None;
    }
    let (unsent, unread) = fields[4].split_once(':')?;
    Some(Socket {
        peer_port: u16::from_str_radix(fields[2].split_once(':')?.1, 16).ok()?,
        unsent_bytes: u64::from_str_radix(unsent, 16).ok()?,
        unread_bytes: u64::from_str_radix(unread, 16).ok()?,
        accepted: fields[9] != "0",
    })
}

/// The other end of `wire`.
pub(crate) fn socket(server: &Server, wire: &Wire) -> Socket {
    let port = wire.stream.local_addr().expect("an address").port();
    until("the server has the other end", || {
        sockets(server)
            .into_iter()
            .find(|socket| socket.peer_port == port)
    })
}

/// How many connections the server has accepted and not closed.
pub(crate) fn accepted_count(server: &Server) -> usize {
    sockets(server)
        .iter()
        .filter(|socket| socket.accepted)
        .count()
}

/// Waits until the server has accepted `count` connections and read what came on them.
pub(crate) fn wait_until_read(server: &Server, count: usize) {
    until("the server has read everything", || {
        let sockets = sockets(server);
        let is_read = |socket: &&Socket| socket.accepted && socket.unread_bytes == 0;
        (sockets.iter().filter(is_read).count() == count).then_some(())
    });
}
