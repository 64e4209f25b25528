//! A kernel that refuses io_uring, or a part of it: seccomp filters stand in for container profiles and
//! security modules.

use std::collections::BTreeMap;
use std::thread;

use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, apply_filter,
};

use crate::server::{BINARY, Server, run_to_end, say_skipped, unusable};
use crate::{answers, command};

/// Has `syscall` fail with `errno` in all that `start` starts: always, or where `rule` holds.
pub(crate) fn without<T: Send>(
    syscall: i64,
    rule: Option<SeccompRule>,
    errno: i32,
    start: impl FnOnce() -> T + Send,
) -> T {
    let filter = SeccompFilter::new(
        BTreeMap::from([(syscall, rule.into_iter().collect())]),
        SeccompAction::Allow,
        SeccompAction::Errno(errno as u32),
        std::env::consts::ARCH.try_into().expect("a known machine"),
    );
    let program: BpfProgram = filter.expect("a filter").try_into().expect("a program");
    // A filter is inherited by children, and never taken off again: it has a thread of its own.
    thread::scope(|scope| {
        let thread = scope.spawn(|| {
            apply_filter(&program).expect("anyone may restrict himself");
            start()
        });
        thread
            .join()
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

/// What can be refused, and the kernel's words for it.
const REFUSALS: [(i64, i32); 6] = [
    (libc::SYS_io_uring_setup, libc::EACCES),
    (libc::SYS_io_uring_setup, libc::EPERM),
    (libc::SYS_io_uring_setup, libc::ENOSYS),
    (libc::SYS_io_uring_enter, libc::EACCES),
    (libc::SYS_io_uring_enter, libc::EPERM),
    (libc::SYS_io_uring_register, libc::EPERM),
];

#[test]
fn auto_serves_and_says_why_not_with_uring() {
    for (syscall, errno) in REFUSALS {
        let server = without(syscall, None, errno, || {
            Server::run(command(&["--listen", "127.0.0.1:0"]))
        });
        let log = server.log().join("\n");
        assert!(
            log.contains("engine epoll (uring is not "),
            "{errno}: {log}"
        );
        assert!(answers(server.address), "{errno}: {log}");
    }
}

#[test]
fn an_engine_that_is_named_and_refused_is_a_mistake() {
    for (syscall, errno) in REFUSALS {
        for engine in ["uring", "tokio-uring"] {
            // The runtime registers nothing.
            if engine == "tokio-uring" && syscall == libc::SYS_io_uring_register {
                continue;
            }
            let options = ["--listen", "127.0.0.1:0", "--engine", engine];
            let (status, said) = without(syscall, None, errno, || run_to_end(&options));
            assert_eq!(status.code(), Some(2), "{said}");
            let start = format!("ringback: --engine: {engine} is not ");
            assert!(said.starts_with(&start), "{said}");
            assert!(!said.contains("--engine auto"), "{said}");
        }
    }
}

/// An idle server is not waiting for a disk (Linux 6.15): no wait may leave that out.
#[test]
fn waits_do_not_count_as_waiting_for_a_disk() {
    if let Some(reason) = unusable("uring") {
        say_skipped("waits that do not count", &reason);
        return;
    }
    let probe = std::process::Command::new(BINARY).arg("probe").output();
    let probe = String::from_utf8(probe.expect("it runs").stdout).expect("text");
    let feature = probe.lines().find(|line| line.contains("(6.15)"));
    if !feature.expect("a feature").trim().starts_with("yes") {
        say_skipped("waits that do not count", "the kernel is older than 6.15");
        return;
    }
    const GETEVENTS: u64 = 1 << 0;
    const NO_IOWAIT: u64 = 1 << 7;
    let is_disk_wait = SeccompCondition::new(
        3,
        SeccompCmpArgLen::Dword,
        SeccompCmpOp::MaskedEq(GETEVENTS | NO_IOWAIT),
        GETEVENTS,
    );
    let rule = SeccompRule::new(vec![is_disk_wait.expect("a condition")]).expect("a rule");
    let server = without(libc::SYS_io_uring_enter, Some(rule), libc::EPERM, || {
        Server::run(command(&["--listen", "127.0.0.1:0", "--engine", "uring"]))
    });
    assert!(answers(server.address), "{:?}", server.log());
}

#[test]
fn too_little_memory_for_buffers_is_told_as_such() {
    if let Some(reason) = unusable("uring") {
        say_skipped("memory for buffers", &reason);
        return;
    }
    let limit = "ulimit -v 300000; exec \"$0\" \"$@\"";
    let output = std::process::Command::new("sh")
        .args(["-c", limit, BINARY, "--listen", "127.0.0.1:0"])
        .args(["--engine", "uring", "--workers", "1"])
        .args(["--uring-buffers", "32", "--uring-buffer-size", "16MiB"])
        .output()
        .expect("a shell");
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{said}");
    let start =
        "ringback: --uring-buffers: uring has no memory for 32 receive buffers of 16384 KiB";
    assert!(said.starts_with(start), "{said}");
}
