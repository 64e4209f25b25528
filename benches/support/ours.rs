//! Ringback's session, driven as an engine drives it.

use std::hint::black_box;

use ringback::memory::SlabPool;
use ringback::protocol::{Inflaters, Moment, Piece, Policy, Reply, Session, Tally, Turn};

use super::handshakes::MINIMAL;
use super::rivals::Echo;
use super::streams::Stream;

/// What a worker has, whatever its connections do.
#[derive(Debug)]
pub(crate) struct Worker {
    slabs: SlabPool,
    inflaters: Inflaters,
    tally: Tally,
    policy: Policy,
}

impl Worker {
    pub(crate) fn new() -> Self {
        Worker::of(Policy::default())
    }

    /// A worker whose connections are treated by `policy`.
    pub(crate) fn of(policy: Policy) -> Self {
        Worker {
            slabs: SlabPool::new(SlabPool::budget(1 << 20, 1)),
            inflaters: Inflaters::default(),
            tally: Tally::default(),
            policy,
        }
    }

    /// A connection that was just accepted.
    pub(crate) fn accept(&self) -> Session {
        Session::open(&self.policy, Moment::from_nanos(0))
    }

    /// What `session` answers to `lent`. The slabs of the reply come back by [`send`](Self::send).
    ///
    /// # Panics
    /// If some of `lent` is left: no bench sends more than can be answered at once.
    #[inline(always)] // A call of its own would be counted.
    pub(crate) fn answer(&mut self, session: &mut Session, lent: &mut [u8]) -> Reply {
        let mut reply = Reply::default();
        let mut turn = Turn {
            now: Moment::from_nanos(1),
            policy: &self.policy,
            slabs: &mut self.slabs,
            inflaters: &mut self.inflaters,
            tally: &self.tally,
            room: 64 << 10,
            inflation: usize::MAX,
            refusing: false,
            over_tls: false,
            guest: None,
            cause: None,
        };
        let step = session.receive(&mut turn, lent, &mut reply);
        assert_eq!(step.consumed, lent.len());
        reply
    }

    /// Shows `peer` the reply to `lent` in sending order, and takes its slabs back.
    pub(crate) fn send(&mut self, reply: Reply, lent: &[u8], mut peer: impl FnMut(&[u8])) {
        self.send_piece(reply.before, &mut peer);
        peer(&lent[reply.window]);
        self.send_piece(reply.after, &mut peer);
    }

    fn send_piece(&mut self, piece: Piece, peer: &mut impl FnMut(&[u8])) {
        match piece {
            Piece::None => {}
            Piece::Inline(bytes) => peer(bytes.as_slice()),
            Piece::Slabs(mut chain) => {
                while let Some(slab) = chain.pop() {
                    peer(slab.bytes());
                    self.slabs.give(slab);
                }
            }
        }
    }

    /// What `session` answers to `lent`, written over it.
    ///
    /// # Panics
    /// If some of the answer is elsewhere: in these benches nothing straddles receives.
    #[inline(never)] // A symbol of its own, so that its instructions can be counted.
    pub(crate) fn receive<'a>(&mut self, session: &mut Session, lent: &'a mut [u8]) -> &'a [u8] {
        let reply = self.answer(session, lent);
        assert!(matches!(
            (&reply.before, &reply.after),
            (Piece::None, Piece::None)
        ));
        &lent[reply.window]
    }
}

/// An upgraded connection on which `stream` comes again and again.
#[derive(Debug)]
pub(crate) struct Ringback {
    worker: Worker,
    session: Session,
    stream: &'static Stream,
    lent: Vec<u8>,
    replies: Option<Vec<u8>>,
}

impl Echo for Ringback {
    const NAME: &'static str = "ringback";

    fn new(stream: &'static Stream, keeping: bool) -> Self {
        let mut worker = Worker::new();
        let mut session = worker.accept();
        worker.receive(&mut session, &mut MINIMAL.to_vec());
        Ringback {
            worker,
            session,
            stream,
            lent: stream.bytes.clone(),
            replies: keeping.then(Vec::new),
        }
    }

    fn echo(&mut self) {
        self.lent.copy_from_slice(&self.stream.bytes);
        let reply = self.worker.receive(&mut self.session, &mut self.lent);
        match &mut self.replies {
            Some(replies) => replies.extend_from_slice(reply),
            None => {
                black_box(reply);
            }
        }
    }

    fn into_replies(self) -> Vec<u8> {
        self.replies.unwrap_or_default()
    }
}
