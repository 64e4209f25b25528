//! No allocation on the warm path: once a worker has its slabs, echoing takes nothing from the heap. And what a
//! behaviour took from there it gives back.

mod support;

use ringback::behaviour::{Ask, Behaviour, Request, Transmit};
use ringback::memory::SlabPool;
use ringback::protocol::handshake::{self, Answer};
use ringback::protocol::inflate::INFLATER_COST;
use ringback::protocol::policy::Policy;
use ringback::protocol::session::INFLATION_BYTES_MAX;
use ringback::protocol::{Inflaters, Moment, Next, Piece, Reply, Session, Tally, Turn};
use support::allocations::{self, Counting};
use support::deflated;
use support::frames::{self, Frame};
use support::request;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// A worker and a connection on it, in memory taken beforehand.
struct Warm {
    policy: Policy,
    slabs: SlabPool,
    inflaters: Inflaters,
    tally: Tally,
    session: Session,
    lent: Vec<u8>,
    sent_bytes: usize,
}

impl Warm {
    fn new(policy: Policy) -> Self {
        let now = Moment::from_nanos(1);
        let session = Session::open(&policy, now);
        let (slabs, tally) = (
            SlabPool::new(SlabPool::budget(1 << 20, 1)),
            Tally::default(),
        );
        let mut warm = Warm {
            policy,
            slabs,
            inflaters: Inflaters::default(),
            tally,
            session,
            lent: Vec::new(),
            sent_bytes: 0,
        };
        let offer = "Sec-WebSocket-Extensions: permessage-deflate\r\n";
        warm.send(&request::with_header(offer), usize::MAX);
        warm
    }

    /// Sends `stream` in pieces of `piece_bytes`.
    fn send(&mut self, stream: &[u8], piece_bytes: usize) {
        for piece in stream.chunks(piece_bytes) {
            self.lent.clear();
            self.lent.extend_from_slice(piece);
            let mut from = 0;
            while from < self.lent.len() {
                let mut turn = Turn {
                    now: Moment::from_nanos(1),
                    policy: &self.policy,
                    slabs: &mut self.slabs,
                    inflaters: &mut self.inflaters,
                    tally: &self.tally,
                    room: 1 << 16,
                    inflation: INFLATION_BYTES_MAX,
                    refusing: false,
                    over_tls: false,
                    guest: None,
                    cause: None,
                };
                let mut reply = Reply::default();
                let step = self
                    .session
                    .receive(&mut turn, &mut self.lent[from..], &mut reply);
                let goes_on = matches!(step.next, Next::Read | Next::Hold | Next::Yield);
                assert!(goes_on, "{step:?}");
                assert!(step.consumed > 0, "{step:?}");
                from += step.consumed;
                self.sent_bytes += reply.window.len();
                self.deliver(reply.before);
                self.deliver(reply.after);
            }
        }
    }

    fn deliver(&mut self, piece: Piece) {
        self.sent_bytes += piece.byte_count();
        if let Piece::Slabs(mut chain) = piece {
            chain.clear(&mut self.slabs);
        }
    }
}

/// Allocations of a third pass over `stream`, after two that warm up.
fn allocations(policy: Policy, stream: &[u8], piece_bytes: usize) -> usize {
    let mut warm = Warm::new(policy);
    warm.send(stream, piece_bytes);
    warm.send(stream, piece_bytes);
    let sent_before = warm.sent_bytes;
    let before = allocations::count();
    warm.send(stream, piece_bytes);
    let count = allocations::count() - before;
    assert!(
        warm.sent_bytes - sent_before > stream.len() / 2,
        "it does echo"
    );
    count
}

/// Messages, by name.
fn data() -> Vec<(&'static str, Vec<u8>)> {
    let small = Frame::text("a small message of 32 bytes, say");
    let fragmented = frames::encode(&[
        Frame::text("one ").unfinished(),
        Frame::new(frames::CONTINUATION, "two"),
    ]);
    vec![
        ("small text", frames::encode(&vec![small; 500])),
        (
            "binary of 1000 bytes",
            frames::encode(&vec![Frame::binary(&[7; 1000]); 100]),
        ),
        (
            "binary of 64 KiB",
            frames::encode(&vec![Frame::binary(&[7; 65_536]); 4]),
        ),
        (
            "text of 64 KiB",
            frames::encode(&vec![Frame::new(1, frames::prose(65_536, 1)); 4]),
        ),
        ("fragments", fragmented.repeat(50)),
        (
            "compressed text",
            frames::encode(&vec![deflated::text(&frames::prose(2000, 1)); 100]),
        ),
    ]
}

