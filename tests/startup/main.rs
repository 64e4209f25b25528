//! How the server starts and what keeps it from starting: signals, addresses, a kernel that refuses.

mod addresses;
mod denied;
mod signals;
#[path = "../support/mod.rs"]
mod support;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::Command;

use support::server::{self, BINARY, PATIENCE};

/// A server with these options.
fn command(options: &[&str]) -> Command {
    let mut command = Command::new(BINARY);
    command.args(options);
    command
}

/// Whether somebody there speaks HTTP.
fn answers(address: SocketAddr) -> bool {
    TcpStream::connect(address).is_ok_and(is_answered)
}

/// Whether somebody at the other end speaks HTTP.
fn is_answered(mut stream: TcpStream) -> bool {
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    let request = b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    let mut answer = String::new();
    let read = stream
        .write_all(request)
        .and_then(|()| stream.read_to_string(&mut answer));
    read.is_ok() && answer.starts_with("HTTP/1.1 ")
}

/// What the server takes for itself before anyone comes (proc(5), `RssAnon`): most of it the buffers of the
/// ring, where there is one.
#[test]
fn the_base_takes_little_memory() {
    let huge = std::fs::read_to_string("/sys/kernel/mm/transparent_hugepage/enabled");
    if huge.is_ok_and(|modes| modes.contains("[always]")) {
        server::say_skipped(
            "memory of the base",
            "huge pages are given before any code runs",
        );
        return;
    }
    for engine in server::usable_engines() {
        let server = server::Server::start(engine, &[]);
        let path = format!("/proc/{}/status", server.pid().as_raw_nonzero());
        let status = std::fs::read_to_string(path).expect("the server lives");
        let anonymous = status
            .lines()
            .find_map(|line| line.strip_prefix("RssAnon:")?.strip_suffix("kB"))
            .expect("RssAnon");
        let kibibytes: u64 = anonymous.trim().parse().expect("a number");
        let most = if engine == "uring" { 4096 } else { 2048 };
        assert!(kibibytes < most, "{engine}: {kibibytes} KiB");
    }
}
