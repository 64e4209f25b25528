//! `ringload capacity` as a user meets it, against a fake server. The search itself is tested without a
//! clock, beside its code: here nothing depends on how fast the machine is.

mod support;

use std::process::{Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use support::{Habit, serve};

fn ringload(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_ringload"))
        .args(arguments)
        .output()
        .unwrap()
}

/// Searches on epoll with few connections, in steps of a second; the JSON goes to standard output.
fn capacity(url: &str, arguments: &[&str]) -> (Option<i32>, Value, String) {
    let usual = [
        "capacity",
        url,
        "--engine",
        "epoll",
        "--connections",
        "2",
        "--step",
        "1s",
        "--warmup",
        "50ms",
        "--json",
        "-",
    ];
    let output = ringload(&[&usual, arguments].concat());
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    let document =
        serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {errors}"));
    (output.status.code(), document, errors)
}

/// Every reply takes a minute at least to be too late, so only what is not achieved or not on time can
/// be missed, and the search has a small end. Whatever happens, the curve must be told in full.
#[test]
fn a_search_reports_its_curve() {
    let folder = tempfile::tempdir().unwrap();
    let csv = folder.path().join("curve.csv");
    let url = format!("ws://{}", serve(Habit::Right));
    let pid = std::process::id().to_string();
    let (code, document, errors) = capacity(
        &url,
        &[
            "--slo",
            "max<60s,p50<59s",
            "--from",
            "500",
            "--to",
            "1k",
            "--server-pid",
            &pid,
            "--csv",
            csv.to_str().unwrap(),
        ],
    );
    assert_eq!(document["schema"], "ringload/3");
    assert_eq!(document["result"]["objective"], "max<60s,p50<59s");
    assert_eq!(document["load"]["loop"], "open");
    assert_eq!(document["load"]["rate"]["text"], "500..1000");
    let points = document["result"]["points"].as_array().unwrap();
    assert_eq!(points[0]["rate"], 500.0);
    for point in points {
        assert_eq!(point["meets"].as_bool().unwrap(), point["why"].is_null());
        assert!(point["max_ns"].as_u64() >= point["p50_ns"].as_u64());
        // A step that a busy machine starved has no message to share anything.
        let achieved = point["completed_per_second"].as_f64();
        let achieved = achieved.unwrap_or_default();
        assert!(point["meets"] == false || achieved > 0.0);
        let has_cpu = point["server_cpu_ns_each"].as_f64().is_some();
        assert_eq!(has_cpu, achieved > 0.0, "{point}");
    }
    let rows = std::fs::read_to_string(&csv).unwrap();
    assert_eq!(rows.lines().count(), 1 + points.len(), "{rows}");
    assert_eq!(errors.matches(" messages/s: p50").count(), points.len());
    // The rate that is called the best met twice, unless nothing did.
    match code {
        Some(0) => {
            let best = document["result"]["best"]["rate"].as_f64().unwrap();
            let met = |point: &&Value| point["rate"] == best && point["meets"] == true;
            assert!(points.iter().filter(met).count() >= 2, "{document:#}");
            assert_eq!(document["status"], "ok");
        }
        Some(3) => assert_eq!(
            (&document["status"], &document["result"]["best"]),
            (&"missed".into(), &Value::Null)
        ),
        code => panic!("{code:?}: {errors}"),
    }
}

#[test]
fn an_objective_that_no_server_meets_is_status_3() {
    let url = format!("ws://{}", serve(Habit::Right));
    let (code, document, errors) = capacity(&url, &["--slo", "p50<1ns", "--quiet"]);
    assert_eq!(code, Some(3), "{errors}");
    assert_eq!(document["status"], "missed");
    assert!(document["result"]["best"].is_null());
    assert_eq!(document["result"]["points"].as_array().unwrap().len(), 2);
    assert!(
        errors.contains("no rate meets p50<1ns: at 1,000 messages/s, p50 is"),
        "{errors}"
    );
    // Quiet: the error and nothing else.
    assert_eq!(errors.lines().count(), 1, "{errors}");
}

#[test]
fn wrong_echoes_are_a_failure() {
    let url = format!("ws://{}", serve(Habit::Corrupt(3)));
    let (code, document, errors) = capacity(&url, &["--slo", "max<60s"]);
    assert_eq!(
        (code, document["status"].as_str()),
        (Some(1), Some("failed")),
        "{errors}"
    );
    assert_eq!(document["result"]["points"].as_array().unwrap().len(), 2);
    assert!(
        document["result"]["points"][0]["why"]
            .as_str()
            .unwrap()
            .contains("connection"),
        "{document:#}"
    );
}

#[test]
fn a_server_that_is_not_there_is_a_failure() {
    // Bound and never listening, so nobody else gets the port.
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    let any: std::net::SocketAddr = "127.0.0.1:0".parse().unwrap();
    socket.bind(&any.into()).unwrap();
    let address = socket.local_addr().unwrap().as_socket().unwrap();
    let url = format!("ws://{address}");
    let output = ringload(&["capacity", &url, "--connections", "1", "--step", "200ms"]);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{errors}");
    assert!(errors.contains("refused"), "{errors}");
}

#[test]
fn what_cannot_be_followed_is_status_2() {
    for (arguments, phrase) in [
        (&["--slo", "p99"][..], "is no objective"),
        (&["--slo", "p99<1"], "is no objective"),
        (&["--slo", "p0<1ms"], "is no percentile"),
        (&["--from", "2k", "--to", "1k"], "is below --from"),
        (&["--from", "1"], "too few messages"),
        (&["--precision", "0%"], "is no precision"),
        (&["--step", "0s"], "--step is 0"),
        (&["--csv", "/nowhere/curve.csv"], "cannot be written"),
    ] {
        let output = ringload(&[&["capacity", "ws://127.0.0.1:1"], arguments].concat());
        let errors = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {errors}");
        assert!(errors.contains(phrase), "{arguments:?}: {errors}");
    }
}

#[test]
fn an_interrupt_keeps_the_steps_so_far() {
    let folder = tempfile::tempdir().unwrap();
    let json = folder.path().join("capacity.json");
    let url = format!("ws://{}", serve(Habit::Right));
    // Far more steps than anybody waits for, and each is told as soon as it is over.
    let mut child = Command::new(env!("CARGO_BIN_EXE_ringload"))
        .args([
            "capacity",
            &url,
            "--engine",
            "epoll",
            "--connections",
            "2",
            "--slo",
            "max<60s",
        ])
        .args(["--from", "500", "--step", "1s", "--warmup", "0s", "--json"])
        .arg(&json)
        .stderr(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let mut first = String::new();
    let mut errors = std::io::BufReader::new(child.stderr.take().unwrap());
    std::io::BufRead::read_line(&mut errors, &mut first).unwrap();
    assert!(first.contains("500 messages/s: p50"), "{first}");
    // Until the next step has begun, so that it is a step that is interrupted.
    thread::sleep(Duration::from_millis(300));
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    let deadline = Instant::now() + Duration::from_secs(120);
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        assert!(Instant::now() < deadline, "it does not end");
        thread::sleep(Duration::from_millis(20));
    };
    assert_eq!(status.code(), Some(130));
    let document: Value = serde_json::from_slice(&std::fs::read(&json).unwrap()).unwrap();
    assert_eq!(document["status"], "interrupted");
    assert!(!document["result"]["points"].as_array().unwrap().is_empty());
}
