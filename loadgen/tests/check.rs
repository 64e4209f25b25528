//! `ringload check` as a user meets it.

mod support;

use serde_json::Value;
use support::client::{ringload, stderr};
use support::{Habit, Server};

/// Exit status, JSON and complaints of a check with these arguments.
fn check(habit: Habit, arguments: &str) -> (Option<i32>, Value, String) {
    let server = Server::websocket(habit);
    let url = server.url();
    let output = ringload(&format!("check {url} --json - {arguments}"));
    let document = serde_json::from_slice(&output.stdout).unwrap_or(Value::Null);
    (output.status.code(), document, stderr(&output))
}

#[test]
fn whatever_is_lawful_passes() {
    for habit in [
        Habit::Right,
        Habit::Fragments,
        Habit::UnaskedPongs,
        Habit::Greeting,
    ] {
        let (code, document, errors) = check(habit, "--only frames/text-of- --only pong-unasked");
        assert_eq!((code, errors.as_str()), (Some(0), ""), "{habit:?}");
        assert_eq!(document["schema"], "ringload-check/1");
        assert_eq!(document["status"], "ok");
        assert_eq!(document["totals"]["pass"], 11, "{habit:?} {document:#}");
        assert_eq!(document["greetings"], u64::from(habit == Habit::Greeting));
        let case = &document["cases"][0];
        assert_eq!(case["id"], "frames/text-of-0");
        assert_eq!(case["section"], "RFC 6455, 5.2");
        let sent = case["transcript"][1].as_str().unwrap();
        assert!(
            sent.starts_with("sent 17 bytes: 81 80 37 fa 21 3d 81 85"),
            "{sent}"
        );
    }
}

#[test]
fn a_case_that_fails_is_told_with_all_there_is_to_know() {
    // The second message of a connection; the first shows that the server echoes.
    let server = Server::websocket(Habit::Corrupt(1));
    let output = ringload(&format!("check {} --only frames/text-of-125", server.url()));
    let table = String::from_utf8(output.stdout.clone()).unwrap();
    assert_eq!(output.status.code(), Some(1), "{table}");
    assert_eq!(stderr(&output), "ringload: 1 of 1 cases failed\n");
    for part in [
        "frames       0 passed, 1 failed",
        "FAIL frames/text-of-125\n",
        "MUST, RFC 6455, 5.2: a length is written",
        "expected: every message comes back",
        "sent 142 bytes: 81 fd 37 fa 21 3d 56",
        "happened: text of 5 bytes \"after\" came back as text of 5 bytes \"aftes\"",
    ] {
        assert!(table.contains(part), "{part}: {table}");
    }
}

#[test]
fn what_is_no_echo_server_cannot_be_checked() {
    for (habit, why) in [
        (Habit::CorruptAll, "this is no echo server"),
        (Habit::Refuse, "an upgrade was refused"),
        (Habit::WrongAccept, "Sec-WebSocket-Accept"),
        (
            Habit::CloseFirst,
            "after an ordinary upgrade came Close 1001 \"going\"",
        ),
        (Habit::HangupInHandshake, "an upgrade got no answer"),
        (Habit::Silent, "an upgrade got no answer"),
    ] {
        let (code, document, errors) = check(habit, "--timeout 500ms");
        assert!(errors.contains(why), "{habit:?}: {errors}");
        assert_eq!((code, document), (Some(2), Value::Null), "{habit:?}");
    }
    let output = ringload("check ws://127.0.0.1:1/");
    assert!(stderr(&output).contains("connecting: "));
    assert_eq!(output.status.code(), Some(2));
}

#[test]
fn what_does_not_apply_is_told_once() {
    let server = Server::websocket(Habit::Right);
    let output = ringload(&format!("check {} --only deflate/offer-", server.url()));
    let table = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(0), "{table}");
    assert_eq!(table.matches("SKIP").count(), 1, "{table}");
    assert!(table.contains(" more: the server agrees to no permessage-deflate"));
}

#[test]
fn cases_are_listed_and_named() {
    let output = ringload("check --list");
    assert_eq!(output.status.code(), Some(0));
    let list = String::from_utf8(output.stdout).unwrap();
    assert!(list.lines().count() >= 220);
    assert!(list.contains("close/reason-of-bad-utf8"));
    for (arguments, why) in [
        ("", "<URL>"),
        ("--list --only nonsense/", "--only nonsense/ names no case"),
        ("tcp://127.0.0.1:9", "is no WebSocket"),
        (
            "ws://127.0.0.1:9 --tls-insecure",
            "--tls-insecure needs a wss:// URL",
        ),
        ("ws://127.0.0.1:9 --jobs 0", "--jobs is 0"),
        ("ws://127.0.0.1:9 --timeout 0s", "--timeout is 0"),
        ("ws://127.0.0.1:9 --patience 0s", "--patience is 0"),
        (
            "ws://127.0.0.1:9 --pid 4194305",
            "give a process that runs here",
        ),
        (
            "ws://127.0.0.1:9 --junit -",
            "only --json may go to standard",
        ),
        ("ws://127.0.0.1:9 --html /nowhere/x", "/nowhere/x"),
    ] {
        let output = ringload(&format!("check {arguments}"));
        assert_eq!(output.status.code(), Some(2), "{arguments}");
        assert!(stderr(&output).contains(why), "{}", stderr(&output));
    }
}

#[test]
fn a_check_is_written_in_every_form() {
    let server = Server::websocket(Habit::Corrupt(1));
    let directory = tempfile::TempDir::new().unwrap();
    let file = |name: &str| directory.path().join(name);
    let output = ringload(&format!(
        "check {} --only frames/text-of-125 --pid {} --junit {} --html {}",
        server.url(),
        std::process::id(),
        file("junit.xml").display(),
        file("check.html").display()
    ));
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    let read = |name| std::fs::read_to_string(file(name)).unwrap();
    for (text, parts) in [
        (
            read("junit.xml"),
            [
                "<testsuite name=\"frames\" tests=\"1\" failures=\"1\"",
                "<failure type=\"MUST\"",
            ],
        ),
        (
            read("check.html"),
            [
                "Of 1 cases 0 passed, 0 warned, 1 failed",
                "frames/text-of-125",
            ],
        ),
    ] {
        for part in parts {
            assert!(text.contains(part), "{part}: {text}");
        }
    }
}
