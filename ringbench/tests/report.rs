//! `ringbench report` as its user meets it: what it refuses. What a page says is held where it is made.

use std::fs;
use std::process::Command;

/// Calls it with what must be refused; the reason.
fn refused(arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_ringbench"))
        .arg("report")
        .args(arguments)
        .output()
        .unwrap();
    let why = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{why}");
    why
}

#[test]
fn what_is_no_result_is_refused_in_a_sentence() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().to_str().unwrap();
    assert!(refused(&[path]).contains("give what ringbench suite wrote"));
    // As results were before: a directory with a file for each run.
    fs::write(folder.path().join("suite.json"), "{}").unwrap();
    assert_eq!(refused(&[path]).lines().count(), 1);
    fs::write(folder.path().join("suite.jsonl.gz"), "no gzip").unwrap();
    assert!(refused(&[path]).contains("is no archive of a suite"));
}
