//! No client makes a behaviour keep more than it may, or keeps it from ending.

use std::time::Duration;

use ringback::behaviour::{After, Ask, Bad, Drip, End, MESSAGE_BYTES_MAX, Message, Source};
use ringback::protocol::{CloseCode, Policy};

use super::rig::{Ended, Rig, ending, ms, policy};
use super::slicing::kinds;
use super::support::event::CloseSeen;
use super::support::frames::{self, Frame};
use super::support::{replies, request};

#[test]
fn a_client_that_never_reads_is_not_read_from_for_long() {
    let message = Frame::binary(&frames::noise(1000, 1)).encode();
    let piece = message.repeat(16);
    for (ask, _) in kinds() {
        let mut rig = Rig::open(&ask);
        rig.reads = false;
        let mut taken_in = 0;
        while rig.behaviour.has_room() && taken_in < 4 << 20 {
            rig.feed(&piece);
            taken_in += piece.len();
        }
        // Who is told nothing, or no more, is owed nothing and may go on.
        let is_told = !matches!(ask.source, Source::Silent | Source::Broadcast { .. });
        let goes_on = !matches!(ask.end, Some((_, After::Messages(_))));
        let is_full = taken_in < 2 << 20;
        assert_eq!(is_full, is_told && goes_on, "{ask:?} took in {taken_in}");
        // Time passes, and it does not say more and more.
        rig.wait(Duration::from_secs(25));
        rig.reads = true;
        rig.wait(Duration::from_secs(60));
        assert!(rig.sent().len() < 4 << 20, "{ask:?}");
    }
}

#[test]
fn a_ticker_does_not_pile_up_for_who_does_not_read() {
    let ask = Ask {
        source: Source::Count {
            n: 100_000,
            every: ms(10),
        },
        ping: Some((ms(10), "p".repeat(125))),
        ..Ask::default()
    };
    let mut rig = Rig::upgraded(&ask);
    rig.reads = false;
    rig.wait(Duration::from_secs(900));
    rig.reads = true;
    rig.pump();
    let seen = replies::read(&rig.sent()).expect("frames").outcome;
    let numbers: Vec<_> = seen
        .messages()
        .map(|message| message.bytes.clone())
        .collect();
    assert!(numbers.len() < 20_000, "{} messages", numbers.len());
    // None is left out.
    let expected = (1..=numbers.len()).map(|number| number.to_string().into_bytes());
    assert!(expected.eq(numbers));
    let pings = seen.events.len() - seen.messages().count();
    assert!(pings <= 3, "{pings} pings");
}

#[test]
fn a_huge_message_is_made_as_it_is_sent() {
    for fragment in [None, Some(1000), Some(100_000)] {
        let ask = Ask {
            source: Source::Huge { bytes: 3_000_001 },
            fragment,
            ..Ask::default()
        };
        let mut rig = Rig::upgraded(&ask);
        rig.wait(ms(100));
        let longest = rig.writes.iter().map(|(_, bytes)| bytes.len()).max();
        assert!(longest.unwrap() <= 64 * 1024 + 10, "{longest:?}");
        let seen = replies::read(&rig.sent()).expect("frames").outcome;
        let message = seen.messages().next().expect("a message");
        assert!(!message.text && message.bytes.len() == 3_000_001);
        let mut payload = message.bytes.iter().enumerate();
        assert!(payload.all(|(place, byte)| *byte == place as u8));
        let frame_bytes = fragment.unwrap_or(usize::MAX);
        assert_eq!(
            message.frame_ends.len(),
            3_000_001_usize.div_ceil(frame_bytes)
        );
        rig.feed_frames(&[Frame::text("and then an echo")]);
        assert!(rig.sent().ends_with(b"and then an echo"));
    }
}

#[test]
fn a_message_has_at_most_so_many_bytes() {
    let most = MESSAGE_BYTES_MAX;
    for (operators, bytes, closes) in [
        (None, most, false),
        (None, most + 1, true),
        (Some(most * 2), most + 1, true),
        (Some(10), 10, false),
        (Some(10), 11, true),
    ] {
        let policy = Policy {
            message_bytes_max: operators,
            ..policy()
        };
        let mut rig = Rig::serve(&Ask::default(), "", 1, &policy);
        rig.writes.clear();
        rig.feed_frames(&[Frame::text(&"a".repeat(bytes as usize))]);
        let seen = replies::read(&rig.sent()).expect("frames").outcome;
        assert_eq!(seen.close, closes.then_some(CloseSeen::Code(1009)));
        assert_eq!(seen.messages().count(), usize::from(!closes));
    }
}

#[test]
fn who_is_told_nothing_more_is_not_watched() {
    for bad in [Bad::Accept, Bad::Rsv] {
        let source = Source::Frames;
        let mut rig = Rig::open(&Ask {
            source,
            ..ending(End::Bad(bad), 0)
        });
        let kept = |rig: &Rig| format!("{:?}", rig.behaviour).len();
        let before = kept(&rig);
        for _ in 0..100 {
            rig.feed_frames(&[Frame::text("a"), Frame::text("b")]);
        }
        assert!(kept(&rig) < before + 1000, "{bad:?}");
    }
}

