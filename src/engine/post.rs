//! What workers give to each other, and how a worker does so.

use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::vec;

use super::{Exchange, Survey};
use crate::shard::{Carried, Destination};

/// What one worker has for another.
#[derive(Debug)]
pub enum Letter<Socket> {
    /// A connection to serve: its socket, and where it comes from.
    Connection(Socket, Origin),
    /// Connections that the worker has are to be put down.
    PutDown(PutDown),
    /// The worker is to say that it is there.
    RollCall(RollCall),
    /// The worker is asked who is connected.
    Survey(Survey),
}

/// Which connections of a worker are to be put down.
#[derive(Debug)]
pub struct PutDown {
    /// For whom.
    pub(super) to: Destination,
    /// So many at most; none: all.
    pub(super) most: Option<Most>,
    /// Where the worker tells how many it has begun to put down.
    pub(super) begun: Option<Sender<usize>>,
}

/// How much a worker is to put down at a time. It puts down at least one, if it has one.
#[derive(Clone, Copy, Debug)]
pub struct Most {
    /// Connections.
    pub connections: usize,
    /// What they have waiting with them, in bytes.
    pub bytes: usize,
}

/// Where a worker says that it is there, and has done what was in its mailbox before.
#[derive(Debug)]
pub struct RollCall {
    pub(super) number: usize,
    pub(super) answers: Sender<usize>,
}

impl RollCall {
    /// Says it.
    pub(super) fn answer(self) {
        // Whoever asked may have lost patience.
        let _ = self.answers.send(self.number);
    }
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
