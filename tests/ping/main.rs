//! `ringback ping`, as people and probes run it: against Ringback, and against servers that are not as they should be.

mod secure;
#[path = "../support/mod.rs"]
mod support;
mod wrong;

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use support::server::{BINARY, Server, until, usable_engines};

/// Runs it to its end: the exit status, standard output, standard error.
fn ping(arguments: &[&str]) -> (i32, String, String) {
    let output = Command::new(BINARY).arg("ping").args(arguments).output();
    let Output {
        status,
        stdout,
        stderr,
    } = output.expect("it starts");
    let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
    (status.code().expect("a status"), text(stdout), text(stderr))
}

/// What a probe says where all is well.
fn quiet() -> (i32, String, String) {
    (0, String::new(), String::new())
}

/// The events that it tells as JSON, with their names.
fn events(said: &str) -> Vec<(String, Value)> {
    let event = |line: &str| {
        let value: Value = serde_json::from_str(line).expect("an object a line");
        (value["event"].as_str().expect("a name").to_owned(), value)
    };
    said.lines().map(event).collect()
}

#[test]
fn every_echo_has_its_line_and_all_together_a_summary() {
    for engine in usable_engines() {
        let server = Server::start(engine, &[]);
        let url = server.url();
        let (status, said, wrong) = ping(&[&url, "--count", "3", "--interval", "10ms"]);
        assert_eq!((status, &*wrong), (0, ""), "{said}");
        let lines: Vec<_> = said.lines().collect();
        let begin = format!("PING {url} ({}) with 32 bytes", server.address);
        assert!(lines[0].starts_with(&begin), "{said}");
        for seq in 1..=3 {
            let begin = format!("32 bytes from {}: seq={seq} time=", server.address);
            let mut its = lines.iter().filter(|it| it.starts_with(&begin));
            assert!(its.next().is_some_and(|it| it.ends_with(" ms")), "{said}");
            assert_eq!(its.next(), None, "{said}");
        }
        let [close, counts, times] = lines[lines.len() - 3..] else {
            panic!("{said}");
        };
        assert!(
            close.starts_with("close ") && close.ends_with(", 1000"),
            "{said}"
        );
        assert_eq!(counts, "3 sent, 3 answered, 0 % lost");
        assert!(times.starts_with("rtt min/avg/max/mdev = "), "{said}");
    }
}

/// Several fragments, a greeting and a prefix are no reason to miss an echo.
#[test]
fn what_a_server_may_do_with_an_echo_is_understood() {
    for engine in usable_engines() {
        for (options, further) in [(&[][..], 0), (&["--tutorial"], "Received: ".len())] {
            let server = Server::start(engine, options);
            let url = server.url();
            let (status, said, wrong) = ping(&[&url, "--json", "-c2", "-i100ms", "--size", "1MiB"]);
            assert_eq!((status, &*wrong), (0, ""), "{said}");
            let events = events(&said);
            let names: Vec<_> = events.iter().map(|(name, _)| name.as_str()).collect();
            assert_eq!(names, ["opened", "echo", "echo", "closed", "summary"]);
            let number = |of: usize, name: &str| events[of].1[name].as_f64().expect(name);
            assert_eq!(number(1, "bytes"), ((1 << 20) + further) as f64);
            let told = [number(1, "seq"), number(2, "seq"), number(3, "code")];
            assert_eq!(told, [1.0, 2.0, 1000.0]);
            let summary = &events[4].1;
            assert_eq!([&summary["sent"], &summary["lost"]], [2, 0]);
            let time = |name| summary["rtt_seconds"][name].as_f64().expect("a time");
            let first = number(1, "seconds");
            assert!(0.0 < time("min") && time("min") <= first && first <= time("max"));
        }
    }
}

#[test]
fn a_probe_says_nothing_where_all_is_well() {
    for engine in usable_engines() {
        let server = Server::start(engine, &["--tutorial"]);
        assert_eq!(ping(&["--once", &server.url()]), quiet(), "{engine}");
        let http = server.url().replace("ws:", "http:");
        assert_eq!(ping(&["--once", &http]), quiet(), "{engine}");
    }
}

