//! Whatever a server does wrong is found, and told in a sentence that says where.

mod support;

use support::client::{Outcome, ringload, run_each, stderr, whole};
use support::{Habit, Log, Script};

/// Bytes shown before the first wrong one.
const EXCERPT_BYTES: usize = 8;

const BRIEFLY: &str = "--connections 3 --warmup 50ms --duration 200ms";

/// Runs against `script` on each engine and expects a failure told with each of `phrases`.
fn fails(script: impl Into<Script>, arguments: &str, phrases: &[&str]) {
    let script = script.into();
    eprintln!("{:?} {arguments}", script.habit);
    for (server, outcome) in run_each(script, &format!("{BRIEFLY} {arguments}")) {
        server.log_without_complaints();
        outcome.expect_failure(phrases);
    }
}

fn hex(bytes: &[u8]) -> String {
    let digits: Vec<String> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    digits.join(" ")
}

/// The sentence must show what was sent and what came back, up to the wrong byte at least.
fn expect_excerpts(outcome: &Outcome, log: &Log, offset: usize) {
    let told = outcome.document["error"].as_str().unwrap();
    let start = offset.saturating_sub(EXCERPT_BYTES);
    let shown = log.alterations.iter().any(|alteration| {
        let expected = hex(&alteration.right[start..=offset]);
        let received = hex(&alteration.wrong[start..=offset]);
        told.contains(&format!("expected from offset {start}: {expected}"))
            && told.contains(&format!("received from offset {start}: {received}"))
    });
    assert!(shown, "{told}\n{:?}", log.alterations);
}

#[test]
fn one_wrong_byte_is_found_wherever_it_is() {
    for (habit, arguments, message, offset) in [
        (Habit::CorruptFirst(5), "--size 32", 5, 0),
        (Habit::CorruptMiddle(5), "--size 32 --in-flight 4", 5, 16),
        (Habit::Corrupt(5), "--size 32 --text", 5, 31),
        (Habit::Corrupt(0), "--size 1", 0, 0),
        (Habit::Corrupt(0), "--size 70000", 0, 69_999),
        (Habit::CorruptMiddle(1), "--size 70000", 1, 35_000),
        (
            Habit::CorruptFragment(7),
            "--size 1000 --in-flight 2",
            7,
            665,
        ),
        (Habit::CorruptFirst(3), "--size 8 --protocol tcp", 3, 0),
        (Habit::CorruptMiddle(3), "--size 8 --protocol tcp", 3, 4),
        (Habit::Corrupt(2), "--size 8 --protocol tcp", 2, 7),
    ] {
        for (server, outcome) in run_each(habit, &format!("{BRIEFLY} {arguments}")) {
            let place = format!("(message {message}, offset {offset})");
            let differs = "a byte of the reply differs from what was sent";
            outcome.expect_failure(&["connection ", differs, &place]);
            expect_excerpts(&outcome, &server.log_without_complaints(), offset);
        }
    }
}

#[test]
fn a_reply_of_another_length_is_found() {
    for (habit, arguments, phrase) in [
        (
            Habit::Truncate(5),
            "--size 32",
            "a message of 32 bytes came back with 31 (message 5",
        ),
        (
            Habit::TruncateFragment(5),
            "--size 1000",
            "a message of 1000 bytes came back with 999 (message 5",
        ),
        (
            Habit::Extend(5),
            "--size 32",
            "a message of 32 bytes came back with 33 (message 5",
        ),
        (
            Habit::ExtendFragment(5),
            "--size 1000",
            "a message of 1000 bytes came back with 1001 or more (message 5",
        ),
        (
            Habit::Extend(5),
            "--size 0",
            "a message of 0 bytes came back with 1 (message 5",
        ),
        // Raw bytes have no length of their own: one too many answers nothing, and one too few is
        // made good by the next reply's first.
        (
            Habit::Extend(5),
            "--size 8 --protocol tcp",
            "answers none of ours (message 6",
        ),
    ] {
        fails(habit, arguments, &[phrase]);
    }
}

#[test]
fn replies_in_the_wrong_place_are_found() {
    // With one message in flight nothing else is under way when the second copy comes.
    fails(
        Habit::Duplicate(5),
        "--size 32",
        &[
            "answers none of ours (message 6, offset 0)",
            "received from",
        ],
    );
    fails(
        Habit::Duplicate(5),
        "--size 32 --in-flight 4",
        &["(message 6, offset "],
    );
    fails(
        Habit::Duplicate(5),
        "--size 8 --protocol tcp",
        &["(message 6, offset "],
    );
    fails(
        Habit::Swap(5),
        "--size 32 --in-flight 4",
        &["(message 5, offset ", "differs"],
    );
    fails(
        Habit::Swallow(3),
        "--size 32 --in-flight 2",
        &["(message 3, offset ", "differs"],
    );
    fails(
        Habit::Greeting,
        "",
        &["the server spoke first: ", "77 65 6c 63 6f 6d 65"],
    );
}

