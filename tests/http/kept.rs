//! What comes behind the first request.

use std::io::Write;
use std::os::fd::AsFd;
use std::sync::mpsc::channel;
use std::thread;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use proptest::test_runner::TestRunner;

use crate::rig::{PATIENCE, Rig, UPGRADE};

const HEALTH: &str = "GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n";
const POST: &str = "POST /healthz HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n0123456789";
const CHUNKED: &str = "POST /healthz HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n\
    5\r\nhello\r\n0\r\n\r\n";
const CLOSE: &str = "GET /readyz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";

#[test]
fn a_connection_is_kept_until_its_client_wants_it_no_more() {
    let rig = Rig::start();
    let mut client = rig.call(HEALTH);
    for request in [POST, HEALTH, CLOSE] {
        let answer = client.answer(false);
        assert!(answer.status != 400 && !answer.closes(), "{answer:?}");
        client.send(request);
    }
    assert!(client.answer(false).closes());
    client.ends();
}

#[test]
fn requests_in_one_piece_are_answered_in_order_however_they_are_cut() {
    let rig = Rig::start();
    let requests = [HEALTH, POST, "\r\n", HEALTH, CLOSE].concat();
    let first = HEALTH.len();
    for cut in first..=requests.len() {
        let mut client = rig.call(&requests[..cut]);
        client.send(&requests[cut..]);
        for (status, body) in [(200, "ok\n"), (405, ""), (200, "ok\n"), (200, "ready\n")] {
            let answer = client.answer(false);
            assert_eq!(answer.status, status, "cut at {cut}: {answer:?}");
            assert!(answer.body.contains(body), "cut at {cut}: {answer:?}");
        }
        client.shut_down();
        client.ends();
    }
}

/// Where a chunked body ends is known only to whoever has read behind it, so nothing may be there.
#[test]
fn a_chunked_body_is_the_last_of_its_connection() {
    let rig = Rig::start();
    let mut client = rig.call([CHUNKED, HEALTH].concat());
    let answer = client.answer(false);
    assert_eq!(answer.status, 405);
    assert!(answer.closes(), "{answer:?}");
    client.shut_down();
    client.ends();
}

#[test]
fn a_body_is_asked_for_where_its_client_waits() {
    let rig = Rig::start();
    let head = "PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n";
    let mut client = rig.call(head);
    assert_eq!(client.answer(false).status, 100);
    client.send("hello");
    assert_eq!(client.answer(false).status, 405);
    client.send(HEALTH);
    assert_eq!(client.answer(false).status, 200);
}

#[test]
fn who_shuts_down_first_is_answered() {
    let rig = Rig::start();
    for request in [HEALTH, POST] {
        let mut client = rig.call(&request[..request.len() - 1]);
        client.send(&request[request.len() - 1..]);
        client.shut_down();
        assert_ne!(client.answer(false).status, 400);
        client.ends();
    }
}

#[test]
fn a_kept_connection_is_given_back_where_it_asks_for_a_websocket() {
    let rig = Rig::start();
    let behind = b"\x81\x85\0\0\0\0hello";
    let wanted = [UPGRADE.as_bytes(), behind].concat();
    for (cut, is_at_once) in [(0, true), (0, false), (20, false), (wanted.len(), false)] {
        let (now, later) = wanted.split_at(if is_at_once { wanted.len() } else { cut });
        let unread = [HEALTH.as_bytes(), now].concat();
        let mut client = rig.call(unread);
        assert_eq!(client.answer(false).body, "ok\n");
        client.send(later);
        let caller = rig
            .upgrades
            .recv_timeout(PATIENCE)
            .expect("it is given back");
        let flags = rustix::fs::fcntl_getfl(caller.socket.as_fd()).expect("flags");
        assert!(
            !flags.contains(rustix::fs::OFlags::NONBLOCK),
            "it blocked before"
        );
        // What was not read yet is in the socket.
        let mut unread = caller.unread;
        while unread.len() < wanted.len() {
            let mut rest = vec![0; wanted.len() - unread.len()];
            let count = rustix::io::read(&caller.socket, &mut rest).expect("the rest");
            assert!(count > 0, "the end");
            unread.extend_from_slice(&rest[..count]);
        }
        assert_eq!(unread, wanted, "cut at {cut}");
        rustix::io::write(&caller.socket, b"still open").expect("a client");
        drop(caller.socket);
        client.is_ended();
    }
}

