//! Full duplex keeps both directions full, and no fuller than the sockets are.

mod support;

use std::thread;
use std::time::Duration;

use support::client::{Outcome, Running, engines, number, run_each, whole};
use support::{Habit, Reading, Script, Server, Stall};

#[test]
fn both_directions_are_reported_and_every_message_is_verified() {
    for arguments in [
        "--size 64KiB",
        "--size 1KiB --text",
        "--size 100 --threads 2",
        "--size 4096 --protocol tcp",
    ] {
        let arguments =
            format!("--duplex --connections 3 --warmup 100ms --duration 500ms {arguments}");
        for (server, outcome) in run_each(Script::default(), &arguments) {
            outcome.expect_ok();
            let document = &outcome.document;
            assert_eq!(document["load"]["loop"], "duplex");
            assert!(document["load"]["in_flight"].is_null());
            assert!(number(document, "/result/traffic/payload_bytes_per_second") > 0.0);
            // Payload travels each way, and what carries it beside that.
            let payload = number(document, "/result/traffic/payload_bytes_per_second");
            let sent = number(document, "/result/traffic/wire_bytes_sent_per_second");
            let received = number(document, "/result/traffic/wire_bytes_received_per_second");
            assert!(
                sent > 0.0 && received > 0.8 * payload,
                "{sent}, {received} and {payload}"
            );
            let messages = whole(document, "/result/completed");
            let verified = whole(document, "/checks/messages_verified");
            assert!(0 < messages && messages <= verified);
            assert_eq!(whole(document, "/checks/messages_unanswered"), 0);
            let log = server.log_without_complaints();
            let bytes: usize = log.records.iter().map(|record| record.payload_bytes).sum();
            assert_eq!(
                whole(document, "/checks/payload_bytes_verified"),
                bytes as u64
            );
        }
    }
}

/// More than one message is under way at a time: otherwise only one direction is ever in use.
#[test]
fn messages_are_sent_before_the_last_reply_is_in() {
    let late = Habit::Late(100);
    for (server, outcome) in run_each(
        late,
        "--duplex --connections 1 --size 1KiB --warmup 0s --duration 500ms",
    ) {
        outcome.expect_ok();
        let log = server.log_without_complaints();
        let first_reply = log.records[0].sent;
        let before = log
            .records
            .iter()
            .filter(|record| record.received < first_reply);
        assert!(before.count() >= 10);
    }
}

#[test]
fn a_wrong_byte_is_found_in_full_duplex_too() {
    let arguments = "--duplex --connections 2 --size 1000 --warmup 0s --duration 1s";
    for (_, outcome) in run_each(Habit::Corrupt(20), arguments) {
        outcome.expect_failure(&["(message 20, offset 999)", "expected from offset 991"]);
    }
}

/// What the server does not take must not pile up in the generator.
#[test]
fn memory_is_bounded_by_the_sockets() {
    const BYTES_MAX: u64 = 100 << 20;
    let slow = Script::from(Reading::Slow(Duration::from_millis(2)));
    let stands_still = Script {
        stall: Some(Stall {
            after: 20,
            length: Duration::from_secs(2),
        }),
        reading: Reading::SmallBuffer,
        ..Script::default()
    };
    let watch = |script: Script, engine: &'static str| {
        let server = Server::websocket(script);
        let mut running = Running::start(&format!(
            "run {} --engine {engine} --duplex --size 64KiB --connections 4 --warmup 0s \
             --duration 1500ms --json -",
            server.url()
        ));
        let most = running.watch_memory();
        Outcome::of(&running.wait(), engine).expect_ok();
        assert!((1..BYTES_MAX).contains(&most), "{engine}: {most} bytes");
    };
    for script in [slow, stands_still] {
        thread::scope(|scope| {
            let watches = engines().iter().map(|engine| {
                let script = script.clone();
                scope.spawn(move || watch(script, engine))
            });
            let watches: Vec<_> = watches.collect();
            watches.into_iter().for_each(|watch| watch.join().unwrap());
        });
    }
}
