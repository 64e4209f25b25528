//! Frames, seen byte by byte.

use std::net::Shutdown;

use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::{Config, TestRunner};

use crate::server::Server;
use crate::support::compare::{Freedom, same};
use crate::support::event::CloseSeen;
use crate::support::frames::{self, Frame};
use crate::support::oracle::{self, Patience, Rules};
use crate::support::{replies, streams};
use crate::wire::Wire;

const PLAIN: Freedom = Freedom {
    holds: true,
    rewrites: false,
};

pub(crate) fn fragments_and_pings_keep_their_places(engine: &'static str) {
    let server = Server::start(engine, &[]);
    let mut wire = Wire::upgrade(&server);
    let stream = frames::encode(&[
        Frame::text("a€").unfinished(),
        Frame::ping(b"one"),
        Frame::new(frames::CONTINUATION, []).unfinished(),
        Frame::new(frames::PONG, "unasked"),
        Frame::ping(&[7; 125]),
        Frame::new(frames::CONTINUATION, frames::prose(20_000, 1)).unfinished(),
        Frame::ping(b""),
        Frame::new(frames::CONTINUATION, "z"),
        Frame::close(1000, "done"),
    ]);
    wire.send(&stream);
    let seen = wire.replies_to_end();
    let expected = oracle::echo(&stream, &Rules::default(), Patience::None);
    assert_eq!(expected.close, Some(CloseSeen::Code(1000)));
    same(&seen, &expected, PLAIN).expect("as the oracle says");
}

/// The streams of the slicing tests, over a socket that really cuts.
pub(crate) fn every_cut_is_echoed(engine: &'static str) {
    let server = Server::start(engine, &[]);
    let mut runner = TestRunner::new_with_rng(
        Config::default(),
        proptest::test_runner::TestRng::deterministic_rng(Config::default().rng_algorithm),
    );
    let strategy = (streams::any_stream(), streams::cuts());
    for _ in 0..60 {
        let (stream, cuts) = strategy.new_tree(&mut runner).expect("a stream").current();
        let wire = Wire::upgrade(&server);
        let sender = wire.stream.try_clone().expect("a descriptor");
        let pieces = cuts.pieces(stream.len());
        let bytes = stream.to_vec();
        let sending = std::thread::spawn(move || {
            use std::io::Write;
            for piece in pieces {
                if (&sender).write_all(&bytes[piece]).is_err() {
                    return;
                }
            }
            let _ = sender.shutdown(Shutdown::Write);
        });
        let seen = wire.replies_to_end();
        sending.join().expect("all is sent");
        let against = |patience| {
            same(
                &seen,
                &oracle::echo(&stream, &Rules::default(), patience),
                PLAIN,
            )
        };
        against(Patience::None)
            .or_else(|why| against(Patience::WholeHeader).map_err(|_| why))
            .unwrap_or_else(|why| panic!("{why}; cut {cuts:?}; after {} bytes", stream.len()));
    }
}

pub(crate) fn many_small_frames_in_one_write(engine: &'static str) {
    let server = Server::start(engine, &[]);
    let mut wire = Wire::upgrade(&server);
    let messages: Vec<_> = (0..100_000)
        .map(|number| Frame::text(&format!("{number}")))
        .collect();
    let sending = wire.send_aside(frames::encode(&messages));
    let echoes: Vec<_> = messages
        .into_iter()
        .map(|it| Frame { key: None, ..it })
        .collect();
    let expected = frames::encode(&echoes);
    assert!(
        wire.read_exact(expected.len()) == expected,
        "the echo differs"
    );
    sending.join().expect("all is sent");
}

