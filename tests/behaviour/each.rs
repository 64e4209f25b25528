//! What each behaviour does to messages, and when.

use std::time::Duration;

use ringback::behaviour::{Ask, Drip, Source, whoami};
use serde_json::{Value, json};

use super::rig::{Ended, PEER, Rig, ms};
use super::support::frames::{self, Frame};
use super::support::replies;
use super::support::request;

/// The messages of `bytes`, as text.
fn messages(bytes: &[u8]) -> Vec<String> {
    let seen = replies::read(bytes).expect("frames").outcome;
    let messages = seen.messages().map(|message| message.bytes.clone());
    messages
        .map(|bytes| String::from_utf8(bytes).expect("UTF-8"))
        .collect()
}

#[test]
fn answers_are_kept_back_and_stay_in_order() {
    let (delay, jitter) = (ms(200), ms(50));
    let run = |jitter, seed| {
        let mut rig = Rig::open_with(
            &Ask {
                delay,
                jitter,
                ..Ask::default()
            },
            "",
            seed,
        );
        rig.writes.clear();
        for number in 0..50 {
            rig.feed_frames(&[Frame::text(&number.to_string())]);
            rig.wait(ms(10));
        }
        rig.wait(ms(300));
        let numbers: Vec<_> = (0..50).map(|number: u32| number.to_string()).collect();
        assert_eq!(messages(&rig.sent()), numbers);
        let times: Vec<_> = rig.writes.iter().map(|(time, _)| *time).collect();
        times
    };
    let exact: Vec<_> = (0..50).map(|number| delay + ms(10 * number)).collect();
    assert_eq!(run(ms(0), 1), exact);
    let times = run(jitter, 1);
    assert_eq!(times, run(jitter, 1), "the same for the same seed");
    assert_ne!(times, run(jitter, 2));
    let last = *times.last().expect("an answer");
    assert!(times[0] >= delay && last <= ms(490) + delay + jitter);
}

#[test]
fn what_is_said_unasked_is_kept_back_like_an_answer() {
    for source in [Source::Whoami, Source::Huge { bytes: 3 }] {
        let delay = ms(200);
        let mut rig = Rig::open(&Ask {
            source,
            delay,
            ..Ask::default()
        });
        rig.feed_frames(&[Frame::text("a")]);
        rig.wait(ms(1000));
        let times: Vec<_> = rig.writes.iter().map(|(time, _)| *time).collect();
        assert_eq!(times, [ms(0), ms(220)]);
        assert!(rig.writes[1].1.ends_with(b"\x81\x01a"));
    }
}

#[test]
fn a_message_comes_in_frames_of_limited_size() {
    let ask = Ask {
        fragment: Some(2),
        ..Ask::default()
    };
    let mut rig = Rig::upgraded(&ask);
    rig.feed_frames(&[
        Frame::text("abcde"),
        Frame::binary(b"abcd"),
        Frame::text(""),
        Frame::ping(b"abc"),
    ]);
    let frames: [&[u8]; 7] = [
        b"\x01\x02ab",
        b"\x00\x02cd",
        b"\x80\x01e",
        b"\x02\x02ab",
        b"\x80\x02cd",
        b"\x81\x00",
        b"\x8a\x03abc",
    ];
    assert_eq!(rig.sent(), frames.concat());
}

#[test]
fn answers_leave_in_one_write_when_they_are_enough_or_late() {
    let mut rig = Rig::upgraded(&Ask {
        coalesce: Some(3),
        ..Ask::default()
    });
    rig.feed_frames(&[Frame::ping(b""), Frame::text("a"), Frame::ping(b"")]);
    rig.wait(ms(40));
    rig.feed_frames(&[Frame::text("b")]);
    rig.feed_frames(&[Frame::text("c")]);
    rig.wait(ms(10));
    rig.feed_frames(&[Frame::text("d")]);
    rig.wait(ms(100));
    let together = b"\x81\x01a\x8a\0\x81\x01b\x81\x01c".to_vec();
    let expected = [
        (ms(0), b"\x8a\0".to_vec()),
        (ms(40), together),
        (ms(100), b"\x81\x01d".to_vec()),
    ];
    assert_eq!(rig.writes, expected);
}

