//! Which addresses are served, and what if one is taken.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::process::Command;
use std::thread;

use rustix::process::{Pid, Signal, kill_process};

use crate::server::{BINARY, Server, run_to_end, say_skipped, until, usable_engines};
use crate::{answers, command, is_answered};

/// A free port of both families; none where this machine has no IPv6.
fn port_of_both() -> Option<u16> {
    let Ok(six) = TcpListener::bind((Ipv6Addr::UNSPECIFIED, 0)) else {
        say_skipped("dual stack", "no IPv6");
        return None;
    };
    Some(six.local_addr().expect("an address").port())
}

fn loopbacks(port: u16) -> [bool; 2] {
    let four = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let six = SocketAddr::from((Ipv6Addr::LOCALHOST, port));
    [four, six].map(answers)
}

fn is_said(server: &Server, words: &str) -> bool {
    server.log().iter().any(|line| line.contains(words))
}

#[test]
fn any_address_of_ipv6_is_served_over_ipv4_too() {
    let Some(port) = port_of_both() else { return };
    for engine in usable_engines() {
        let listen = format!("[::]:{port}");
        let server = Server::run(command(&["--listen", &listen, "--engine", engine]));
        assert_eq!(loopbacks(port), [true, true], "{:?}", server.log());
        assert!(is_said(&server, "(IPv6 and IPv4)"), "{:?}", server.log());
    }
}

#[test]
fn any_address_of_both_families_is_served_on_one_port() {
    let Some(port) = port_of_both() else { return };
    let listen = format!("0.0.0.0:{port},[::]:{port}");
    let server = Server::run(command(&["--listen", &listen]));
    assert_eq!(loopbacks(port), [true, true], "{:?}", server.log());
    assert!(is_said(&server, "(IPv6 only)"), "{:?}", server.log());
}

/// A listener that is opened to be closed again would reset who came in between. Here every `listen` takes
/// 50 ms, so that somebody does.
#[test]
fn nobody_who_comes_while_it_starts_is_reset() {
    let slowly = ["-D", "-f", "-q", "-o", "/dev/null", "-e", "trace=listen"];
    let traces = Command::new("strace").args(slowly).arg("true").status();
    if !traces.is_ok_and(|status| status.success()) {
        say_skipped("clients that come while it starts", "strace does not work");
        return;
    }
    // Not 127.0.0.1, from where a client could connect to its own port.
    let free = TcpListener::bind("127.0.0.2:0").expect("a port");
    let address = free.local_addr().expect("an address");
    drop(free);
    let early = thread::spawn(move || {
        loop {
            if let Ok(stream) = TcpStream::connect(address) {
                return stream;
            }
        }
    });
    let mut strace = Command::new("strace");
    strace.args(slowly);
    strace.args(["-e", "inject=listen:delay_exit=50000", BINARY]);
    strace.args(["--workers", "2", "--listen", &address.to_string()]);
    let _server = Server::run(strace);
    assert!(is_answered(early.join().expect("a client")));
}

#[test]
fn an_address_that_stays_taken_ends_it_with_status_1() {
    let other = TcpListener::bind("127.0.0.1:0").expect("a port");
    let listen = other.local_addr().expect("an address").to_string();
    let (status, said) = run_to_end(&["--listen", &listen]);
    assert_eq!(status.code(), Some(1), "{said}");
    assert!(said.contains("is in use: trying again"), "{said}");
    let last = said.lines().last().expect("a line");
    assert!(
        last.starts_with("ringback: --listen: cannot listen on 127.0.0.1:"),
        "{said}"
    );
}

#[test]
fn an_address_that_is_taken_for_a_moment_is_waited_for() {
    let other = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = other.local_addr().expect("an address");
    let mut child = Command::new(BINARY)
        .args(["--listen", &address.to_string()])
        .stderr(std::process::Stdio::piped())
        .spawn()
        .expect("the server starts");
    let stderr = child.stderr.take().expect("a pipe");
    let mut lines = std::io::BufRead::lines(std::io::BufReader::new(stderr)).map_while(Result::ok);
    let waits = lines.any(|line| line.contains("is in use: trying again"));
    drop(other);
    let serves = waits && lines.any(|line| line.contains("listening on"));
    child.kill().expect("a child");
    child.wait().expect("a child");
    assert!(waits && serves, "waits: {waits}, serves: {serves}");
}

/// The kernel gives up the listeners that a ring holds only some time after the process.
#[test]
fn a_server_that_was_killed_is_followed_at_once() {
    for engine in usable_engines() {
        let mut options = vec!["--engine".to_owned(), engine.to_owned()];
        options.extend(["--workers", "16", "--listen", "127.0.0.1:0"].map(str::to_owned));
        for _ in 0..5 {
            let options: Vec<_> = options.iter_mut().map(|it| it.as_str()).collect();
            let server = Server::run(command(&options));
            let _held: Vec<_> = (0..400)
                .map(|_| TcpStream::connect(server.address).expect("a connection"))
                .collect();
            let next = server.address.to_string();
            server.signal(Signal::KILL);
            server.wait();
            let last = options.len() - 1;
            let again = [&options[..last], &[&next]].concat();
            Server::run(command(&again));
        }
    }
}

#[test]
fn a_signal_ends_the_waiting_for_an_address() {
    let other = TcpListener::bind("127.0.0.1:0").expect("a port");
    let listen = other.local_addr().expect("an address").to_string();
    let child = thread::spawn(move || {
        let mut child = command(&["--listen", &listen])
            .stderr(std::process::Stdio::piped())
            .spawn()
            .expect("the server starts");
        let stderr = child.stderr.take().expect("a pipe");
        let mut lines =
            std::io::BufRead::lines(std::io::BufReader::new(stderr)).map_while(Result::ok);
        let waits = lines.any(|line| line.contains("is in use: trying again"));
        kill_process(Pid::from_child(&child), Signal::TERM).expect("it runs");
        (waits, child.wait().expect("a child"))
    });
    let (waits, status) = child.join().expect("no panic");
    assert!(waits && status.code() == Some(0), "{waits} {status}");
}

/// Descriptors are the process's: their want is told once, however many workers meet it.
#[test]
fn the_want_of_descriptors_is_told_once() {
    for engine in usable_engines() {
        let mut limited = Command::new("sh");
        limited.args(["-c", "ulimit -n 60; exec \"$0\" \"$@\"", BINARY]);
        limited.args(["--listen", "127.0.0.1:0", "--workers", "4"]);
        limited.args(["--engine", engine]);
        let server = Server::run(limited);
        let connect = || TcpStream::connect(server.address).expect("a connection");
        let early: Vec<_> = (0..80).map(|_| connect()).collect();
        until("descriptors are short", || {
            is_said(&server, "cannot accept").then_some(())
        });
        // Some of these wait at each worker, which has failed to take them before it does.
        let late: Vec<_> = (0..40).map(|_| connect()).collect();
        drop(early);
        drop(late);
        assert!(answers(server.address));
        let log = server.log();
        let told = log.iter().filter(|line| line.contains("cannot accept"));
        assert_eq!(told.count(), 1, "{engine}: {log:#?}");
    }
}
