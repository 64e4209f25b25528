//! `ringbench suite` with fake servers that are programs of their own.

#[path = "../../loadgen/tests/fake/mod.rs"]
mod fake;
mod project;

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use fake::LONG;
use project::{Project, SUITE};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

/// What the suite in `directory` says of itself last.
fn suite(project: &Project, directory: &str) -> Value {
    let lines = project.lines(directory);
    let last = lines.iter().rfind(|line| line["suite"].is_object());
    last.unwrap()["suite"].clone()
}

/// The runs of the suite in `directory`.
fn documents(project: &Project, directory: &str) -> Vec<Value> {
    let lines = project.lines(directory);
    let runs = lines.iter().filter(|line| line["run"].is_object());
    runs.map(|line| line["run"].clone()).collect()
}

/// Round, workload and server of each, in order.
fn runs(project: &Project, directory: &str) -> Vec<(u64, String, String)> {
    let text = |run: &Value, key: &str| run[key].as_str().unwrap().to_owned();
    let documents = documents(project, directory).into_iter();
    documents
        .map(|run| {
            (
                run["round"].as_u64().unwrap(),
                text(&run, "workload"),
                text(&run, "server"),
            )
        })
        .collect()
}

fn server<'a>(suite: &'a Value, name: &str) -> &'a Value {
    let mut servers = suite["servers"].as_array().unwrap().iter();
    servers.find(|server| server["name"] == name).unwrap()
}

/// Every file below a folder.
fn files(folder: PathBuf) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().flatten();
    let files = entries.flat_map(|entry| match entry.path() {
        path if path.is_dir() => files(path),
        path => vec![path],
    });
    files.collect()
}

#[test]
fn every_server_meets_every_workload_and_who_cannot_is_told_why() {
    let others = [
        ("other", ""),
        ("refuses", "--refuse"),
        ("odd", "--odd"),
        ("dies", "--die-after 1"),
    ];
    let project = Project::new(&others);
    let output = project.run(&["--out", "out", "--seed", "5"], 0);
    let mut found = runs(&project, "out");
    found.sort();
    let mut expected = Vec::new();
    for (workload, rounds) in [("churn", 2), ("crowd", 1), ("echo", 2), ("idle", 1)] {
        for round in 1..=rounds {
            for server in ["good", "other"] {
                expected.push((round, workload.to_owned(), server.to_owned()));
            }
        }
    }
    expected.sort();
    assert_eq!(found, expected);

    let suite = suite(&project, "out");
    assert_eq!(suite["schema"], "ringload-suite/2");
    assert_eq!(
        (&suite["status"], &suite["baseline"]),
        (&"ok".into(), &"good".into())
    );
    assert_eq!(suite["prediction"], "They are alike.");
    assert!(suite["finished"].is_string());
    assert_eq!(suite["failures"], Value::Array(Vec::new()));
    assert_eq!(server(&suite, "good")["version"], "echo 1.2.3");
    let reasons = [
        ("refuses", "503"),
        ("odd", "--odd is no option"),
        ("dies", "enough is enough"),
    ];
    for (name, phrase) in reasons {
        let server = server(&suite, name);
        assert_eq!(server["status"], "skipped");
        assert!(
            server["reason"].as_str().unwrap().contains(phrase),
            "{server}"
        );
    }
    let lines = project.lines("out");
    let environment = lines
        .iter()
        .find(|line| line["environment"].is_object())
        .unwrap();
    assert!(
        environment["environment"]["kernel"]
            .as_str()
            .unwrap()
            .contains("Linux")
    );
    assert!(
        lines
            .iter()
            .any(|line| line["selftest"]["cases"].is_array())
    );
    for run in documents(&project, "out") {
        let document = &run["document"];
        assert_eq!(
            (&document["schema"], &document["status"]),
            (&"ringload/3".into(), &"ok".into())
        );
        assert!(run["rss_before_bytes"].as_u64().unwrap() > 0);
        assert_ne!(
            document["kind"] == "idle",
            document["result"]["series"] == Value::Array(Vec::new())
        );
    }

    // A process a round for the workloads that share one, one for each that has its own, and one to be verified.
    let starts = project.fake.starts();
    let of = |name: &str| starts.iter().filter(|start| *start == name).count();
    assert_eq!(
        (of("good"), of("other"), of("refuses")),
        (1 + 2 + 2, 1 + 2 + 2, 1)
    );

    // The table names who was measured, and nobody learns from the files where they were made.
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(said.contains("Good") && said.contains("Echo"), "{said}");
    let here = project.fake.folder.path().display().to_string();
    for file in files(project.fake.path("out")) {
        let text = String::from_utf8_lossy(&fs::read(&file).unwrap()).into_owned();
        assert!(!text.contains(&here), "{file:?}");
    }
    assert!(lines.iter().all(|line| !line.to_string().contains(&here)));
}

#[test]
fn a_run_that_goes_wrong_is_a_failure_and_the_rest_goes_on() {
    // The verification has at most 100,000 bytes, and this workload has more.
    let project = Project::new(&[("small", "--longest 100000")]);
    let echo = "title = 'Echo'\nconnections = 2\n";
    let larger = SUITE.replace(echo, &format!("{echo}size = '100001'\n"));
    fs::write(project.fake.path("small.toml"), larger).unwrap();
    let output = project.run(&["--out", "out", "--only", "echo", "--only", "churn"], 1);
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        errors.contains("FAILED: small, echo, round 1: "),
        "{errors}"
    );
    let suite = suite(&project, "out");
    assert_eq!(
        (&suite["status"], &server(&suite, "small")["status"]),
        (&"failed".into(), &"ok".into())
    );
    let failures = suite["failures"].as_array().unwrap();
    assert_eq!(failures.len(), 2, "{failures:?}");
    let why = failures[0].as_str().unwrap();
    assert!(
        why.contains("small, echo, round ") && why.contains("too long for me"),
        "{why}"
    );
    // The failed runs are there, too, marked as such.
    let documents = documents(&project, "out");
    let with = |status: &str| {
        documents
            .iter()
            .filter(|run| run["document"]["status"] == status)
            .count()
    };
    assert_eq!((with("failed"), with("ok")), (2, 6));
}