/// Sizes of a receive, in bytes: whole batches, buffers, segments, and one that cuts most frames.
const PIECES: [usize; 5] = [usize::MAX, 32_768, 4096, 1448, 61];

#[test]
fn the_warm_path_of_the_echo_allocates_nothing() {
    for (name, stream) in data() {
        for piece_bytes in PIECES {
            let count = allocations(Policy::default(), &stream, piece_bytes);
            assert_eq!(count, 0, "{name} in pieces of {piece_bytes} bytes");
        }
    }
}

#[test]
fn the_warm_path_of_pings_allocates_nothing() {
    let ping = Frame::ping(&[7; 125]).encode();
    let count = allocations(Policy::default(), &ping.repeat(100), ping.len());
    assert_eq!(count, 0, "one by one");
    let count = allocations(Policy::default(), &ping.repeat(100), usize::MAX);
    assert_eq!(count, 0, "all at once");
}

#[test]
fn the_warm_path_of_prefixed_text_allocates_nothing() {
    for (name, stream) in data()
        .into_iter()
        .filter(|(name, _)| !name.contains("binary") && !name.contains("compressed"))
    {
        for piece_bytes in PIECES {
            let policy = Policy {
                prefix: Some("Received: ".into()),
                ..Policy::default()
            };
            let count = allocations(policy, &stream, piece_bytes);
            assert_eq!(
                count, 0,
                "{name} in pieces of {piece_bytes} bytes, with a prefix"
            );
        }
    }
}

/// What is counted in the budget for an inflater is what one takes, and not much more.
#[test]
fn an_inflater_takes_what_is_counted_for_it() {
    /// What is inflated at a time, once for a worker.
    const PIECE_BYTES: usize = 16 * 1024;
    let mut warm = Warm::new(Policy::default());
    let before = allocations::held_bytes();
    warm.send(&deflated::text(b"hello").encode(), usize::MAX);
    let taken = allocations::held_bytes() - before - PIECE_BYTES;
    let counted = INFLATER_COST * 3 / 4..=INFLATER_COST;
    assert!(counted.contains(&taken), "{taken} bytes");
}

#[test]
fn the_counter_counts() {
    let before = allocations::count();
    drop(std::hint::black_box(Box::new(1)));
    assert_eq!(allocations::count(), before + 1);
}

#[test]
fn a_behaviour_gives_back_what_it_kept_for_many_answers() {
    let (head, policy) = (request::upgrade(), Policy::default());
    let Ok(Answer::Upgrade(accepted)) = handshake::answer(&head, &policy) else {
        panic!("an upgrade that is in order");
    };
    let request = Request {
        head: &head,
        accepted,
        peer: None,
        tls: None,
    };
    let stream = frames::encode(&vec![Frame::text(""); 2700]);
    for path in ["/x/echo", "/x/frames?coalesce", "/x/broadcast/room"] {
        let before = allocations::held_bytes();
        let ask = Ask::read(path).expect("a behaviour");
        let (opened, later) = (Moment::from_nanos(1), Moment::from_nanos(1_000_000_000));
        let mut behaviour = Behaviour::open(ask, &request, &policy, opened, 1);
        while behaviour.has_room() {
            behaviour.receive(&mut stream.clone(), opened);
        }
        assert!(allocations::held_bytes() - before > 1 << 20, "{path}");
        while behaviour.take_for_room().is_some() {}
        while let Transmit::Bytes(bytes) = behaviour.transmit(later) {
            let count = bytes.len();
            behaviour.sent(count);
        }
        let held = allocations::held_bytes() - before;
        assert!(held < 8 * 1024, "{path}: {held} bytes");
    }
}
