//! `ringload churn` against fake servers that run in this process.

mod visited;

use std::process::{Command, Output, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use visited::Manner::{self, *};
use visited::Server;

fn command(url: &str, arguments: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ringload"));
    command.args(["churn", url, "--json", "-", "--connections", "4"]);
    command.args(arguments.split_ascii_whitespace());
    command
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn document(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}", stderr(output)))
}

/// Churn at a server, for 300 ms unless told otherwise: exit status, document, standard error.
fn churn(server: &Server, arguments: &str) -> (Option<i32>, Value, String) {
    let mut arguments = arguments.to_owned();
    for (option, value) in [("--duration", "300ms"), ("--warmup", "50ms")] {
        if !arguments.contains(option) {
            arguments += &format!(" {option} {value}");
        }
    }
    let output = command(&format!("ws://{}", server.address), &arguments)
        .output()
        .unwrap();
    (output.status.code(), document(&output), stderr(&output))
}

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or_else(|| panic!("{value}"))
}

/// The counts of `closes`: orderly, reset, end of stream, other.
fn closes(document: &Value) -> [u64; 4] {
    let closes = &document["result"]["sessions"]["closes"];
    ["orderly", "reset", "end_of_stream_without_close", "other"].map(|name| number(&closes[name]))
}

fn failures(document: &Value) -> String {
    document["result"]["sessions"]["failures"].to_string()
}

/// Manners in turn; the first connection is treated well.
fn in_turn<const N: usize>(manners: [Manner; N]) -> impl Fn(usize) -> Manner {
    move |number| match number {
        0 => Good,
        number => manners[number % N],
    }
}

#[test]
fn sessions_are_counted_timed_and_accounted() {
    let pid = std::process::id();
    for threads in [1, 2] {
        for (scheme, server) in [
            ("ws", Server::start(|_| Good)),
            ("tcp", Server::start_tcp()),
        ] {
            let arguments =
                format!("--duration 300ms --warmup 50ms --threads {threads} --server-pid {pid}");
            let output = command(&format!("{scheme}://{}", server.address), &arguments)
                .output()
                .unwrap();
            assert_eq!(
                (output.status.code(), stderr(&output).as_str()),
                (Some(0), "")
            );
            let document = document(&output);
            assert_eq!(document["schema"], "ringload/3");
            assert_eq!(document["load"]["rate"], Value::Null);
            assert_eq!(number(&document["load"]["threads"]), threads);
            let result = &document["result"];
            let visits = number(&result["completed"]);
            let [orderly, reset, ended, other] = closes(&document);
            assert!(visits > 0 && orderly >= visits);
            assert!(number(&document["checks"]["sessions_verified"]) >= orderly);
            assert_eq!([reset, ended, other], [0; 3]);
            assert_eq!(result["sessions"]["failures"], Value::Array(Vec::new()));
            let phases = &result["sessions"];
            let p50 = |phase: &str| number(&phases[phase]["p50_ns"]);
            let whole = number(&result["latency"]["p50_ns"]);
            assert!(p50("connect") > 0 && p50("first_echo") > 0);
            assert!(whole > p50("connect") && whole > p50("first_echo"));
            let handshakes = number(&phases["handshake"]["count"]);
            assert_eq!(handshakes > 0, scheme == "ws", "{scheme}");
            let measured = number(&result["latency"]["count"]);
            assert!(measured <= number(&phases["connect"]["count"]));
            assert!(result["server"]["cpu_ns_each"].as_f64().unwrap() > 0.0);
            assert_eq!(result["send_lag"], Value::Null);
        }
    }
}

#[test]
fn it_is_over_after_the_sessions_asked_for_long_before_its_time() {
    // An hour would be noticed.
    let server = Server::start(|_| Good);
    let (code, document, errors) = churn(
        &server,
        "--sessions 20 --first-session 60000 --duration 1h --threads 2",
    );
    assert_eq!((code, errors.as_str()), (Some(0), ""));
    assert_eq!(document["result"]["completed"], 20);
    let load = &document["load"]["sessions"];
    assert_eq!(
        (&load["sessions_max"], &load["first"]),
        (&20.into(), &60_000.into())
    );
}

