//! Successors that are no good: the server goes on as if there had been none, and says why.

use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use ringback::shard::ENCODING_VERSION;
use rustix::process::{Pid, Signal};

use crate::dynasty::{Dynasty, await_end, number_behind};
use crate::peers::{Crowd, Halfway};
use crate::server::{self, BINARY, until, usable_engines};
use crate::wire::Wire;

/// What the two say to each other has this version.
const PROTOCOL_VERSION: u16 = 1;

/// Peers that are there. They fit into one batch.
const CROWD: usize = 200;

/// What the server says where it goes on.
const GOES_ON: &str = "cannot hand over to a successor: ";

/// Has the next successor be a script that does what it should up to some point.
fn succeed_by(dynasty: &Dynasty, how: &str) {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/succession/successor.py");
    dynasty.replace_by_script(&format!(
        "exec python3 '{script}' '{how}' {PROTOCOL_VERSION} {ENCODING_VERSION}"
    ));
}

/// Asks for a successor that is no good: nobody notices, and the server says why with these words.
fn fails(dynasty: &mut Dynasty, crowd: &mut Crowd, words: &str) {
    crowd.begin();
    let halfway = Halfway::begin(dynasty.address, 40);
    dynasty.ask();
    let line = dynasty.hears(GOES_ON);
    assert!(line.contains(words), "{words}: {line}");
    crowd.end();
    halfway.end();
    crowd.assert_quiet();
    Crowd::gather(dynasty.address, 4).speak(1);
}

#[test]
fn a_successor_that_is_no_good_changes_nothing() {
    for engine in usable_engines() {
        let mut dynasty = Dynasty::found_on_a_copy(engine, &[]);
        let mut crowd = Crowd::gather(dynasty.address, CROWD);
        for program in ["/bin/false", "/bin/true"] {
            dynasty.replace_by(Path::new(program));
            fails(
                &mut dynasty,
                &mut crowd,
                "the successor has ended (exit status:",
            );
        }
        dynasty.replace_by(Path::new("/nowhere"));
        dynasty.signal(Signal::USR2);
        let line = dynasty.hears(GOES_ON);
        assert!(line.contains("cannot be started"), "{line}");
        for (how, words) in [
            (
                "says garbage",
                "it says what it should not: a frame that there is none of",
            ),
            (
                "has another version",
                "which knows handovers of version 2, and this process has version 1",
            ),
            ("has another encoding", "which knows connections of version"),
            (
                "ends once it has listeners",
                "the successor has ended (exit status: 7)",
            ),
            ("says a word out of turn", "it says what it should not"),
            (
                "ends once it is to accept",
                "the successor has ended (exit status: 7)",
            ),
            (
                "ends with connections",
                "the successor has ended (exit status: 7)",
            ),
        ] {
            succeed_by(&dynasty, how);
            fails(&mut dynasty, &mut crowd, words);
        }
        // One that is good.
        dynasty.replace_by(Path::new(BINARY));
        crowd.begin();
        assert!(dynasty.restart() >= CROWD);
        crowd.end();
    }
}

#[test]
fn a_successor_that_hangs_is_given_up() {
    let mut dynasty = Dynasty::found_on_a_copy("epoll", &["--handshake-timeout", "60s"]);
    let mut crowd = Crowd::gather(dynasty.address, CROWD);
    succeed_by(&dynasty, "hangs with connections");
    fails(&mut dynasty, &mut crowd, "it does not answer");
    dynasty.replace_by_script("exec sleep 60");
    fails(&mut dynasty, &mut crowd, "it does not answer");
}

#[test]
fn what_a_successor_has_taken_is_its_own() {
    for engine in usable_engines() {
        let options = ["--workers", "1"];
        let mut dynasty = Dynasty::found_on_a_copy(engine, &options);
        let mut crowd = Crowd::gather(dynasty.address, CROWD + 100);
        succeed_by(&dynasty, "ends with connections that are its own");
        dynasty.ask();
        let line = dynasty.hears("taken: ");
        let taken: usize = line["taken: ".len()..].trim().parse().expect("a number");
        let line = dynasty.hears(GOES_ON);
        let words = format!("{taken} connections had been handed over");
        assert!(line.contains(&words), "{line}");
        crowd.lose(taken);
        crowd.speak(1);
    }
}

