//! What is sent is what was asked for, as a server sees it.

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::time::Duration;

use support::client::{Outcome, engines, histogram, number, ringload, run, run_each, whole};
use support::{Delay, Habit, Log, Pongs, Script, Server};

const BRIEFLY: &str = "--connections 4 --warmup 0s --duration 300ms";

/// Sizes of all messages, and how many had each.
fn sizes(log: &Log) -> BTreeMap<usize, usize> {
    let mut sizes = BTreeMap::new();
    for record in &log.records {
        *sizes.entry(record.payload_bytes).or_default() += 1;
    }
    sizes
}

/// What both sides counted must agree, to the byte.
fn expect_agreement(server: &Server, outcome: &Outcome) -> Log {
    outcome.expect_ok();
    let log = server.log_without_complaints();
    let bytes: usize = log.records.iter().map(|record| record.payload_bytes).sum();
    let document = &outcome.document;
    assert_eq!(
        whole(document, "/checks/messages_verified"),
        log.records.len() as u64
    );
    assert_eq!(
        whole(document, "/checks/payload_bytes_verified"),
        bytes as u64
    );
    assert!(log.records.len() >= 50, "{} messages", log.records.len());
    let sizes = sizes(&log);
    let bounds = ["/load/message/bytes_min", "/load/message/bytes_max"];
    let [least, most] = bounds.map(|pointer| whole(document, pointer) as usize);
    let all = sizes.keys().all(|size| (least..=most).contains(size));
    assert!(all, "{sizes:?} are not all from {least} to {most}");
    log
}

#[test]
fn sizes_are_as_asked_for() {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    writeln!(file, "# observed\n7\n\n70\n700").unwrap();
    let from_file = format!("file:{}", file.path().display());
    for (size, kind) in [
        ("0", ""),
        ("125", ""),
        ("126", "--text"),
        ("65535", ""),
        ("65536", "--text"),
        ("1,64,1KiB", ""),
        ("1,64,1KiB", "--text"),
        ("0..300", ""),
        ("1..300", "--text --in-flight 3"),
        ("log-normal:256,0.5", "--in-flight 3"),
        (&from_file, "--mixed"),
    ] {
        let arguments = format!("{BRIEFLY} --size {size} {kind}");
        for (server, outcome) in run_each(Script::default(), &arguments) {
            let log = expect_agreement(&server, &outcome);
            assert_eq!(outcome.document["load"]["message"]["size"], size);
            let sizes = sizes(&log);
            let total = log.records.len();
            let expected: &[usize] = match size {
                "1,64,1KiB" => &[1, 64, 1024],
                size if size.starts_with("file:") => &[7, 70, 700],
                _ => &[],
            };
            for size in expected {
                let share = sizes.get(size).copied().unwrap_or_default() as f64 / total as f64;
                assert!((0.1..0.6).contains(&share), "{size}: {share} of {total}");
            }
            match size {
                "0..300" | "1..300" => assert!(sizes.len() > 30.min(total / 3), "{sizes:?}"),
                "log-normal:256,0.5" => {
                    let below: usize = sizes.range(..256).map(|(_, count)| count).sum();
                    let share = below as f64 / total as f64;
                    assert!((0.3..0.7).contains(&share), "{share} lie below the median");
                }
                _ if expected.is_empty() => assert_eq!(sizes.len(), 1),
                _ => assert_eq!(sizes.len(), expected.len(), "{sizes:?}"),
            }
        }
    }
}

#[test]
fn sizes_hold_for_raw_bytes_and_in_full_duplex() {
    for arguments in [
        "--protocol tcp --size 1..5000",
        "--duplex --size 1..5000",
        "--rate 2k --size 1..500",
    ] {
        for (server, outcome) in run_each(Script::default(), &format!("{BRIEFLY} {arguments}")) {
            outcome.expect_ok();
            let log = server.log_without_complaints();
            let bytes: usize = log.records.iter().map(|record| record.payload_bytes).sum();
            assert_eq!(
                whole(&outcome.document, "/checks/payload_bytes_verified"),
                bytes as u64
            );
        }
    }
}