#[test]
fn each_session_has_the_messages_asked_for() {
    let server = Server::start(|_| Good);
    let (code, document, errors) = churn(&server, "--messages 5 --size 1000");
    assert_eq!((code, errors.as_str()), (Some(0), ""));
    assert_eq!(document["load"]["sessions"]["messages"], 5);
    assert_eq!(document["load"]["message"]["bytes_max"], 1000);
    let messages = server.messages.lock().unwrap();
    // The first one only finds out whether the server is there.
    assert_eq!(messages[0], 1);
    assert!(messages.len() > 1 && messages[1..].iter().all(|&count| count == 5));
    assert_eq!(
        messages.len() as u64 - 1,
        number(&document["checks"]["sessions_verified"])
    );
}

#[test]
fn messages_larger_than_a_socket_takes_at_once_come_back() {
    let server = Server::start(|_| Good);
    let (code, document, errors) = churn(
        &server,
        "--messages 2 --size 8MiB --sessions 3 --duration 60s --session-timeout 60s",
    );
    assert_eq!((code, errors.as_str()), (Some(0), ""));
    assert_eq!(document["result"]["completed"], 3);
}

#[test]
fn a_reset_after_all_was_said_is_counted_and_no_failure() {
    let server = Server::start(in_turn([ResetAtEnd]));
    let (code, document, errors) = churn(&server, "");
    assert_eq!((code, errors.as_str()), (Some(0), ""));
    let [orderly, reset, ended, other] = closes(&document);
    assert!(reset > 0 && reset >= number(&document["result"]["completed"]));
    assert_eq!([orderly, ended, other], [0; 3]);
    assert_eq!(number(&document["result"]["sessions"]["failed"]), 0);
}

#[test]
fn unless_it_keeps_going_the_first_failure_is_the_last() {
    for (manner, phrase) in [
        (Refused, "503"),
        (Reset, "reset the connection (waiting for a reply)"),
        (NoClose, "the stream ended without a Close"),
        (Silent, "did not answer within 0.3 s"),
        (DeafToClose, "did not answer the Close within 0.3 s"),
        (
            Lingering,
            "did not end the stream, though all was said, within 0.3 s",
        ),
    ] {
        // Long enough for the window to have opened, which the partial result needs.
        let server = Server::start(move |number| if number < 400 { Good } else { manner });
        let (code, document, errors) =
            churn(&server, "--warmup 0s --duration 1h --session-timeout 300ms");
        assert_eq!(code, Some(1), "{manner:?}: {errors}");
        assert_eq!(document["status"], "failed");
        let told = document["error"].as_str().unwrap();
        assert!(told.starts_with("session "), "{manner:?}: {told}");
        assert!(told.contains(phrase), "{manner:?}: {told}");
        assert!(errors.contains(phrase), "{manner:?}: {errors}");
        assert_eq!(document["findings"], Value::Array(Vec::new()));
        assert!(number(&document["result"]["completed"]) > 0, "{manner:?}");
    }
}

#[test]
fn a_server_that_is_wrong_from_the_start_is_told_of_without_a_result() {
    let server = Server::start(|_| Refused);
    let (code, document, errors) = churn(&server, "");
    assert_eq!(code, Some(1));
    assert!(
        errors.contains("session 0: ") && errors.contains("no seats"),
        "{errors}"
    );
    assert_eq!(document["result"], Value::Null);
}

#[test]
fn where_it_keeps_going_failures_are_counted_by_kind_and_it_goes_on() {
    let server = Server::start(in_turn([Good, Refused, Reset, NoClose, Silent]));
    let (code, document, errors) = churn(
        &server,
        "--keep-going --duration 1500ms --session-timeout 200ms",
    );
    assert_eq!((code, errors.as_str()), (Some(0), ""));
    let [orderly, reset, ended, other] = closes(&document);
    assert!(orderly > 0 && reset > 0 && ended > 0 && other > 0);
    let result = &document["result"];
    assert_eq!(number(&result["sessions"]["failed"]), reset + ended + other);
    let counted: u64 = result["sessions"]["failures"]
        .as_array()
        .unwrap()
        .iter()
        .map(|kind| number(&kind["count"]))
        .sum();
    assert_eq!(counted, reset + ended + other);
    for phrase in ["503", "reset", "without a Close", "within 0.2 s"] {
        assert!(failures(&document).contains(phrase), "{phrase}");
    }
}

