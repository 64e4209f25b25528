//! The profile for containers: every engine serves under it, and what it does not name is refused. It is read as Docker and
//! the other runtimes read it, and turned into the filter that they would load.

use std::fs;
use std::net::TcpStream;
use std::process::Command;
use std::thread;

use rustix::process::{Pid, Signal, kill_process};
use seccompiler::{BpfProgram, apply_filter, compile_from_json};
use serde_json::{Value, json};

use crate::root;
use crate::support::server::{BINARY, Server, until, usable_engines};

/// A filter: what happens to the calls of `rules`, and to all others.
fn filter(rules: &[Value], matched: &Value, other: &Value) -> Option<BpfProgram> {
    let whole = json!({"it": {"match_action": matched, "mismatch_action": other, "filter": rules}});
    let machine = std::env::consts::ARCH.try_into().expect("a known machine");
    let mut filters = compile_from_json(whole.to_string().as_bytes(), machine).ok()?;
    filters.remove("it")
}

/// The filters that the profile stands for: one of what is allowed, and one for each refusal with an answer of its own.
fn filters() -> Vec<BpfProgram> {
    let text = fs::read_to_string(root().join("deploy/seccomp-io_uring.json")).expect("it");
    let profile: Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(profile["defaultAction"], "SCMP_ACT_ERRNO");
    let refused = json!({"errno": profile["defaultErrnoRet"]});
    let mut allowed = Vec::new();
    let mut filters = Vec::new();
    for entry in profile["syscalls"].as_array().expect("a list") {
        let condition = |argument: &Value| {
            assert_eq!(argument["op"], "SCMP_CMP_MASKED_EQ", "{entry}");
            let op = json!({"masked_eq": argument["value"]});
            json!({"index": argument["index"], "type": "qword", "op": op, "val": argument["valueTwo"]})
        };
        let conditions = entry["args"]
            .as_array()
            .map(|all| all.iter().map(condition));
        let conditions: Option<Vec<_>> = conditions.map(Iterator::collect);
        for name in entry["names"].as_array().expect("a list") {
            let mut rule = json!({"syscall": name});
            if let Some(conditions) = &conditions {
                rule["args"] = conditions.clone().into();
            }
            // Some are of another kind of machine.
            let machines = [json!({"syscall": name})];
            if filter(&machines, &"allow".into(), &refused).is_none() {
                continue;
            }
            if entry["action"] == "SCMP_ACT_ERRNO" {
                let answer = json!({"errno": entry["errnoRet"]});
                filters.extend(filter(&[rule.clone()], &answer, &"allow".into()));
            } else {
                assert_eq!(entry["action"], "SCMP_ACT_ALLOW");
            }
            allowed.push(rule);
        }
    }
    assert!(allowed.len() > 100);
    filters.push(filter(&allowed, &"allow".into(), &refused).expect("a filter"));
    filters
}

/// Does this, and has all that it starts do it, under the profile.
fn confined<T: Send>(doing: impl FnOnce() -> T + Send) -> T {
    let filters = filters();
    // A filter is inherited by children, and never taken off again: it has a thread of its own.
    thread::scope(|scope| {
        let thread = scope.spawn(|| {
            for filter in &filters {
                apply_filter(filter).expect("anyone may restrict himself");
            }
            doing()
        });
        let done = thread.join();
        done.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

#[test]
fn every_engine_serves_under_the_profile_and_is_asked_for_its_health() {
    for engine in usable_engines() {
        let server = confined(|| Server::start(engine, &["--tutorial"]));
        for path in ["", "x/whoami"] {
            let url = format!("{}{path}", server.url());
            let asked = confined(|| {
                let mut ping = Command::new(BINARY);
                ping.args(["ping", "--count", "1", "--timeout", "1s", &url]);
                ping.output().expect("it starts")
            });
            // What `/x/whoami` says is no echo: it was answered all the same.
            let said = crate::said(&asked);
            assert!(
                asked.status.success() || said.contains("not an echo"),
                "{engine}: {said}"
            );
        }
        server.signal(Signal::USR1);
        server.signal(Signal::TERM);
        let log = server.log();
        assert_eq!(server.wait().code(), Some(0), "{engine}: {log:?}");
    }
}

/// Who was handed over to, ended with this.
struct Successor(Pid);

impl Drop for Successor {
    fn drop(&mut self) {
        let _ = kill_process(self.0, Signal::TERM);
    }
}

#[test]
fn a_successor_takes_over_under_the_profile() {
    for engine in usable_engines() {
        let server = confined(|| Server::start(engine, &[]));
        let url = server.url();
        server.signal(Signal::USR2);
        let number = |line: &String| {
            let (before, _) = line.split_once(" accepts connections now")?;
            let (_, number) = before.rsplit_once("process ")?;
            Pid::from_raw(number.parse().ok()?)
        };
        let successor = until("another accepts", || server.log().iter().find_map(number));
        let _successor = Successor(successor);
        let asked = Command::new(BINARY).args(["ping", "--once", &url]).status();
        assert!(
            asked.expect("it starts").success(),
            "{engine}: {:?}",
            server.log()
        );
        assert_eq!(server.wait().code(), Some(0), "{engine}");
    }
}

#[test]
fn auto_takes_io_uring_under_the_profile() {
    let auto = Server::start("auto", &[]);
    let confined = confined(|| Server::start("auto", &[]));
    let engine = |server: &Server| {
        let log = server.log().join("\n");
        let (_, rest) = log.split_once("engine ").expect("an engine");
        rest.split(' ').next().unwrap_or_default().to_owned()
    };
    assert_eq!(engine(&auto), engine(&confined));
    assert!(TcpStream::connect(confined.address).is_ok());
}

#[test]
fn what_the_profile_does_not_name_is_refused() {
    let works = |program: &str, arguments: &[&str]| {
        let output = confined(|| Command::new(program).args(arguments).output());
        output.expect("it starts").status.success()
    };
    assert!(works("true", &[]));
    assert!(!works("unshare", &["--user", "true"]));
    assert!(!works("chroot", &["/", "true"]));
}
