//! A port for a server to listen on.

use std::fs;
use std::hash::{BuildHasher as _, RandomState};
use std::net::{Ipv4Addr, TcpListener};
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::bail;

/// Ports below this are other people's.
const FIRST: u16 = 20_000;

/// Where clients' ports begin, if the kernel does not say.
const EPHEMERAL_DEFAULT: u16 = 32_768;

/// How many ports were tried so far, from a random one on: so none is handed out twice.
static NEXT: AtomicU32 = AtomicU32::new(0);

/// A free port outside the range of clients' ports.
///
/// Within it, a client of an earlier measurement may have the port, or get it before the server does;
/// and a client that tries a port on which nobody listens yet may be given that very port and connect to
/// itself.
pub(crate) fn free_port() -> anyhow::Result<u16> {
    let end = ephemeral_start().max(FIRST + 1);
    let count = u32::from(end - FIRST);
    let offset = RandomState::new().hash_one(()) as u32;
    for _ in 0..count {
        let step = NEXT.fetch_add(1, Ordering::Relaxed);
        let port = FIRST + (offset.wrapping_add(step) % count) as u16;
        // All addresses: whoever listens on one of them is in the way.
        if TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).is_ok() {
            return Ok(port);
        }
    }
    bail!("no port between {FIRST} and {end} is free")
}

fn ephemeral_start() -> u16 {
    let text = fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").unwrap_or_default();
    let first = text.split_whitespace().next();
    first
        .and_then(|first| first.parse().ok())
        .unwrap_or(EPHEMERAL_DEFAULT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_is_free_and_not_a_clients() {
        let port = free_port().unwrap();
        assert!((FIRST..ephemeral_start().max(FIRST + 1)).contains(&port));
        let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).unwrap();
        for _ in 0..100 {
            assert_ne!(free_port().unwrap(), port);
        }
        drop(taken);
    }
}
