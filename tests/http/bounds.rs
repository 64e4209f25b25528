//! What is not waited for, and what is not taken.

use std::io::Write;
use std::sync::atomic::Ordering::Relaxed;
use std::thread::sleep;

use ringback::http::Settings;
use ringback::protocol::Policy;

use crate::rig::{Client, Rig, SHORT, patient, until};

const HEALTH: &str = "GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n";

fn rig(change: impl FnOnce(&mut Settings, &mut Policy)) -> Rig {
    let (mut settings, mut policy) = patient();
    change(&mut settings, &mut policy);
    Rig::start_with(settings, policy)
}

#[test]
fn a_slow_head_is_told_so() {
    let rig = rig(|_, policy| policy.handshake_timeout = SHORT);
    let mut client = rig.call([HEALTH, "GET / HT"].concat());
    assert_eq!(client.answer(false).status, 200);
    let answer = client.answer(false);
    assert_eq!((answer.status, answer.closes()), (408, true), "{answer:?}");
    client.shut_down();
    client.ends();
}

#[test]
fn a_slow_body_is_told_so() {
    let rig = rig(|settings, _| settings.body_timeout = SHORT);
    for size in ["Content-Length: 5", "Transfer-Encoding: chunked"] {
        let mut client = rig.call(format!("POST / HTTP/1.1\r\nHost: a\r\n{size}\r\n\r\n1"));
        let answer = client.answer(false);
        assert_eq!((answer.status, answer.closes()), (408, true), "{answer:?}");
        client.shut_down();
        client.ends();
    }
}

#[test]
fn who_asks_nothing_is_let_go() {
    let rig = rig(|settings, _| settings.idle_timeout = SHORT);
    let mut client = rig.call(HEALTH);
    assert_eq!(client.answer(false).status, 200);
    client.ends();
}

/// It sends FIN once it has the answer; who does not is not waited for.
#[test]
fn who_stays_behind_the_last_answer_is_let_go() {
    let rig = rig(|_, policy| policy.linger_timeout = SHORT);
    let mut client = rig.call("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\nmore");
    assert_eq!(client.answer(false).status, 200);
    client.ends();
    // Whoever has closed resets what still comes.
    while client.stream.write_all(&[0; 1024]).is_ok() {}
}

