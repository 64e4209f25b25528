//! The state machine against servers played by hand, without sockets.

use proptest::prelude::*;

use std::sync::Arc;

use super::super::workload::{Limits, SAMPLE_OF};
use super::*;
use crate::payload::{Kinds, Pool};
use crate::wire::failure::Mismatch;

/// A connection, what it borrows, and the server's view of what it sent.
struct Play {
    workload: Workload,
    random: Random,
    tally: Tally,
    connection: Connection,
    now: u64,
}

impl Play {
    fn new(protocol: Protocol, kind: Kind, size: usize, depth: usize) -> Play {
        let kinds = match kind {
            Kind::Text => Kinds::Text,
            Kind::Binary => Kinds::Binary,
        };
        let pool = Arc::new(Pool::new(kinds, size, &mut Random::new(3, 0)));
        let mut tally = Tally::new();
        tally.counts_from = 0;
        Play {
            workload: Workload {
                kinds,
                pace: Pace::Depth(depth),
                ..Workload::simple(protocol, size, pool)
            },
            random: Random::new(3, 1),
            tally,
            connection: Connection::new(),
            now: 0,
        }
    }

    fn with<T>(&mut self, act: impl FnOnce(&mut Connection, &mut Turn<'_>) -> T) -> T {
        let Play {
            workload,
            random,
            tally,
            connection,
            now,
        } = self;
        act(
            connection,
            &mut Turn {
                connection: 7,
                now: *now,
                workload,
                random,
                tally,
            },
        )
    }

    /// Starts the load and returns the payloads sent, unmasked.
    fn start(&mut self) -> Vec<Vec<u8>> {
        self.with(|connection, turn| connection.fill(turn));
        self.sent()
    }

    /// Takes what the connection wants to send and decodes it.
    fn sent(&mut self) -> Vec<Vec<u8>> {
        let now = self.now;
        let size = self.workload.sizes.bytes_max();
        let Some(bytes) = self.connection.outgoing(now).map(<[u8]>::to_vec) else {
            return Vec::new();
        };
        self.connection.outbox().sent(bytes.len());
        match self.workload.protocol {
            Protocol::Tcp => bytes.chunks(size).map(<[u8]>::to_vec).collect(),
            Protocol::Websocket => unmask_all(&bytes),
        }
    }

    fn receive(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        self.with(|connection, turn| connection.receive(bytes, turn))
    }
}

/// Payloads of a stream of client frames, decoded byte by byte.
fn unmask_all(mut bytes: &[u8]) -> Vec<Vec<u8>> {
    let mut payloads = Vec::new();
    while !bytes.is_empty() {
        let (length, at) = match bytes[1] & 0x7f {
            126 => (usize::from(u16::from_be_bytes([bytes[2], bytes[3]])), 4),
            127 => (
                u64::from_be_bytes(bytes[2..10].try_into().unwrap()) as usize,
                10,
            ),
            short => (usize::from(short), 2),
        };
        let (key, payload) = bytes[at..at + 4 + length].split_at(4);
        payloads.push(
            payload
                .iter()
                .zip(key.iter().cycle())
                .map(|(b, k)| b ^ k)
                .collect(),
        );
        bytes = &bytes[at + 4 + length..];
    }
    payloads
}

/// A server's frame.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut out = vec![first];
    match payload.len() {
        length @ 0..=125 => out.push(length as u8),
        length @ 126..=0xffff => {
            out.push(126);
            out.extend_from_slice(&(length as u16).to_be_bytes());
        }
        length => {
            out.push(127);
            out.extend_from_slice(&(length as u64).to_be_bytes());
        }
    }
    out.extend_from_slice(payload);
    out
}

#[test]
fn an_answered_message_is_counted_timed_and_followed_by_another() {
    let mut play = Play::new(Protocol::Websocket, Kind::Binary, 32, 2);
    play.now = 1000;
    let sent = play.start();
    assert_eq!(sent.len(), 2);
    assert_ne!(sent[0], sent[1]);
    play.now = 1500;
    play.receive(&frame(0x82, &sent[0])).unwrap();
    assert_eq!((play.tally.messages, play.tally.payload_bytes), (1, 32));
    assert_eq!(play.tally.latency.max(), 500);
    assert_eq!(play.sent().len(), 1);
    assert_eq!(play.connection.unanswered(), 2);
}