#[test]
fn garbage_behind_a_good_request_is_told_what_it_is() {
    let rig = Rig::start();
    for (garbage, status, said) in [
        ("\x16\x03\x01\x02\0\x01", 400, "TLS"),
        ("GET / HTTP/1.1\nHost: a\n\n", 400, "CR LF"),
        ("GET / HTTP/1.1\r\n\r\n", 400, "Host"),
        ("GET /a<b HTTP/1.1\r\nHost: a\r\n\r\n", 400, "%3C"),
        ("GET /a`b HTTP/1.1\r\nHost: a\r\n\r\n", 400, "request line"),
        ("BREW / HTTP/1.1\r\nHost: a\r\n\r\n", 501, "no method"),
        ("GET / HTTP/2.0\r\nHost: a\r\n\r\n", 505, "version"),
        (
            "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: ten\r\n\r\n",
            400,
            "One Content-Length",
        ),
        (
            "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 18446744073709551616\r\n\r\n",
            400,
            "below 2^64",
        ),
        (
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n",
            400,
            "ends with one `chunked`",
        ),
        (
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
            501,
            "The only one is `chunked`",
        ),
    ] {
        let mut client = rig.call([HEALTH, garbage].concat());
        assert_eq!(client.answer(false).status, 200);
        let answer = client.answer(false);
        assert_eq!(answer.status, status, "{garbage:?}: {answer:?}");
        assert!(
            answer.closes() && answer.body.contains(said),
            "{garbage:?}: {answer:?}"
        );
        client.shut_down();
        client.ends();
    }
}

/// A panic would end the process, so nothing that a peer sends may lead to one; and whoever has said all is let
/// go, whatever it was.
#[test]
fn nothing_makes_it_panic_or_hang() {
    let mut rig = Rig::start();
    // Whoever is given back is closed at once.
    let upgrades = std::mem::replace(&mut rig.upgrades, channel().1);
    thread::spawn(move || upgrades.into_iter().for_each(drop));
    let whole = vec![
        HEALTH,
        POST,
        CHUNKED,
        CLOSE,
        UPGRADE,
        "\r\n",
        "\n",
        "\0\u{ff}",
        "0\r\nA: b\r\n\r\n",
    ];
    let lines = vec![
        "GET / HTTP/1.0\r\n",
        "GET /a<b HTTP/1.1\r\nHost: a\r\n",
        "HEAD /readyz HTTP/1.7\r\nHost: a\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\n",
    ];
    let fields = vec![
        "Content-Length: 3\r\n",
        "Content-Length: 99999999999999999999\r\n",
        "Transfer-Encoding: gzip\r\n",
        "Transfer-Encoding: chunked\r\n",
        "Expect: 100-continue\r\n",
        "Connection: keep-alive, upgrade\r\n",
        "Upgrade: h2c\r\n",
    ];
    let head = (select(lines), vec(select(fields), 0..3))
        .prop_map(|(line, fields)| format!("{line}{}\r\n", fields.concat()));
    let piece = prop_oneof![select(whole).prop_map(str::to_owned), head];
    let requests = (vec(piece, 0..6), any::<Index>(), any::<Index>());
    let mut runner = TestRunner::new(ProptestConfig::with_cases(2000));
    let outcome = runner.run(&requests, |(pieces, end, cut)| {
        let bytes = pieces.concat().into_bytes();
        let bytes = &bytes[..end.index(bytes.len() + 1)];
        let (unread, later) = bytes.split_at(cut.index(bytes.len() + 1));
        let mut client = rig.call(unread);
        // Who was refused already may have closed.
        let _ = client.stream.write_all(later);
        client.shut_down();
        client.is_ended();
        prop_assert!(rig.panics.try_recv().is_err(), "it panicked");
        Ok(())
    });
    outcome.expect("no stream hurts");
}
