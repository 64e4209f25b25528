//! What is answered, in which pieces, and when.

use std::io::{ErrorKind, Read};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::event::{CloseSeen, Event};
use crate::support::frames::{self, Frame};
use crate::wire::Wire;
use crate::{on_every_engine, open, texts};

/// So long that it does not happen while a test looks.
const LATER: &str = "60s";

/// Checks that nothing comes for a moment.
fn assert_quiet(wire: &mut Wire) {
    let moment = Some(Duration::from_millis(200));
    wire.stream.set_read_timeout(moment).expect("a timeout");
    let read = wire.stream.read(&mut [0; 64]);
    let is_quiet = matches!(&read, Err(error) if error.kind() == ErrorKind::WouldBlock);
    assert!(is_quiet, "{read:?}");
}

#[test]
fn what_is_said_is_changed_as_was_asked() {
    on_every_engine(&[], |server| {
        for (path, right) in [
            ("/x/echo", "straße"),
            ("/x/upper", "STRAßE"),
            ("/x/echo?upper&fragment=2", "STRAßE"),
        ] {
            let mut wire = open(server, path);
            wire.send(&Frame::text("straße").encode());
            let seen = wire.read_until(|seen| seen.outcome.messages().count() == 1);
            assert_eq!(texts(&seen), [right], "{path}");
        }
        let mut wire = open(server, "/x/time");
        wire.send(&Frame::text("when").encode());
        let seen = wire.read_until(|seen| seen.outcome.messages().count() == 1);
        let (time, text) = texts(&seen)[0].split_once(' ').expect("a time and a text");
        assert!(time.parse::<u64>().is_ok(), "{time}");
        assert_eq!(text, "when");
    });
}

#[test]
fn messages_come_in_fragments() {
    on_every_engine(&[], |server| {
        let mut wire = open(server, "/x/fragment/64");
        let payload = frames::noise(150, 7);
        wire.send(&Frame::binary(&payload).encode());
        let seen = wire.read_until(|seen| seen.outcome.messages().count() == 1);
        let message = seen.outcome.messages().next().expect("one");
        assert_eq!(message.bytes, payload);
        assert_eq!(message.frame_ends, [64, 128, 150]);
    });
}

/// One write is what a client reads at once.
#[test]
fn answers_come_together() {
    on_every_engine(&[], |server| {
        let mut wire = open(server, "/x/coalesce/3");
        wire.send(&frames::encode(&["a", "b", "c"].map(Frame::text)));
        let mut all = [0; 64];
        let count = wire.stream.read(&mut all).expect("answers");
        assert_eq!(&all[..count], b"\x81\x01a\x81\x01b\x81\x01c");
    });
}

#[test]
fn what_drips_comes_in_drops() {
    on_every_engine(&[], |server| {
        let mut wire = open(server, &format!("/x/drip?bytes=3&every={LATER}"));
        wire.send(&Frame::text("Hello").encode());
        let mut drop = [0; 64];
        let count = wire.stream.read(&mut drop).expect("a drop");
        assert_eq!(&drop[..count], b"\x81\x05H");
        assert_quiet(&mut wire);

        let began = Instant::now();
        let mut wire = open(server, "/x/drip?bytes=1&every=20ms");
        wire.assert_echoes("drops");
        assert!(began.elapsed() >= Duration::from_millis(6 * 20));
    });
}

#[test]
fn answers_are_late() {
    on_every_engine(&[], |server| {
        let mut wire = open(server, "/x/delay/300ms?jitter=50ms");
        let began = Instant::now();
        wire.send(&frames::encode(&["a", "b", "c"].map(Frame::text)));
        let seen = wire.read_until(|seen| seen.outcome.messages().count() == 3);
        assert!(began.elapsed() >= Duration::from_millis(300));
        assert_eq!(texts(&seen), ["a", "b", "c"]);
    });
}

#[test]
fn pings_come_and_pongs_do_not() {
    on_every_engine(&[], |server| {
        let mut wire = open(server, "/x/ping?every=10ms&payload=hi");
        wire.read_until(|seen| {
            let is_ping = |event: &&Event| **event == Event::Ping(b"hi".to_vec());
            seen.outcome.events.iter().filter(is_ping).count() == 3
        });
        let mut wire = open(server, "/x/no-pong");
        wire.send(&frames::encode(&[
            Frame::ping(b"?"),
            Frame::text("after it"),
        ]));
        let seen = wire.read_until(|seen| !seen.outcome.events.is_empty());
        assert_eq!(texts(&seen), ["after it"]);
        let mut wire = open(server, "/x/silent");
        wire.send(&frames::encode(&[
            Frame::ping(b"?"),
            Frame::text("anybody?"),
            Frame::close(1000, ""),
        ]));
        assert_quiet(&mut wire);
    });
}

#[test]
fn numbers_come_and_end() {
    on_every_engine(&[], |server| {
        let seen = open(server, "/x/count?n=5&every=10ms").replies_to_end();
        assert_eq!(texts(&seen), ["1", "2", "3", "4", "5"]);
        assert_eq!(seen.outcome.close, Some(CloseSeen::Code(1000)));
    });
}

#[test]
fn frames_are_told_as_they_came() {
    on_every_engine(&[], |server| {
        let mut wire = open(server, "/x/frames");
        let frame = Frame::text("Hello");
        wire.send(&frame.encode());
        let seen = wire.read_until(|seen| seen.outcome.messages().count() == 2);
        let told: Value = serde_json::from_str(texts(&seen)[0]).expect("JSON");
        assert_eq!(told["frames"][0]["wire"], "7f9f4d5158");
        assert_eq!(told["frames"][0]["key"], "37fa213d");
        assert_eq!(texts(&seen)[1], "Hello");
    });
}

#[test]
fn a_long_message_is_made_as_it_is_sent() {
    on_every_engine(&[], |server| {
        let before = server.peak_resident_bytes();
        let mut wire = open(server, "/x/huge/64MiB");
        let header = wire.read_exact(10);
        assert_eq!(header, [0x82, 127, 0, 0, 0, 0, 4, 0, 0, 0]);
        for _ in 0..64 {
            let piece = wire.read_exact(1 << 20);
            assert!(
                piece
                    .iter()
                    .enumerate()
                    .all(|(place, byte)| *byte == place as u8)
            );
        }
        wire.assert_echoes("and behind it");
        let more = server.peak_resident_bytes() - before;
        assert!(more < 16 << 20, "{more} bytes");
    });
}