#[test]
fn messages_sent_before_the_window_have_no_latency() {
    let mut play = Play::new(Protocol::Tcp, Kind::Binary, 8, 1);
    play.tally.counts_from = 10;
    play.now = 5;
    let sent = play.start();
    play.now = 20;
    play.receive(&sent[0]).unwrap();
    assert_eq!((play.tally.messages, play.tally.latency.len()), (1, 0));
}

#[test]
fn every_corrupted_bit_of_a_stream_is_found() {
    for (protocol, kind) in [
        (Protocol::Websocket, Kind::Binary),
        (Protocol::Websocket, Kind::Text),
        (Protocol::Tcp, Kind::Binary),
    ] {
        let mut play = Play::new(protocol, kind, 40, 2);
        let sent = play.start();
        let good: Vec<u8> = match (protocol, kind) {
            (Protocol::Tcp, _) => sent.concat(),
            (_, Kind::Binary) => sent
                .iter()
                .flat_map(|payload| frame(0x82, payload))
                .collect(),
            (_, Kind::Text) => sent
                .iter()
                .flat_map(|payload| frame(0x81, payload))
                .collect(),
        };
        play.receive(&good).unwrap();
        for bit in 0..good.len() * 8 {
            let mut play = Play::new(protocol, kind, 40, 2);
            assert_eq!(play.start(), sent, "a seed replays");
            let mut bad = good.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            let found = play.receive(&bad).is_err() || play.tally.messages < 2;
            assert!(found, "bit {bit} of {protocol} {kind:?}");
        }
    }
}

#[test]
fn a_mismatch_shows_offset_and_both_sides() {
    let mut play = Play::new(Protocol::Websocket, Kind::Binary, 64, 1);
    let mut payload = play.start().remove(0);
    payload[20] ^= 0xff;
    let bytes = frame(0x82, &payload);
    // Cut inside the message, before and after the wrong byte.
    play.receive(&bytes[..10]).unwrap();
    let text = play.receive(&bytes[10..]).unwrap_err().to_string();
    assert!(text.contains("offset 20)"), "{text}");
    let excerpt: Vec<String> = payload[12..36]
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    assert!(
        text.contains(&format!("received from offset 12: {}", excerpt.join(" "))),
        "{text}"
    );
    assert!(text.contains("expected from offset 12: "), "{text}");
}

#[test]
fn wrong_opcode_length_and_order_are_found() {
    let refused = |bytes: &dyn Fn(&[Vec<u8>]) -> Vec<u8>| {
        let mut play = Play::new(Protocol::Websocket, Kind::Binary, 32, 2);
        let sent = play.start();
        play.receive(&bytes(&sent))
            .expect_err("must be found")
            .to_string()
    };
    assert!(refused(&|sent| frame(0x81, &sent[0])).contains("came back as Text"));
    assert!(refused(&|sent| frame(0x82, &sent[0][..31])).contains("came back with 31"));
    assert!(refused(&|sent| frame(0x82, &sent.concat())).contains("came back with 64"));
    assert!(refused(&|sent| frame(0x02, &sent.concat())).contains("64 or more"));
    assert!(refused(&|sent| frame(0x82, &sent[1])).contains("differs"));
    assert!(refused(&|sent| frame(0x80, &sent[0])).contains("continuation of no message"));
    assert!(
        refused(&|sent| [frame(0x02, &sent[0][..5]), frame(0x82, &sent[0][5..])].concat())
            .contains("inside a fragmented one")
    );
    assert!(
        refused(&|sent| {
            sent.iter()
                .chain([&sent[0]])
                .flat_map(|payload| frame(0x82, payload))
                .collect()
        })
        .contains("answers none of ours")
    );
}

#[test]
fn a_message_nobody_sent_is_found() {
    let mut play = Play::new(Protocol::Websocket, Kind::Text, 32, 1);
    // Before the load starts nothing is in flight.
    let text = play
        .receive(&frame(0x81, b"Hi there"))
        .unwrap_err()
        .to_string();
    assert!(text.contains("the server spoke first"), "{text}");
    assert!(text.contains("48 69 20 74 68 65 72 65"), "{text}");
}

#[test]
fn a_greeting_in_the_place_of_a_reply_is_called_one() {
    let mut play = Play::new(Protocol::Websocket, Kind::Binary, 32, 1);
    let sent = play.start();
    let text = play.receive(&frame(0x81, b"hello")).unwrap_err();
    let text = text.to_string();
    assert!(text.contains("the server may have spoken first"), "{text}");
    // Once a reply has come it is none.
    let mut play = Play::new(Protocol::Websocket, Kind::Binary, 32, 2);
    let both = play.start();
    play.receive(&frame(0x82, &both[0])).unwrap();
    let text = play.receive(&frame(0x81, &sent[0])).unwrap_err();
    assert!(!text.to_string().contains("spoken first"), "{text}");
}

