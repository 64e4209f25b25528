//! Being told to stop early, and twice.

use std::process::{Child, Stdio};

use rustix::process::{Pid, Signal, kill_process};

use crate::command;
use crate::denied::without;
use crate::server::{Server, until, usable_engines};

/// Whether a process has a handler for SIGTERM (proc(5), `SigCgt`).
fn handles_term(child: &Child) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{}/status", child.id()));
    let status = status.expect("the server lives");
    let caught = status
        .lines()
        .find_map(|line| line.strip_prefix("SigCgt:"))
        .expect("what it handles");
    let caught = u64::from_str_radix(caught.trim(), 16).expect("a mask");
    caught & 1 << (Signal::TERM.as_raw() - 1) != 0
}

#[test]
fn a_signal_before_it_serves_ends_it_cleanly() {
    for engine in usable_engines() {
        for _ in 0..20 {
            let mut child = command(&["--listen", "127.0.0.1:0", "--engine", engine])
                .stderr(Stdio::null())
                .spawn()
                .expect("the server starts");
            until("it hears signals", || handles_term(&child).then_some(()));
            kill_process(Pid::from_child(&child), Signal::TERM).expect("it lives");
            let status = until("the server ends", || child.try_wait().expect("a child"));
            assert_eq!(status.code(), Some(0), "{engine}: {status}");
        }
    }
}

/// Locked memory that is short is waited for, and so is what else keeps a server from starting.
#[test]
fn a_signal_while_it_waits_for_memory_ends_it_cleanly() {
    let options = ["--listen", "127.0.0.1:0", "--engine", "uring"];
    let spawn = || command(&options).spawn().expect("the server starts");
    let mut child = without(libc::SYS_io_uring_setup, None, libc::ENOMEM, spawn);
    until("it hears signals", || handles_term(&child).then_some(()));
    kill_process(Pid::from_child(&child), Signal::TERM).expect("it lives");
    let status = until("the server ends", || child.try_wait().expect("a child"));
    assert_eq!(status.code(), Some(0), "{status}");
}

/// A wrapper signals its child and then the group, which the child is in.
#[test]
fn a_signal_that_is_repeated_at_once_is_one_signal() {
    for engine in usable_engines() {
        for _ in 0..10 {
            // Somebody who says nothing holds the drain up.
            let server = Server::start(engine, &["--drain-timeout", "200ms"]);
            let silent = std::net::TcpStream::connect(server.address).expect("a connection");
            for _ in 0..50 {
                // It may have ended by now.
                let _ = kill_process(server.pid(), Signal::TERM);
                std::thread::yield_now();
            }
            let log = server.log();
            assert_eq!(server.wait().code(), Some(0), "{engine}: {log:?}");
            drop(silent);
        }
    }
}
