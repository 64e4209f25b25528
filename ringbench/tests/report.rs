//! `ringbench report` as a user meets it, over directories that are made up.

#[path = "../../loadgen/tests/fixture/mod.rs"]
mod fixture;

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use fixture::{SKIPPED, SUBJECTS};
use serde_json::Value;
use tempfile::TempDir;

fn ringbench(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_ringbench"))
        .args(arguments)
        .output()
        .unwrap()
}

fn report(directory: &Path) -> Output {
    ringbench(&["report", directory.to_str().unwrap()])
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// A fixture, rendered: the directory, the page and the summary.
fn rendered(rounds: u32) -> (TempDir, String, String) {
    let directory = TempDir::new().unwrap();
    fixture::results(directory.path(), 1, rounds);
    let output = report(directory.path());
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let (page, summary) = read(directory.path());
    (directory, page, summary)
}

fn read(directory: &Path) -> (String, String) {
    let text = |name| fs::read_to_string(directory.join(name)).unwrap();
    (text("report.html"), text("summary.md"))
}

/// The text as HTML holds it.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

#[test]
#[ignore = "writes a fixture to look at in a browser: set FIXTURE to a directory"]
fn write_a_fixture() {
    let directory = std::env::var("FIXTURE").unwrap();
    fs::create_dir_all(&directory).unwrap();
    fixture::results(Path::new(&directory), 1, 6);
    assert!(report(Path::new(&directory)).status.success());
}

#[test]
fn the_page_names_every_workload_and_server_and_what_was_skipped() {
    let (directory, page, summary) = rendered(6);
    for subject in &SUBJECTS {
        assert!(page.contains(&escaped(subject.title)), "{}", subject.title);
    }
    for text in [
        "64x32B-d1",
        "64x32B-10k",
        "Storms of connections",
        "Memory of idle connections",
        "knee",
    ] {
        assert!(page.contains(text), "{text}");
    }
    for text in [&page, &summary] {
        assert!(text.contains(SKIPPED.0) && text.contains("server-bound"));
        // The median of six rounds that are all far on one side of 1 is settled.
        assert!(text.contains("times what Node ws does"));
    }
    assert!(page.contains(&escaped(SKIPPED.1)));
    assert!(page.contains("A &lt;processor&gt;") && page.contains("net.core.somaxconn"));
    // Each kind has its plots, and the curves their legends.
    assert!(page.matches("<svg xmlns").count() >= 10, "plots");
    assert!(
        page.contains("reset: 12"),
        "closes of six rounds are added up"
    );
    assert!(directory.path().join("main.svg").is_file());
    for heading in [
        "## 64 connections × 32 B",
        "### Saturated, one in flight",
        "| Server |",
    ] {
        assert!(summary.contains(heading), "{heading}: {summary}");
    }
}

#[test]
fn percentiles_on_the_page_are_of_all_rounds_together() {
    let directory = TempDir::new().unwrap();
    // Two rounds: of 1000 values each, one has all its slow ones.
    let fast = vec![1_000_000; 1000];
    let slow: Vec<u64> = (0..1000)
        .map(|at| if at < 15 { 900_000_000 } else { 1_000_000 })
        .collect();
    bare(
        directory.path(),
        &[
            ("a", 1, fixture::run(&fast, 1.0, None, "noisy")),
            ("a", 2, fixture::run(&slow, 1.0, None, "noisy")),
        ],
    );
    assert!(report(directory.path()).status.success());
    let (_, summary) = read(directory.path());
    // Of one round p99 is 1 ms and of the other 900 ms: a mean would be 450 ms. Together 15 of 2000 are slow.
    let row = summary
        .lines()
        .find(|line| line.starts_with("| a |"))
        .unwrap();
    let cells: Vec<&str> = row.split('|').map(str::trim).collect();
    assert_eq!(cells[4], "1.00 ms (1.00–900 ms)", "{row}");
}

/// A directory of a single workload, without a suite.json.
fn bare(directory: &Path, runs: &[(&str, u32, Value)]) {
    fs::create_dir_all(directory.join("raw")).unwrap();
    let mut lines = String::new();
    for (server, round, document) in runs {
        let raw = format!("raw/{server}-{round}.json");
        fs::write(directory.join(&raw), document.to_string()).unwrap();
        let line = serde_json::json!({
            "round": round, "server": server, "workload": "w", "raw": raw, "status": "ok",
            "started_unix_seconds": 1,
        });
        lines.push_str(&format!("{line}\n"));
    }
    fs::write(directory.join("runs.jsonl"), lines).unwrap();
}

#[test]
fn the_terminal_gets_a_table_of_each_workload_and_then_the_page() {
    let directory = TempDir::new().unwrap();
    let mut heavy = fixture::run(&[1_000_000; 100], 1600.0, None, "server-bound");
    heavy["result"]["heavy"] = serde_json::json!({
        "messages": 50_000, "messages_per_second": 25_000.0, "payload_bytes_per_second": 1e9,
        "most_by_mean": 1.254, "least_by_mean": 0.5,
    });
    bare(directory.path(), &[("a", 1, heavy)]);
    let output = report(directory.path());
    let text = String::from_utf8(output.stdout).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines[0], "w", "{text}");
    let columns = ["p50", "Worst", "Heavy messages/s", "Most by mean share"];
    assert!(
        columns.iter().all(|column| lines[1].contains(column)),
        "{text}"
    );
    assert!(
        lines[2].contains("25,000") && lines[2].contains("1.25×"),
        "{text}"
    );
    assert!(lines[lines.len() - 1].ends_with("report.html"), "{text}");
}

