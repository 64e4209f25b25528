//! Connections beside the load: what they do is not what is measured.

mod support;

use serde_json::Value;
use support::client::{Outcome, engines, number, run, run_each, whole};
use support::{Script, Server};

#[test]
fn heavy_connections_are_beside_the_load_and_do_not_count() {
    let pid = std::process::id();
    let arguments = format!(
        "--connections 2 --threads 2 --warmup 50ms --duration 500ms --rate 400 --size 64 --heavy 3 \
         --heavy-size 5000 --server-pid {pid}"
    );
    // On a machine that is busy their thread may find no CPU in so short a window.
    let has_a_share = |(_, outcome): &(Server, Outcome)| {
        let messages = outcome.document.pointer("/result/heavy/messages");
        messages.and_then(Value::as_u64) > Some(0)
    };
    let runs = (0..20)
        .map(|_| run_each(Script::default(), &arguments))
        .find(|runs| runs.iter().all(has_a_share))
        .expect("one in twenty runs has heavy messages");
    for (server, outcome) in runs {
        outcome.expect_ok();
        let log = server.log_without_complaints();
        let document = &outcome.document;
        assert_eq!(document["load"]["threads"], 2);
        assert_eq!(whole(document, "/load/heavy/connections"), 3);
        assert_eq!(whole(document, "/load/heavy/message_bytes"), 5000);
        // Those that are measured are the messages of 64 bytes, and no others.
        let quiet = log
            .records
            .iter()
            .filter(|record| record.payload_bytes == 64);
        let quiet = quiet.count() as u64;
        assert!(whole(document, "/result/completed") <= quiet);
        assert!(whole(document, "/result/latency/count") <= quiet);
        let heavy = log
            .records
            .iter()
            .filter(|record| record.payload_bytes == 5000);
        let heavy = heavy.count() as u64;
        let measured = whole(document, "/result/heavy/messages");
        assert!(measured <= heavy, "{measured} of {heavy}");
        assert_eq!(whole(document, "/checks/messages_verified"), quiet + heavy);
        assert!(number(document, "/result/heavy/most_by_mean") >= 1.0);
        assert!(number(document, "/result/heavy/least_by_mean") <= 1.0);
        assert!(document["result"]["server"]["cpu_ns_each"].is_null());
    }
}

#[test]
fn slow_readers_are_beside_the_load_and_do_not_count() {
    for engine in engines() {
        let server = Server::websocket(Script::default());
        let outcome = run(
            &server.url(),
            engine,
            "--connections 2 --slow-readers 2 --size 4KiB --warmup 100ms --duration 300ms",
        );
        outcome.expect_ok();
        let document = &outcome.document;
        assert_eq!(whole(document, "/load/slow_readers"), 2);
        let log = server.log_without_complaints();
        assert_eq!(log.requests.len(), 4);
        let all: usize = (0..4)
            .filter(|&connection| log.messages_of(connection) > 0)
            .count();
        assert_eq!(all, 4, "slow readers send");
        assert!(whole(document, "/checks/messages_verified") < log.records.len() as u64);
    }
}