#[test]
fn whom_a_successor_does_not_want_is_told_to_come_again() {
    for engine in usable_engines() {
        // One says so connection by connection, the other may have fewer descriptors open.
        for refuses in [true, false] {
            let mut dynasty = Dynasty::found_on_a_copy(engine, &["--drain-timeout", "2s"]);
            let mut crowd = Crowd::gather(dynasty.address, 60);
            if refuses {
                succeed_by(&dynasty, "refuses all");
            } else {
                dynasty.replace_by_script(&format!("ulimit -n 60; exec '{BINARY}' \"$@\""));
            }
            let successor = dynasty.ask();
            let line = dynasty.hears(" stay");
            let staying = number_behind(&line, "; ").as_raw_nonzero().get() as usize;
            assert_eq!(crowd.hear_closes(1012), staying, "{engine}: {line}");
            assert!(refuses || staying < 60, "{engine}: some went");
            let first = std::mem::replace(&mut dynasty.reigning, successor);
            assert_eq!(dynasty.end_of(first), Some(0));
            crowd.speak(1);
        }
    }
}

#[test]
fn a_configuration_that_cannot_be_read_is_no_successors() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("ringback.toml");
    std::fs::write(&file, "idle-timeout = '30s'").expect("a file");
    let option = file.to_str().expect("UTF-8");
    let mut dynasty = Dynasty::found("epoll", &["--config", option]);
    let mut crowd = Crowd::gather(dynasty.address, 10);
    std::fs::write(&file, "idle-timeout = 'soon'").expect("a file");
    crowd.begin();
    dynasty.ask();
    dynasty.hears("`soon` is not a duration");
    let line = dynasty.hears(GOES_ON);
    assert!(line.contains("exit status: 2"), "{line}");
    crowd.end();
    std::fs::write(&file, "idle-timeout = '20s'").expect("a file");
    assert_eq!(dynasty.restart(), 10);
    crowd.speak(1);
}

#[test]
fn told_to_stop_amid_a_handover_both_stop() {
    for engine in usable_engines() {
        let mut dynasty = Dynasty::found_on_a_copy(engine, &[]);
        let mut crowd = Crowd::gather(dynasty.address, CROWD);
        succeed_by(&dynasty, "hangs with connections");
        let successor = dynasty.ask();
        dynasty.hears("the successor hangs");
        dynasty.signal(Signal::TERM);
        assert_eq!(crowd.hear_closes(1001), CROWD, "{engine}");
        let first = dynasty.reigning;
        assert_eq!(dynasty.end_of(first), Some(0), "{engine}");
        await_end(successor);
    }
}

/// Whichever of the two serves when the signal comes, and whatever the other is about to do: once it is heard that the
/// successor serves, that one is whom to tell; before, both stop.
#[test]
fn told_to_stop_at_any_moment_of_a_handover_nobody_is_lost() {
    const PEERS: usize = 40;
    for moment in 0..20 {
        let mut dynasty = Dynasty::found("epoll", &[]);
        let mut crowd = Crowd::gather(dynasty.address, PEERS);
        dynasty.signal(Signal::USR2);
        thread::sleep(Duration::from_millis(moment * 5));
        dynasty.signal(Signal::TERM);
        let first = dynasty.reigning;
        // Those who are told leave.
        let serves_on = until("it stops, or has handed over", || {
            let has_handed_over = dynasty.has_said("INFO handed ") > 0;
            let is_told = dynasty.has_said("stopping: ") > 0;
            (has_handed_over || is_told).then_some(has_handed_over)
        });
        let is_passed_on = serves_on && {
            assert_eq!(dynasty.end_of(first), Some(0));
            dynasty.has_said("the successor is told to stop, too") == 0
        };
        assert_eq!(dynasty.has_said("RINGBACK_SUCCEED"), 0, "{moment}");
        if is_passed_on {
            dynasty.reigning = number_behind(&dynasty.hears("starting a successor"), "process ");
            crowd.speak(1);
            drop(crowd);
            assert_eq!(dynasty.abdicate(), Some(0), "{moment}");
        } else {
            assert_eq!(
                crowd.hear_closes(1001),
                PEERS,
                "{moment}: {:?}",
                dynasty.log()
            );
            assert_eq!(dynasty.end_of(first), Some(0), "{moment}");
            assert_eq!(dynasty.has_said("RINGBACK_SUCCEED"), 0, "{moment}");
        }
    }
}