#[test]
fn idle_memory_has_its_base() {
    let (_directory, _, summary) = rendered(1);
    let head = summary.lines().find(|line| line.contains("| Resident |"));
    assert!(
        head.is_some_and(|head| head.contains("| Base |")),
        "{head:?}"
    );
    assert!(summary.contains("| 7.5 MiB |"), "{summary}");
}

#[test]
fn nothing_of_a_result_becomes_markup() {
    let (directory, page, summary) = rendered(3);
    for text in ["<script", "<b>its", "<i>now", "alert('x')<"] {
        assert!(!page.contains(text) && !summary.contains(text), "{text}");
    }
    assert!(
        !page.contains("http://")
            || page.matches("http://").count()
                == page.matches("http://www.w3.org/2000/svg").count()
    );
    assert!(!page.contains("https://") && !page.contains("<img") && !page.contains("<link"));
    assert!(page.contains("default-src 'none'"));
    for entry in fs::read_dir(directory.path()).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|end| end == "svg") {
            let text = fs::read_to_string(&path).unwrap();
            assert!(!text.contains("<script"), "{}", path.display());
            well_formed(&text);
            assert!(text.contains("prefers-color-scheme"), "{}", path.display());
        }
    }
    // In a table a bar would begin a cell.
    assert!(summary.contains("$x$ \\|"), "{summary}");
}

#[test]
fn drawings_hold_numbers_only() {
    let directory = TempDir::new().unwrap();
    // Nothing, one value, zeros, and the largest that fit.
    let documents = [
        fixture::run(&[], 0.0, None, "server-bound"),
        fixture::run(&[1], 1e-9, Some(0.0), "server-bound"),
        fixture::run(
            &[3_600_000_000_000; 2000],
            1e150,
            Some(1e150),
            "server-bound",
        ),
    ];
    let runs: Vec<(&str, u32, Value)> = ["none", "one", "huge"]
        .into_iter()
        .zip(documents)
        .map(|(server, document)| (server, 1, document))
        .collect();
    bare(directory.path(), &runs);
    assert!(report(directory.path()).status.success());
    let (page, _) = read(directory.path());
    numbers_only(&page);
    let (_directory, page, _) = rendered(1);
    numbers_only(&page);
}

