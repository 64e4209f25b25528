//! Input that is meant to do harm.

use std::io::{ErrorKind, Read, Write};
use std::net::Shutdown;
use std::thread;
use std::time::{Duration, Instant};

use crate::client::{ENGINE_IO, Polling, SEPARATOR, SOCKET_IO, Seen, Web, ask, server, text};
use crate::server::{PATIENCE, Server, until};
use crate::support::frames::{self, Frame, LengthForm};

/// Checks that the server answers, speaks Socket.IO, and that nothing in it panicked.
fn check(server: &Server) {
    let log = server.log();
    assert!(!log.iter().any(|line| line.contains("panicked")), "{log:?}");
    assert_eq!(ask(server, "GET", "/healthz", "", b"").status, 200);
    let mut web = Web::joined(server);
    web.say("421[\"message-with-ack\",1]");
    assert_eq!(web.next(), text("431[1]"));
}

#[test]
fn malformed_packets_end_their_session() {
    let server = server();
    let deep = format!("42[\"message\",{}{}]", "[".repeat(1000), "]".repeat(1000));
    for packet in [
        "4",
        "4abc",
        "49",
        "44{}",
        "42",
        "42{}",
        "42[]",
        "42[1]",
        "42abc[\"message\",1]",
        "43[1]",
        "45[\"message\"]",
        "45-[\"message\"]",
        "45x-[\"message\"]",
        "4599999999999999999999-[\"message\",1]",
        "4510000-[\"message\",1]",
        "46",
        "461-[1]",
    ] {
        let mut web = Web::joined(&server);
        web.say(packet);
        web.ends();
        let mut polling = Polling::open(&server, SOCKET_IO);
        polling.join();
        polling.post(packet);
        until("it ends", || (polling.get().status == 400).then_some(()));
    }
    // What fails only once it is read is told by being put out of the namespace.
    for packet in [
        &deep[..],
        "42[\"message\",1",
        "42[\"message\",1e999]",
        "42[\"message\"]x",
    ] {
        let mut web = Web::joined(&server);
        web.say(packet);
        let seen = web.next();
        assert!(
            [text("41"), text("1"), Seen::End].contains(&seen),
            "{packet}: {seen:?}"
        );
    }
    check(&server);
}

/// A character that is cut off, in a frame and in a namespace.
#[test]
fn text_that_is_no_text_ends_the_session() {
    let server = server();
    for payload in [&b"42[\"message\",\"\xc3"[..], b"40/\xe2\x82", b"\xf0\x9f"] {
        let mut web = Web::joined(&server);
        web.send(&Frame::new(frames::TEXT, payload));
        web.ends();
        let polling = Polling::open(&server, SOCKET_IO);
        assert_eq!(polling.post(payload).status, 400);
    }
    for packet in ["2/é,[\"é\"]", "42/é", "40é", "51é", "4é", "é"] {
        let mut web = Web::joined(&server);
        web.say(packet);
    }
    check(&server);
}

#[test]
fn attachments_come_behind_their_event_and_nowhere_else() {
    let server = server();
    let mut web = Web::joined(&server);
    web.say("451-[\"message\",{\"_placeholder\":true,\"num\":0}]");
    web.say("42[\"message\",1]");
    web.ends();
    let mut web = Web::joined(&server);
    web.say_binary(&[1]);
    web.ends();
    let mut web = Web::joined(&server);
    web.say("451-[\"message\",{\"_placeholder\":true,\"num\":7}]");
    web.say_binary(&[1]);
    assert_eq!(web.next(), text("41"));
    check(&server);
}

/// Otherwise a few bytes that name it stand for all of its own, each time anew.
#[test]
fn an_attachment_stands_in_one_place() {
    let server = server();
    let mut web = Web::joined(&server);
    let placeholders = vec!["{\"_placeholder\":true,\"num\":0}"; 1000].join(",");
    web.say(&format!("451-[\"message\",{placeholders}]"));
    web.say_binary(&[7; 50_000]);
    assert_eq!(web.next(), text("41"));
    check(&server);
}

#[test]
fn attachments_have_a_bound() {
    let server = Server::start("epoll", &["--socket-io-max-payload", "64KiB"]);
    let mut web = Web::joined(&server);
    web.say("45256-[\"message\"]");
    for _ in 0..256 {
        // The sum is over the bound before the last.
        if web
            .stream
            .write_all(&Frame::binary(&[7; 60_000]).encode())
            .is_err()
        {
            break;
        }
    }
    web.ends();
    let mut web = Web::joined(&server);
    web.say("45257-[\"message\"]");
    web.ends();
    check(&server);
}