#[test]
fn keeping_on_does_not_make_a_result_of_failures_alone() {
    let server = Server::start(|_| Refused);
    let (code, document, errors) = churn(&server, "--keep-going");
    assert_eq!(code, Some(1));
    assert!(
        errors.contains("no session ended well") && errors.contains("503"),
        "{errors}"
    );
    assert!(number(&document["result"]["sessions"]["closes"]["other"]) > 0);
}

#[test]
fn partial_results_survive_a_server_that_dies() {
    for (arguments, status) in [("", "failed"), ("--keep-going", "ok")] {
        let server = Server::start(|_| Good);
        let child = command(
            &format!("ws://{}", server.address),
            &format!("--warmup 0s --duration 4s {arguments}"),
        )
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
        server.await_accepted(100);
        server.stop();
        let output = child.wait_with_output().unwrap();
        let document = document(&output);
        assert_eq!(document["status"], status, "{}", stderr(&output));
        let result = &document["result"];
        assert!(number(&result["completed"]) > 0);
        assert!(number(&result["sessions"]["failed"]) > 0);
        // Where nobody listens a client that goes on does not spin.
        assert!(
            number(&result["sessions"]["failed"]) < 4 * 1000,
            "{}",
            result["sessions"]["failed"]
        );
        let told = failures(&document);
        assert!(
            told.contains("connection refused") || told.contains("reset"),
            "{told}"
        );
    }
}

#[test]
fn an_interrupt_keeps_partial_results() {
    let server = Server::start(|_| Good);
    let child = command(
        &format!("ws://{}", server.address),
        "--warmup 0s --duration 1h",
    )
    .stdout(Stdio::piped())
    .stderr(Stdio::piped())
    .spawn()
    .unwrap();
    server.await_accepted(500);
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130), "{}", stderr(&output));
    assert!(stderr(&output).contains("interrupted"));
    let document = document(&output);
    assert_eq!(document["status"], "interrupted");
    assert!(number(&document["result"]["completed"]) > 0);
}

#[test]
fn an_interrupt_is_heeded_while_the_first_session_waits() {
    let server = Server::start(|_| Silent);
    let child = command(&format!("ws://{}", server.address), "")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    server.await_accepted(1);
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130), "{}", stderr(&output));
    let document = document(&output);
    assert_eq!(document["status"], "interrupted");
    assert_eq!(document["result"], Value::Null);
}

/// Two connections at a time that take 100 ms each serve 20 sessions a second, of 200 that are due.
#[test]
fn an_open_loop_counts_from_when_a_session_was_due_and_shows_its_backlog() {
    for arrivals in ["even", "poisson"] {
        let server = Server::start(in_turn([Slow(100)]));
        let arguments =
            format!("--rate 200 --arrivals {arrivals} --connections 2 --warmup 0s --duration 1s");
        let url = format!("ws://{}", server.address);
        // The last of an option that is given twice does not win: it is refused.
        let output = Command::new(env!("CARGO_BIN_EXE_ringload"))
            .args(["churn", &url, "--json", "-", "--seed", "1"])
            .args(arguments.split_ascii_whitespace())
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        let document = document(&output);
        assert_eq!(document["load"]["rate"]["text"], "200");
        assert_eq!(document["load"]["rate"]["arrivals"], arrivals);
        let result = &document["result"];
        let offered = result["offered_per_second"].as_f64().unwrap();
        assert!((offered - 200.0).abs() < 1.0, "{offered}");
        assert!(number(&result["completed"]) <= 30);
        let backlog = &result["backlog"];
        assert!(number(&backlog["end"]) > 100, "{backlog}");
        assert!(number(&backlog["max"]) >= number(&backlog["end"]));
        assert!(number(&result["sessions"]["late"]) > 0);
        let visit = &result["latency"];
        // Half of the sessions waited half a second or more, whether they were served in the end or not.
        assert!(number(&visit["p50_ns"]) > 300_000_000, "{visit}");
        assert!(number(&visit["max_ns"]) > 600_000_000, "{visit}");
        assert!(number(&visit["count"]) > 150);
        assert!(number(&result["sessions"]["handshake"]["min_ns"]) >= 99_000_000);
        assert!(number(&result["send_lag"]["count"]) > 0);
    }
}

