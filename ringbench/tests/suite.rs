//! `ringbench suite` with fake servers that are programs of their own.

#[path = "../../loadgen/tests/fake/mod.rs"]
mod fake;
mod project;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use fake::LONG;
use project::{Project, SUITE};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

/// Ours is not written anywhere; that of a machine may be a word of a result.
#[test]
fn a_machine_may_be_called_like_a_key() {
    let project = Project::new(&[]);
    let rename = "echo server > /proc/sys/kernel/hostname && exec \"$@\"";
    let inside = |command: &[&str]| {
        let mut unshare = Command::new("unshare");
        unshare.current_dir(project.fake.folder.path());
        unshare.args([
            "--user",
            "--map-root-user",
            "--uts",
            "sh",
            "-c",
            rename,
            "sh",
        ]);
        unshare.args(command).output()
    };
    if !inside(&["true"]).is_ok_and(|output| output.status.success()) {
        eprintln!("skipped: no namespace with a name of its own can be had here");
        return;
    }
    let suite = "suite small.toml --out out --rounds 1 --only echo --quiet";
    let words: Vec<&str> = suite.split_whitespace().collect();
    let program = env!("CARGO_BIN_EXE_ringbench");
    let output = inside(&[&[program], &words[..]].concat()).unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{told}");
    let (_, workload, name) = &runs(&project.out())[0];
    let raw = format!("raw/{workload}/{name}-1.json");
    let document = json(&project.out().join(raw));
    assert!(document["result"]["server"].is_object(), "{document}");
}

fn json(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

/// Round, workload and server of each run, in order.
fn runs(out: &Path) -> Vec<(u64, String, String)> {
    let text = fs::read_to_string(out.join("runs.jsonl")).unwrap_or_default();
    let complete = text
        .lines()
        .filter_map(|line| serde_json::from_str(line).ok());
    complete
        .map(|line: Value| {
            let text = |key: &str| line[key].as_str().unwrap().to_owned();
            assert!(out.join(text("raw")).is_file(), "{line}");
            (
                line["round"].as_u64().unwrap(),
                text("workload"),
                text("server"),
            )
        })
        .collect()
}

fn server<'a>(suite: &'a Value, name: &str) -> &'a Value {
    let servers = suite["servers"].as_array().unwrap();
    servers
        .iter()
        .find(|server| server["name"] == name)
        .unwrap()
}

/// Every file below a folder.
fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().flatten();
    entries
        .flat_map(|entry| match entry.path() {
            path if path.is_dir() => files(&path),
            path => vec![path],
        })
        .collect()
}