/// The library takes them, and the account must not.
#[test]
fn frames_that_are_none_end_the_session() {
    let server = server();
    let odd = Frame {
        length_form: LengthForm::Bits64,
        ..Frame::text("3")
    };
    let bare = Frame {
        key: None,
        ..Frame::text("3")
    };
    let reserved = Frame {
        reserved: 4,
        ..Frame::text("3")
    };
    let huge = Frame {
        length_form: LengthForm::Lie(1 << 40),
        ..Frame::text("4")
    };
    for frame in [odd, bare, reserved, huge, Frame::new(3, "x")] {
        let mut web = Web::joined(&server);
        web.send(&frame);
        web.ends();
    }
    check(&server);
}

#[test]
fn an_event_of_a_namespace_that_was_not_joined_is_none_of_it() {
    let server = server();
    for packet in [
        "42[\"message\",1]",
        "43/custom,1[]",
        "41",
        "42/custom,[\"message\",1]",
    ] {
        let mut web = Web::session(&server, SOCKET_IO);
        web.say(packet);
        web.ends();
    }
    check(&server);
}

/// Of many joins at once one counts, and acknowledgements that nobody waits for are forgotten.
#[test]
fn a_flood_of_joins_and_acknowledgements_is_passed_over() {
    let server = server();
    let mut web = Web::session(&server, SOCKET_IO);
    let frames: Vec<_> = (0..500)
        .flat_map(|n| [Frame::text("40"), Frame::text(&format!("43{n}[1]"))])
        .skip(1)
        .collect();
    web.say("40");
    assert!(matches!(web.next(), Seen::Text(joined) if joined.starts_with("40{")));
    assert_eq!(web.next(), text("42[\"auth\",{}]"));
    web.stream
        .write_all(&frames::encode(&frames))
        .expect("a peer");
    web.say("42[\"message\",1]");
    assert_eq!(web.next(), text("42[\"message\",1]"));
    check(&server);
}

/// They are not owed anything, and must not be taken for somebody who does not read.
#[test]
fn what_is_not_answered_holds_nobody_up() {
    let server = server();
    let silent = vec![format!("42[\"other\",\"{}\"]", "x".repeat(500)); 2000];
    let mut web = Web::joined(&server);
    let frames: Vec<_> = silent.iter().map(|event| Frame::text(event)).collect();
    web.stream
        .write_all(&frames::encode(&frames))
        .expect("a peer");
    web.say("421[\"message-with-ack\"]");
    assert_eq!(web.next_with_pings(), text("431[]"));
    web.say("453-1[\"message-with-ack\"]");
    for _ in 0..3 {
        web.say_binary(&[1; 300_000]);
    }
    assert_eq!(web.next_with_pings(), text("431[]"));
    let mut polling = Polling::open(&server, SOCKET_IO);
    polling.join();
    let mut waiting = polling.start_get();
    crate::client::a_while();
    let last = "\u{1e}421[\"message-with-ack\"]";
    polling.say(silent[..1800].join("\u{1e}") + last);
    assert_eq!(crate::client::answer(&mut waiting).body(), "431[]");
}

/// It is read from no further, and not at the cost of the server's memory; once it reads it gets everything.
#[test]
fn who_does_not_read_is_not_read_from() {
    let server = server();
    let mut web = Web::joined(&server);
    let before = server.resident_bytes();
    web.stream.set_nonblocking(true).expect("a socket");
    let event = Frame::text(&format!("42[\"message\",\"{}\"]", "x".repeat(1000))).encode();
    let mut sent = 0;
    let mut blocked_since = None;
    while blocked_since.is_none_or(|since: Instant| since.elapsed() < Duration::from_secs(1)) {
        assert!(sent < 64 << 20, "nothing stops it");
        match web.stream.write(&event[sent % event.len()..]) {
            Ok(count) => {
                sent += count;
                blocked_since = None;
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                blocked_since.get_or_insert_with(Instant::now);
                thread::sleep(Duration::from_millis(10));
            }
            Err(error) => panic!("{error}"),
        }
    }
    let grown = server.resident_bytes().saturating_sub(before);
    assert!(
        grown < 32 << 20,
        "{grown} bytes more for a client that reads nothing"
    );
    check(&server);
    web.stream.set_nonblocking(false).expect("a socket");
    let events = sent.div_ceil(event.len());
    let rest = event[event.len() - (events * event.len() - sent)..].to_vec();
    let mut writer = web.stream.try_clone().expect("a socket");
    thread::scope(|scope| {
        scope.spawn(move || writer.write_all(&rest).expect("a peer"));
        for n in 0..2 * events {
            assert!(
                matches!(web.next(), Seen::Text(_)),
                "{n} of {events} events"
            );
        }
    });
    web.say("421[\"message-with-ack\",1]");
    assert_eq!(web.next(), text("431[1]"));
}

