//! `ringbench report --compare`, over directories that are made up.

#[path = "../../loadgen/tests/fixture/mod.rs"]
mod fixture;

use std::fs;
use std::process::Command;

use tempfile::TempDir;

/// A directory of one workload: of each server the CPU time of its rounds, in nanoseconds.
fn results(servers: &[(&str, &[f64])], environment: &str) -> TempDir {
    let directory = TempDir::new().unwrap();
    let place = directory.path();
    fs::create_dir_all(place.join("raw")).unwrap();
    let mut lines = String::new();
    for (server, rounds) in servers {
        for (at, cpu) in rounds.iter().enumerate() {
            let (round, raw) = (at + 1, format!("raw/{server}-{at}.json"));
            let document = fixture::run(&[1_000_000; 100], *cpu, None, "server-bound");
            fs::write(place.join(&raw), document.to_string()).unwrap();
            let line = serde_json::json!({
                "round": round, "server": server, "workload": "w", "raw": raw, "status": "ok",
                "started_unix_seconds": 1,
            });
            lines.push_str(&format!("{line}\n"));
        }
    }
    fs::write(place.join("runs.jsonl"), lines).unwrap();
    fs::write(place.join("environment.json"), environment).unwrap();
    directory
}

/// The row of a server in the table of changes.
fn row<'a>(markdown: &'a str, server: &str) -> Option<&'a str> {
    let start = format!("| {server} |");
    markdown.lines().find(|line| line.starts_with(&start))
}

#[test]
fn two_results_are_set_side_by_side() {
    let old = results(
        &[
            ("a", &[4000.0, 4100.0, 4050.0, 4020.0, 4060.0, 4080.0]),
            ("b", &[900.0]),
            ("few", &[4000.0, 4100.0, 4050.0, 4020.0, 4060.0, 4080.0]),
        ],
        r#"{"kernel": "6.1", "seed": 1, "cpu": {"model": "<x>"}}"#,
    );
    let new = results(
        &[
            ("a", &[8000.0, 8200.0, 8100.0, 8040.0, 8120.0, 8160.0]),
            ("c", &[900.0]),
            ("few", &[8000.0, 8200.0, 8100.0, 8040.0, 8120.0]),
        ],
        r#"{"kernel": "6.18", "seed": 2, "cpu": {"model": "<x>"}}"#,
    );
    let out = TempDir::new().unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_ringbench"))
        .args(["report", "--compare"])
        .args([old.path(), new.path()])
        .arg("--out")
        .arg(out.path())
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{errors}");
    let page = fs::read_to_string(out.path().join("compare.html")).unwrap();
    let markdown = fs::read_to_string(out.path().join("compare.md")).unwrap();
    let of_a = row(&markdown, "a").unwrap();
    assert!(
        of_a.contains("+100.0 % (+100.0 to +100.0 %; 4.00–4.10 µs → 8.00–8.20 µs)"),
        "{of_a}"
    );
    assert!(
        of_a.contains("+0.0 % \\~"),
        "what did not change is within the spread: {of_a}"
    );
    let of_few = row(&markdown, "few").unwrap();
    assert!(
        of_few.contains("+100.0 % \\~ (+100.0 to"),
        "five rounds are no result: {of_few}"
    );
    assert!(markdown.contains("| kernel | 6.1 | 6.18 |"), "{markdown}");
    assert!(
        !markdown.contains("| seed |") && !markdown.contains("cpu.model"),
        "{markdown}"
    );
    assert!(row(&markdown, "b").is_none() && row(&markdown, "c").is_none());
    assert!(page.contains("+100.0 %") && page.contains("6.18"));
    let kept = fs::read_dir(new.path()).unwrap().count();
    assert_eq!(kept, 3, "--out keeps the results as they are");
}