pub(crate) fn violations_are_answered_and_the_connection_ends_cleanly(engine: &'static str) {
    let server = Server::start(engine, &["--max-message-size", "1000"]);
    let hello = || Frame::text("hello");
    let cases: [(&str, u16, Vec<Frame>); 12] = [
        (
            "unmasked",
            1002,
            vec![Frame {
                key: None,
                ..hello()
            }],
        ),
        (
            "reserved bit",
            1002,
            vec![Frame {
                reserved: 4,
                ..hello()
            }],
        ),
        ("reserved opcode", 1002, vec![Frame::new(3, "")]),
        ("long control", 1002, vec![Frame::ping(&[0; 126])]),
        (
            "fragmented control",
            1002,
            vec![Frame::ping(b"").unfinished()],
        ),
        (
            "nothing to continue",
            1002,
            vec![Frame::new(frames::CONTINUATION, "x")],
        ),
        (
            "a message inside a message",
            1002,
            vec![hello().unfinished(), hello()],
        ),
        ("a short Close", 1002, vec![Frame::new(frames::CLOSE, "x")]),
        ("a bad code", 1002, vec![Frame::close(1005, "")]),
        (
            "bad text",
            1007,
            vec![Frame::new(frames::TEXT, b"ab\xff".to_vec())],
        ),
        (
            "a bad reason",
            1007,
            vec![Frame::new(frames::CLOSE, b"\x03\xe8\xc3(".to_vec())],
        ),
        ("a message too big", 1009, vec![Frame::binary(&[0; 1001])]),
    ];
    let mut witness = Wire::upgrade(&server);
    for (name, code, faulty) in cases {
        let mut wire = Wire::upgrade(&server);
        wire.assert_echoes("before");
        let flood = frames::encode(&vec![Frame::binary(&[0; 900]); 200]);
        let sending = wire.send_aside([frames::encode(&faulty), flood].concat());
        let seen = wire.replies_to_end().outcome;
        assert_eq!(seen.close, Some(CloseSeen::Code(code)), "{name}");
        assert_eq!(seen.messages().count(), 0, "{name}");
        sending.join().expect("the sender ends");
        witness.assert_echoes("undisturbed");
    }
}

pub(crate) fn every_close_is_answered(engine: &'static str) {
    let server = Server::start(engine, &[]);
    let mut closes = vec![(Frame::new(frames::CLOSE, []), CloseSeen::Empty)];
    for code in streams::GOOD_CODES {
        closes.push((Frame::close(code, ""), CloseSeen::Code(code)));
        closes.push((Frame::close(code, &"é".repeat(61)), CloseSeen::Code(code)));
    }
    for (close, answer) in closes {
        let mut wire = Wire::upgrade(&server);
        wire.send(&frames::encode(&[
            Frame::text("last"),
            close,
            Frame::text("too late"),
        ]));
        let seen = wire.replies_to_end().outcome;
        assert_eq!(seen.close, Some(answer));
        assert_eq!(seen.messages().count(), 1);
    }
}

pub(crate) fn a_half_closed_peer_gets_its_echo(engine: &'static str) {
    let server = Server::start(engine, &[]);
    for size in [5, 16_384, 1 << 20] {
        let wire = Wire::upgrade(&server);
        let message = Frame::binary(&frames::noise(size, 8));
        let sending = wire.send_aside(message.encode());
        let finisher = wire.stream.try_clone().expect("a descriptor");
        let finishing = std::thread::spawn(move || {
            sending.join().expect("all is sent");
            finisher.shutdown(Shutdown::Write).expect("a connection");
        });
        let echo = wire.read_to_end();
        finishing.join().expect("the FIN is sent");
        let seen = replies::read(&echo).expect("strict frames").outcome;
        let messages: Vec<_> = seen.messages().collect();
        assert_eq!(messages.len(), 1, "{size} bytes");
        assert!(
            messages[0].bytes == message.payload,
            "{size} bytes come back"
        );
    }
}

pub(crate) fn resets_leave_others_alone(engine: &'static str) {
    let server = Server::start(engine, &[]);
    let mut stays: Vec<_> = (0..20).map(|_| Wire::upgrade(&server)).collect();
    for round in 0..10 {
        for wire in &mut stays {
            let mut doomed = Wire::upgrade(&server);
            doomed.send(&Frame::binary(&frames::noise(60_000, round)).encode()[..50_000]);
            wire.send(&Frame::text("mine").encode());
            doomed.reset();
        }
        Wire::connect(&server).reset();
        for wire in &mut stays {
            assert_eq!(wire.read_exact(6), b"\x81\x04mine");
        }
    }
}