/// Others are answered while a few send as fast as they can.
#[test]
fn a_flood_does_not_take_the_thread_from_others() {
    let server = server();
    let flooders: Vec<_> = (0..16).map(|_| Web::joined(&server)).collect();
    thread::scope(|scope| {
        for web in &flooders {
            let mut writer = web.stream.try_clone().expect("a socket");
            let mut reader = web.stream.try_clone().expect("a socket");
            scope.spawn(move || {
                let bytes = frames::encode(&vec![Frame::text("42[\"message\",1]"); 500]);
                while writer.write_all(&bytes).is_ok() {}
            });
            scope.spawn(move || {
                let mut chunk = [0; 65_536];
                while reader.read(&mut chunk).is_ok_and(|count| count > 0) {}
            });
        }
        let mut slowest = Duration::ZERO;
        for _ in 0..30 {
            let start = Instant::now();
            assert_eq!(ask(&server, "GET", "/healthz", "", b"").status, 200);
            slowest = slowest.max(start.elapsed());
            thread::sleep(Duration::from_millis(20));
        }
        println!("/healthz took at most {slowest:?}");
        for web in &flooders {
            // The server may have ended it.
            let _ = web.stream.shutdown(Shutdown::Both);
        }
        assert!(slowest < PATIENCE / 2, "{slowest:?}");
    });
}

/// Ten thousand at once are well; the rest wait.
#[test]
fn packets_have_a_rate() {
    let server = server();
    let mut web = Web::session(&server, ENGINE_IO);
    let start = Instant::now();
    let mut writer = web.stream.try_clone().expect("a socket");
    thread::scope(|scope| {
        scope.spawn(move || {
            let bytes = frames::encode(&vec![Frame::text("4"); 16_000]);
            writer.write_all(&bytes).expect("a peer");
        });
        for _ in 0..16_000 {
            assert_eq!(web.next(), text("4"));
        }
    });
    assert!(start.elapsed() > Duration::from_secs(1));
}

/// Packets that are nearly right, over both transports.
#[test]
fn what_is_nearly_a_packet_does_no_harm() {
    const PACKETS: [&str; 10] = [
        "40/custom,{\"token\":\"123\"}",
        "41/custom,",
        "42/custom,12[\"message\",1,\"€\",{\"3\":[true]}]",
        "43/,12[\"message\"]",
        "44{\"message\":\"no\"}",
        "452-/custom,7[\"message\",{\"_placeholder\":true,\"num\":0},{\"_placeholder\":true,\"num\":1}]",
        "461-7[{\"_placeholder\":true,\"num\":0}]",
        "bAQIDBA==",
        "2probe",
        "42[\"message\"]\u{1e}3\u{1e}bAQ==",
    ];
    let server = server();
    for seed in 0..300 {
        let noise = frames::noise(8, seed);
        let mut packet = PACKETS[usize::from(noise[0]) % PACKETS.len()]
            .as_bytes()
            .to_vec();
        let place = usize::from(noise[1]) % packet.len();
        match noise[2] % 4 {
            0 => packet.truncate(place),
            1 => packet[place] = noise[3],
            2 => packet[place] = b"0123456789-,[{\"/"[usize::from(noise[3]) % 16],
            _ => packet.extend_from_within(place..),
        }
        let mut web = Web::joined(&server);
        // It may be ended by what comes first.
        let _ = web
            .stream
            .write_all(&Frame::new(frames::TEXT, &packet[..]).encode());
        let _ = web.stream.write_all(&Frame::binary(&packet).encode());
        let _ = web
            .stream
            .write_all(&Frame::new(frames::TEXT, &packet[..]).encode());
        if seed % 8 == 0 {
            let mut polling = Polling::open(&server, SOCKET_IO);
            polling.join();
            polling.post(&packet);
        }
    }
    check(&server);
}

/// A body may hold half a million packets.
#[test]
fn a_body_full_of_packets_is_taken_in_pieces() {
    let server = server();
    let mut polling = Polling::open(&server, ENGINE_IO);
    let payload = vec!["4"; 20_000].join(&SEPARATOR.to_string());
    let mut posting =
        crate::client::send(&server, "POST", &polling.target(), "", payload.as_bytes());
    for n in 0..20_000 {
        assert_eq!(polling.next(), "4", "{n}");
    }
    assert_eq!(crate::client::answer(&mut posting).body(), "ok");
    check(&server);
}
