//! `ringload idle` against fake servers that run in this process.

mod visited;

use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use visited::Manner::*;
use visited::Server;

fn command(url: &str, arguments: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ringload"));
    command.args(["idle", url, "--json", "-", "--settle", "300ms"]);
    command.args(["--server-pid", &std::process::id().to_string()]);
    command.args(arguments.split_ascii_whitespace());
    for (option, value) in [("--connections", "150"), ("--hold", "50ms")] {
        if !arguments.contains(option) {
            command.args([option, value]);
        }
    }
    command
}

fn idle(server: &Server, arguments: &str) -> (Option<i32>, Value, String) {
    let output = command(&format!("ws://{}", server.address), arguments)
        .output()
        .unwrap();
    (output.status.code(), document(&output), stderr(&output))
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn document(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}", stderr(output)))
}

#[test]
fn connections_are_held_measured_sampled_and_closed() {
    for (scheme, server) in [
        ("ws", Server::start(|_| Good)),
        ("tcp", Server::start_tcp()),
    ] {
        let output = command(&format!("{scheme}://{}", server.address), "")
            .output()
            .unwrap();
        assert_eq!(
            (output.status.code(), stderr(&output).as_str()),
            (Some(0), "")
        );
        let document = document(&output);
        assert_eq!(document["schema"], "ringload/3");
        assert_eq!(document["result"]["connections_opened"], 150);
        assert_eq!(document["result"]["connections_lost"], 0);
        // Every second one: at most 100, evenly spread.
        assert_eq!(document["result"]["sample_echoed"], 75);
        assert_eq!(document["load"]["addresses"][0], server.address.to_string());
        assert!(
            document["result"]["memory_full"]["rss_bytes"]
                .as_u64()
                .unwrap()
                > 0
        );
        assert!(document["result"]["growth"]["rss_anonymous_bytes_per_connection"].is_f64());
        let anonymous = |when: &str| {
            document["result"][when]["rss_anonymous_bytes"]
                .as_f64()
                .unwrap()
        };
        let kept = &document["result"]["kept"]["rss_anonymous_bytes_per_connection"];
        let difference = anonymous("memory_after") - anonymous("memory_before");
        assert!((kept.as_f64().unwrap() * 150.0 - difference).abs() < 1.0);
        // What is not given back is waited for, but not for ever.
        let waited = document["result"]["settle_seconds"].as_f64().unwrap();
        assert!(difference <= 0.0 || waited >= 0.3, "{waited}");
        let full = |edge: usize| {
            document["result"]["full_unix_seconds"][edge]
                .as_f64()
                .unwrap()
        };
        assert!(full(1) - full(0) >= 0.05 && full(1) < full(0) + 60.0);
        // Other tests have sockets too, so only what must be there is known.
        let tcp = &document["result"]["machine_tcp"];
        assert!(tcp["sockets_full"].as_u64().unwrap() >= 300, "{tcp}");
    }
}

#[test]
fn each_connection_is_closed_in_good_order() {
    let server = Server::start(|_| Good);
    let (code, _, errors) = idle(&server, "");
    assert_eq!((code, errors.as_str()), (Some(0), ""));
    // A first one, to find out whether the server is there.
    let messages = server.messages.lock().unwrap();
    assert_eq!(messages.len(), 150 + 1);
    assert_eq!(messages.iter().sum::<usize>(), 75);
}

#[test]
fn pings_are_answered_while_connections_are_held() {
    let server = Server::start(|number| if number == 0 { Good } else { Pinging });
    let (code, document, errors) = idle(&server, "--hold 200ms");
    assert_eq!((code, errors.as_str()), (Some(0), ""));
    assert_eq!(document["result"]["sample_echoed"], 75);
}

#[test]
fn a_connection_that_no_longer_echoes_is_a_failure() {
    for (manner, phrase) in [
        (
            Reset,
            ": the server reset the connection (waiting for a reply)",
        ),
        (
            NoClose,
            ": the server broke the protocol: the stream ended without a Close",
        ),
    ] {
        let server = Server::start(move |number| if number < 1 { Good } else { manner });
        let (code, document, errors) = idle(&server, "");
        assert_eq!(code, Some(1), "{manner:?}");
        assert!(errors.contains(phrase), "{errors}");
        assert_eq!(document["result"]["connections_opened"], 150);
    }
}

#[test]
fn connections_that_end_while_held_are_counted() {
    let server = Server::start(|number| if number % 3 == 2 { Leaving(150) } else { Good });
    let (code, document, errors) = idle(&server, "--hold 3s");
    assert_eq!(code, Some(1));
    assert!(errors.contains("ended while they were held"), "{errors}");
    let lost = document["result"]["connections_lost"].as_u64().unwrap();
    // A third of all; the first is not held.
    assert!((48..=51).contains(&lost), "{lost}");
    assert!(document["result"]["growth"].is_object());
}

