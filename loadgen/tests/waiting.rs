//! What is said before the load begins, while others are dialled and until `--start-at`, and how leave is
//! taken in the end.

mod support;

use std::thread;
use std::time::{Duration, Instant, UNIX_EPOCH};

use rustix::process::Signal;
use support::client::{Outcome, Running, engines, ringload, run_each, stderr, whole};
use support::{Habit, Server};

/// Waits until clients have sent so many Closes.
fn await_closes(server: &Server, count: usize) {
    let begin = Instant::now();
    while server.log().closes.len() < count {
        assert!(
            begin.elapsed() < Duration::from_secs(30),
            "{:?}",
            server.log().closes
        );
        thread::sleep(Duration::from_millis(10));
    }
}

/// Starts a load that would begin in an hour.
fn start(server: &Server, engine: &str) -> Running {
    let soon = UNIX_EPOCH.elapsed().unwrap().as_secs() + 3600;
    Running::start(&format!(
        "run {} --engine {engine} --connections 3 --threads 1 --start-at {soon}",
        server.url()
    ))
}

#[test]
fn pings_are_answered_before_the_load_begins() {
    for engine in engines() {
        let server = Server::websocket(Habit::PingFirst);
        let running = start(&server, engine);
        let begin = Instant::now();
        while server.log().pongs < 3 {
            assert!(
                begin.elapsed() < Duration::from_secs(30),
                "{engine}: {} of 3 pings were answered",
                server.log().pongs
            );
            thread::sleep(Duration::from_millis(10));
        }
        running.signal(Signal::INT);
        assert_eq!(running.wait().status.code(), Some(130));
        let log = server.log_without_complaints();
        assert!(log.records.is_empty(), "{engine}: the load began");
    }
}

#[test]
fn a_close_before_the_load_begins_is_told_at_once() {
    for engine in engines() {
        let server = Server::websocket(Habit::CloseFirst);
        let output = start(&server, engine).wait();
        let told = stderr(&output);
        assert_eq!(output.status.code(), Some(1), "{engine}: {told}");
        assert!(told.contains("close code 1001 (going)"), "{engine}: {told}");
        await_closes(&server, 1);
        assert_eq!(server.log().closes[0], 1001u16.to_be_bytes(), "{engine}");
    }
}

#[test]
fn no_more_connections_are_opened_at_a_time_than_may_be() {
    for engine in engines() {
        let server = Server::websocket(Habit::Silent);
        let output = ringload(&format!(
            "run {} --engine {engine} --connections 20 --threads 2 --connecting 6",
            server.url()
        ));
        let told = stderr(&output);
        assert_eq!(output.status.code(), Some(1), "{engine}: {told}");
        let waits =
            "did not answer within 5 seconds (0 of 20 connections stand; 6 wait for the upgrade's";
        assert!(told.contains(waits), "{engine}: {told}");
        assert_eq!(server.log().requests.len(), 6, "{engine}");
    }
}

#[test]
fn connections_are_begun_at_the_rate_asked_for() {
    let server = Server::websocket(Habit::Right);
    let began = Instant::now();
    let output = ringload(&format!(
        "run {} --connections 10 --threads 2 --warmup 0s --duration 50ms --connect-rate 20",
        server.url()
    ));
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    // The last of ten comes 450 ms after the first.
    assert!(began.elapsed() >= Duration::from_millis(450));
}

#[test]
fn the_end_of_the_stream_is_the_servers() {
    for (server, outcome) in run_each(
        Habit::LateEnd,
        "--connections 3 --warmup 0s --duration 100ms",
    ) {
        outcome.expect_ok();
        let log = server.log_without_complaints();
        assert_eq!((log.closes.len(), log.left), (3, 0), "{}", outcome.engine);
    }
}

#[test]
fn whoever_is_left_is_told_why() {
    let briefly = "--connections 3 --warmup 50ms --duration 200ms";
    for (habit, code) in [
        (Habit::Corrupt(5), 1008),
        (Habit::Rsv(5), 1002),
        (Habit::Close(5), 1001),
    ] {
        for (server, outcome) in run_each(habit, briefly) {
            assert_eq!(outcome.code, Some(1), "{habit:?}");
            await_closes(&server, 1);
            let codes = server.log().closes;
            let first = u16::to_be_bytes(code);
            assert!(
                codes.iter().any(|it| it == &first),
                "{habit:?} {}: {codes:?}",
                outcome.engine
            );
        }
    }
}

#[test]
fn a_visit_that_fails_is_told_why_too() {
    for (words, habit, code) in [
        ("churn", Habit::Rsv(0), 1002),
        ("run --greeting", Habit::Rsv(0), 1001),
    ] {
        let server = Server::websocket(habit);
        let output = ringload(&format!(
            "{words} {} --connections 1 --json -",
            server.url()
        ));
        Outcome::of(&output, "").expect_failure(&[]);
        await_closes(&server, 1);
        assert_eq!(server.log().closes[0], u16::to_be_bytes(code), "{words}");
    }
}

#[test]
fn a_connection_that_ends_before_its_time_is_made_again_if_that_is_asked_for() {
    for habit in [Habit::Close(9), Habit::Hangup(9), Habit::Reset(9)] {
        for words in [
            "",
            "--rate 3k --arrivals poisson",
            "--duplex",
            "--ping-every 20ms",
        ] {
            let words = format!("--connections 3 --warmup 0s --duration 300ms --reconnect {words}");
            for (server, outcome) in run_each(habit, &words) {
                outcome.expect_ok();
                let checks = &outcome.document["checks"];
                let reconnects = whole(checks, "/reconnects");
                let requests = server.log().requests.len() as u64;
                let engine = outcome.engine;
                assert!(reconnects > 3, "{habit:?} {words} {engine}: {checks}");
                // Some may have been under way when it was over.
                let (least, most) = (reconnects + 3, reconnects + 6);
                assert!(
                    (least..=most).contains(&requests),
                    "{requests} {engine}: {checks}"
                );
                assert!(
                    whole(checks, "/messages_unanswered") > 0,
                    "{engine}: {checks}"
                );
            }
        }
    }
    for (_, outcome) in run_each(Habit::Corrupt(9), "--connections 3 --reconnect") {
        outcome.expect_failure(&["(message "]);
    }
}