#[test]
fn kinds_are_as_asked_for() {
    for (option, name) in [
        ("", "binary"),
        ("--binary", "binary"),
        ("--text", "text"),
        ("--mixed", "mixed"),
    ] {
        for (server, outcome) in run_each(Script::default(), &format!("{BRIEFLY} {option}")) {
            // That text is UTF-8 is the server's to see.
            let log = expect_agreement(&server, &outcome);
            assert_eq!(outcome.document["load"]["message"]["kind"], name);
            let texts = log
                .records
                .iter()
                .filter(|record| record.opcode == 1)
                .count();
            let share = texts as f64 / log.records.len() as f64;
            match name {
                "binary" => assert_eq!(texts, 0),
                "text" => assert_eq!(texts, log.records.len()),
                _ => assert!((0.25..0.75).contains(&share), "{share} were text"),
            }
        }
    }
}

#[test]
fn mixed_kinds_that_come_back_swapped_are_found() {
    for (_, outcome) in run_each(Habit::SwapKinds, &format!("{BRIEFLY} --mixed")) {
        outcome.expect_failure(&[" message came back as "]);
    }
}

#[test]
fn fragments_are_as_many_as_asked_for() {
    for arguments in [
        "--fragments 2 --size 2",
        "--fragments 3 --size 1000 --text",
        "--fragments 7 --size 64KiB --mixed --in-flight 2",
        "--fragments 4 --size 4..400 --text",
    ] {
        let asked: u64 = arguments.split(' ').nth(1).unwrap().parse().unwrap();
        for (server, outcome) in run_each(Script::default(), &format!("{BRIEFLY} {arguments}")) {
            let log = expect_agreement(&server, &outcome);
            assert_eq!(whole(&outcome.document, "/load/message/fragments"), asked);
            let all = log
                .records
                .iter()
                .all(|record| record.frames as u64 == asked);
            let seen: BTreeSet<usize> = log.records.iter().map(|record| record.frames).collect();
            assert!(all, "{arguments}: messages came in {seen:?} frames");
        }
    }
}

#[test]
fn fragments_go_with_fragmented_replies_and_pings() {
    let arguments =
        format!("{BRIEFLY} --fragments 5 --size 1000 --text --in-flight 2 --ping-every 20ms");
    for (server, outcome) in run_each(Habit::Fragments, &arguments) {
        let log = expect_agreement(&server, &outcome);
        assert!(log.records.iter().all(|record| record.frames == 5));
        assert!(!log.pings.is_empty());
    }
}

#[test]
fn pings_are_sent_and_timed_apart_from_messages() {
    // Messages take 60 ms and pongs nothing, so one does not pass for the other.
    let late = Delay::Fixed(Duration::from_millis(60));
    let arguments = "--connections 3 --warmup 0s --duration 1s --ping-every 50ms";
    for (server, outcome) in run_each(late, arguments) {
        outcome.expect_ok();
        let document = &outcome.document;
        assert_eq!(number(document, "/load/ping_every_seconds"), 0.05);
        let log = server.log_without_complaints();
        let pings = log.pings.len() as u64;
        // Twenty for each of the three connections; a loaded machine may delay, not invent.
        assert!((30..=66).contains(&pings), "{pings} pings");
        for connection in 0..3 {
            let of = log
                .pings
                .iter()
                .filter(|&&ordinal| ordinal == connection)
                .count();
            assert!(of >= 8, "connection {connection} sent {of}");
        }
        let timed = histogram(document, "/result/ping");
        assert!(
            timed.len() <= pings && timed.len() + 6 >= pings,
            "{} of {pings}",
            timed.len()
        );
        let (ping, message) = (
            timed.value_at_quantile(0.5),
            whole(document, "/result/latency/p50_ns"),
        );
        assert!(message >= 59_900_000, "{message}");
        assert!(ping < 59_900_000, "{ping}");
        // Those are the ones that nobody asked for.
        assert_eq!(whole(document, "/checks/pongs_received"), 0);
    }
}

#[test]
fn without_ping_every_there_are_no_pings() {
    for (server, outcome) in run_each(Script::default(), BRIEFLY) {
        let log = expect_agreement(&server, &outcome);
        assert!(log.pings.is_empty());
        assert!(outcome.document["result"]["ping"].is_null());
        assert!(outcome.document["load"]["ping_every_seconds"].is_null());
    }
}