#[test]
fn what_was_cut_off_goes_on_where_it_was_in_the_same_order() {
    let project = Project::new(&[("other", "")]);
    let seeded = ["--seed", "11", "--only", "echo", "--only", "churn"];
    let begun = [&["--out", "out"][..], &seeded].concat();
    let ringbench = project.command(&begun).spawn().unwrap();
    let deadline = Instant::now() + LONG;
    while runs(&project, "out").len() < 3 {
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
    assert!(suite(&project, "out")["finished"].is_null());

    // A crash may cut off a line, too; and one run had not come to anything.
    let mut lines = project.lines("out");
    let last = lines
        .iter()
        .rposition(|line| line["run"].is_object())
        .unwrap();
    let lost = lines.remove(last)["run"].clone();
    let text = |key: &str| lost[key].as_str().unwrap().to_owned();
    let name = format!(
        "{}, {}, round {}",
        text("server"),
        text("workload"),
        lost["round"]
    );
    let mut failed = suite(&project, "out");
    failed["failures"] = serde_json::json!([format!("{name}: it did not start.")]);
    lines.push(serde_json::json!({ "suite": failed }));
    project.rewrite("out", &lines);
    let before = runs(&project, "out");
    let path = project.archive("out");
    let bytes = fs::read(&path).unwrap();
    let mut more = bytes.clone();
    more.extend_from_slice(&bytes[..bytes.len() / 2]);
    fs::write(&path, &more).unwrap();

    // What is left is told, and the file is left as it is until something is done.
    let output = project.run(&["--resume", "out", "--dry-run"], 0);
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(said.contains(" of    4 runs  "), "{said}");
    assert_eq!(fs::read(&path).unwrap(), more);

    project.run(&["--resume", "out"], 0);
    let suite_now = suite(&project, "out");
    assert_eq!(
        (&suite_now["status"], &suite_now["seed"]),
        (&"ok".into(), &11.into())
    );
    assert_eq!(
        (&suite_now["failures"], &suite_now["error"]),
        (&serde_json::json!([]), &Value::Null)
    );
    let distinct = |directory: &str| {
        let mut distinct: Vec<(u64, String, String)> = Vec::new();
        for run in runs(&project, directory) {
            if !distinct.contains(&run) {
                distinct.push(run);
            }
        }
        distinct
    };
    assert_eq!(distinct("out")[..before.len()], before);
    assert_eq!(distinct("out").len(), 8);
    let again = [&["--out", "again"][..], &seeded].concat();
    project.run(&again, 0);
    assert_eq!(distinct("out"), runs(&project, "again"));

    // Nothing is missing any more.
    let output = project.run(&["--resume", "out", "--dry-run"], 0);
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(said.starts_with("0 runs, about "), "{said}");
    let why = project.refused(&["--out", "out"]);
    assert!(why.contains("is not empty"), "{why}");
    let changed = SUITE.replace("sessions = 20", "sessions = 21");
    fs::write(project.fake.path("small.toml"), changed).unwrap();
    let why = project.refused(&["--resume", "out"]);
    assert!(
        why.contains("the workload churn has changed since this was begun"),
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
            SUITE.replace("sessions", "sittings"),
            "small.toml: churn: unexpected argument '--sittings'",
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
            "no workload is called nothing; there are echo, churn, crowd, idle",
        ),
        (&["--server", "nobody"], "no server is called nobody"),
        (
            &["--server", "x=echo"],
            "--server x=...: write NAME='COMMAND {port}'",
        ),
        (&["--resume", "nowhere"], "nowhere: No such file"),
        (
            &["--resume", "out", "--server-cpu", "0"],
            "'--resume <DIR>' cannot be used with '--server-cpu <LIST>'",
        ),
        (
            &["--resume", "out", "--server", "good"],
            "--resume goes on with the servers it had",
        ),
        (
            &["--resume", "small.toml"],
            "small.toml is no archive of a suite",
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
    assert!(!project.fake.path("results").exists() && !project.fake.path("out").exists());
    assert!(project.fake.starts().is_empty());
}

#[test]
fn a_dry_run_tells_the_time_and_does_nothing() {
    let project = Project::new(&[("other", "")]);
    let output = project.run(&["--dry-run"], 0);
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(said.contains("12 runs, about "), "{said}");
    assert!(project.fake.starts().is_empty() && !project.fake.path("results").exists());
}

#[test]
fn any_server_is_measured_that_is_given_as_a_command() {
    let project = Project::new(&[]);
    fs::remove_dir_all(project.fake.path("scripts")).unwrap();
    let mine = format!("mine={}", project.fake.command("mine", ""));
    let theirs = format!("theirs={}", project.fake.command("theirs", ""));
    let both = [
        "--out", "out", "--only", "echo", "--server", &mine, "--server", &theirs,
    ];
    project.run(&both, 0);
    assert_eq!(runs(&project, "out").len(), 4);
    let suite = suite(&project, "out");
    assert_eq!(
        (&suite["baseline"], &suite["failures"]),
        (&"mine".into(), &serde_json::json!([]))
    );
    project.run(
        &["--resume", "out", "--server", &mine, "--server", &theirs],
        0,
    );
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
}
