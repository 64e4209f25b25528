//! What workers give to each other, and how a worker does so.

use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::vec;

use super::Exchange;
use crate::shard::{Carried, Destination};

/// What one worker has for another.
#[derive(Debug)]
pub enum Letter<Socket> {
    /// A connection to serve: its socket, and where it comes from.
    Connection(Socket, Origin),
    /// Every connection that the worker has is to be put down.
    PutDown {
        /// For whom.
        to: Destination,
    },
}

/// Where a connection comes from that a worker is to serve.
#[derive(Debug)]
pub enum Origin {
    /// It has just been accepted, and nothing is known of it.
    Accepted {
        /// The number of the listener by which it came, which is the same on all workers.
        listener: u32,
    },
    /// It was put down; this is all of it but its socket.
    PutDown(Carried),
}

/// How a worker gives connections away and gets others.
///
/// The real one is `Mail`; each simulated kernel in `tests/sim` has one of its own.
pub trait Post<Socket> {
    /// Hands over a connection that was put down. Nothing may be under way for it.
    fn hand_over(&mut self, socket: Socket, carried: Carried, to: Destination);

    /// Hands over a connection that was accepted here to the worker of that number.
    ///
    /// # Errors
    /// Where that cannot be: the socket.
    fn hand_over_fresh(&mut self, socket: Socket, listener: u32, to: usize) -> Result<(), Socket>;

    /// The next of what others have for this worker. To be asked until there is none once the waker was cleared.
    fn next_letter(&mut self) -> Option<Letter<Socket>>;
}

/// A worker's mail, by way of the exchange.
#[derive(Debug)]
pub(super) struct Mail {
    exchange: Arc<Exchange>,
    number: usize,
    letters: vec::IntoIter<Letter<OwnedFd>>,
}

impl Mail {
    /// Of worker `number`.
    pub(super) fn new(exchange: Arc<Exchange>, number: usize) -> Self {
        Mail {
            exchange,
            number,
            letters: Vec::new().into_iter(),
        }
    }
}

impl Post<OwnedFd> for Mail {
    fn hand_over(&mut self, socket: OwnedFd, carried: Carried, to: Destination) {
        self.exchange.hand_over(socket, carried, to);
    }

    fn hand_over_fresh(
        &mut self,
        socket: OwnedFd,
        listener: u32,
        to: usize,
    ) -> Result<(), OwnedFd> {
        self.exchange.hand_over_fresh(socket, listener, to)
    }

    fn next_letter(&mut self) -> Option<Letter<OwnedFd>> {
        if self.letters.len() == 0 {
            self.letters = self.exchange.collect(self.number).into_iter();
        }
        self.letters.next()
    }
}