#[test]
fn where_no_more_are_let_in_it_is_said_how_many_stood_and_why() {
    for (manner, phrase) in [
        (Refused, "503 Service Unavailable"),
        (Silent, "did not answer within 5 seconds"),
    ] {
        let server = Server::start(move |number| if number < 60 { Good } else { manner });
        let (code, document, errors) = idle(&server, "--hold 1h");
        assert_eq!(code, Some(1));
        assert!(errors.contains("of 150 connections stood"), "{errors}");
        assert!(errors.contains(phrase), "{errors}");
        assert_eq!(document["status"], "failed");
        let opened = document["result"]["connections_opened"].as_u64().unwrap();
        // The first refusal ends the opening: what was under way then is let go.
        assert!((10..60).contains(&opened), "{opened}");
        assert!(document["result"]["growth"]["rss_bytes_per_connection"].is_f64());
        // What stood still takes leave as it should.
        assert!(document["result"]["sample_echoed"].as_u64().unwrap() > 5);
    }
}

#[test]
fn nobody_there_is_told_with_the_memory_that_there_was() {
    let address = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap()
    };
    let output = command(&format!("ws://{address}"), "").output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(
        stderr(&output).contains("connection refused"),
        "{}",
        stderr(&output)
    );
    let document = document(&output);
    assert_eq!(document["result"]["connections_opened"], 0);
    assert_eq!(document["result"]["growth"], Value::Null);
}

#[test]
fn a_server_process_that_dies_leaves_what_was_read_and_no_more() {
    // Also if nobody has asked how it ended, so that it is still listed.
    for is_waited_for in [true, false] {
        let server = Server::start(|_| Good);
        // Stands for the server's process: its memory is what is read.
        let mut stand_in = Command::new("sleep").arg("60").spawn().unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_ringload"))
            .args(["idle", &format!("ws://{}", server.address), "--json", "-"])
            .args(["--connections", "20", "--hold", "3s", "--settle", "10s"])
            .args(["--server-pid", &stand_in.id().to_string()])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        server.await_accepted(21);
        stand_in.kill().unwrap();
        if is_waited_for {
            stand_in.wait().unwrap();
        }
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(1));
        assert!(
            stderr(&output).contains("did it end?"),
            "{}",
            stderr(&output)
        );
        let document = document(&output);
        assert_eq!(document["result"]["connections_opened"], 20);
        assert!(
            document["result"]["memory_before"]["rss_bytes"]
                .as_u64()
                .unwrap()
                > 0
        );
        for name in ["memory_full", "memory_after", "growth", "kept"] {
            assert_eq!(document[name], Value::Null, "{name}");
        }
        stand_in.wait().unwrap();
    }
}

fn spawn(server: &Server, arguments: &str) -> Child {
    command(&format!("ws://{}", server.address), arguments)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

#[test]
fn an_interrupt_keeps_partial_results() {
    let server = Server::start(|_| Good);
    let child = spawn(&server, "--hold 1h");
    server.await_accepted(150 + 1);
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130), "{}", stderr(&output));
    assert!(stderr(&output).contains("interrupted"));
    let document = document(&output);
    assert_eq!(document["status"], "interrupted");
    assert!(document["result"]["connections_opened"].as_u64().unwrap() > 0);
    assert!(document["result"]["growth"].is_object());
}

#[test]
fn an_interrupt_while_connections_are_opened_is_heeded() {
    // The first, and a few more.
    let server = Server::start(|number| if number < 20 { Good } else { Silent });
    let child = spawn(&server, "--hold 1h");
    server.await_accepted(30);
    let began = Instant::now();
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130), "{}", stderr(&output));
    assert!(began.elapsed() < Duration::from_secs(30));
    assert!(
        document(&output)["result"]["connections_opened"]
            .as_u64()
            .unwrap()
            < 20
    );
}

#[test]
fn connections_are_held_over_tls() {
    let (server, ca) = Server::start_tls(|_| Good);
    let arguments = format!("--connections 60 --tls-ca {}", ca.file().display());
    let output = command(&format!("wss://{}", server.address), &arguments)
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let document = document(&output);
    assert!(
        document["load"]["tls"]
            .as_str()
            .unwrap()
            .starts_with("TLSv1.3")
    );
    assert_eq!(document["result"]["connections_opened"], 60);
    assert_eq!(document["result"]["sample_echoed"], 60);
}

#[test]
fn bad_arguments_exit_with_2_and_say_what_is_right() {
    for (arguments, phrase) in [
        ("--connections 0", "at least 1"),
        ("--connections 4000000000", "ulimit -Hn"),
        ("--tls-insecure", "needs a wss:// URL"),
        ("--threads 2", "one thread holds all connections"),
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
}

#[test]
fn the_table_has_every_part() {
    let server = Server::start(|_| Good);
    let output = Command::new(env!("CARGO_BIN_EXE_ringload"))
        .args(["idle", &format!("ws://{}", server.address)])
        .args(["--connections", "5", "--hold", "0s", "--settle", "0s"])
        .args(["--server-pid", &std::process::id().to_string()])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let table = String::from_utf8(output.stdout).unwrap();
    for name in [
        "load",
        "opened",
        "before",
        "full",
        "after",
        "per connection",
        "kept",
        "machine's TCP",
        "sample",
    ] {
        assert!(
            table.lines().any(|line| line.starts_with(name)),
            "{name}: {table}"
        );
    }
}
