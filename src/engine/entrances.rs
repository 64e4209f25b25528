//! By which listener a connection came in that somebody else brings.

use std::net::SocketAddr;
use std::os::fd::AsFd;

use super::socket;

/// What is listened on: each address, with its [`crate::shard::Entrance::number`].
#[derive(Debug, Default)]
pub(super) struct Entrances(pub(super) Vec<(SocketAddr, u16)>);

/// The number of all that are not listened on (any more).
const OTHER: u16 = u16::MAX;

impl Entrances {
    /// The number of the one that a connection came in by. Whoever listens on an address has those who come to it, and
    /// whoever listens on any address has the others.
    pub(super) fn of(&self, socket: impl AsFd) -> u16 {
        let Some(local) = socket::local(socket) else {
            return OTHER;
        };
        let rank = |it: &SocketAddr| {
            let is_any = it.ip().is_unspecified() && it.port() == local.port();
            let is_of_other_family = it.is_ipv4() != local.is_ipv4();
            (socket::canonical(*it) == local)
                .then_some(0)
                .or(is_any.then_some(1 + u8::from(is_of_other_family)))
        };
        let ranked = self.0.iter();
        let ranked = ranked.filter_map(|(address, number)| Some((rank(address)?, *number)));
        ranked.min().map_or(OTHER, |(_, number)| number)
    }
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};

    use super::*;

    #[test]
    fn an_address_comes_before_any_address() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let calling = TcpStream::connect(address).unwrap();
        let accepted = listener.accept().unwrap().0;
        let at = |ip: &str| SocketAddr::new(ip.parse().unwrap(), address.port());
        for (all, number) in [
            (vec![(at("::"), 0), (at("0.0.0.0"), 1), (address, 2)], 2),
            (vec![(at("::"), 0), (at("0.0.0.0"), 1)], 1),
            (vec![(at("127.0.0.2"), 1), (at("::"), 0)], 0),
            (vec![(at("::"), 0), (at("::ffff:127.0.0.1"), 1)], 1),
            (vec![(at("127.0.0.2"), 1)], OTHER),
        ] {
            let entrances = Entrances(all);
            assert_eq!(entrances.of(&accepted), number, "{entrances:?}");
            assert_eq!(entrances.of(&calling), OTHER, "another port");
        }
    }
}