#[test]
fn a_probe_says_what_is_wrong() {
    let server = Server::start("epoll", &[]);
    let url = server.url();
    server.signal(Signal::TERM);
    server.wait();
    let (status, said, wrong) = ping(&["--once", &url]);
    assert_eq!((status, &*said), (1, ""));
    assert!(wrong.contains("refused: nobody listens there"), "{wrong}");
    assert_eq!(wrong.lines().count(), 1, "{wrong}");
}

/// A ping that goes on until it is told to stop, and whose first echo has come; and what it says from then on.
fn endless(server: &Server) -> (Child, impl Iterator<Item = String>) {
    let mut child = Command::new(BINARY)
        .args(["ping", &server.url(), "--interval", "50ms"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it starts");
    let lines = BufReader::new(child.stdout.take().expect("a pipe")).lines();
    let mut lines = lines.map_while(Result::ok);
    assert!(lines.any(|line| line.contains("seq=1 ")), "no echo");
    (child, lines)
}

#[test]
fn an_interrupt_ends_it_with_the_summary() {
    for signal in [Signal::INT, Signal::TERM] {
        let server = Server::start("epoll", &[]);
        let (mut child, lines) = endless(&server);
        std::thread::sleep(Duration::from_millis(120));
        kill_process(Pid::from_child(&child), signal).expect("it lives");
        let rest: Vec<_> = lines.collect();
        let status = child.wait().expect("a child");
        assert_eq!(status.code(), Some(0), "{rest:?}");
        let [.., counts, times] = &rest[..] else {
            panic!("{rest:?}");
        };
        assert!(counts.ends_with(" answered, 0 % lost"), "{rest:?}");
        assert!(times.starts_with("rtt "), "{rest:?}");
    }
}

#[test]
fn a_server_that_goes_down_is_heard() {
    for engine in usable_engines() {
        let server = Server::start(engine, &[]);
        let (mut child, _lines) = endless(&server);
        server.signal(Signal::TERM);
        let status = until("it ends", || child.try_wait().expect("a child"));
        let mut wrong = String::new();
        let stderr = child.stderr.as_mut().expect("a pipe");
        stderr.read_to_string(&mut wrong).expect("text");
        assert_eq!(status.code(), Some(1), "{wrong}");
        let told = "echo: the server closed: 1001, going away";
        assert!(wrong.contains(told), "{wrong}");
    }
}

#[test]
fn what_cannot_be_meant_is_told() {
    for (arguments, told) in [
        (
            &["localhost:3000"][..],
            "URL: `localhost:3000` has no scheme; write ws://",
        ),
        (&["ftp://localhost/"], "is no URL of a WebSocket"),
        (&["ws://"], "is no URL"),
        (&["ws://localhost:99999/"], "has no right port"),
        (
            &["ws://me:secret@localhost/"],
            "URL: `localhost/` has a name and perhaps a password",
        ),
        (
            &["--count", "0"],
            "--count: `0` is no number of messages; write 1 or more.",
        ),
        (
            &["--size", "7"],
            "--size: `7` is too little to know an echo by; write 8 or more.",
        ),
        (
            &["--size", "1GiB"],
            "--size: `1GiB` is more than is kept in memory",
        ),
        (&["--interval", "1"], "--interval: `1` lacks a unit"),
        (&["--timeout", "0"], "--timeout: `0` leaves no time"),
        (
            &["--header", "Origin"],
            "--header: `Origin` has no colon; write it as NAME: VALUE.",
        ),
        (
            &["--header", "Upgrade: h2c"],
            "--header: `Upgrade` is made by the handshake; leave it out.",
        ),
        (
            &["--header", "Bad name: x"],
            "--header: `Bad name` is no name of a field",
        ),
        (
            &["--connect-to", "localhost"],
            "--connect-to: `localhost` is no host with a port",
        ),
        (&["--once", "--json"], "does not go with"),
        (&["--nonsense"], "`--nonsense`: is no option"),
    ] {
        let (status, said, wrong) = ping(arguments);
        assert_eq!((status, &*said), (2, ""), "{arguments:?}: {wrong}");
        assert!(wrong.contains(told), "{arguments:?}: {wrong}");
        assert!(!wrong.contains("secret"), "{wrong}");
    }
}
