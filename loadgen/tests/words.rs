//! What is said where nothing was measured: nothing that was not seen, and nothing twice.

mod support;

use std::process::Command;
use std::time::{Duration, Instant};

use support::client::{ringload, stderr};
use support::{Habit, Script, Stall, serve};

#[test]
fn a_failed_handshake_verifies_nothing() {
    for command in ["run", "churn"] {
        let url = format!("ws://{}", serve(Habit::Refuse));
        let output = ringload(&format!("{command} {url} -c 2 -d 200ms --warmup 0s"));
        let table = String::from_utf8_lossy(&output.stdout).into_owned();
        assert_eq!(output.status.code(), Some(1), "{table}");
        assert!(stderr(&output).contains("503"), "{}", stderr(&output));
        assert!(!table.contains("verified"), "{table}");
    }
}

/// What is refused at one rate is refused at any.
#[test]
fn a_search_does_not_try_a_refusal_twice() {
    let url = format!("ws://{}", serve(Habit::Refuse));
    let output = ringload(&format!("capacity {url} -c 2 --step 1s --warmup 0s"));
    let (table, told) = (String::from_utf8_lossy(&output.stdout), stderr(&output));
    assert_eq!(output.status.code(), Some(1), "{told}");
    assert!(!told.contains(" messages/s: misses: "), "{told}");
    assert!(
        told.contains("the search cannot begin: ") && told.contains("503"),
        "{told}"
    );
    assert!(
        !table.contains("completed") && !table.contains(" - "),
        "{table}"
    );
}

#[test]
fn a_server_that_never_echoes_is_said_to_be_one() {
    let stall = Some(Stall {
        after: 0,
        length: Duration::from_secs(600),
    });
    let script = Script {
        stall,
        ..Script::default()
    };
    let url = format!("ws://{}", serve(script));
    let began = Instant::now();
    let output = ringload(&format!("run {url} -c 2 -q 100 -d 300ms --warmup 0s"));
    // Sooner than where some of the messages are answered, and the others are waited for.
    assert!(began.elapsed() < Duration::from_secs(4));
    let (table, told) = (String::from_utf8_lossy(&output.stdout), stderr(&output));
    assert_eq!(output.status.code(), Some(1), "{told}");
    assert!(
        told.contains("accepts connections and echoes nothing"),
        "{told}"
    );
    for wrong in ["halves", "backlog", "verified"] {
        assert!(!table.contains(wrong), "{table}");
    }
}

/// A pong is no echo.
#[test]
fn a_server_that_answers_pings_alone_is_said_to_echo_nothing() {
    let url = format!("ws://{}", serve(Habit::Swallow(0)));
    let output = ringload(&format!(
        "run {url} -c 1 -d 300ms --warmup 0s --ping-every 50ms"
    ));
    let told = stderr(&output);
    assert_eq!(output.status.code(), Some(1), "{told}");
    assert!(told.contains("echoes nothing"), "{told}");
}

/// Silence breaks no rule of the protocol.
#[test]
fn a_session_that_is_never_answered_says_so() {
    let pid = std::process::id();
    for command in [
        "churn",
        &*format!("idle --hold 0s --settle 0s --server-pid {pid}"),
    ] {
        let stall = Some(Stall {
            after: 0,
            length: Duration::from_secs(600),
        });
        let script = Script {
            stall,
            ..Script::default()
        };
        let url = format!("ws://{}", serve(script));
        let output = ringload(&format!("{command} {url} -c 2"));
        let told = stderr(&output);
        assert_eq!(output.status.code(), Some(1), "{told}");
        assert!(
            told.contains("did not answer a message within 5 s"),
            "{told}"
        );
        assert!(!told.contains("broke the protocol"), "{told}");
    }
}

/// A search names sizes with their units, whatever was written.
#[test]
fn sizes_have_units() {
    let url = format!("ws://{}", serve(Habit::Right));
    let search = "--slo max<60s --from 200 --to 200 --step 1s --warmup 0s --size 32";
    for (line, expected) in [
        (
            format!("run {url} -c 1 -d 200ms --size 16..64"),
            " 16 B to 64 B (16..64) ",
        ),
        (format!("capacity {url} -c 1 {search}"), " x 32 B binary"),
    ] {
        let output = ringload(&line);
        let table = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(table.contains(expected), "{table}{}", stderr(&output));
    }
}

#[test]
fn a_command_without_its_port_is_told_of_before_it_is_awaited() {
    let told = |a: &str, url: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ringload"));
        command.args(["compare", a, "false", "--url", url, "--rounds", "1"]);
        stderr(&command.output().unwrap())
    };
    let free = "ws://127.0.0.1:{port}/";
    assert!(told("false", free).contains("A has no {port} in its command"));
    assert!(!told("false {port}", free).contains("A has no {port}"));
    assert!(!told("false", "ws://127.0.0.1:1/").contains("has no {port}"));
}
