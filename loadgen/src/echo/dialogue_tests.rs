//! Replies that are no echo, however the stream is cut.

use std::sync::Arc;

use super::*;
use crate::echo::connection::Connection;
use crate::echo::tally::Tally;
use crate::echo::workload::{Pace, Workload};
use crate::payload::{Kinds, Pool, Random};
use crate::target::Protocol;

const TEXT: u8 = 0x81;
const BINARY: u8 = 0x82;

/// A whole frame as a server writes it.
fn frame(first: u8, payload: &str) -> Vec<u8> {
    [&[first, payload.len() as u8], payload.as_bytes()].concat()
}

/// What came of a connection that keeps four times "hi" in flight and got `stream` in these pieces.
struct Played {
    verdict: Result<(), String>,
    tally: Tally,
    sent: Vec<u8>,
}

fn play(expect: &str, answer: Option<&str>, keep_going: bool, pieces: &[&[u8]]) -> Played {
    let workload = Workload {
        kinds: Kinds::Text,
        pace: Pace::Depth(4),
        keep_going,
        dialogue: Some(Arc::new(Dialogue {
            expect: Expect::parse(expect).unwrap(),
            answer: answer.map(|answer| Answer::parse(answer).unwrap()),
        })),
        ..Workload::simple(Protocol::Websocket, 2, Arc::new(Pool::given(b"hi")))
    };
    let (mut random, mut tally) = (Random::new(1, 0), Tally::new());
    let mut connection = Connection::new();
    let mut sent = Vec::new();
    let mut turn = Turn {
        connection: 0,
        now: 1,
        workload: &workload,
        random: &mut random,
        tally: &mut tally,
    };
    let mut flush = |connection: &mut Connection| {
        while let Some(bytes) = connection.outgoing(1) {
            sent.extend_from_slice(bytes);
            let length = bytes.len();
            connection.outbox().sent(length);
        }
    };
    connection.fill(&mut turn);
    flush(&mut connection);
    let mut verdict = Ok(());
    for piece in pieces {
        verdict = connection
            .receive(piece, &mut turn)
            .map_err(|failure| failure.to_string());
        if verdict.is_err() {
            break;
        }
        flush(&mut connection);
    }
    Played {
        verdict,
        tally,
        sent,
    }
}

/// The same for every place where the stream may be cut, and byte by byte.
fn play_cut(expect: &str, answer: Option<&str>, stream: &[u8], messages: u64) {
    let single: Vec<&[u8]> = stream.chunks(1).collect();
    let cuts = (0..=stream.len()).map(|at| {
        let (left, right) = stream.split_at(at);
        vec![left, right]
    });
    for pieces in cuts.chain([single]) {
        let played = play(expect, answer, false, &pieces);
        assert_eq!(played.verdict, Ok(()), "{expect}: {pieces:?}");
        assert_eq!(played.tally.messages, messages, "{expect}: {pieces:?}");
    }
}

fn refusal(expect: &str, stream: &[u8]) -> String {
    let played = play(expect, None, false, &[stream]);
    assert_eq!(played.tally.messages, 0);
    played.verdict.unwrap_err()
}

#[test]
fn a_prefix_stands_before_the_message_wherever_frames_and_reads_end() {
    let whole = frame(TEXT, "got: hi").repeat(2);
    play_cut("prefix:got: ", None, &whole, 2);
    let fragments = [
        frame(0x01, "go"),
        frame(0x00, ""),
        frame(0x00, "t: h"),
        frame(0x80, "i"),
        frame(TEXT, "got: hi"),
    ];
    play_cut("prefix:got: ", None, &fragments.concat(), 2);
}

#[test]
fn a_reply_with_another_prefix_or_another_message_is_wrong() {
    for (payload, phrase) in [
        (
            "gut: hi",
            "does not begin with the prefix (message 0, offset 1)",
        ),
        (
            "got: ho",
            "a byte of the reply differs from what was sent (message 0, offset 1)",
        ),
        ("got", "shorter than its prefix"),
        ("hi", "shorter than its prefix"),
        ("got: h", "a message of 2 bytes came back with 1"),
        ("got: hi!", "a message of 2 bytes came back with 3"),
    ] {
        let error = refusal("prefix:got: ", &frame(TEXT, payload));
        assert!(error.contains(phrase), "{payload}: {error}");
    }
    let error = refusal("prefix:got: ", &frame(BINARY, "got: hi"));
    assert!(error.contains("came back as Binary"), "{error}");
    let kept = [
        frame(TEXT, "gut: hi"),
        frame(TEXT, "got"),
        frame(TEXT, "got: hi"),
    ]
    .concat();
    let played = play("prefix:got: ", None, true, &[&kept]);
    assert_eq!(played.verdict, Ok(()));
    assert_eq!((played.tally.messages, played.tally.wrong), (1, 2));
}

#[test]
fn messages_are_counted_whatever_is_in_them() {
    let stream = [
        frame(BINARY, "one"),
        frame(0x01, "tw"),
        frame(0x80, "o"),
        frame(TEXT, ""),
    ];
    play_cut("any", None, &stream.concat(), 3);
    play_cut("3x", None, &stream.concat(), 1);
    play_cut("2x", None, &stream.concat(), 1);
    let nested = [frame(0x01, "tw"), frame(TEXT, "o")].concat();
    let error = refusal("any", &nested);
    assert!(error.contains("inside a fragmented one"), "{error}");
}

#[test]
fn what_the_server_asks_is_answered_and_counts_for_nothing() {
    let stream = [
        frame(TEXT, "2"),
        frame(TEXT, "hi"),
        frame(TEXT, "2"),
        frame(TEXT, "hi"),
    ];
    play_cut("echo", Some("2=3"), &stream.concat(), 2);
    let asked = play("echo", Some("2=3"), false, &[&frame(TEXT, "2")]);
    // Behind the message of two bytes: a masked text frame of one byte.
    let [.., first, length, a, _, _, _, masked] = asked.sent[..] else {
        panic!("{:?}", asked.sent);
    };
    assert_eq!((first, length, masked ^ a), (TEXT, 0x81, b'3'));
    // As long as what may be asked, and something else.
    play_cut("any", Some("2=3"), &frame(TEXT, "4"), 1);
    play_cut(
        "prefix:got: ",
        Some("pinging=3"),
        &frame(TEXT, "got: hi"),
        1,
    );
}

#[test]
fn what_is_expected_reads_as_it_is_written() {
    for text in ["echo", "any", "prefix:Received: ", "3x"] {
        assert_eq!(Expect::parse(text).unwrap().to_string(), text);
    }
    assert_eq!(Expect::parse("1x"), Expect::parse("any"));
    for wrong in ["", "prefix:", "0x", "x", "-1x", "all", "3"] {
        assert!(Expect::parse(wrong).is_err(), "{wrong:?}");
    }
    for wrong in ["", "=3", "2"] {
        assert!(Answer::parse(wrong).is_err(), "{wrong:?}");
    }
}