#[test]
fn bytes_leave_in_drops() {
    let drip = Some(Drip {
        bytes: 3,
        every: ms(50),
    });
    let mut rig = Rig::open(&Ask {
        drip,
        ..Ask::default()
    });
    assert_eq!(rig.writes.len(), 1, "the 101 is whole");
    rig.writes.clear();
    rig.feed_frames(&[Frame::text("abcde")]);
    rig.wait(ms(60));
    rig.feed_frames(&[Frame::text("f")]);
    rig.wait(ms(1000));
    let drops: [(u64, &[u8]); 4] = [
        (0, b"\x81\x05a"),
        (50, b"bcd"),
        (100, b"e"),
        (150, b"\x81\x01f"),
    ];
    assert_eq!(
        rig.writes,
        drops.map(|(time, bytes)| (ms(time), bytes.to_vec()))
    );
}

#[test]
fn pings_come_between_fragments_and_before_what_is_delayed() {
    let every = Duration::from_secs(1);
    let ping = Some((every, "hi".into()));
    let mut rig = Rig::upgraded(&Ask {
        ping: ping.clone(),
        delay: ms(2500),
        ..Ask::default()
    });
    rig.feed_frames(&[Frame::text("a")]);
    rig.wait(Duration::from_secs(3));
    let pinged = |time| (ms(time), b"\x89\x02hi".to_vec());
    let answered = (ms(2500), b"\x81\x01a".to_vec());
    assert_eq!(
        rig.writes,
        [pinged(1000), pinged(2000), answered, pinged(3000)]
    );

    let fragment = Some(40_000);
    let mut rig = Rig::upgraded(&Ask {
        ping,
        fragment,
        ..Ask::default()
    });
    rig.reads = false;
    rig.feed_frames(&[Frame::binary(&[0; 100_000])]);
    rig.wait(every);
    rig.reads = true;
    rig.pump();
    assert_eq!(
        rig.sent()[80_008..][..4],
        *b"\x89\x02hi",
        "behind the frame that was begun"
    );
}

#[test]
fn a_ping_is_not_answered_where_that_is_asked_for() {
    let mut rig = Rig::upgraded(&Ask {
        no_pong: true,
        ..Ask::default()
    });
    rig.feed_frames(&[Frame::ping(b"a"), Frame::text("b")]);
    assert_eq!(rig.sent(), b"\x81\x01b");
}

#[test]
fn it_counts_then_closes() {
    let source = Source::Count {
        n: 3,
        every: ms(100),
    };
    let mut rig = Rig::upgraded(&Ask {
        source,
        ..Ask::default()
    });
    rig.wait(ms(150));
    rig.feed_frames(&[Frame::text("a")]);
    rig.wait(ms(500));
    let expected: [(u64, &[u8]); 4] = [
        (100, b"\x81\x011"),
        (150, b"\x81\x01a"),
        (200, b"\x81\x012"),
        (300, b"\x81\x013\x88\x02\x03\xe8"),
    ];
    assert_eq!(
        rig.writes,
        expected.map(|(time, bytes)| (ms(time), bytes.to_vec()))
    );
    assert_eq!(rig.ends, [(ms(300), Ended::Fin)]);
}

#[test]
fn messages_are_changed_as_their_kind_allows() {
    let mut rig = Rig::upgraded(&Ask {
        upper: true,
        time: true,
        ..Ask::default()
    });
    rig.feed_frames(&[Frame::text("a\u{df}\u{e9}Z"), Frame::binary(b"abc")]);
    let microseconds: u64 = 1_700_000_000_000_001;
    let text = format!("{microseconds} A\u{df}\u{e9}Z");
    let binary = [&microseconds.to_be_bytes(), &b"abc"[..]].concat();
    let expected = [Frame::text(&text), Frame::binary(&binary)];
    let expected = expected.map(|frame| Frame { key: None, ..frame });
    assert_eq!(rig.sent(), frames::encode(&expected));
}

#[test]
fn a_room_hears_what_is_said_in_it() {
    let room = "r".to_owned();
    let ask = Ask {
        source: Source::Broadcast { room },
        upper: true,
        ..Ask::default()
    };
    let (mut one, mut other) = (Rig::upgraded(&ask), Rig::upgraded(&ask));
    assert_eq!(one.behaviour.room(), Some("r"));
    one.behaviour
        .receive(&mut Frame::text("a").encode(), one.now);
    let message = one.behaviour.take_for_room().expect("a message for all");
    assert_eq!(one.behaviour.take_for_room(), None);
    for rig in [&mut one, &mut other] {
        rig.pump();
        assert_eq!(rig.sent(), b"");
        rig.behaviour.hear(&message, rig.now);
        rig.pump();
        assert_eq!(rig.sent(), b"\x81\x01A");
    }
    assert_eq!(Rig::open(&Ask::default()).behaviour.room(), None);
}

