//! The end.

use std::time::Duration;

use crate::rig::{PATIENCE, Rig, UPGRADE};

const HEALTH: &str = "GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n";

#[test]
fn a_drain_lets_go_of_the_idle_and_answers_the_others() {
    let rig = Rig::start();
    let mut idle = rig.call(HEALTH);
    assert!(!idle.answer(false).closes());
    let mut slow = rig.call("POST /nothing HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n");
    let mut half = rig.call(&HEALTH[..10]);
    rig.side.drain();
    idle.ends();
    for (path, status) in [("/healthz", 200), ("/readyz", 503)] {
        let answer = rig.ask(&format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n"));
        assert_eq!(
            (answer.status, answer.closes()),
            (status, true),
            "{answer:?}"
        );
        assert_eq!(answer.field("retry-after"), (status == 503).then_some("1"));
    }
    slow.send("hello");
    half.send(&HEALTH[10..]);
    for client in [&mut slow, &mut half] {
        assert!(client.answer(false).closes());
        client.shut_down();
        client.ends();
    }
    rig.side.finish(PATIENCE);
}

#[test]
fn the_end_waits_only_so_long() {
    let rig = Rig::start();
    let mut client = rig.call("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n");
    let sender = rig.side.sender();
    rig.side.finish(Duration::ZERO);
    client.is_ended();
    drop(sender);
}

/// A connection's panic is the thread's: whoever supervises it is told, and nobody else is served by it.
#[test]
fn a_panic_is_told_and_ends_the_side() {
    let mut rig = Rig::start();
    let mut kept = rig.call(HEALTH);
    assert_eq!(kept.answer(false).status, 200);
    let (_, nobody) = std::sync::mpsc::channel();
    rig.upgrades = nobody;
    let _client = rig.call(UPGRADE);
    rig.panics.recv_timeout(PATIENCE).expect("it is told");
    kept.is_ended();
    assert_eq!(rig.call(HEALTH).answer(false).status, 503);
}
