//! `ringload run` as a user meets it, against a fake server, on every engine the machine has.

mod support;

use std::process::{Command, Output};
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use support::{Habit, serve, serve_tcp};

/// Runs `ringload` with `arguments`, separated by spaces.
fn ringload(arguments: &str) -> Output {
    Command::new(env!("CARGO_BIN_EXE_ringload"))
        .args(arguments.split_ascii_whitespace())
        .output()
        .unwrap()
}

/// The engines to test. A machine without io_uring says so; with CI set that is a failure.
fn engines() -> Vec<&'static str> {
    let address = serve(Habit::Right);
    let uring = ringload(&format!(
        "run ws://{address} --connections 1 --duration 10ms --warmup 0s --quiet --engine uring"
    ));
    if uring.status.success() {
        return vec!["epoll", "uring"];
    }
    let why = stderr(&uring);
    assert!(why.contains("io_uring cannot be used here"), "{why}");
    assert!(
        std::env::var_os("CI").is_none(),
        "io_uring is to be tested in CI: {why}"
    );
    eprintln!("skipped: the uring engine ({why})");
    vec!["epoll"]
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Runs against a server with `habit` on each engine; yields what was written as JSON and as
/// error text.
fn outcomes(habit: Habit, arguments: &str) -> Vec<(Option<i32>, Value, String)> {
    engines()
        .into_iter()
        .map(|engine| {
            let url = match arguments.contains("--protocol tcp") {
                true => format!("tcp://{}", serve_tcp(habit)),
                false => format!("ws://{}/path", serve(habit)),
            };
            let output = ringload(&format!(
                "run {url} --engine {engine} --connections 3 --duration 200ms --warmup 50ms \
                 --seed 1 --json - {arguments}"
            ));
            let document = serde_json::from_slice(&output.stdout)
                .unwrap_or_else(|error| panic!("{error}: {}", stderr(&output)));
            (output.status.code(), document, stderr(&output))
        })
        .collect()
}

#[test]
fn right_echoes_are_counted_timed_and_accounted() {
    let pid = std::process::id();
    for arguments in [
        format!("--size 32 --server-pid {pid}"),
        format!("--size 32 --text --depth 4 --server-pid {pid}"),
        format!("--size 1 --protocol tcp --server-pid {pid}"),
        format!("--size 5000 --depth 3 --protocol tcp --server-pid {pid}"),
        format!("--size 0 --depth 2 --server-pid {pid}"),
        format!("--size 125 --server-pid {pid}"),
        format!("--size 126 --text --server-pid {pid}"),
        format!("--size 65535 --server-pid {pid}"),
        format!("--size 300KiB --depth 2 --threads 2 --server-pid {pid}"),
    ] {
        for (code, document, errors) in outcomes(Habit::Right, &arguments) {
            assert_eq!((code, errors.as_str()), (Some(0), ""), "{arguments}");
            assert_eq!(document["schema"], "ringload-run/1");
            assert_eq!(document["status"], "ok");
            let result = &document["result"];
            let messages = result["messages"].as_u64().unwrap();
            let size = document["load"]["message_bytes"].as_u64().unwrap();
            assert!(messages > 0);
            assert_eq!(result["payload_bytes"].as_u64().unwrap(), messages * size);
            let checks = &document["checks"];
            assert!(checks["messages_verified"].as_u64().unwrap() >= messages);
            assert_eq!(checks["messages_unanswered"], 0);
            let latency = &result["latency"];
            let at = |name: &str| latency[name].as_u64().unwrap();
            assert!(at("count") > 0 && at("min_ns") > 0);
            let order = [
                "min_ns",
                "p50_ns",
                "p90_ns",
                "p99_ns",
                "p99_9_ns",
                "p99_99_ns",
                "max_ns",
            ];
            assert!(order.is_sorted_by_key(|name| at(name)), "{latency}");
            let histogram = latency["histogram_v2_deflate_base64"].as_str().unwrap();
            assert!(histogram.starts_with("HISTFAAA"));
            assert!(result["generator"]["cpu_ns_per_message"].as_f64().unwrap() > 0.0);
            let server = &result["server"];
            assert!(server["cpu_ns_per_message"].as_f64().unwrap() > 0.0);
            assert!(server["memory"]["rss_bytes"].as_u64().unwrap() > 0);
        }
    }
}