/// The moment between saying that all is handed over and hearing of it, made long.
#[test]
fn told_to_stop_as_it_says_that_it_is_done_both_stop() {
    let mut dynasty = Dynasty::found_on_a_copy("epoll", &[]);
    let mut crowd = Crowd::gather(dynasty.address, 20);
    dynasty.replace_by_script(&format!("sleep 1; exec '{BINARY}' \"$@\""));
    let successor = dynasty.ask();
    let tasks = format!("/proc/{}/task", dynasty.reigning.as_raw_nonzero());
    let mut tasks = std::fs::read_dir(tasks).expect("it lives").flatten();
    let task = tasks.find(|task| {
        let comm = std::fs::read_to_string(task.path().join("comm"));
        comm.is_ok_and(|comm| comm == "succession\n")
    });
    // After each word it waits.
    let slowed = Command::new("strace")
        .args(["-o", "/dev/null", "-e", "trace=sendto"])
        .args(["-e", "inject=sendto:delay_exit=500000", "-p"])
        .arg(task.expect("a thread").file_name())
        .stderr(Stdio::null())
        .spawn();
    let Ok(mut slowed) = slowed else {
        return server::say_skipped("a moment made long", "strace is not installed");
    };
    dynasty.hears("took ");
    if dynasty.has_said("INFO handed ") > 0 {
        let _ = slowed.wait();
        return server::say_skipped("a moment made long", "strace is not allowed here");
    }
    dynasty.signal(Signal::TERM);
    assert_eq!(crowd.hear_closes(1001), 20);
    let first = dynasty.reigning;
    assert_eq!(dynasty.end_of(first), Some(0));
    await_end(successor);
    let _ = slowed.wait();
    assert_eq!(dynasty.has_said("the successor is told to stop, too"), 1);
}

#[test]
fn one_handover_at_a_time() {
    let mut dynasty = Dynasty::found_on_a_copy("epoll", &[]);
    dynasty.replace_by_script("exec sleep 60");
    let successor = dynasty.ask();
    dynasty.signal(Signal::USR2);
    dynasty.hears("is under way already");
    rustix::process::kill_process(successor, Signal::KILL).expect("it lives");
    dynasty.hears(GOES_ON);
}

/// What has come is served by the successor, and so is whoever comes.
#[test]
fn a_successor_goes_on_alone_if_the_old_process_is_killed() {
    for engine in usable_engines() {
        let mut dynasty = Dynasty::found(engine, &[]);
        let crowd = Crowd::gather(dynasty.address, 500);
        let successor = dynasty.ask();
        dynasty.hears("accepts connections now");
        let first = std::mem::replace(&mut dynasty.reigning, successor);
        rustix::process::kill_process(first, Signal::KILL).expect("it has much to do");
        dynasty.end_of(first);
        Crowd::gather(dynasty.address, 10).speak(1);
        drop(crowd);
        assert_eq!(dynasty.abdicate(), Some(0), "{engine}");
    }
}

/// It is ended before it can see that it is alone: it would serve newcomers until then. What it has said counts.
#[test]
fn a_successor_that_is_given_up_serves_nobody() {
    let mut dynasty = Dynasty::found_on_a_copy("epoll", &[]);
    let mut crowd = Crowd::gather(dynasty.address, 10);
    succeed_by(&dynasty, "talks too much");
    fails(&mut dynasty, &mut crowd, "it says what it should not");
    assert_eq!(dynasty.has_said("the successor is alone"), 0);
}

