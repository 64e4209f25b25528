//! One connection in time: greetings, silence, the drain and the end.

mod support;

use std::time::Duration;

use ringback::memory::SlabPool;
use ringback::memory::slab::SLAB_COST_MAX;
use ringback::protocol::policy::{GreetingAfter, Policy};
use ringback::protocol::session::INFLATION_BYTES_MAX;
use ringback::protocol::{Inflaters, Moment, Next, Piece, Reply, Session, Tally, Turn, Wake};
use support::event::{CloseSeen, Event};
use support::frames::{self, Frame};
use support::pretend::{Pretend, State};
use support::replies;
use support::request;

fn upgraded(policy: &Policy) -> Pretend<'_> {
    let mut pretend = Pretend::open(policy);
    pretend.feed(&request::upgrade());
    let response = request::read(&pretend.sent).expect("a response");
    response.assert_switched();
    pretend.sent.clear();
    pretend
}

/// The Close in what was sent, and the Pings before it.
fn ending(sent: &[u8]) -> (Option<CloseSeen>, usize) {
    let outcome = replies::read(sent).expect("strict frames").outcome;
    let pings = outcome
        .events
        .iter()
        .filter(|event| matches!(event, Event::Ping(_)))
        .count();
    (outcome.close, pings)
}

#[test]
fn nothing_follows_an_ending() {
    let policy = Policy::default();
    let endings: [(&str, &[u8]); 3] = [
        ("a refusal", b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"),
        (
            "a close",
            &[request::upgrade(), Frame::close(1000, "").encode()].concat(),
        ),
        (
            "a violation",
            &[request::upgrade(), vec![0xff, 0x80]].concat(),
        ),
    ];
    for (name, bytes) in endings {
        let mut pretend = Pretend::open(&policy);
        pretend.feed(bytes);
        assert_ne!(pretend.state, State::Open, "{name}");
        let sent = pretend.sent.clone();
        pretend.feed(&Frame::text("too late").encode());
        pretend.wait(Duration::from_secs(1_000));
        pretend.drain();
        pretend.peer_finishes();
        assert_eq!(pretend.release(), sent, "something follows {name}");
    }
}

#[test]
fn silence_is_asked_about_at_half_and_ended_at_whole() {
    let policy = Policy {
        idle_timeout: Some(Duration::from_secs(60)),
        ..Policy::default()
    };
    let mut pretend = upgraded(&policy);
    pretend.wait(Duration::from_secs(29));
    assert!(pretend.sent.is_empty());
    pretend.wait(Duration::from_secs(2));
    assert_eq!(ending(&pretend.sent), (None, 1));
    assert_eq!(pretend.state, State::Open);
    pretend.wait(Duration::from_secs(28));
    assert_eq!(pretend.state, State::Open);
    pretend.wait(Duration::from_secs(2));
    assert_ne!(pretend.state, State::Open);
    let (close, pings) = ending(&pretend.release());
    assert_eq!(close, Some(CloseSeen::Code(1001)));
    assert_eq!(pings, 1);
}

#[test]
fn any_sign_of_life_starts_the_silence_anew() {
    let policy = Policy {
        idle_timeout: Some(Duration::from_secs(60)),
        ..Policy::default()
    };
    let mut pretend = upgraded(&policy);
    for number in 0..10 {
        pretend.wait(Duration::from_secs(45));
        assert_eq!(ending(&pretend.sent), (None, 1), "in round {number}");
        pretend.sent.clear();
        pretend.feed(&Frame::new(frames::PONG, []).encode());
        assert_eq!(pretend.state, State::Open);
    }
    for _ in 0..10 {
        pretend.wait(Duration::from_secs(25));
        pretend.feed(&Frame::text("still here").encode());
    }
    assert_eq!(ending(&pretend.sent), (None, 0));
    pretend.release();
}

#[test]
fn without_an_idle_timeout_silence_lasts() {
    let policy = Policy {
        idle_timeout: None,
        ..Policy::default()
    };
    let mut pretend = upgraded(&policy);
    pretend.wait(Duration::from_secs(1_000_000));
    assert_eq!(pretend.state, State::Open);
    assert!(pretend.release().is_empty());
}

#[test]
fn an_open_reply_frame_admits_nothing_else() {
    let policy = Policy {
        idle_timeout: Some(Duration::from_secs(60)),
        ..Policy::default()
    };
    let frame = Frame::binary(&frames::noise(100_000, 7));
    let stream = frame.encode();
    let (begun, rest) = stream.split_at(50_000);
    let cut_through = |sent: &[u8]| {
        let seen = replies::read(sent).expect("strict frames");
        seen.truncated && seen.outcome.close.is_none() && seen.outcome.events.is_empty()
    };
    let mut idle = upgraded(&policy);
    idle.feed(begun);
    let sent_bytes = idle.sent.len();
    idle.wait(Duration::from_secs(61));
    assert_ne!(idle.state, State::Open);
    assert_eq!(idle.sent.len(), sent_bytes, "something inside a frame");
    assert!(
        cut_through(&idle.release()),
        "a ping or a Close inside a frame"
    );

    let mut drained = upgraded(&policy);
    drained.feed(begun);
    let sent_bytes = drained.sent.len();
    drained.drain();
    assert_eq!(drained.sent.len(), sent_bytes, "something inside a frame");
    if drained.state == State::Open {
        drained.feed(rest);
        assert_ne!(
            drained.state,
            State::Open,
            "the Close is due when the frame has ended"
        );
        let outcome = replies::read(&drained.sent).expect("strict frames").outcome;
        assert_eq!(outcome.messages().count(), 1);
        assert_eq!(outcome.close, Some(CloseSeen::Code(1001)));
    }
    drained.release();
}

#[test]
fn a_drain_says_going_away() {
    let policy = Policy::default();
    let mut pretend = upgraded(&policy);
    pretend.feed(&Frame::text("last words").encode());
    pretend.drain();
    assert_ne!(
        pretend.state,
        State::Closed,
        "the peer has not answered the Close yet"
    );
    let sent = pretend.release();
    assert_eq!(
        sent,
        [
            b"\x81\x0alast words".as_slice(),
            b"\x88\x0c\x03\xe9going away"
        ]
        .concat()
    );
}

/// The end of a connection that is idle, drained (at once and within a reply frame) or broken, as its
/// last bytes.
fn endings(policy: &Policy) -> [(&'static str, Vec<u8>); 4] {
    let mut idle = upgraded(policy);
    idle.wait(Duration::from_secs(61));
    let mut drained = upgraded(policy);
    drained.drain();
    let large = Frame::binary(&[0; 100_000]).encode();
    let mut within = upgraded(policy);
    within.feed(&large[..50_000]);
    within.drain();
    within.feed(&large[50_000..]);
    let mut broken = upgraded(policy);
    broken.feed(b"\x83\x80");
    [
        ("idle", idle.release()),
        ("going away", drained.release()),
        ("going away", within.release()),
        ("reserved opcode", broken.release()),
    ]
}

#[test]
fn a_close_says_why() {
    for (reason, sent) in endings(&Policy::default()) {
        let outcome = replies::read(&sent).expect("strict frames").outcome;
        assert_eq!(outcome.reasons, [reason]);
    }
}

#[test]
fn a_close_says_no_more_than_its_code_where_that_is_wanted() {
    let policy = Policy {
        close_reasons: false,
        ..Policy::default()
    };
    for (reason, sent) in endings(&policy) {
        let outcome = replies::read(&sent).expect("strict frames").outcome;
        assert!(outcome.close.is_some(), "{reason}");
        assert_eq!(outcome.reasons, [""], "{reason}");
    }
}

/// Whether its request has begun or not, and whether the rest of it comes or not.
#[test]
fn a_drain_during_the_handshake_is_answered_with_503() {
    let policy = Policy::default();
    let request = request::upgrade();
    for begun in [0, 1, request.len() - 1] {
        for comes in [true, false] {
            let mut pretend = Pretend::open(&policy);
            pretend.feed(&request[..begun]);
            pretend.refusing = true;
            pretend.drain();
            assert!(pretend.sent.is_empty(), "an answer to {begun} bytes");
            assert_eq!(pretend.state, State::Open);
            if comes {
                pretend.feed(&request[begun..]);
            } else {
                pretend.wait(policy.handshake_timeout);
            }
            assert_ne!(pretend.state, State::Open, "{begun} bytes, {comes}");
            request::read(&pretend.release())
                .expect("a response")
                .assert_refused(503);
        }
    }
}

#[test]
fn a_drain_inside_a_message_says_going_away() {
    let policy = Policy::default();
    let mut pretend = upgraded(&policy);
    pretend.feed(&Frame::text("first ").unfinished().encode());
    let half = Frame::new(frames::CONTINUATION, "second").encode();
    pretend.feed(&half[..9]);
    pretend.drain();
    assert_ne!(pretend.state, State::Closed);
    assert_eq!(ending(&pretend.release()), (Some(CloseSeen::Code(1001)), 0));
}

#[test]
fn a_peer_that_finishes_gets_what_it_is_owed() {
    let policy = Policy::default();
    let mut pretend = upgraded(&policy);
    pretend.feed(&Frame::text("owed").encode());
    pretend.feed(&Frame::text("never whole").encode()[..9]);
    pretend.peer_finishes();
    assert_ne!(pretend.state, State::Open);
    let seen = replies::read(&pretend.release()).expect("strict frames");
    assert_eq!(seen.outcome.messages().count(), 1);
}

#[test]
fn a_greeting_comes_when_it_is_due() {
    let policy = |greeting_after| Policy {
        greeting: Some("Hi there".to_owned()),
        greeting_after,
        ..Policy::default()
    };
    let hi = b"\x81\x08Hi there".as_slice();
    let glued = policy(GreetingAfter::Handshake);
    let mut pretend = Pretend::open(&glued);
    pretend.feed(&request::upgrade());
    assert!(pretend.release().ends_with(hi));

    let delayed = policy(GreetingAfter::Delay(Duration::from_millis(20)));
    let mut pretend = upgraded(&delayed);
    pretend.wait(Duration::from_millis(19));
    assert!(pretend.sent.is_empty());
    pretend.wait(Duration::from_millis(1));
    assert_eq!(pretend.sent, hi);
    pretend.wait(Duration::from_secs(1));
    assert_eq!(pretend.release(), hi, "a greeting is given once");

    let mut pretend = upgraded(&delayed);
    pretend.feed(&Frame::text("early").encode());
    assert_eq!(
        pretend.sent,
        [hi, b"\x81\x05early"].concat(),
        "the greeting comes first"
    );
    pretend.wait(Duration::from_secs(1));
    assert_eq!(
        pretend.release().len(),
        hi.len() + 7,
        "a greeting is given once"
    );
}

/// What waits for the rest of a frame takes a quarter of the memory at most; all else is for those who are
/// owed something.
#[test]
fn unfinished_frames_take_a_quarter_of_the_memory_at_most() {
    const SLABS: usize = 8;
    let prefixed = Policy {
        prefix: Some("Received: ".into()),
        ..Policy::default()
    };
    let text = Frame::text("never whole").encode();
    let binary = Frame::binary(b"never whole").encode();
    let second = [
        Frame::binary(b"").unfinished().encode(),
        Frame::new(frames::CONTINUATION, "never whole").encode(),
    ]
    .concat();
    for policy in [Policy::default(), prefixed] {
        for unfinished in [&text[..6], &text[..7], &binary[..7], &second[..13]] {
            let mut slabs = SlabPool::new(SlabPool::budget(SLABS * SLAB_COST_MAX, 1));
            let quarter = SLABS * SLAB_COST_MAX / 4;
            let mut inflaters = Inflaters::default();
            let tally = Tally::default();
            let now = Moment::from_nanos(1_000);
            let mut sessions = Vec::new();
            for _ in 0..50 * SLABS {
                let mut turn = Turn {
                    now,
                    policy: &policy,
                    slabs: &mut slabs,
                    inflaters: &mut inflaters,
                    tally: &tally,
                    room: 1 << 16,
                    inflation: INFLATION_BYTES_MAX,
                    refusing: false,
                    over_tls: false,
                    guest: None,
                    cause: None,
                };
                let mut session = Session::open(&policy, now);
                for mut lent in [request::upgrade(), unfinished.to_vec()] {
                    let mut reply = Reply::default();
                    let step = session.receive(&mut turn, &mut lent, &mut reply);
                    assert_eq!((step.consumed, step.next), (lent.len(), Next::Read));
                    for piece in [reply.before, reply.after] {
                        if let Piece::Slabs(mut chain) = piece {
                            chain.clear(turn.slabs);
                        }
                    }
                }
                sessions.push(session);
            }
            assert!(
                slabs.out_bytes() <= quarter,
                "{} bytes for {} of {unfinished:?}",
                slabs.out_bytes(),
                sessions.len()
            );
            sessions
                .iter_mut()
                .for_each(|session| session.release(&mut slabs));
            assert_eq!(slabs.out_bytes(), 0);
        }
    }
}

#[test]
fn a_greeting_in_its_own_turn_is_in_a_send_of_its_own() {
    let policy = Policy {
        greeting: Some("Hi there".to_owned()),
        greeting_after: GreetingAfter::Turn,
        ..Policy::default()
    };
    let (mut slabs, tally) = (
        SlabPool::new(SlabPool::budget(1 << 20, 1)),
        Tally::default(),
    );
    let now = Moment::from_nanos(1_000);
    let mut turn = Turn {
        now,
        policy: &policy,
        slabs: &mut slabs,
        inflaters: &mut Inflaters::default(),
        tally: &tally,
        room: 1 << 16,
        inflation: INFLATION_BYTES_MAX,
        refusing: false,
        over_tls: false,
        guest: None,
        cause: None,
    };
    let mut session = Session::open(&policy, now);
    let mut head = request::upgrade();
    let mut first = Reply::default();
    session.receive(&mut turn, &mut head, &mut first);
    assert!(
        first.before.byte_count() + first.window.len() + first.after.byte_count() > 100,
        "the 101"
    );
    assert!(
        session
            .deadline()
            .is_some_and(|due| due > now && due <= now + Duration::from_micros(1)),
        "the greeting is due in the next turn, whenever that is"
    );
    let mut second = Reply::default();
    assert_eq!(
        session.resume(&mut turn, Wake::Deadline, &mut second),
        Next::Read
    );
    assert_eq!(
        second.before.byte_count() + second.after.byte_count(),
        10,
        "the greeting alone"
    );
    assert!(
        session
            .deadline()
            .is_none_or(|due| due > now + Duration::from_micros(1)),
        "and only once"
    );
}