/// Far more than a socket holds: sends stop half-way and go on when there is room.
#[test]
fn messages_larger_than_any_socket_buffer_echo() {
    for engine in engines() {
        let address = serve(Habit::Right);
        let output = ringload(&format!(
            "run ws://{address} --engine {engine} --connections 1 --depth 2 --size 16MiB \
             --warmup 0s --duration 2s --json -"
        ));
        assert_eq!(
            output.status.code(),
            Some(0),
            "{engine}: {}",
            stderr(&output)
        );
        let document: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert!(document["checks"]["messages_verified"].as_u64().unwrap() >= 2);
    }
}

#[test]
fn fragmented_replies_and_pings_are_accepted() {
    for (code, document, errors) in outcomes(Habit::Fragments, "--size 1000 --text --depth 2") {
        assert_eq!((code, errors.as_str()), (Some(0), ""));
        let checks = &document["checks"];
        assert_eq!(checks["replies_fragmented"], checks["messages_verified"]);
        assert_eq!(checks["pings_answered"], checks["messages_verified"]);
    }
}

#[test]
fn a_servers_delay_is_in_every_latency() {
    for (code, document, errors) in outcomes(Habit::Late(20), "") {
        assert_eq!((code, errors.as_str()), (Some(0), ""));
        let latency = &document["result"]["latency"];
        assert!(latency["count"].as_u64().unwrap() > 0, "{latency}");
        // The histogram keeps three digits.
        assert!(
            latency["min_ns"].as_u64().unwrap() >= 19_900_000,
            "{latency}"
        );
    }
}

/// Runs against `habit` and expects a failure told with each of `phrases`.
fn fails(habit: Habit, arguments: &str, phrases: &[&str]) {
    for (code, document, errors) in outcomes(habit, arguments) {
        assert_eq!(code, Some(1), "{habit:?}: {errors}");
        assert_eq!(document["status"], "failed");
        let told = document["error"].as_str().unwrap();
        for phrase in phrases {
            assert!(
                told.contains(phrase),
                "{habit:?}: {phrase:?} is not in {told:?}"
            );
            assert!(
                errors.contains(phrase),
                "{habit:?}: {phrase:?} is not in {errors:?}"
            );
        }
    }
}

#[test]
fn one_corrupt_byte_ends_the_run_with_an_excerpt() {
    let phrases = [
        "connection ",
        "(message 5, offset 31)",
        "expected from offset 23: ",
    ];
    fails(Habit::Corrupt(5), "--size 32", &phrases);
    fails(
        Habit::Corrupt(0),
        "--size 70000",
        &["(message 0, offset 69999)", "received from"],
    );
    fails(
        Habit::Corrupt(2),
        "--size 8 --protocol tcp",
        &["offset 7)", "received from offset 0"],
    );
}

#[test]
fn other_wrong_replies_are_named() {
    fails(
        Habit::SwapKinds,
        "--text",
        &["a Text message came back as Binary"],
    );
    fails(Habit::Masked, "", &["broke the protocol", "masked"]);
}

#[test]
fn partial_results_survive_a_server_that_leaves() {
    fails(
        Habit::Close(9),
        "",
        &["closed the connection during the run", "1001", "going"],
    );
    fails(
        Habit::Hangup(9),
        "",
        &["ended the connection during the run"],
    );
    fails(
        Habit::Hangup(9),
        "--protocol tcp",
        &["ended the connection during the run"],
    );
    let address = serve(Habit::Close(9));
    let output = ringload(&format!(
        "run ws://{address} --warmup 0s --duration 1h --json -"
    ));
    assert_eq!(output.status.code(), Some(1));
    let document: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(
        document["checks"]["messages_verified"].as_u64().unwrap() >= 9,
        "{document}"
    );
    assert!(
        document["result"]["messages"].as_u64().unwrap() >= 9,
        "{document}"
    );
}

