//! Where the admin listener listens, and where it is asked.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;

/// What stands before the path of a socket.
const UNIX: &str = "unix:";

/// An address of the admin listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// Address and port.
    Tcp(SocketAddr),
    /// The path of a Unix socket.
    Unix(PathBuf),
}

impl Address {
    /// Reads `127.0.0.1:9100`, `localhost:9100` or `unix:/run/ringback/admin`.
    pub fn read(text: &str) -> Option<Address> {
        if let Some(path) = text.strip_prefix(UNIX) {
            return (!path.is_empty()).then(|| Address::Unix(path.into()));
        }
        let text = text
            .strip_prefix("localhost")
            .map_or_else(|| text.to_owned(), |port| format!("127.0.0.1{port}"));
        text.parse().ok().map(Address::Tcp)
    }

    /// Whether only this machine reaches it.
    pub fn is_local(&self) -> bool {
        match self {
            Address::Tcp(address) => address.ip().to_canonical().is_loopback(),
            Address::Unix(_) => true,
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Address::Tcp(address) => address.fmt(f),
            Address::Unix(path) => write!(f, "{UNIX}{}", path.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_read_as_it_is_written() {
        for text in ["127.0.0.1:9100", "[::]:1", "unix:/run/ringback.sock"] {
            assert_eq!(Address::read(text).unwrap().to_string(), text);
        }
        assert_eq!(Address::read("localhost:1"), Address::read("127.0.0.1:1"));
        for wrong in ["", "9100", "unix:", "localhost", "example.com:1"] {
            assert_eq!(Address::read(wrong), None, "{wrong}");
        }
        let is_local = |text| Address::read(text).unwrap().is_local();
        assert!(is_local("[::1]:1") && is_local("[::ffff:127.0.0.1]:1") && is_local("unix:a"));
        assert!(!is_local("0.0.0.0:1") && !is_local("[::]:1"));
    }
}