#[test]
fn what_this_version_does_not_know_is_passed_over_or_told() {
    let directory = TempDir::new().unwrap();
    let mut newer = fixture::run(&[1_000_000; 100], 5000.0, None, "server-bound");
    newer["result"]["of_the_future"] = "x".into();
    let runs: Vec<(&str, u32, Value)> = (1..=7)
        .map(|round| match round {
            1 | 2 => ("a", round, newer.clone()),
            _ => ("a", round, serde_json::json!({"schema": "ringload-run/77"})),
        })
        .collect();
    bare(directory.path(), &runs);
    let output = report(directory.path());
    assert!(output.status.success());
    // What is wrong with many files is said once.
    let said = stderr(&output);
    assert!(
        said.contains("raw/a-3.json, raw/a-4.json, raw/a-5.json and 2 more could not be read"),
        "{said}"
    );
    let (_, summary) = read(directory.path());
    let row = summary
        .lines()
        .find(|line| line.starts_with("| a |"))
        .unwrap();
    assert!(
        row.contains("5.00 µs") && row.contains("server-bound"),
        "{row}"
    );
}

/// Fails if a drawing of the page has a coordinate that is none.
fn numbers_only(page: &str) {
    let drawings = page.split("<svg xmlns").skip(1);
    let mut count = 0;
    for drawing in drawings {
        let drawing = drawing.split("</svg>").next().unwrap();
        for word in drawing.split(|c: char| !c.is_ascii_alphanumeric()) {
            assert!(!matches!(word, "NaN" | "inf" | "Infinity"), "{drawing}");
        }
        count += 1;
    }
    assert!(count > 0, "there is a drawing");
}

/// Fails unless every element that opens closes, in order.
fn well_formed(text: &str) {
    let mut open: Vec<&str> = Vec::new();
    for tag in text.split('<').skip(1) {
        let (tag, _) = tag.split_once('>').expect("every tag ends");
        if tag.starts_with('!') || tag.ends_with('/') {
            continue;
        }
        match tag.strip_prefix('/') {
            Some(name) => assert_eq!(open.pop(), Some(name.trim())),
            None => open.push(tag.split_whitespace().next().unwrap()),
        }
    }
    assert!(open.is_empty(), "{open:?}");
}

#[test]
fn what_is_missing_or_broken_is_told_and_the_rest_is_shown() {
    let directory = TempDir::new().unwrap();
    let place = directory.path();
    fixture::results(place, 1, 2);
    fs::remove_file(place.join("environment.json")).unwrap();
    fs::remove_file(place.join("raw/storm/bun-1.json")).unwrap();
    fs::write(place.join("raw/idle/bun-1.json"), "{").unwrap();
    fs::write(
        place.join("raw/idle/bun-2.json"),
        r#"{"schema": "ringload-idle/99"}"#,
    )
    .unwrap();
    let mut lines = fs::read_to_string(place.join("runs.jsonl")).unwrap();
    lines.push_str(
        "{\"round\":3,\"server\":\"bun\",\"workload\":\"idle\",\"raw\":\"../../etc/passwd\",\"status\":\"ok\"}\n{\"round\": 3, \"ser",
    );
    fs::write(place.join("runs.jsonl"), lines).unwrap();
    let suite = fs::read_to_string(place.join("suite.json")).unwrap();
    let mut suite: Value = serde_json::from_str(&suite).unwrap();
    suite["finished"] = Value::Null;
    suite["schema"] = "ringload-suite/9".into();
    suite["workloads"][2]["servers"] = serde_json::json!(["bun", "deno"]);
    let deno = serde_json::json!({"name": "deno", "title": "Deno", "status": "ok"});
    suite["servers"].as_array_mut().unwrap().push(deno);
    fs::write(place.join("suite.json"), suite.to_string()).unwrap();
    let output = report(place);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let (page, summary) = read(place);
    for text in [
        "environment.json could not be read",
        "raw/storm/bun-1.json could not be read",
        "raw/idle/bun-1.json could not be read: no JSON",
        "does not know the schema",
        "it is not below the results directory",
        "Line 92 of runs.jsonl could not be read",
        "The suite is not finished",
        "64 visits at a time: there is no run of Deno",
        "ringload-suite/9",
        "not every round has figures (Bun 1 of 2)",
    ] {
        let flat = summary.replace('\\', "");
        assert!(page.contains(text) && flat.contains(text), "{text}: {flat}");
    }
    assert!(
        page.contains("Memory of idle connections"),
        "what is there is shown"
    );
    // Without a suite.json there are still the runs.
    fs::write(place.join("suite.json"), "7").unwrap();
    assert_eq!(report(place).status.code(), Some(0));
    assert!(read(place).0.contains("suite.json is no ringload-suite/1"));
}

