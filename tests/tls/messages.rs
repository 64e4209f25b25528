//! What is said comes back.

use std::io::{Read, Write};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use rustix::process::Signal;
use rustls::ClientConnection;
use rustls::pki_types::ServerName;

use crate::client::{Client, config, plain, serve_localhost};
use crate::server::{Server, until};
use crate::support::frames::{self, Frame};
use crate::support::request;

/// What a message is answered with.
fn echo_of(frame: &Frame) -> Vec<u8> {
    let answer = Frame {
        key: None,
        ..frame.clone()
    };
    answer.encode()
}

fn comes_back(client: &mut Client, frame: &Frame) {
    let expected = echo_of(frame);
    client.send(&frame.encode());
    assert!(client.read_exact(expected.len()) == expected, "{frame:?}");
}

pub(crate) fn both_versions_echo_every_size(engine: &'static str) {
    let (server, authority) = serve_localhost(engine, &[]);
    for version in rustls::ALL_VERSIONS {
        let config = Arc::new(config(&authority, &[version], None));
        let mut client = Client::try_connect(&server, "localhost", &config).expect("a handshake");
        client.handshake();
        for size in [
            0, 1, 125, 126, 1024, 16_384, 16_385, 65_535, 65_536, 300_000,
        ] {
            comes_back(
                &mut client,
                &Frame::binary(&frames::noise(size, size as u64)),
            );
        }
    }
}

pub(crate) fn sixteen_mebibytes_come_back(engine: &'static str) {
    let (server, authority) = serve_localhost(engine, &[]);
    let mut client = Client::upgrade(&server, &authority);
    let frame = Frame::binary(&frames::noise(16 << 20, 1));
    let (bytes, expected) = (frame.encode(), echo_of(&frame));
    // It is read while it is written: rustls' own stream does not do both at once.
    let mut socket = client.stream.sock.try_clone().expect("a descriptor");
    let mut sent = 0;
    let mut read = Vec::new();
    while read.len() < expected.len() {
        if sent < bytes.len() {
            let part = &bytes[sent..bytes.len().min(sent + 32 * 1024)];
            sent += client.stream.conn.writer().write(part).expect("room");
            while client.stream.conn.wants_write() {
                client
                    .stream
                    .conn
                    .write_tls(&mut socket)
                    .expect("the server reads");
            }
        }
        let in_flight = sent - read.len();
        if sent == bytes.len() || in_flight > 512 * 1024 {
            let mut chunk = [0; 65_536];
            let count = client.stream.read(&mut chunk).expect("bytes");
            assert!(count > 0);
            read.extend_from_slice(&chunk[..count]);
        }
    }
    assert!(read == expected);
}

pub(crate) fn many_small_ones_are_answered(engine: &'static str) {
    let (server, authority) = serve_localhost(engine, &[]);
    let mut client = Client::upgrade(&server, &authority);
    let all: Vec<_> = (0..3000_u32)
        .map(|number| Frame::text(&format!("message {number}")))
        .collect();
    let expected: Vec<u8> = all.iter().flat_map(echo_of).collect();
    client.send(&frames::encode(&all));
    assert!(client.read_exact(expected.len()) == expected);
}

/// Each byte of what goes over the wire in a write of its own, from the first of the handshake on; then all of the rest
/// in one.
pub(crate) fn every_cut_of_the_wire_is_echoed(engine: &'static str) {
    let (server, authority) = serve_localhost(engine, &[]);
    let config = Arc::new(config(&authority, rustls::ALL_VERSIONS, None));
    let name = ServerName::try_from("localhost").expect("a name");
    let mut connection = ClientConnection::new(config, name).expect("a client");
    let mut socket = plain(&server);
    let mut plain = Vec::new();
    let all = [
        Frame::text("one"),
        Frame::binary(&frames::noise(300, 3)),
        Frame::ping(b"p"),
        Frame::text("two"),
    ];
    let mut is_asked = false;
    let wanted = 4 + 3 + 300 + 2 * 4 + 2 + 1 + 3;
    let answers = |plain: &[u8]| request::read(plain).map(|response| response.rest);
    while answers(&plain).is_none_or(|rest| rest.len() < wanted - 4) {
        if !connection.is_handshaking() && !std::mem::replace(&mut is_asked, true) {
            let mut writer = connection.writer();
            writer.write_all(&request::upgrade()).expect("room");
            for frame in &all {
                writer.write_all(&frame.encode()).expect("room");
            }
        }
        let mut wire = Vec::new();
        while connection.wants_write() {
            connection.write_tls(&mut wire).expect("a vector");
        }
        for byte in &wire {
            socket.write_all(&[*byte]).expect("the server reads");
        }
        if wire.is_empty() {
            connection.read_tls(&mut socket).expect("bytes");
            connection.process_new_packets().expect("records");
            let mut chunk = [0; 4096];
            while let Ok(count @ 1..) = connection.reader().read(&mut chunk) {
                plain.extend_from_slice(&chunk[..count]);
            }
        }
    }
    let rest = answers(&plain).expect("a response");
    let expected: Vec<u8> = all
        .iter()
        .flat_map(|frame| {
            let opcode = if frame.opcode == frames::PING {
                frames::PONG
            } else {
                frame.opcode
            };
            echo_of(&Frame {
                opcode,
                ..frame.clone()
            })
        })
        .collect();
    assert_eq!(rest, expected);
    // And many records in one write.
    let mut wire = Vec::new();
    for number in 0..50_u8 {
        let frame = Frame::binary(&[number; 100]);
        connection
            .writer()
            .write_all(&frame.encode())
            .expect("room");
        while connection.wants_write() {
            connection.write_tls(&mut wire).expect("a vector");
        }
    }
    socket.write_all(&wire).expect("the server reads");
    let mut read = 0;
    while read < 50 * 102 {
        connection.read_tls(&mut socket).expect("bytes");
        connection.process_new_packets().expect("records");
        let mut chunk = [0; 4096];
        while let Ok(count @ 1..) = connection.reader().read(&mut chunk) {
            read += count;
        }
    }
}