#[test]
fn an_open_loop_keeps_its_rate() {
    let server = Server::start(|_| Good);
    let (code, document, errors) = churn(
        &server,
        "--rate 50/500ms,100/500ms --threads 2 --duration 1s",
    );
    assert_eq!((code, errors.as_str()), (Some(0), ""));
    // The steps have 25 and 50; a window that is longer, since the machine stalled, has more.
    let figure = |name: &str| document["result"][name].as_f64().unwrap();
    let due = figure("offered_per_second") * figure("window_seconds");
    let completed = figure("completed");
    assert!(due >= 60.0, "{due}");
    assert!((completed - due).abs() <= 15.0, "{completed} of {due}");
}

#[test]
fn tls_is_part_of_the_handshake() {
    let (server, ca) = Server::start_tls(|number| if number % 2 == 0 { Good } else { Hasty });
    let url = format!("wss://{}", server.address);
    let file = ca.file();
    let arguments = format!(
        "--tls-ca {} --messages 2 --size 20000 --warmup 50ms --duration 500ms",
        file.display()
    );
    let output = command(&url, &arguments).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let document = document(&output);
    let tls = document["load"]["tls"].as_str().unwrap();
    assert!(tls.starts_with("TLSv1.3"), "{tls}");
    assert!(number(&document["result"]["completed"]) > 0);
    let [orderly, reset, ended, other] = closes(&document);
    assert!(orderly > 0);
    assert_eq!([reset, ended, other], [0; 3]);

    let output = command(&url, "").output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(
        stderr(&output).contains("not trusted"),
        "{}",
        stderr(&output)
    );
}

#[test]
fn bad_arguments_exit_with_2_and_say_what_is_right() {
    for (arguments, phrase) in [
        ("--rate 0", "above 0"),
        ("--rate fast", "is no rate"),
        ("--arrivals poisson", "--rate"),
        ("--messages 0", "--messages"),
        ("--threads 9", "each thread needs one"),
        ("--threads 0", "at least 1"),
        ("--session-timeout 0s", "give a time"),
        ("--duration 0s", "give a time"),
        ("--size 1GiB", "at most 4GiB"),
        ("--server-pid 2147483647", "cannot be read"),
        ("--cpu 1023", "does not allow"),
    ] {
        let output = command("ws://127.0.0.1:1", arguments).output().unwrap();
        assert_eq!(
            output.status.code(),
            Some(2),
            "{arguments}: {}",
            stderr(&output)
        );
        assert!(
            stderr(&output).contains(phrase),
            "{arguments}: {}",
            stderr(&output)
        );
    }
    let output = command("tcp://127.0.0.1:1", "--size 0").output().unwrap();
    assert_eq!(output.status.code(), Some(2));
}

#[test]
fn the_table_has_every_part() {
    let server = Server::start(in_turn([Good, Refused]));
    let output = Command::new(env!("CARGO_BIN_EXE_ringload"))
        .args(["churn", &format!("ws://{}", server.address), "--keep-going"])
        .args(["--rate", "100", "--duration", "300ms", "--warmup", "0s"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let table = String::from_utf8(output.stdout).unwrap();
    for name in [
        "load",
        "throughput",
        "connect",
        "handshake",
        "first echo",
        "whole session",
        "backlog",
        "ends",
        "failed",
        "generator CPU",
        "verified",
    ] {
        assert!(
            table.contains(&format!("\n{name}")) || table.starts_with(name),
            "{name}: {table}"
        );
    }
    assert!(table.contains("503"), "{table}");
}
