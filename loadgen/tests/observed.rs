//! What is told of the machine, the server's processes and the payloads, beside what was measured of the load.

mod support;

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::Value;
use support::client::{engines, number, ringload, run, run_each, stderr, whole};
use support::{Script, Server};

const BRIEFLY: &str = "--connections 2 --warmup 0s --duration 300ms";

/// Runs that may be disturbed by other work on the machine.
const ATTEMPTS: usize = 5;

#[test]
fn looking_for_work_is_not_charged_as_work() {
    // Messages are due so close together that no sleep between them is worth it: each thread is on its CPU
    // all of the time, and most of that finds nothing.
    let arguments = "--connections 1 --rate 21k --warmup 100ms --duration 500ms --threads 1";
    for engine in engines() {
        let busy = |_| {
            let server = Server::websocket(Script::default());
            let outcome = run(&server.url(), engine, arguments);
            let generator = &outcome.expect_ok()["generator"];
            let waited_percent = generator["cpu_wait_percent"].as_f64().unwrap_or_default();
            // Of the time that others left it the CPU.
            number(generator, "/on_cpu_percent") / (100.0 - waited_percent)
        };
        let least = (0..ATTEMPTS).map(busy).min_by(f64::total_cmp).unwrap();
        assert!(least < 0.75, "{engine}: a share of {least} at best");
    }
}

#[test]
fn the_machines_own_gaps_are_told() {
    for (_, outcome) in run_each(Script::default(), BRIEFLY) {
        // In so long a time every machine has its timer's interrupt.
        assert!(whole(outcome.expect_ok(), "/gap_ns") > 0);
    }
    let server = Server::websocket(Script::default());
    let table = ringload(&format!("run {} {BRIEFLY}", server.url()));
    let table = String::from_utf8(table.stdout).unwrap();
    assert!(
        table.contains("took the CPU from a spinning thread for up to"),
        "{table}"
    );
}

/// A control group whose processes used so much in its life. A reader finds the old text or the new one.
fn account(group: &Path, cpu_us: u64) {
    let stat = format!("usage_usec {cpu_us}\nuser_usec {cpu_us}\nsystem_usec 0\n");
    std::fs::write(group.join("new"), stat).unwrap();
    std::fs::rename(group.join("new"), group.join("cpu.stat")).unwrap();
}

#[test]
fn a_servers_cpu_time_is_that_of_its_control_group() {
    let group = tempfile::tempdir().unwrap();
    let pid = std::process::id();
    std::fs::write(group.path().join("cgroup.procs"), format!("{pid}\n")).unwrap();
    account(group.path(), 0);
    let arguments = format!("{BRIEFLY} --server-cgroup {}", group.path().display());
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        // Whatever the process really uses: each look finds a second more.
        scope.spawn(|| {
            for seconds in 1..60_000 {
                if is_over.load(Ordering::Relaxed) {
                    return;
                }
                account(group.path(), seconds * 1_000_000);
                std::thread::sleep(Duration::from_millis(1));
            }
        });
        let runs = run_each(Script::default(), &arguments);
        is_over.store(true, Ordering::Relaxed);
        for (_, outcome) in runs {
            let result = outcome.expect_ok();
            let server = &result["server"];
            assert_eq!(server["pids"], serde_json::json!([pid]));
            assert_eq!(outcome.document["load"]["server_pids"], server["pids"]);
            assert_eq!(server["cpu_source"], "cgroup");
            let each = number(result, "/server/cpu_ns_each");
            let all_seconds = each * whole(result, "/completed") as f64 / 1e9;
            assert!((all_seconds - all_seconds.round()).abs() < 1e-3 && all_seconds >= 1.0);
            assert_eq!(server["cpu_user_ns_each"], server["cpu_ns_each"]);
            assert_eq!(number(result, "/server/cpu_system_ns_each"), 0.0);
        }
    });
    let wrong = ringload("run ws://127.0.0.1:1 --server-cgroup /proc");
    assert_eq!(wrong.status.code(), Some(2));
    assert!(stderr(&wrong).contains("/sys/fs/cgroup/system.slice/NAME.service"));
    std::fs::write(group.path().join("cgroup.procs"), "").unwrap();
    let wrong = ringload(&format!("run ws://127.0.0.1:1 {arguments}"));
    assert!(
        stderr(&wrong).contains("no process is in"),
        "{}",
        stderr(&wrong)
    );
}

#[test]
fn payloads_are_as_compressible_as_was_asked_for() {
    let script = Script {
        deflate: true,
        ..Script::default()
    };
    for (arguments, lowest, highest) in [
        ("--entropy 0", 0.0, 0.02),
        // What the fastest level reaches lies above what there is to reach.
        ("--entropy 3 --text", 3.0 / 8.0 - 0.01, 0.9),
        ("--entropy 8", 1.0, 1.1),
    ] {
        let arguments = format!("{BRIEFLY} --deflate --size 16KiB {arguments}");
        for (server, outcome) in run_each(script.clone(), &arguments) {
            let ratio = number(outcome.expect_ok(), "/deflate_ratio");
            assert!((lowest..=highest).contains(&ratio), "{arguments}: {ratio}");
            server.log_without_complaints();
        }
    }
    for (_, outcome) in run_each(Script::default(), &format!("{BRIEFLY} --entropy 3")) {
        assert_eq!(outcome.expect_ok()["deflate_ratio"], Value::Null);
    }
    for (arguments, phrase) in [
        ("--entropy 7.5 --text", "at most 7"),
        ("--entropy 9", "from 0 to 8"),
        ("--entropy 3 --message hello", "cannot be used with"),
    ] {
        let output = ringload(&format!("run ws://127.0.0.1:1 {arguments}"));
        let told = stderr(&output);
        assert!(
            output.status.code() == Some(2) && told.contains(phrase),
            "{arguments}: {told}"
        );
    }
}