#[test]
fn a_reply_that_never_comes_is_missed() {
    // Nothing follows that could be told from what is missing.
    for (server, outcome) in run_each(Habit::Swallow(3), &format!("{BRIEFLY} --size 32")) {
        server.log_without_complaints();
        outcome.expect_failure(&["3 messages were not answered; the oldest had waited for "]);
        assert_eq!(whole(&outcome.document, "/checks/messages_unanswered"), 3);
        let oldest = outcome.document["checks"]["oldest_unanswered_seconds"].as_f64();
        assert!(oldest.unwrap() >= 5.0, "{oldest:?}");
    }
}

#[test]
fn frames_that_a_server_must_not_send_are_named() {
    for (habit, arguments, phrase) in [
        (
            Habit::SwapKinds,
            "--text",
            "a Text message came back as Binary; it is the first on the connection",
        ),
        (Habit::SwapKinds, "", "a Binary message came back as Text"),
        (Habit::Masked, "", "a masked frame from a server"),
        (Habit::Rsv(5), "", "RSV bits set without an extension"),
        (Habit::ReservedOpcode(5), "", "reserved opcode 0x3"),
        (Habit::Continuation(5), "", "a continuation of no message"),
        (
            Habit::Nested(5),
            "",
            "a new message inside a fragmented one",
        ),
        (Habit::LongLength(5), "", "not written in its minimal form"),
        (
            Habit::LongPing(5),
            "",
            "a control frame that is fragmented or too long",
        ),
        (
            Habit::FragmentedPing(5),
            "",
            "a control frame that is fragmented or too long",
        ),
    ] {
        fails(habit, arguments, &[phrase]);
    }
}

#[test]
fn a_server_that_leaves_is_told_with_what_it_said() {
    let left = "ended the connection during the run";
    for (habit, arguments, phrases) in [
        (
            Habit::Close(9),
            "",
            &["closed the connection during the run", "1001", "going"][..],
        ),
        (Habit::CloseWithoutCode(9), "", &["without a close code"]),
        (
            Habit::CloseWithHalfCode(9),
            "",
            &["a Close payload of one byte"],
        ),
        (Habit::Hangup(9), "", &[left, "1 messages unanswered"]),
        (Habit::Hangup(9), "--in-flight 3", &[left]),
        (Habit::Hangup(9), "--protocol tcp", &[left]),
        (Habit::HangupInFrame(9), "", &[left]),
        (Habit::Reset(9), "", &["the server reset the connection"]),
        (
            Habit::Reset(9),
            "--protocol tcp",
            &["the server reset the connection"],
        ),
    ] {
        fails(habit, arguments, phrases);
    }
}

#[test]
fn handshakes_that_fail_are_told_with_the_answer() {
    fails(Habit::Refuse, "", &["503 Service Unavailable", "no seats"]);
    fails(Habit::WrongAccept, "", &["wrong Sec-WebSocket-Accept"]);
    fails(Habit::NotHttp, "", &["the answer is not HTTP", "SSH-2.0"]);
    fails(
        Habit::HangupInHandshake,
        "",
        &["in the middle of its answer"],
    );
    // Five seconds of the generator's own.
    fails(
        Habit::Silent,
        "",
        &["the server did not answer within 5 seconds"],
    );
}

#[test]
fn what_was_measured_before_a_fault_is_kept() {
    for (server, outcome) in run_each(
        Habit::Corrupt(5000),
        "--connections 3 --warmup 0s --duration 1h",
    ) {
        outcome.expect_failure(&["(message 5000, offset 31)"]);
        let messages = whole(&outcome.document, "/result/completed");
        let verified = whole(&outcome.document, "/checks/messages_verified");
        assert!(messages >= 500, "{messages}");
        assert!(verified >= messages, "{verified} and {messages}");
        assert!(verified <= server.log().records.len() as u64);
        assert!(whole(&outcome.document, "/result/latency/count") >= 500);
        assert_eq!(outcome.document["findings"], serde_json::json!([]));
        let faults = outcome.document["checks"]["faults"].as_array().unwrap();
        let first = faults.first().and_then(|fault| fault.as_str()).unwrap();
        assert!(first.contains("(message 5000, offset 31)"), "{first}");
    }
}

#[test]
fn unusual_replies_that_are_right_are_accepted() {
    let arguments = format!("{BRIEFLY} --size 1000 --text --in-flight 2");
    for (server, outcome) in run_each(Habit::Fragments, &arguments) {
        outcome.expect_ok();
        let checks = &outcome.document["checks"];
        assert_eq!(checks["replies_fragmented"], checks["messages_verified"]);
        // A ping behind each of the first two fragments.
        let verified = whole(&outcome.document, "/checks/messages_verified");
        let answered = whole(&outcome.document, "/checks/pings_answered");
        assert_eq!(answered, 2 * verified);
        assert_eq!(
            server.log_without_complaints().records.len() as u64,
            verified
        );
    }
    for (_, outcome) in run_each(Habit::UnaskedPongs, &arguments) {
        outcome.expect_ok();
        let checks = &outcome.document["checks"];
        assert_eq!(checks["pongs_received"], checks["messages_verified"]);
    }
}

#[test]
fn a_port_where_nobody_listens_is_refused() {
    let address = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap()
    };
    let output = ringload(&format!("run ws://{address}"));
    assert_eq!(output.status.code(), Some(1));
    let told = stderr(&output);
    assert!(
        told.contains("connection refused: nothing listens there"),
        "{told}"
    );
}