/// Once the successor serves, this process only ends.
#[test]
fn a_successor_that_has_taken_over_is_not_ended() {
    for engine in usable_engines() {
        let mut dynasty = Dynasty::found_on_a_copy(engine, &["--drain-timeout", "1s"]);
        let _crowd = Crowd::gather(dynasty.address, 10);
        succeed_by(&dynasty, "hangs once it has taken over");
        let successor = dynasty.ask();
        dynasty.hears("the successor is to accept");
        // They wait in a queue that the successor does not want, and come late.
        let late: Vec<_> = (0..10).map(|_| Wire::to(dynasty.address)).collect();
        dynasty.hears("the successor takes over nothing more: it does not answer");
        drop(late);
        let first = std::mem::replace(&mut dynasty.reigning, successor);
        assert_eq!(dynasty.end_of(first), Some(0), "{engine}");
        rustix::process::test_kill_process(successor).expect("it lives");
    }
}

/// As the first process of a container, or started by the first, which waits for its end.
#[test]
fn process_1_refuses_and_so_does_its_child() {
    let unshare = [
        "--user",
        "--map-root-user",
        "--pid",
        "--fork",
        "--kill-child",
    ];
    let trial = Command::new("unshare").args(unshare).arg("true").status();
    if !trial.is_ok_and(|status| status.success()) {
        server::say_skipped(
            "process 1",
            "`unshare` makes no namespace of processes here",
        );
        return;
    }
    let init = ["sh", "-c", "\"$0\" \"$@\"; exit"];
    for (init, words) in [
        (&[][..], "SIGUSR2: this is process 1"),
        (&init[..], "SIGUSR2: process 1 has started this process"),
    ] {
        let mut command = Command::new("unshare");
        command.args(unshare).args(init).arg(BINARY);
        command.env_remove("NOTIFY_SOCKET");
        let mut dynasty = Dynasty::of(command, "epoll", &[], None);
        let mut server = child_of(dynasty.reigning);
        if !init.is_empty() {
            server = child_of(server);
        }
        rustix::process::kill_process(server, Signal::USR2).expect("it lives");
        let line = dynasty.hears(words);
        assert!(line.contains("rolling update"), "{line}");
        Wire::to(dynasty.address).handshake();
    }
}

fn child_of(process: Pid) -> Pid {
    let children = format!("/proc/{0}/task/{0}/children", process.as_raw_nonzero());
    number_behind(&std::fs::read_to_string(children).expect("Linux 3.5"), "")
}

/// Nothing that the old process has open is open in the new one, but for the line between them.
#[test]
fn a_successor_inherits_one_descriptor() {
    for engine in usable_engines() {
        let mut dynasty = Dynasty::found_on_a_copy(engine, &[]);
        let _crowd = Crowd::gather(dynasty.address, 20);
        dynasty.replace_by_script("echo \"has $RINGBACK_SUCCEED\" >&2; exec ls /proc/self/fd >&2");
        dynasty.ask();
        dynasty.hears(GOES_ON);
        let log = dynasty.log();
        let line = log.iter().find_map(|line| line.strip_prefix("has "));
        let line: u32 = line.and_then(|it| it.parse().ok()).expect("a number");
        let mut open: Vec<u32> = log.iter().filter_map(|line| line.parse().ok()).collect();
        open.sort_unstable();
        // The folder that is listed has the first number that is free.
        let listed = (3..).find(|it| *it != line).expect("a number");
        let mut expected = vec![0, 1, 2, listed, line];
        expected.sort_unstable();
        assert_eq!(open, expected, "{engine}");
    }
}

/// A variable that somebody has set by mistake.
#[test]
fn a_line_that_is_none_is_a_mistake() {
    for value in ["", "x", "0", "77"] {
        let output = Command::new(BINARY)
            .env("RINGBACK_SUCCEED", value)
            .output()
            .expect("it starts");
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{said}");
        let start = format!("ringback: RINGBACK_SUCCEED: `{value}` is no line to another process");
        assert!(said.starts_with(&start), "{said}");
    }
}