#[test]
fn large_bodies_are_not_taken() {
    let rig = Rig::start();
    let mut client = rig.call("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 65537\r\n\r\n");
    let answer = client.answer(false);
    assert_eq!((answer.status, answer.closes()), (413, true), "{answer:?}");
    // It is written all the same, and must not cost its client the answer.
    client.send(vec![b'x'; 65_537]);
    client.shut_down();
    client.ends();

    let mut client = rig.call("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
    client.send(format!("10001\r\n{}\r\n0\r\n\r\n", "x".repeat(65_537)));
    let answer = client.answer(false);
    assert_eq!((answer.status, answer.closes()), (413, true), "{answer:?}");
    client.shut_down();
    client.ends();

    let fits = format!(
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 65536\r\n\r\n{}",
        "x".repeat(65_536)
    );
    let mut client = rig.call(fits);
    let answer = client.answer(false);
    assert_eq!((answer.status, answer.closes()), (405, false), "{answer:?}");
}

#[test]
fn a_head_is_as_large_as_one_that_comes_first() {
    let rig = Rig::start();
    let head = |padding: usize| {
        format!(
            "GET /healthz HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n",
            "x".repeat(padding)
        )
    };
    let most = 16 * 1024 - head(0).len();
    let mut client = rig.call([head(most), head(most + 1)].concat());
    assert_eq!(client.answer(false).status, 200);
    assert_eq!(client.answer(false).status, 431);
    client.shut_down();
    client.ends();
}

#[test]
fn a_peer_that_does_not_read_is_ended() {
    let rig = rig(|settings, policy| {
        settings.body_timeout = SHORT;
        policy.stall_timeout = SHORT;
        policy.linger_timeout = SHORT;
    });
    let mut client = rig.call("");
    let many = "GET /nothing HTTP/1.1\r\nHost: a\r\n\r\n".repeat(1000);
    // The kernel takes some megabytes of requests and answers, and then nobody reads.
    while client.stream.write_all(many.as_bytes()).is_ok() {}
    client.is_ended();
}

/// Waits until so many places are taken: whoever has gone gives his back a moment later.
fn takes_places(rig: &Rig, count: usize) {
    // Of all places it is told how many are taken, and then how many bytes are held.
    let occupied = || rig.side.sender().occupied().into_iter().step_by(2);
    until(|| (occupied().map(|it| it.taken).sum::<usize>() == count).then_some(()));
}

#[test]
fn hoards_are_turned_away_and_health_checks_are_not() {
    let rig = rig(|settings, _| settings.connections_max = 8);
    let keep = |count| -> Vec<Client> { (0..count).map(|_| rig.call(HEALTH)).collect() };
    // Half of the places are for who is idle.
    let mut idle = keep(4);
    assert!(idle.iter_mut().all(|client| !client.answer(false).closes()));
    for _ in 0..20 {
        let mut client = rig.call(HEALTH);
        let answer = client.answer(false);
        assert_eq!((answer.status, answer.closes()), (200, true), "{answer:?}");
        client.ends();
    }
    // Nor may bodies take the other half.
    let mut client = rig.call("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n");
    let answer = client.answer(false);
    assert_eq!(
        (answer.status, answer.field("retry-after")),
        (503, Some("1")),
        "{answer:?}"
    );
    client.ends();
    takes_places(&rig, 4);
    // Only slow heads can, which are few: a first head comes whole.
    let mut slow: Vec<_> = (0..4).map(|_| rig.call("GET")).collect();
    let mut client = rig.call(HEALTH);
    let answer = client.answer(false);
    assert_eq!((answer.status, answer.closes()), (503, true), "{answer:?}");
    assert_eq!(answer.field("retry-after"), Some("1"));
    client.ends();
    assert_eq!(rig.side.sender().counters().refused.load(Relaxed), 1);
    slow.iter_mut().for_each(|client| {
        client.send(" /healthz HTTP/1.1\r\nHost: a\r\n\r\n");
        assert_eq!(client.answer(false).status, 200);
    });
}

#[test]
fn what_is_brought_is_bounded_and_forgotten() {
    let rig = rig(|settings, _| settings.held_bytes_max = 1000);
    let mut kept = rig.call(format!(
        "GET /healthz HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n",
        "x".repeat(900)
    ));
    assert_eq!(kept.answer(false).status, 200);
    assert_eq!(rig.call(" ".repeat(1001)).answer(false).status, 503);
    // What the first one brought is used up, and its place is not.
    let mut client = rig.call(" ".repeat(950));
    assert_ne!(client.answer(false).status, 503);
}

/// Bodies that do not end hold what they may among those who send such, and no more.
#[test]
fn what_is_held_of_bodies_takes_nothing_from_health_checks() {
    let rig = rig(|settings, _| settings.held_bytes_max = 100_000);
    for path in ["/socket.io/?EIO=4", "/x/whoami", "/http"] {
        takes_places(&rig, 0);
        let body = "x".repeat(60_000);
        let post = format!("POST {path} HTTP/1.1\r\nHost: a\r\nContent-Length: 60001\r\n\r\n");
        let mut held = rig.call("");
        held.send(format!("{post}{body}"));
        sleep(SHORT);
        let mut refused = rig.call("");
        refused.send(format!("{post}{body}"));
        assert_eq!(refused.answer(false).status, 503, "{path}");
        let brought = format!(
            "GET /healthz HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n",
            "x".repeat(50_000)
        );
        assert_ne!(rig.call(brought).answer(false).status, 503, "{path}");
        held.send("x");
        assert_ne!(held.answer(false).status, 503, "{path}");
    }
}