#[test]
fn a_pong_with_another_payload_is_found() {
    for (_, outcome) in run_each(Pongs::Wrong, &format!("{BRIEFLY} --ping-every 20ms")) {
        outcome.expect_failure(&["pong"]);
    }
}

/// A ping must be answered (RFC 6455 section 5.5.2).
#[test]
fn a_ping_without_a_pong_is_found() {
    for (_, outcome) in run_each(Pongs::Never, &format!("{BRIEFLY} --ping-every 20ms")) {
        outcome.expect_failure(&["ping"]);
    }
}

#[test]
fn a_sample_is_said_to_be_one() {
    for (server, outcome) in run_each(
        Script::default(),
        &format!("{BRIEFLY} --verify sample --size 100"),
    ) {
        outcome.expect_ok();
        let document = &outcome.document;
        assert_eq!(document["load"]["message"]["verify"], "sample");
        let messages = server.log_without_complaints().records.len() as u64;
        assert_eq!(whole(document, "/checks/messages_verified"), messages);
        let compared = whole(document, "/checks/payload_bytes_verified");
        assert!(
            compared < 100 * messages / 4,
            "{compared} bytes of {messages} messages"
        );
        assert!(
            compared > 100 * messages / 64,
            "{compared} bytes of {messages} messages"
        );
    }
    for (_, outcome) in run_each(Script::default(), BRIEFLY) {
        outcome.expect_ok();
        assert_eq!(outcome.document["load"]["message"]["verify"], "full");
    }
}

#[test]
fn a_sample_finds_what_is_always_wrong_and_every_wrong_length() {
    let arguments = format!("{BRIEFLY} --verify sample");
    for (_, outcome) in run_each(Habit::CorruptAll, &arguments) {
        outcome.expect_failure(&["a byte of the reply differs", "offset 0)"]);
    }
    for (_, outcome) in run_each(Habit::Truncate(5), &arguments) {
        outcome.expect_failure(&["a message of 32 bytes came back with 31 (message 5"]);
    }
    for (_, outcome) in run_each(Habit::SwapKinds, &arguments) {
        outcome.expect_failure(&["a Binary message came back as Text"]);
    }
}

#[test]
fn masking_keys_and_nonces_do_not_repeat() {
    for (server, outcome) in run_each(Script::default(), BRIEFLY) {
        let log = expect_agreement(&server, &outcome);
        let keys: BTreeSet<[u8; 4]> = log.records.iter().map(|record| record.key).collect();
        // Of 100,000 keys of 32 bits one is expected to come twice.
        assert!(
            keys.len() + 5 >= log.records.len(),
            "{} of {}",
            keys.len(),
            log.records.len()
        );
        let nonces: BTreeSet<&str> = log.requests.iter().filter_map(|head| nonce(head)).collect();
        assert_eq!(nonces.len(), 4, "{nonces:?}");
    }
}

fn nonce(head: &str) -> Option<&str> {
    head.lines()
        .find_map(|line| line.strip_prefix("Sec-WebSocket-Key: "))
}

#[test]
fn connections_go_to_all_urls_in_turn() {
    for engine in engines() {
        let servers = [(); 3].map(|()| Server::websocket(Script::default()));
        let urls: Vec<String> = servers.iter().map(Server::url).collect();
        let outcome = run(
            &urls.join(" "),
            engine,
            "--connections 7 --threads 2 --warmup 0s --duration 300ms",
        );
        outcome.expect_ok();
        let document = &outcome.document;
        assert_eq!(document["load"]["urls"].as_array().unwrap().len(), 3);
        let addresses = document["load"]["addresses"].as_array().unwrap();
        let expected: Vec<String> = servers
            .iter()
            .map(|server| server.address.to_string())
            .collect();
        assert_eq!(
            addresses
                .iter()
                .map(|it| it.as_str().unwrap())
                .collect::<Vec<_>>(),
            expected
        );
        let logs = servers.each_ref().map(Server::log_without_complaints);
        let connections = logs.each_ref().map(|log| log.requests.len());
        assert_eq!(connections.iter().sum::<usize>(), 7);
        assert!(
            connections.iter().all(|&count| count >= 2),
            "{connections:?}"
        );
        let messages: usize = logs.iter().map(|log| log.records.len()).sum();
        assert_eq!(
            whole(document, "/checks/messages_verified"),
            messages as u64
        );
    }
}

