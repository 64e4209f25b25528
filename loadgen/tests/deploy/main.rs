//! The load as Kubernetes runs it: the pieces of `deploy/kubernetes` agree with each other and with the
//! program, and the Job is acted out on this machine with the very scripts of its manifest.
//!
//! That the manifests are what Kubernetes expects is for a schema checker: `tests/deploy.rs` of the root.

mod agreement;
mod manifest;
mod stage;
#[path = "../support/mod.rs"]
mod support;

use std::fs;
use std::path::Path;
use std::process::{Command, Output};
use std::time::{SystemTime, UNIX_EPOCH};

use manifest::LOADS;
use serde_json::Value;
use stage::Stage;
use support::{Habit, serve};

pub(crate) const RINGLOAD: &str = env!("CARGO_BIN_EXE_ringload");

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn read(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

/// The parts of a whole add up, and none began before its time.
fn adds_up(parts: &[Value], merged: &Value, start: f64, warmup_seconds: f64) {
    let messages = |of: &Value| of["completed"].as_u64().unwrap();
    let counted = |of: &Value| of["latency"]["count"].as_u64().unwrap();
    let results = || parts.iter().map(|part| &part["result"]);
    let sum = &merged["result"]["sum"];
    assert_eq!(merged["status"], "ok", "{}", merged["error"]);
    assert!(results().all(|part| messages(part) > 0));
    assert_eq!(messages(sum), results().map(messages).sum::<u64>());
    assert_eq!(counted(sum), results().map(counted).sum::<u64>());
    for part in results() {
        let opened = part["window_start_unix_seconds"].as_f64().unwrap();
        assert!(
            opened >= start + warmup_seconds,
            "{opened} is before {start}"
        );
    }
}

/// From the first pod to the merged result, as a cluster would run it.
#[test]
fn the_job_acted_out() {
    let url = format!("ws://{}/", serve(Habit::Right));
    let options = "--connections 2 --rate 200 --size 32 --warmup 500ms --duration 3s";
    let stage = Stage::new("load", &[("URL", &url), ("OPTIONS", options)]);
    let count = stage.job["spec"]["completions"].as_u64().unwrap() as usize;
    // Time for all of them to see the file, even on a machine that is busy with other tests.
    let own = [("HEADSTART_SECONDS", "10")];
    for output in stage.start_all("load", count, &own) {
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    }
    for (index, output) in stage.start_all("merge", count, &[]).iter().enumerate() {
        assert_eq!(output.status.code(), Some(0), "{}", stderr(output));
        assert_eq!(
            output.stdout.is_empty(),
            index != 0,
            "the table is index 0's"
        );
    }
    let part = |index| read(&stage.results().join(format!("parts/part-{index}.json")));
    let parts: Vec<Value> = (0..count).map(part).collect();
    let start = fs::read_to_string(stage.results().join("start")).unwrap();
    let merged = read(&stage.results().join("merged.json"));
    adds_up(&parts, &merged, start.trim().parse().unwrap(), 0.5);
}

/// Without a volume: what the pods print is what there is to merge.
#[test]
fn the_job_without_a_volume_acted_out() {
    let url = format!("ws://{}/", serve(Habit::Right));
    let options = "--connections 2 --rate 200 --size 32 --warmup 500ms --duration 3s";
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap()
        .as_secs();
    let start = (now + 10).to_string();
    let settings = [
        ("URL", url.as_str()),
        ("OPTIONS", options),
        ("START_AT", &start),
    ];
    let stage = Stage::new("load-without-volume", &settings);
    let mut parts = Vec::new();
    let mut merge = Command::new(RINGLOAD);
    merge.args(["merge", "--json", "-"]);
    for (index, output) in stage.start_all("load", 3, &[]).into_iter().enumerate() {
        // A log holds both streams.
        assert_eq!(
            (output.status.code(), stderr(&output).as_str()),
            (Some(0), "")
        );
        let path = stage.folder.path().join(format!("part-{index}.json"));
        fs::write(&path, &output.stdout).unwrap();
        parts.push(read(&path));
        merge.arg(path);
    }
    let output = merge.output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let merged = serde_json::from_slice(&output.stdout).unwrap();
    adds_up(&parts, &merged, start.parse().unwrap(), 0.5);
}

#[test]
fn a_time_that_is_over_or_none_is_refused() {
    for start in ["1000000000", "REPLACE_WITH_UNIX_SECONDS", ""] {
        let stage = Stage::new("load-without-volume", &[("START_AT", start)]);
        let output = stage.start("load", 0, &[]).wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(1));
        assert!(stderr(&output).contains("START_AT"), "{}", stderr(&output));
    }
}

/// The options that the manifests come with are such as `ringload` takes: the run fails because nothing
/// listens, and not because of them (exit status 2).
#[test]
fn the_options_of_the_manifests_are_taken() {
    let url = "ws://127.0.0.1:1/";
    for folder in LOADS {
        let mut settings = vec![("URL", url)];
        match folder {
            "load" => settings.push(("GENERATORS", "1")),
            _ => settings.push(("START_AT", "32503680000")),
        }
        let stage = Stage::new(folder, &settings);
        let own = [("HEADSTART_SECONDS", "60")];
        let output = stage.start("load", 0, &own).wait_with_output().unwrap();
        let said = stderr(&output);
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.contains("nothing listens there"), "{said}");
        // And a status of 2 would have come through.
        settings.push(("OPTIONS", "--connections none"));
        let stage = Stage::new(folder, &settings);
        let output = stage.start("load", 0, &own).wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
    }
}

#[test]
fn generators_that_do_not_come_are_told_of() {
    let stage = Stage::new("load", &[]);
    let own = [("GATHER_SECONDS", "1")];
    for index in [0, 1] {
        let output = stage.start("load", index, &own).wait_with_output().unwrap();
        let said = stderr(&output);
        assert_eq!(output.status.code(), Some(1), "{said}");
        let came = format!("of 3 generators, {} came within 1 s", index + 1);
        assert!(said.contains(&came), "{said}");
    }
    // More completions than GENERATORS.
    let output = stage.start("load", 3, &own).wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(
        stderr(&output).contains("make them equal"),
        "{}",
        stderr(&output)
    );
}

/// A start that is learnt of too late is no start at the same time.
#[test]
fn a_generator_that_is_late_says_so() {
    let stage = Stage::new("load", &[]);
    fs::create_dir_all(stage.results()).unwrap();
    fs::write(stage.results().join("start"), "1000000000\n").unwrap();
    let output = stage.start("load", 1, &[]).wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("too late"), "{}", stderr(&output));
}

/// Parts that never come fail the merge, and so the Job.
#[test]
fn a_merge_of_too_few_parts_fails() {
    let stage = Stage::new("load", &[]);
    fs::create_dir_all(stage.results().join("parts")).unwrap();
    let own = [("MERGE_TIMEOUT", "100ms")];
    let output = stage.start("merge", 0, &own).wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
}