#[test]
fn pings_are_answered_between_fragments() {
    let mut play = Play::new(Protocol::Websocket, Kind::Binary, 10, 1);
    let sent = play.start().remove(0);
    play.receive(&frame(0x02, &sent[..4])).unwrap();
    play.receive(&frame(0x89, b"here?")).unwrap();
    assert_eq!(play.sent(), [b"here?".to_vec()]);
    play.receive(&frame(0x8a, b"unasked")).unwrap();
    play.receive(&frame(0x80, &sent[4..])).unwrap();
    let tally = &play.tally;
    assert_eq!(
        (tally.pings, tally.pongs, tally.fragmented, tally.messages),
        (1, 1, 1, 1)
    );
}

#[test]
fn empty_messages_echo() {
    let mut play = Play::new(Protocol::Websocket, Kind::Text, 0, 3);
    assert_eq!(play.start(), vec![Vec::<u8>::new(); 3]);
    play.receive(&[0x81, 0, 0x01, 0, 0x80, 0, 0x81, 0]).unwrap();
    assert_eq!(play.tally.messages, 3);
}

#[test]
fn a_close_is_a_failure_unless_asked_for() {
    let mut play = Play::new(Protocol::Websocket, Kind::Binary, 8, 1);
    let sent = play.start().remove(0);
    let text = play
        .receive(&frame(0x88, b"\x03\xe9bye"))
        .unwrap_err()
        .to_string();
    assert!(text.contains("1001") && text.contains("bye"), "{text}");
    assert_eq!(play.sent(), [1001u16.to_be_bytes()], "it is answered");
    assert!(play.connection.is_ended());

    let mut play = Play::new(Protocol::Websocket, Kind::Binary, 8, 1);
    assert_eq!(play.start(), std::slice::from_ref(&sent));
    play.with(|connection, turn| connection.drain(turn));
    assert!(play.sent().is_empty(), "a reply is still owed");
    play.receive(&frame(0x82, &sent)).unwrap();
    assert_eq!(
        play.sent(),
        [1000u16.to_be_bytes()],
        "Close follows the last reply"
    );
    for (bad, phrase) in [
        (&b"\x03"[..], "one byte"),
        (b"\x03\xe7", "code 999"),
        (b"\x03\xed", "code 1005"),
        (b"\x03\xee", "code 1006"),
        (b"\x03\xf7", "code 1015"),
        (b"\x03\xe8\xc3(", "UTF-8"),
    ] {
        let text = play.receive(&frame(0x88, bad)).unwrap_err().to_string();
        assert!(text.contains(phrase), "{text}");
    }
    play.receive(&frame(0x88, b"\x03\xe8\xc3\xa9")).unwrap();
    assert!(play.connection.is_closed());
    assert!(play.connection.end_of_stream().is_ok());
}

proptest! {
    /// However a good answer is fragmented and cut, every message is counted once.
    #[test]
    fn any_fragmentation_and_any_cut_is_accepted(
        size in 0usize..300,
        depth in 1usize..5,
        fragments in prop::collection::vec(0usize..300, 0..6),
        cuts in prop::collection::vec(0usize..2000, 0..8),
        ping in any::<bool>(),
    ) {
        let mut play = Play::new(Protocol::Websocket, Kind::Binary, size, depth);
        let mut stream = Vec::new();
        for payload in play.start() {
            let mut ends: Vec<usize> = fragments.iter().map(|end| end % (size + 1)).collect();
            ends.sort_unstable();
            let mut start = 0;
            let mut opcode = 0x02;
            for end in ends {
                stream.extend(frame(opcode, &payload[start..end]));
                if ping {
                    stream.extend(frame(0x89, b"p"));
                }
                opcode = 0;
                start = end;
            }
            stream.extend(frame(0x80 | opcode, &payload[start..]));
        }
        let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut % (stream.len() + 1)).collect();
        cuts.sort_unstable();
        // Draining, so that no new message joins those under test.
        play.with(|connection, turn| connection.drain(turn));
        let mut start = 0;
        for end in cuts.into_iter().chain([stream.len()]) {
            play.receive(&stream[start..end]).unwrap();
            start = end;
        }
        prop_assert_eq!(play.tally.messages, depth as u64);
        prop_assert_eq!(play.connection.unanswered(), 0);
    }
}