/// What the server says that it holds of these.
fn held(server: &Server, what: &str) -> u64 {
    let lines = |server: &Server| {
        let log = server.log();
        let told = log.iter().filter(|line| line.contains("holds ")).cloned();
        told.collect::<Vec<_>>()
    };
    let before = lines(server).len();
    server.signal(Signal::USR1);
    let line = until("it says what it holds", || {
        lines(server).get(before).cloned()
    });
    let (number, _) = line.split_once(what).expect(what);
    let number = number.trim_end().rsplit_once(" of ").expect("a maximum").0;
    let number = number.rsplit([' ', ',']).next().expect("a number");
    number.parse().expect("a number")
}

pub(crate) fn a_slow_reader_gets_all_and_leaves_nothing(engine: &'static str) {
    let (server, authority) = serve_localhost(engine, &[]);
    const KINDS: [&str; 2] = ["bytes to be sent", "bytes of unfinished input"];
    let before = KINDS.map(|what| held(&server, what));
    let mut client = Client::upgrade(&server, &authority);
    let frame = Frame::binary(&frames::noise(100_000, 9));
    let expected = echo_of(&frame).repeat(60);
    let bytes = frame.encode().repeat(60);
    let mut socket = client.stream.sock.try_clone().expect("a descriptor");
    // It writes all before it reads anything.
    client.stream.conn.set_buffer_limit(None);
    client.stream.conn.writer().write_all(&bytes).expect("room");
    let mut wire = Vec::new();
    while client.stream.conn.wants_write() {
        client.stream.conn.write_tls(&mut wire).expect("a vector");
    }
    let writer = thread::spawn(move || socket.write_all(&wire).expect("the server takes it"));
    thread::sleep(Duration::from_millis(300));
    assert!(client.read_exact(expected.len()) == expected);
    writer.join().expect("all was written");
    drop(client);
    for (what, before) in KINDS.into_iter().zip(before) {
        until("memory comes back", || {
            // Two chunks lie idle with a worker.
            (held(&server, what) <= before + (2 << 20)).then_some(())
        });
    }
}

/// All of it: the connection's own, what rustls keeps of a session, and what the allocator needs beside.
pub(crate) fn an_idle_connection_takes_little_memory(engine: &'static str) {
    const COUNT: usize = 500;
    let (server, authority) = serve_localhost(engine, &[]);
    let config = Arc::new(config(&authority, rustls::ALL_VERSIONS, None));
    let open = |count: usize| {
        let all = (0..count).map(|_| {
            let mut client = Client::try_connect(&server, "localhost", &config).expect("in");
            client.handshake();
            comes_back(&mut client, &Frame::text("and then nothing"));
            client
        });
        all.collect::<Vec<_>>()
    };
    // What the first of them take is kept for all.
    let first = open(20);
    let before = server.resident_bytes();
    let others = open(COUNT);
    let each = server.resident_bytes().saturating_sub(before) / COUNT as u64;
    println!("{engine}: {each} bytes for an idle connection");
    assert!(each <= 10_000, "{each} bytes for an idle connection");
    drop((first, others));
}

pub(crate) fn bytes_come_back_without_websocket(engine: &'static str) {
    let (server, authority) = serve_localhost(engine, &["--protocol", "tcp"]);
    let mut client = Client::connect(&server, &authority);
    let noise = frames::noise(200_000, 4);
    for part in noise.chunks(40_000) {
        client.send(part);
        assert!(client.read_exact(part.len()) == part);
    }
    client.stream.conn.send_close_notify();
    client.stream.flush().expect("the server reads");
    let replies = client.stream.read(&mut [0; 10]).expect("a close_notify");
    assert_eq!(replies, 0);
}

pub(crate) fn keys_may_be_updated(engine: &'static str) {
    let (server, authority) = serve_localhost(engine, &[]);
    let mut client = Client::upgrade(&server, &authority);
    for round in 0..5_u8 {
        client.stream.conn.refresh_traffic_keys().expect("TLS 1.3");
        comes_back(&mut client, &Frame::binary(&[round; 5000]));
    }
}