#[test]
fn every_server_meets_every_workload_and_who_cannot_is_told_why() {
    let project = Project::new(&[("other", ""), ("refuses", "--refuse"), ("odd", "--odd")]);
    let out = project.out();
    project.run(&["--out", "out", "--seed", "5"], 0);
    let mut found = runs(&out);
    found.sort();
    let mut expected = Vec::new();
    for (workload, rounds) in [("echo", 2), ("idle", 1), ("storm", 2)] {
        for round in 1..=rounds {
            for server in ["good", "other"] {
                expected.push((round, workload.to_owned(), server.to_owned()));
            }
        }
    }
    expected.sort();
    assert_eq!(found, expected);

    let suite = json(&out.join("suite.json"));
    assert_eq!(suite["schema"], "ringload-suite/1");
    assert_eq!(
        (&suite["status"], &suite["baseline"]),
        (&"ok".into(), &"good".into())
    );
    assert!(suite["finished"].is_string());
    assert_eq!(suite["failures"], Value::Array(Vec::new()));
    assert_eq!(server(&suite, "good")["version"], "echo 1.2.3");
    for (name, phrase) in [("refuses", "503"), ("odd", "--odd is no option")] {
        let server = server(&suite, name);
        assert_eq!(server["status"], "skipped");
        assert!(
            server["reason"].as_str().unwrap().contains(phrase),
            "{server}"
        );
    }
    let run = json(&out.join("raw/echo/good-2.json"));
    assert!(run["result"]["messages"].as_u64().unwrap() > 0);
    assert!(run["result"]["server"]["pids"][0].as_u64().unwrap() > 0);
    let environment = json(&out.join("environment.json"));
    assert!(environment["kernel"].as_str().unwrap().contains("Linux"));
    // The machine is told in one way everywhere.
    let host = run["environment"]["host"].as_object().unwrap();
    for (name, told) in host {
        assert!(
            name == "memory" || name == "cpu" || environment[name] == *told,
            "{name}"
        );
    }
    assert!(
        host["cpu"]["model"]
            .as_str()
            .is_some_and(|model| !model.is_empty())
    );
    assert_eq!(host["cpu"]["model"], environment["cpu"]["model"]);
    assert!(!host["cpu"]["allowed"].as_array().unwrap().is_empty());
    assert!(environment["memory"]["MemTotal"].is_string());

    // A process a round for the workloads that share one, one for each idle, and one to be verified.
    let starts = project.fake.starts();
    let of = |name: &str| starts.iter().filter(|start| *start == name).count();
    assert_eq!(
        (of("good"), of("other"), of("refuses")),
        (1 + 2 + 1, 1 + 2 + 1, 1)
    );

    // Nobody learns from them where they were made.
    let here = project.fake.folder.path().display().to_string();
    for file in files(&out) {
        let text = fs::read_to_string(&file).unwrap();
        assert!(!text.contains(&here), "{file:?}");
    }
    assert!(!out.join("tmp").exists());
}

#[test]
fn a_server_that_dies_while_it_is_verified_is_skipped_with_its_last_words() {
    let project = Project::new(&[("dies", "--die-after 1")]);
    let out = project.out();
    project.run(&["--out", "out", "--only", "echo"], 0);
    let suite = json(&out.join("suite.json"));
    let dies = server(&suite, "dies");
    assert_eq!(dies["status"], "skipped");
    assert!(
        dies["reason"]
            .as_str()
            .unwrap()
            .contains("enough is enough"),
        "{dies}"
    );
    assert_eq!(runs(&out).len(), 2);
}

#[test]
fn a_run_that_goes_wrong_is_a_failure_and_the_rest_goes_on() {
    // The verification has at most 100,000 bytes, and this workload has more.
    let project = Project::new(&[("small", "--longest 100000")]);
    let suite = SUITE.replace(
        "connections = 2\n\n[[workload]]\nname = 'storm'",
        "connections = 2\nsize = '100001'\n\n[[workload]]\nname = 'storm'",
    );
    fs::write(project.fake.path("small.toml"), suite).unwrap();
    let out = project.out();
    let output = project.run(&["--out", "out"], 1);
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        errors.contains("FAILED: small, echo, round 1: "),
        "{errors}"
    );
    let suite = json(&out.join("suite.json"));
    assert_eq!(suite["status"], "failed");
    let failures = suite["failures"].as_array().unwrap();
    assert_eq!(failures.len(), 2, "{failures:?}");
    let why = failures[0].as_str().unwrap();
    assert!(
        why.contains("small, echo, round ") && why.contains("too long for me"),
        "{why}"
    );
    assert_eq!(server(&suite, "small")["status"], "ok");
    // The failed runs are there, too, marked as such.
    let lines = fs::read_to_string(out.join("runs.jsonl")).unwrap();
    assert_eq!(lines.matches("\"status\":\"failed\"").count(), 2, "{lines}");
    assert_eq!(lines.matches("\"status\":\"ok\"").count(), 8, "{lines}");
}