#[test]
fn a_client_is_told_what_is_known_of_it() {
    let lines = "Cookie: a=b\r\nAuthorization: Bearer s3cret\r\nX-Odd: \"\\\t\r\n\
        Sec-WebSocket-Protocol: a, b\r\nSec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n\
        X-Forwarded-Proto: https\r\nForwarded: for=\"[::1]:80\";HOST=b.example, for=c\r\n";
    let mut rig = Rig::open_with(
        &Ask {
            source: Source::Whoami,
            ..Ask::default()
        },
        lines,
        1,
    );
    rig.wait(ms(20));
    let told = messages(&rig.writes[1].1).remove(0);
    assert!(!told.contains("s3cret"), "{told}");
    let head = request::with_header(lines);
    assert_eq!(told, whoami(&head, Some(PEER.into()), None));
    let told: Value = serde_json::from_str(&told).expect("JSON");
    assert_eq!(told["headers"][0], json!(["Host", "localhost:3000"]));
    assert_eq!(told["headers"][5], json!(["Cookie", "(hidden)"]));
    assert_eq!(told["headers"][7], json!(["X-Odd", "\"\\"]));
    for (name, expected) in [
        ("address", json!("127.0.0.1:40000")),
        ("tls", json!(null)),
        ("method", json!("GET")),
        ("target", json!("/chat")),
        ("http", json!("1.1")),
        ("subprotocols", json!(["a", "b"])),
        (
            "extensions",
            json!(["permessage-deflate; client_max_window_bits"]),
        ),
        (
            "forwarded",
            json!({"for": "[::1]:80", "proto": "https", "host": "b.example"}),
        ),
    ] {
        assert_eq!(told[name], expected, "{name}");
    }
}

#[test]
fn a_client_of_a_later_http_1_is_known_as_well() {
    let told = whoami(
        b"\r\nGET /x/whoami?a HTTP/1.7\r\nHost: b\r\n\r\n",
        None,
        None,
    );
    let told: Value = serde_json::from_str(&told).expect("JSON");
    assert_eq!(told["http"], json!("1.7"));
    assert_eq!(told["target"], json!("/x/whoami?a"));
    assert_eq!(told["headers"], json!([["Host", "b"]]));
}

#[test]
fn frames_are_told_of_as_they_came() {
    let mut rig = Rig::upgraded(&Ask {
        source: Source::Frames,
        ..Ask::default()
    });
    // RFC 6455, section 5.7.
    rig.feed_frames(&[Frame::ping(b"before"), Frame::text("Hello")]);
    let told = messages(&rig.sent());
    let expected = "{\"frames\":[{\"fin\":true,\"opcode\":1,\"name\":\"text\",\"masked\":true,\"key\":\"37fa213d\",\
        \"length\":5,\"wire\":\"7f9f4d5158\",\"payload\":\"48656c6c6f\"}],\"more\":0}";
    assert_eq!(told, [expected, "Hello"]);

    rig.writes.clear();
    let mut sent = vec![Frame::binary(&[0xff; 100]).unfinished(), Frame::ping(b"hi")];
    sent.extend(vec![Frame::new(frames::CONTINUATION, b"").unfinished(); 20]);
    sent.push(Frame::new(frames::CONTINUATION, b"end"));
    rig.feed_frames(&sent);
    let seen = replies::read(&rig.sent()).expect("frames").outcome;
    let told: Vec<_> = seen
        .messages()
        .map(|message| message.bytes.clone())
        .collect();
    assert_eq!(told.len(), 2);
    let told: Value = serde_json::from_slice(&told[0]).expect("JSON");
    assert_eq!(
        (told["frames"].as_array().map(Vec::len), &told["more"]),
        (Some(16), &json!(7))
    );
    assert_eq!(told["frames"][0]["payload"], json!("ff".repeat(64)));
    assert_eq!(told["frames"][0]["length"], json!(100));
    assert_eq!(told["frames"][1]["name"], json!("ping"));
}
