//! The library as those use it who write load tests with it.

mod support;

#[path = "../examples/load_test.rs"]
#[allow(dead_code, reason = "its main is for who runs it as a program")]
mod example;

use std::time::Duration;

use ringload::Load;
use ringload::result::Status;
use support::{Habit, Script, Server, serve};

#[test]
fn the_example_passes_and_fails_with_its_server() {
    let server = Server::websocket(Script::default());
    let told = example::load_test(&server.url()).unwrap();
    assert!(told.contains(" messages/s, p99 "), "{told}");
    let sizes = server.log_without_complaints().records;
    assert!(sizes.len() > 400, "{} messages", sizes.len());
    let wrong = format!("ws://{}/", serve(Habit::Corrupt(20)));
    let error = example::load_test(&wrong).unwrap_err().to_string();
    assert!(
        error.contains("differs") || error.contains("byte"),
        "{error}"
    );
}

#[test]
fn what_cannot_be_run_is_refused_by_the_name_of_the_option() {
    let load = Load::to("ws://127.0.0.1:1/");
    for (load, named) in [
        (load.clone().connections(0), "--connections is 0"),
        (load.clone().rate(5).in_flight(2), "--in-flight"),
        (load.clone().fail_if("p99"), "p99"),
        (load.args(["--no-such-thing"]), "--no-such-thing"),
        (Load::to("ftp://x"), "ftp"),
    ] {
        let error = load.run().unwrap_err().to_string();
        assert!(error.contains(named), "{error}");
    }
}

#[test]
fn conditions_and_files_are_seen_to() {
    let server = Server::websocket(Script::default());
    let folder = tempfile::tempdir().unwrap();
    let series = folder.path().join("series.csv");
    let document = Load::to(server.url())
        .connections(2)
        .in_flight(2)
        .warmup(Duration::ZERO)
        .duration(Duration::from_millis(300))
        .fail_if("rate<1000M")
        .args(["--csv", series.to_str().unwrap()])
        .run()
        .unwrap();
    assert_eq!(document.status, Status::Missed);
    assert!(series.exists());
}