#[test]
fn what_was_cut_off_goes_on_where_it_was_in_the_same_order() {
    let project = Project::new(&[("other", "")]);
    let out = project.out();
    let seeded = ["--seed", "11", "--only", "echo", "--only", "storm"];
    let begun = [&["--out", "out"][..], &seeded].concat();
    let ringbench = project.command(&begun).spawn().unwrap();
    let deadline = Instant::now() + LONG;
    while runs(&out).len() < 3 {
        assert!(Instant::now() < deadline);
        std::thread::sleep(Duration::from_millis(5));
    }
    kill_process(Pid::from_child(&ringbench), Signal::INT).unwrap();
    let output = ringbench.wait_with_output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(130), "{errors}");
    assert!(errors.contains("suite small.toml --resume "), "{errors}");
    assert!(!errors.contains("FAILED"), "{errors}");
    project.fake.assert_none_is_left();
    assert!(json(&out.join("suite.json"))["finished"].is_null());
    let before = runs(&out);
    assert!(before.len() < 8, "{before:?}");

    // A crash may cut off a line, too.
    let path = out.join("runs.jsonl");
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, format!("{text}{{\"round\":1,\"serv")).unwrap();

    // What is left is told, and the line is left as it is until something is done.
    let output = project.run(&["--resume", "out", "--dry-run"], 0);
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let count = format!("\n{} runs, about ", 8 - before.len());
    assert!(
        said.contains(&count) && said.contains(" runs left"),
        "{said}"
    );
    assert!(fs::read_to_string(&path).unwrap().ends_with("\"serv"));

    project.run(&["--resume", "out"], 0);
    let whole = runs(&out);
    assert_eq!(whole[..before.len()], before);
    let suite = json(&out.join("suite.json"));
    assert_eq!(
        (&suite["status"], &suite["seed"]),
        (&"ok".into(), &11.into())
    );
    assert!(suite["finished"].is_string());

    let again = [&["--out", "again"][..], &seeded].concat();
    project.run(&again, 0);
    assert_eq!(whole, runs(&project.fake.path("again")));

    // Nothing is missing any more.
    project.run(&["--resume", "out"], 0);
    assert_eq!(whole, runs(&out));

    let output = project.run(&["--resume", "out", "--dry-run"], 0);
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(said.starts_with("0 runs, about "), "{said}");

    let why = project.refused(&["--out", "out"]);
    assert!(why.contains("is not empty"), "{why}");
    fs::write(
        project.fake.path("small.toml"),
        SUITE.replace("visits = 20", "visits = 21"),
    )
    .unwrap();
    let why = project.refused(&["--resume", "out"]);
    assert!(
        why.contains("the workload storm has changed since this was begun"),
        "{why}"
    );
}

#[test]
fn files_and_options_that_cannot_be_followed_are_refused_before_anything_starts() {
    let project = Project::new(&[]);
    let suite = project.fake.path("small.toml");
    for (text, phrase) in [
        (
            format!("colour = 1\n{SUITE}"),
            "small.toml: line 1: unknown field `colour`",
        ),
        (
            SUITE.replace("visits", "visitors"),
            "small.toml: storm: unexpected argument '--visitors'",
        ),
        (
            format!("servers = ['nobody']\n{SUITE}"),
            "no server is called nobody; there are good",
        ),
        ("name".to_owned(), "small.toml: line 1: "),
    ] {
        fs::write(&suite, text).unwrap();
        let why = project.refused(&["--out", "out"]);
        assert!(why.contains(phrase), "{why}");
    }
    fs::write(&suite, SUITE).unwrap();
    for (arguments, phrase) in [
        (
            &["--only", "nothing"][..],
            "--only nothing: the workloads of small are echo, storm, idle",
        ),
        (&["--server", "nobody"], "no server is called nobody"),
        (&["--resume", "nowhere"], "no suite.json to go on with"),
        (
            &["--resume", "out", "--server-cpu", "0"],
            "'--resume <DIR>' cannot be used with '--server-cpu <LIST>'",
        ),
        (&["--peers", "nowhere"], "--peers nowhere: "),
        (
            &["--server-cpu", "1023"],
            "--server-cpu: CPU 1023 may not be used here",
        ),
    ] {
        let why = project.refused(arguments);
        assert!(why.contains(phrase), "{why}");
    }
    let peer = project.fake.path("scripts/peers/good/peer.toml");
    let text = fs::read_to_string(&peer).unwrap();
    fs::write(&peer, text.replace("title", "tilte")).unwrap();
    let why = project.refused(&[]);
    assert!(
        why.contains("good/peer.toml: line 2: unknown field `tilte`"),
        "{why}"
    );
    assert!(!project.fake.path("results").exists() && !project.out().exists());
    assert!(project.fake.starts().is_empty());
}

