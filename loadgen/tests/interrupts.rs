//! Ctrl-C, results that cannot be written, an output that nobody reads: partial results are kept, and
//! nothing panics.

mod support;

use std::fs;
use std::path::Path;
use std::process::Stdio;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::Value;
use support::client::{Outcome, Running, command, engines, ringload, run_each, stderr, whole};
use support::{Habit, Script, Server};

/// Waits until the server has answered so many messages.
fn await_messages(server: &Server, count: usize) {
    let start = Instant::now();
    while server.log().records.len() < count {
        assert!(
            start.elapsed() < Duration::from_secs(30),
            "the load does not begin"
        );
        thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn an_interrupt_keeps_partial_results() {
    for (engine, signal, loop_kind) in engines().iter().flat_map(|&engine| {
        [
            (engine, Signal::INT, ""),
            (engine, Signal::TERM, "--in-flight 3"),
            (engine, Signal::INT, "--rate 500"),
            (engine, Signal::INT, "--duplex"),
        ]
    }) {
        let server = Server::websocket(Script::default());
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("result.json");
        let running = Running::start(&format!(
            "run {} --engine {engine} --connections 2 --warmup 0s --duration 1h {loop_kind} --json {}",
            server.url(),
            file.display()
        ));
        await_messages(&server, 50);
        // Long enough for the window to be open, on any machine that passes the other tests.
        thread::sleep(Duration::from_millis(300));
        running.signal(signal);
        let output = running.wait();
        let told = stderr(&output);
        assert_eq!(
            output.status.code(),
            Some(130),
            "{engine} {loop_kind}: {told}"
        );
        assert!(
            told.contains("interrupted: the figures are partial"),
            "{told}"
        );
        let table = String::from_utf8_lossy(&output.stdout);
        assert!(
            table.contains("messages/s"),
            "partial results are printed too: {table}"
        );
        let document: Value = serde_json::from_slice(&fs::read(file).unwrap()).unwrap();
        assert_eq!(document["status"], "interrupted");
        assert!(document["error"].as_str().unwrap().contains("interrupted"));
        assert!(whole(&document, "/result/completed") > 0);
        assert!(whole(&document, "/result/latency/count") > 0);
        assert!(document["result"]["window_seconds"].as_f64().unwrap() < 60.0);
    }
}

#[test]
fn an_interrupt_while_the_last_replies_are_awaited_leaves_a_whole_window() {
    for &engine in engines() {
        // The first message of each connection is answered, the second never.
        let server = Server::websocket(Habit::Swallow(1));
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("result.json");
        let running = Running::start(&format!(
            "run {} --engine {engine} --connections 2 --warmup 0s --duration 300ms --json {}",
            server.url(),
            file.display()
        ));
        await_messages(&server, 2);
        // The window is over by then, and five seconds of waiting have begun.
        thread::sleep(Duration::from_millis(2500));
        running.signal(Signal::INT);
        let output = running.wait();
        let told = stderr(&output);
        assert_eq!(output.status.code(), Some(130), "{engine}: {told}");
        assert!(
            told.contains("while the last replies were awaited"),
            "{told}"
        );
        assert!(told.contains("without a reply: 2, never sent: 0"), "{told}");
        let document: Value = serde_json::from_slice(&fs::read(file).unwrap()).unwrap();
        assert_eq!(document["checks"]["messages_unanswered"], 2);
        assert!(document["result"]["window_seconds"].as_f64().unwrap() >= 0.3);
    }
}

#[test]
fn an_interrupt_while_connecting_ends_at_once() {
    let server = Server::websocket(Habit::Silent);
    let start = Instant::now();
    let running = Running::start(&format!("run {} --connections 2 --json -", server.url()));
    while server.log().requests.is_empty() {
        assert!(start.elapsed() < Duration::from_secs(30), "nobody connects");
        thread::sleep(Duration::from_millis(10));
    }
    running.signal(Signal::INT);
    let output = running.wait();
    assert_eq!(output.status.code(), Some(130), "{}", stderr(&output));
    assert!(
        stderr(&output).contains("interrupted"),
        "{}",
        stderr(&output)
    );
}

#[test]
fn partial_results_survive_a_server_that_dies() {
    // The server may be gone before a busy machine has the window open.
    let has_a_window = |(_, outcome): &(Server, Outcome)| {
        ["/result/completed", "/result/latency/count"]
            .iter()
            .all(|pointer| {
                let count = outcome.document.pointer(pointer).and_then(Value::as_u64);
                count.unwrap_or_default() >= 100
            })
    };
    for loop_kind in ["", "--in-flight 5", "--rate 20k", "--duplex --size 100"] {
        let arguments = format!("--connections 3 --warmup 0s --duration 1h {loop_kind}");
        let runs = (0..10)
            .map(|_| run_each(Habit::Reset(5000), &arguments))
            .find(|runs| runs.iter().all(has_a_window))
            .expect("one in ten runs has a window");
        for (_, outcome) in runs {
            // Which of the two a deep queue notices first is not the server's choice.
            outcome.expect_failure(&["connection ", "the server "]);
            let told = outcome.document["error"].as_str().unwrap();
            let ended = "ended the connection during the run";
            assert!(
                told.contains(ended) || told.contains("reset the connection"),
                "{told}"
            );
            assert_eq!(outcome.document["findings"], serde_json::json!([]));
        }
    }
}

#[test]
fn a_result_that_could_not_be_written_is_refused_before_the_load() {
    for option in ["json", "csv", "histogram", "hdr-log"] {
        let server = Server::websocket(Script::default());
        let output = ringload(&format!(
            "run {} --connections 1 --warmup 0s --duration 50ms --{option} /nowhere/at/all",
            server.url()
        ));
        let told = stderr(&output);
        assert_ne!(output.status.code(), Some(0), "--{option}");
        assert!(told.contains("/nowhere/at/all"), "--{option}: {told}");
        assert!(!told.contains("panicked"), "{told}");
        let requests = server.log().requests.len();
        assert_eq!(requests, 0, "--{option}: the load ran all the same");
    }
}

#[test]
fn a_result_that_would_replace_a_directory_is_refused_before_the_load() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::websocket(Script::default());
    let output = ringload(&format!(
        "run {} --connections 1 --warmup 0s --duration 50ms --json {}",
        server.url(),
        folder.path().display()
    ));
    assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
    assert!(stderr(&output).contains("directory"), "{}", stderr(&output));
    assert_eq!(server.log().requests.len(), 0, "the load ran all the same");
}

/// A device is written to, not replaced; so is what a link leads to.
#[test]
fn a_full_disk_is_told() {
    if !Path::new("/dev/full").exists() {
        eprintln!("skipped: there is no /dev/full here");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let full = folder.path().join("full.json");
    // A link, so that the device itself is in no danger.
    std::os::unix::fs::symlink("/dev/full", &full).unwrap();
    let server = Server::websocket(Script::default());
    let output = ringload(&format!(
        "run {} --connections 1 --warmup 0s --duration 50ms --json {}",
        server.url(),
        full.display()
    ));
    let told = stderr(&output);
    assert!(full.is_symlink(), "the link was replaced");
    assert_eq!(output.status.code(), Some(1), "{told}");
    assert!(
        told.contains("full.json") && told.contains("No space left"),
        "{told}"
    );
    assert!(!told.contains("panicked"), "{told}");
}

#[test]
fn one_output_that_cannot_be_written_costs_no_other() {
    let Ok(full) = fs::File::create("/dev/full") else {
        eprintln!("skipped: there is no /dev/full here");
        return;
    };
    for option in ["", "--csv", "--histogram", "--hdr-log"] {
        let folder = tempfile::tempdir().unwrap();
        let (json, link) = (folder.path().join("run.json"), folder.path().join("full"));
        std::os::unix::fs::symlink("/dev/full", &link).unwrap();
        let server = Server::websocket(Script::default());
        let mut command = command(&format!(
            "run {} --connections 1 --warmup 0s --duration 50ms --json {}",
            server.url(),
            json.display()
        ));
        if option.is_empty() {
            command.stdout(full.try_clone().unwrap());
        } else {
            command.arg(option).arg(&link);
        }
        let output = command.output().unwrap();
        let told = stderr(&output);
        assert_eq!(output.status.code(), Some(1), "{option}: {told}");
        assert!(told.contains("No space left"), "{option}: {told}");
        let document: Value = serde_json::from_slice(&fs::read(json).unwrap()).unwrap();
        assert!(document["result"].is_object(), "{option}");
        let table = String::from_utf8_lossy(&output.stdout);
        assert_eq!(table.contains("messages/s"), !option.is_empty(), "{table}");
    }
}

/// Progress and errors go to standard error: of a search, and of a run that cannot connect.
#[test]
fn nobody_who_listens_is_no_reason_to_end() {
    let server = Server::websocket(Script::default());
    let capacity = format!(
        "capacity {} --slo max<60s --from 500 --to 501 --step 1s --warmup 0s --connections 1",
        server.url()
    );
    for (arguments, ended) in [
        // A machine that is busy may miss any rate.
        (&capacity[..], [0, 3]),
        ("run ws://127.0.0.1:1 --connections 1", [1, 1]),
        ("run", [2, 2]),
    ] {
        let mut child = command(arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        drop(child.stderr.take());
        let output = child.wait_with_output().unwrap();
        let code = output.status.code().unwrap_or(128);
        assert!(ended.contains(&code), "{arguments}: {code}");
    }
}

#[test]
fn an_output_that_nobody_reads_is_no_reason_to_panic() {
    for arguments in ["", "--json -"] {
        let server = Server::websocket(Script::default());
        let mut child = command(&format!(
            "run {} --connections 1 --warmup 0s --duration 200ms {arguments}",
            server.url()
        ))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
        drop(child.stdout.take());
        let output = child.wait_with_output().unwrap();
        let told = stderr(&output);
        assert!(!told.contains("panicked"), "{arguments}: {told}");
        assert_ne!(output.status.code(), Some(101), "{arguments}: {told}");
        assert!(server.log().records.len() > 10);
    }
}

#[test]
fn a_process_to_observe_that_ends_in_the_middle_is_told() {
    let server = Server::websocket(Script::default());
    let mut observed = std::process::Command::new("sleep")
        .arg("1h")
        .spawn()
        .unwrap();
    let running = Running::start(&format!(
        "run {} --connections 1 --warmup 0s --duration 700ms --json - --server-pid {}",
        server.url(),
        observed.id()
    ));
    await_messages(&server, 20);
    observed.kill().unwrap();
    observed.wait().unwrap();
    let outcome = Outcome::of(&running.wait(), "auto");
    outcome.expect_failure(&["a process of --server-pid ended during the run"]);
    assert!(whole(&outcome.document, "/result/completed") > 0);
    assert!(outcome.document["result"]["server"].is_null());
}