#[test]
fn a_drain_says_so_whatever_is_owed() {
    let slow = Drip {
        bytes: 1,
        every: Duration::from_secs(60),
    };
    for (mut ask, _) in kinds() {
        ask.delay = Duration::from_secs(60);
        ask.drip = Some(slow);
        let is_silent = matches!(ask.source, Source::Silent);
        let is_over = matches!(ask.end, Some((_, After::Messages(_))));
        let mut rig = Rig::open(&ask);
        rig.feed_frames(&[Frame::text("one"), Frame::text("two")]);
        rig.behaviour.drain(CloseCode::GOING_AWAY, rig.now);
        rig.pump();
        assert!(rig.is_over(), "{ask:?}");
        let bytes = rig.sent();
        assert_eq!(
            bytes.ends_with(b"\x88\x0c\x03\xe9going away"),
            !is_silent && !is_over,
            "{ask:?}"
        );
    }
}

#[test]
fn a_drain_cuts_a_huge_message_off_and_says_nothing_in_it() {
    // With the last, what is made ready at once ends with a frame.
    for (fragment, can_close) in [
        (None, false),
        (Some(1 << 10), false),
        (Some((1 << 16) - 4), true),
    ] {
        let ask = Ask {
            source: Source::Huge { bytes: 1 << 40 },
            fragment,
            ..Ask::default()
        };
        let mut rig = Rig::upgraded(&ask);
        rig.reads = false;
        rig.wait(ms(20));
        rig.feed_frames(&[Frame::ping(b""), Frame::text("a")]);
        rig.behaviour.drain(CloseCode::GOING_AWAY, rig.now);
        rig.reads = true;
        rig.pump();
        assert_eq!(rig.end(), Some(Ended::Fin));
        let seen = replies::read(&rig.sent()).expect("frames");
        assert_eq!(seen.outcome.messages().count(), 0);
        assert_eq!(seen.outcome.close.is_some(), can_close);
        let message = seen.outcome.partial.expect("a message without an end");
        let mut payload = message.bytes.iter().enumerate();
        assert!(payload.all(|(place, byte)| *byte == place as u8));
    }
}

#[test]
fn a_silent_client_is_asked_and_then_given_up() {
    let mut rig = Rig::upgraded(&Ask {
        delay: Duration::from_secs(50),
        ..Ask::default()
    });
    // A frame has begun, of which the session may have begun the answer.
    rig.feed(&Frame::binary(&[0; 40_000]).encode()[..30_000]);
    rig.wait(Duration::from_secs(100));
    let after = |span| (span, Duration::from_secs(span));
    let ((_, ping), (_, close)) = (after(30), after(60));
    assert_eq!(
        rig.writes,
        [
            (ping, b"\x89\0".to_vec()),
            (close, b"\x88\x06\x03\xe9idle".to_vec())
        ]
    );
    assert_eq!(rig.ends, [(close, Ended::Fin)]);
}

#[test]
fn who_waits_for_what_is_owed_is_not_silent() {
    let mut rig = Rig::upgraded(&Ask {
        drip: Some(Drip {
            bytes: 1,
            every: Duration::from_secs(50),
        }),
        ..Ask::default()
    });
    rig.feed_frames(&[Frame::text("abcdef")]);
    rig.wait(Duration::from_secs(399));
    assert_eq!(rig.sent(), b"\x81\x06abcdef");
    assert_eq!((rig.behaviour.cause(), rig.end()), (None, None));
}

#[test]
fn a_room_that_takes_nothing_is_given_only_so_much() {
    let room = "room".into();
    let mut rig = Rig::upgraded(&Ask {
        source: Source::Broadcast { room },
        ..Ask::default()
    });
    let message = Frame::text(&"a".repeat(100)).encode().repeat(100);
    let mut taken_in = 0;
    while rig.behaviour.has_room() && taken_in < 4 << 20 {
        rig.behaviour.receive(&mut message.clone(), rig.now);
        taken_in += message.len();
    }
    assert!(taken_in < 2 << 20, "{taken_in} bytes");
    while rig.behaviour.take_for_room().is_some() {}
    assert!(rig.behaviour.has_room());
}

#[test]
fn who_falls_behind_in_a_room_is_told_so() {
    let room = "room".into();
    let mut rig = Rig::upgraded(&Ask {
        source: Source::Broadcast { room },
        ..Ask::default()
    });
    rig.reads = false;
    let message = Message {
        is_text: false,
        payload: vec![0; 100_000],
    };
    for _ in 0..100 {
        rig.behaviour.hear(&message, rig.now);
        rig.pump();
    }
    rig.reads = true;
    rig.pump();
    let seen = replies::read(&rig.sent()).expect("frames").outcome;
    assert_eq!(seen.close, Some(CloseSeen::Code(1013)));
    assert_eq!(seen.messages().count(), 1, "what was begun is ended");
    assert_eq!(rig.end(), Some(Ended::Fin));
}

#[test]
fn nothing_is_said_before_the_request_is_answered() {
    let ask = Ask {
        slow_handshake: Duration::from_secs(2),
        ping: Some((ms(10), String::new())),
        ..Ask::default()
    };
    let mut rig = Rig::open(&ask);
    rig.feed_frames(&[Frame::text("early")]);
    rig.wait(ms(1999));
    assert_eq!(rig.sent(), b"");
    rig.wait(ms(1));
    request::read(&rig.sent())
        .expect("a response")
        .assert_switched();
    assert!(rig.sent().ends_with(b"\x81\x05early"));
}

#[test]
fn a_ping_that_was_due_before_a_late_101_comes_behind_it() {
    let mut rig = Rig::open(&Ask {
        slow_handshake: ms(100),
        ping: Some((ms(10), "hi".into())),
        ..Ask::default()
    });
    rig.now = rig.now + ms(150);
    rig.pump();
    let response = request::read(&rig.sent()).expect("a response");
    response.assert_switched();
    assert_eq!(response.rest, b"\x89\x02hi");
}