#[test]
fn a_dry_run_tells_the_time_and_does_nothing() {
    let project = Project::new(&[("other", "")]);
    let output = project.run(&["--dry-run"], 0);
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(said.contains("10 runs, about "), "{said}");
    assert!(said.contains("2 servers ×  2 rounds"), "{said}");
    assert!(project.fake.starts().is_empty() && !project.fake.path("results").exists());
}

#[test]
fn what_was_begun_with_other_programs_is_not_gone_on_with() {
    let project = Project::new(&[]);
    let out = project.out();
    project.run(&["--out", "out", "--only", "echo"], 0);
    let path = out.join("environment.json");
    let whole = json(&path);
    for (pointer, value, phrase) in [
        ("/kernel", "Linux 1.0", "another machine or kernel"),
        ("/versions/ringload", "0.0.1", "(0.0.1), and this is "),
        (
            "/source/git_commit",
            "0badc0de",
            "another commit (0badc0de)",
        ),
    ] {
        let mut changed = whole.clone();
        *changed.pointer_mut(pointer).unwrap() = value.into();
        fs::write(&path, changed.to_string()).unwrap();
        let why = project.refused(&["--resume", "out"]);
        assert!(
            why.contains("--resume out: ") && why.contains(phrase),
            "{why}"
        );
    }
    fs::write(&path, whole.to_string()).unwrap();
    project.run(&["--resume", "out"], 0);
}

#[test]
fn a_failure_that_was_made_good_is_none_any_more() {
    let project = Project::new(&[]);
    let out = project.out();
    project.run(&["--out", "out", "--only", "echo"], 0);
    // As if round 2 had not come to anything.
    let path = out.join("suite.json");
    let mut suite = json(&path);
    suite["status"] = "failed".into();
    suite["failures"] = serde_json::json!(["good, echo, round 2: it did not start."]);
    fs::write(&path, suite.to_string()).unwrap();
    let lines = fs::read_to_string(out.join("runs.jsonl")).unwrap();
    let first: String = lines
        .lines()
        .take(1)
        .map(|line| format!("{line}\n"))
        .collect();
    fs::write(out.join("runs.jsonl"), first).unwrap();
    project.run(&["--resume", "out"], 0);
    let suite = json(&path);
    assert_eq!(
        (&suite["status"], &suite["error"]),
        (&"ok".into(), &Value::Null)
    );
    assert_eq!(suite["failures"], Value::Array(Vec::new()));
    assert_eq!(runs(&out).len(), 2);
}

#[test]
fn what_cargo_builds_is_built_even_if_it_is_there() {
    use std::os::unix::fs::PermissionsExt as _;
    let project = Project::new(&[]);
    let tool = |name: &str| {
        let path = project.fake.path(name);
        let built = project.fake.path("built").display().to_string();
        fs::write(&path, format!("#!/bin/sh\necho {name} $* >> {built}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        path.display().to_string()
    };
    let (cargo, other) = (tool("cargo"), tool("other"));
    let peer = project.fake.path("scripts/peers/good/peer.toml");
    let text = fs::read_to_string(&peer).unwrap();
    let install = format!("install = [['{cargo}', 'build'], ['{other}', 'ci']]");
    fs::write(&peer, text.replace("install = []", &install)).unwrap();
    project.run(&["--out", "out", "--only", "echo"], 0);
    let built = fs::read_to_string(project.fake.path("built")).unwrap();
    assert_eq!(built, "cargo build\n");
    // It said nothing, so there is nothing to tell.
    assert!(!project.out().join("install.log").exists());
}