#[test]
fn runs_that_failed_are_listed_and_do_not_count() {
    let directory = TempDir::new().unwrap();
    let good = fixture::run(&[1_000_000; 100], 5000.0, None, "server-bound");
    let mut failed = fixture::run(&[1_000_000; 100], 9_000_000.0, None, "invalid");
    failed["status"] = "failed".into();
    failed["error"] = "byte 7 of a reply was <wrong>".into();
    bare(directory.path(), &[("a", 1, good), ("a", 2, failed)]);
    assert!(report(directory.path()).status.success());
    let (page, summary) = read(directory.path());
    assert!(page.contains("byte 7 of a reply was &lt;wrong&gt;"));
    let listed = |summary: &str| summary.matches("- a, w, round 2: ").count();
    assert_eq!(listed(&summary), 1, "{summary}");
    // What the suite tells of it, too, is listed once.
    let suite = serde_json::json!({"failures": ["a, w, round 2: it died."]});
    fs::write(directory.path().join("suite.json"), suite.to_string()).unwrap();
    assert!(report(directory.path()).status.success());
    let (_, told) = read(directory.path());
    assert!(listed(&told) == 1 && told.contains("it died"), "{told}");
    let row = summary
        .lines()
        .find(|line| line.starts_with("| a |"))
        .unwrap();
    assert!(row.contains("5.00 µs") && !row.contains("9.00 ms"), "{row}");
    assert!(
        row.contains("invalid 1, server-bound 1, 1 not counted"),
        "{row}"
    );
}

#[test]
fn what_is_no_results_directory_is_refused_in_a_sentence() {
    let empty = TempDir::new().unwrap();
    for (path, says) in [
        (
            empty.path().to_path_buf(),
            "neither suite.json nor runs.jsonl",
        ),
        (empty.path().join("absent"), "is no directory"),
    ] {
        let output = report(&path);
        assert_eq!(output.status.code(), Some(2));
        assert!(stderr(&output).contains(says), "{}", stderr(&output));
    }
    let path = empty.path().to_str().unwrap();
    for arguments in [&["report", path, path][..], &["report", "--compare", path]] {
        let output = ringbench(arguments);
        assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
        assert!(stderr(&output).contains("--compare"), "{}", stderr(&output));
    }
}

#[test]
fn the_first_workload_that_a_server_of_ours_meets_stands_for_all() {
    let directory = TempDir::new().unwrap();
    let path = directory.path();
    fixture::results(path, 1, 6);
    let lines = fs::read_to_string(path.join("runs.jsonl")).unwrap();
    let is_kept = |line: &&str| !(line.contains("ringback-") && line.contains("64x32B-d1"));
    let lines = lines.lines().filter(is_kept);
    let lines: String = lines.map(|line| format!("{line}\n")).collect();
    fs::write(path.join("runs.jsonl"), lines).unwrap();
    assert!(report(path).status.success());
    let summary = read(path).1.replace('\\', "");
    let lead = "10,000 messages/s: Ringback, io_uring takes ";
    assert!(summary.contains(lead), "{summary}");
}