#[test]
fn a_swallowed_message_is_missed() {
    fails(
        Habit::Swallow(3),
        "--depth 2 --size 0",
        &["not answered within"],
    );
}

#[test]
fn refused_handshakes_are_told_with_status_and_body() {
    fails(Habit::Refuse, "", &["503 Service Unavailable", "no seats"]);
    fails(Habit::WrongAccept, "", &["wrong Sec-WebSocket-Accept"]);
}

#[test]
fn a_port_where_nobody_listens_is_refused() {
    let address = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap()
    };
    let output = ringload(&format!("run ws://{address}"));
    assert_eq!(output.status.code(), Some(1));
    assert!(
        stderr(&output).contains("connection refused"),
        "{}",
        stderr(&output)
    );
}

#[test]
fn bad_arguments_exit_with_2_and_say_what_is_right() {
    for (arguments, phrase) in [
        ("run", "URL"),
        ("run http://127.0.0.1:1", "use ws:// or tcp://"),
        ("run ws://127.0.0.1:1 --size 5parsecs", "unknown unit"),
        ("run ws://127.0.0.1:1 --depth 0", "at least 1"),
        (
            "run ws://127.0.0.1:1 --threads 2 --connections 1",
            "each thread needs a connection",
        ),
        ("run tcp://127.0.0.1:1 --size 0", "at least 1"),
        (
            "run ws://127.0.0.1:1 --server-pid 2147483647",
            "cannot be read",
        ),
        (
            "run ws://127.0.0.1:1 --connections 4000000000 --size 0",
            "open files",
        ),
        (
            "run ws://127.0.0.1:1 --text --binary",
            "cannot be used with",
        ),
        ("run ws://127.0.0.1:1 --cpu 1023", "does not allow"),
    ] {
        let output = ringload(arguments);
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
}

#[test]
fn an_interrupt_keeps_partial_results() {
    for engine in engines() {
        let address = serve(Habit::Right);
        let child = Command::new(env!("CARGO_BIN_EXE_ringload"))
            .args([
                "run",
                &format!("ws://{address}"),
                "--engine",
                engine,
                "--connections",
                "2",
            ])
            .args(["--warmup", "0s", "--duration", "1h", "--json", "-"])
            .stdout(std::process::Stdio::piped())
            .stderr(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        // Long enough for the load to run, on any machine that passes the other tests.
        thread::sleep(Duration::from_millis(500));
        kill_process(Pid::from_child(&child), Signal::INT).unwrap();
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
        assert!(
            stderr(&output).contains("interrupted"),
            "{}",
            stderr(&output)
        );
        let document: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(document["status"], "interrupted");
        assert!(document["result"]["messages"].as_u64().unwrap() > 0);
    }
}

#[test]
fn the_table_and_the_percentile_file_are_written() {
    let address = serve(Habit::Right);
    let folder = tempfile::tempdir().unwrap();
    let histogram = folder.path().join("latency.hgrm");
    let output = ringload(&format!(
        "run ws://localhost:{}/ --duration 100ms --warmup 0s --connections 2 --histogram {}",
        address.port(),
        histogram.display()
    ));
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let table = String::from_utf8(output.stdout).unwrap();
    for name in [
        "throughput",
        "latency",
        "generator CPU",
        "limit:",
        "messages/s",
        "p99.99",
    ] {
        assert!(table.contains(name), "{name} is not in {table}");
    }
    let text = std::fs::read_to_string(histogram).unwrap();
    assert!(
        text.contains("1/(1-Percentile)") && text.contains("1.000000000000"),
        "{text}"
    );
}