/// Frames of a stream of client frames: first byte and unmasked payload.
fn frames(bytes: &[u8]) -> Vec<(u8, Vec<u8>)> {
    let mut frames = Vec::new();
    let mut rest = bytes;
    while !rest.is_empty() {
        let length = usize::from(rest[1] & 0x7f);
        assert!(length < 126, "short frames only");
        let (frame, after) = rest.split_at(6 + length);
        frames.push((frame[0], unmask_all(frame).remove(0)));
        rest = after;
    }
    frames
}

#[test]
fn a_scheduled_message_counts_from_when_it_was_due() {
    let mut play = Play::new(Protocol::Websocket, Kind::Binary, 8, 1);
    play.workload.pace = Pace::Scheduled;
    play.tally = Tally::new().scheduled();
    play.tally.counts_from = 0;
    assert!(play.start().is_empty(), "nothing is due");
    play.now = 1_000;
    play.with(|connection, turn| connection.queue(400, turn));
    assert_eq!(play.connection.unsent(), 1);
    let sent = play.sent();
    assert_eq!(play.connection.unsent(), 0);
    play.now = 1_500;
    play.receive(&frame(0x82, &sent[0])).unwrap();
    assert_eq!(play.tally.latency.max(), 1_100);
    assert_eq!(play.tally.service.as_ref().unwrap().max(), 500);
    assert!(play.sent().is_empty(), "the next one is not due");
}

#[test]
fn a_duplex_connection_is_full_and_bounded() {
    let mut play = Play::new(Protocol::Websocket, Kind::Binary, 100, 1);
    play.workload.pace = Pace::Duplex;
    play.workload.limits = Limits {
        in_flight_max: 50,
        queued_bytes_max: 1_000,
    };
    play.with(|connection, turn| connection.fill(turn));
    // Frames of 106 bytes: the tenth goes beyond the limit.
    assert_eq!(play.connection.unanswered(), 10);
    let sent = play.sent();
    for _ in 0..20 {
        play.with(|connection, turn| connection.fill(turn));
        play.sent();
    }
    assert_eq!(play.connection.unanswered(), 50);
    play.receive(&frame(0x82, &sent[0])).unwrap();
    assert_eq!(
        play.connection.unanswered(),
        50,
        "its place is taken at once"
    );
}

#[test]
fn a_message_goes_in_fragments_with_a_ping_between_them() {
    let mut play = Play::new(Protocol::Websocket, Kind::Text, 10, 1);
    play.workload.fragments = 3;
    play.with(|connection, turn| {
        connection.ping(turn);
        connection.fill(turn);
    });
    let bytes = play.connection.outgoing(0).unwrap().to_vec();
    let frames = frames(&bytes);
    let heads: Vec<u8> = frames.iter().map(|(head, _)| *head).collect();
    assert_eq!(heads, [0x01, 0x89, 0x00, 0x80]);
    let pong = frame(0x8a, &frames[1].1);
    let payload = [0, 2, 3].map(|index| frames[index].1.clone()).concat();
    play.now = 70;
    play.receive(&[pong, frame(0x81, &payload)].concat())
        .unwrap();
    assert_eq!(play.tally.messages, 1);
    assert_eq!(play.tally.ping.as_ref().unwrap().max(), 70);
}

#[test]
fn a_connection_that_is_lost_awaits_nothing() {
    let mut play = Play::new(Protocol::Websocket, Kind::Binary, 8, 1);
    play.start();
    play.with(|connection, turn| connection.ping(turn));
    assert!(play.connection.awaits_pong());
    play.connection.lose();
    assert_eq!(play.connection.unanswered(), 0);
    assert!(!play.connection.awaits_pong());
}

#[test]
fn a_sample_is_compared_and_the_rest_counted() {
    let mut play = Play::new(Protocol::Websocket, Kind::Binary, 8, 1);
    play.workload.verify_all = false;
    let mut sent = play.start();
    for number in 0..SAMPLE_OF + 1 {
        let mut reply = sent.remove(0);
        // A wrong byte goes unseen, but for one message in sixteen.
        reply[3] ^= u8::from(number != 0);
        let verdict = play.receive(&frame(0x82, &reply));
        assert_eq!(verdict.is_err(), number == SAMPLE_OF, "message {number}");
        if verdict.is_ok() {
            sent = play.sent();
        }
    }
    assert_eq!(play.tally.compared_bytes, 8);
}

#[path = "compressed_tests.rs"]
mod compressed;
#[path = "keep_going_tests.rs"]
mod keep_going;