#[test]
fn threads_share_the_connections() {
    for arguments in ["--in-flight 2", "--rate 1000", "--duplex --size 1000"] {
        let arguments =
            format!("--connections 5 --threads 2 --warmup 0s --duration 300ms {arguments}");
        for (server, outcome) in run_each(Script::default(), &arguments) {
            let log = expect_agreement(&server, &outcome);
            assert_eq!(whole(&outcome.document, "/load/threads"), 2);
            assert_eq!(log.requests.len(), 5);
            assert!((0..5).all(|connection| log.messages_of(connection) > 0));
        }
    }
}

#[test]
fn headers_and_the_subprotocol_are_in_the_request() {
    let script = Script {
        subprotocol: Some("second"),
        ..Script::default()
    };
    let server = Server::websocket(script);
    let output = support::client::command(&format!(
        "run {} --connections 2 --warmup 0s --duration 50ms --json - --subprotocol first \
         --subprotocol second",
        server.url()
    ))
    .args([
        "--header",
        "X-Tested-By: the tests",
        "--header",
        "Origin: https://example.org",
    ])
    .output()
    .unwrap();
    let outcome = Outcome::of(&output, "auto");
    outcome.expect_ok();
    assert_eq!(outcome.document["load"]["subprotocol"], "second");
    for head in server.log_without_complaints().requests {
        assert!(head.contains("\r\nX-Tested-By: the tests\r\n"), "{head}");
        assert!(
            head.contains("\r\nOrigin: https://example.org\r\n"),
            "{head}"
        );
        assert!(
            head.contains("\r\nSec-WebSocket-Protocol: first, second\r\n"),
            "{head}"
        );
    }
}

#[test]
fn a_subprotocol_that_is_not_taken_or_not_offered_is_refused() {
    for (taken, arguments) in [
        (None, "--subprotocol first"),
        (Some("other"), "--subprotocol first"),
        (Some("other"), ""),
    ] {
        let script = Script {
            subprotocol: taken,
            ..Script::default()
        };
        for (_, outcome) in run_each(script, &format!("{BRIEFLY} {arguments}")) {
            outcome.expect_failure(&["the handshake failed", "rotocol"]);
        }
    }
}

#[test]
fn compressed_messages_are_inflated_and_compared() {
    let script = Script {
        deflate: true,
        ..Script::default()
    };
    for arguments in [
        "--text --size 1000",
        "--size 0..3000 --in-flight 3",
        "--fragments 3 --size 500",
    ] {
        let arguments = format!("{BRIEFLY} --deflate {arguments}");
        for (server, outcome) in run_each(script.clone(), &arguments) {
            expect_agreement(&server, &outcome);
            let checks = &outcome.document["checks"];
            assert_eq!(checks["replies_compressed"], checks["messages_verified"]);
            let agreed = outcome.document["load"]["deflate"].as_str().unwrap();
            assert!(agreed.contains("no_context_takeover"), "{agreed}");
        }
    }
    // Neither side may decide it alone.
    for (_, outcome) in run_each(script, BRIEFLY) {
        outcome.expect_failure(&["the handshake failed", "Extensions"]);
    }
    for (_, outcome) in run_each(Script::default(), &format!("{BRIEFLY} --deflate")) {
        outcome.expect_failure(&["the handshake failed", "deflate"]);
    }
}

#[test]
fn a_wrong_byte_inside_a_compressed_reply_is_found() {
    let script = Script {
        deflate: true,
        habit: Habit::CorruptMiddle(5),
        ..Script::default()
    };
    for (_, outcome) in run_each(script, &format!("{BRIEFLY} --deflate --text --size 1000")) {
        outcome.expect_failure(&["(message 5, offset 500)", "expected from offset 492"]);
    }
}

#[test]
fn the_name_of_a_host_is_resolved() {
    let server = Server::websocket(Script::default());
    let output = ringload(&format!(
        "run ws://localhost:{}/ --connections 1 --warmup 0s --duration 50ms --quiet",
        server.address.port()
    ));
    assert_eq!(
        output.status.code(),
        Some(0),
        "{}",
        support::client::stderr(&output)
    );
    let log = server.log_without_complaints();
    assert!(log.requests[0].contains(&format!(
        "\r\nHost: localhost:{}\r\n",
        server.address.port()
    )));
}
