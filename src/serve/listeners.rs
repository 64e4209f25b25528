//! What is listened on: whose sockets these are, and which worker accepts by which.

use std::io;
use std::net::{SocketAddr, TcpListener};

use serde::{Deserialize, Serialize};

use crate::config::Listen;
use crate::shard::Entrance;
use crate::sys::listen::{self, Manners};

/// By what a listener is known, also to a successor.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Label {
    /// This process or one before it has bound it.
    Bound {
        /// As the configuration says it: the port may be 0.
        wanted: SocketAddr,
        /// As it is.
        address: SocketAddr,
    },
    /// A service manager has bound it.
    Activated {
        /// Under this name.
        name: String,
        /// At this address.
        address: SocketAddr,
    },
}

impl Label {
    /// Where it listens.
    pub(super) fn address(&self) -> SocketAddr {
        match self {
            Label::Bound { address, .. } | Label::Activated { address, .. } => *address,
        }
    }

    /// Whether it is what the configuration asks for.
    fn answers(&self, listen: &Listen) -> bool {
        match self {
            Label::Bound { wanted, address } => [*wanted, *address].contains(&listen.address),
            Label::Activated { .. } => false,
        }
    }
}

/// One address, and its sockets. The kernel spreads who comes over them: each has a queue of its own.
#[derive(Debug)]
pub(super) struct Served {
    pub(super) label: Label,
    /// Whether TLS is spoken with those who come in by it.
    pub(super) tls: bool,
    pub(super) sockets: Vec<TcpListener>,
}

impl Served {
    /// Whether it is what the configuration asks for. Whether IPv6 stands for IPv4 as well cannot be changed once a
    /// socket is bound.
    pub(super) fn answers(&self, listen: &Listen) -> bool {
        let is_alike = |socket: &TcpListener| {
            !listen.address.is_ipv6()
                || socket2::SockRef::from(socket)
                    .only_v6()
                    .is_ok_and(|only| only == listen.only_v6)
        };
        self.label.answers(listen) && self.sockets.iter().all(is_alike)
    }

    /// Whether a service manager has opened it.
    pub(super) fn is_activated(&self) -> bool {
        matches!(self.label, Label::Activated { .. })
    }

    /// For so many workers, as the configuration now has it: where it names the address, further sockets are bound if
    /// there are too few and the kernel lets them join.
    ///
    /// # Errors
    /// What the system says of what a connection is to have from its listener.
    pub(super) fn adapt(
        mut self,
        named: Option<&Listen>,
        workers: usize,
        manners: Manners<'_>,
    ) -> io::Result<Self> {
        for socket in &self.sockets {
            listen::adapt(socket, manners)?;
        }
        let (Some(listen), Label::Bound { wanted, address }) = (named, &mut self.label) else {
            return Ok(self);
        };
        *wanted = listen.address;
        self.tls = listen.tls;
        while self.sockets.len() < workers
            && let Ok(socket) = listen::join(&self.sockets, *address, listen.only_v6, manners)
        {
            self.sockets.push(socket);
        }
        Ok(self)
    }

    /// What its connections are counted under: its address as the configuration says it.
    fn name(&self) -> String {
        let scheme = if self.tls { "tls://" } else { "" };
        match &self.label {
            Label::Bound { wanted, .. } => format!("{scheme}{wanted}"),
            Label::Activated { address, .. } => format!("{scheme}{address}"),
        }
    }

    /// How many of its sockets each of `workers` accepts by.
    fn sockets_each(&self, workers: usize) -> usize {
        self.sockets.len().div_ceil(workers)
    }
}

/// Everything that is listened on.
#[derive(Debug, Default)]
pub(super) struct Listeners(pub(super) Vec<Served>);

impl Listeners {
    /// What connections are counted under, each once: port 0 may have been asked for several times.
    pub(super) fn names(&self) -> Vec<String> {
        let mut names: Vec<String> = Vec::new();
        for name in self.0.iter().map(Served::name) {
            if !names.contains(&name) {
                names.push(name);
            }
        }
        names
    }

    /// Each address, with its number among [`Listeners::names`].
    pub(super) fn addresses(&self) -> Vec<(SocketAddr, u16)> {
        let names = self.names();
        let number = |it: &Served| names.iter().position(|name| *name == it.name());
        let all = self.0.iter();
        all.map(|it| (it.label.address(), number(it).unwrap_or(0) as u16))
            .collect()
    }

    /// What each listener of a worker says of those who come in by it, in the order of [`Listeners::share_out`].
    pub(super) fn entrances(
        &self,
        workers: usize,
        entrance: impl Fn(bool) -> Entrance,
    ) -> Vec<Entrance> {
        let all = self.0.iter().zip(self.addresses());
        let all = all.flat_map(|(it, (_, number))| {
            let entrance = Entrance {
                number,
                ..entrance(it.tls)
            };
            std::iter::repeat_n(entrance, it.sockets_each(workers))
        });
        all.collect()
    }

    /// All, each with the number that the first of its sockets has among those of [`Listeners::share_out`].
    pub(super) fn numbered(&self, workers: usize) -> impl Iterator<Item = (usize, &Served)> {
        let mut next = 0;
        self.0.iter().map(move |served| {
            let first = next;
            next += served.sockets_each(workers);
            (first, served)
        })
    }

    /// What each of `workers` accepts by. Each has as many, in the same order of addresses, since a listener is known
    /// to other workers by its number. Nobody may be left waiting in a queue, so where there are more sockets of an
    /// address than workers, a worker has several; where there are too few, workers share.
    ///
    /// # Errors
    /// Where there are no descriptors left.
    pub(super) fn share_out(&self, workers: usize) -> io::Result<Vec<Vec<TcpListener>>> {
        let share = |worker| {
            let sockets = self.0.iter().flat_map(|served| {
                let sockets = &served.sockets;
                let rows = 0..served.sockets_each(workers);
                rows.map(move |row| &sockets[(row * workers + worker) % sockets.len()])
            });
            sockets.map(TcpListener::try_clone).collect()
        };
        (0..workers).map(share).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::os::fd::AsFd;

    use super::*;

    /// Which socket it is, whatever the descriptor.
    fn identity(socket: &TcpListener) -> u64 {
        rustix::fs::fstat(socket.as_fd()).unwrap().st_ino
    }

    #[test]
    fn every_queue_is_accepted_from_and_every_worker_accepts() {
        for sockets in 1..6 {
            let bind = |_| TcpListener::bind("127.0.0.1:0").unwrap();
            let address = "127.0.0.1:0".parse().unwrap();
            let label = Label::Bound {
                wanted: address,
                address,
            };
            let sockets = (0..sockets).map(bind).collect();
            let listeners = Listeners(vec![Served {
                label,
                tls: false,
                sockets,
            }]);
            let all: BTreeSet<_> = listeners.0[0].sockets.iter().map(identity).collect();
            for workers in 1..6 {
                let shares = listeners.share_out(workers).unwrap();
                let lengths: BTreeSet<_> = shares.iter().map(Vec::len).collect();
                assert_eq!(lengths.len(), 1, "each has as many: {shares:?}");
                assert!(!lengths.contains(&0));
                let served: BTreeSet<_> = shares.iter().flatten().map(identity).collect();
                assert_eq!(served, all, "{} by {workers}", all.len());
            }
        }
    }
}
