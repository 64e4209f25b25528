//! `ringload merge` as a user meets it, over documents that are made up.

mod made;

use std::fs;
use std::path::Path;
use std::thread;
use std::time::Duration;

use self::made::{Place, histogram, latencies, merge, parts, run, stderr};
use ringload::assess::finding::Id;
use ringload::result::latency::Latency;
use serde_json::{Value, json};
use tempfile::TempDir;

#[test]
fn merged_percentiles_are_those_of_all_values_together() {
    let place = Place::new();
    let parts = parts();
    let files: Vec<String> = parts
        .iter()
        .zip(["a.json", "b.json", "c.json"])
        .map(|(values, name)| place.put(name, &run(values, 4000.0, None, &[])))
        .collect();
    let files: Vec<&str> = files.iter().map(String::as_str).collect();
    let document = place.merged(&files);
    let together = histogram(&parts.concat());
    let latency = &document["result"]["sum"]["latency"];
    for (name, quantile) in [("p50_ns", 0.5), ("p99_ns", 0.99), ("p99_9_ns", 0.999)] {
        assert_eq!(
            latency[name],
            together.value_at_quantile(quantile),
            "{name}"
        );
    }
    assert_eq!(latency["count"], 8700);
    assert_eq!(latency["max_ns"], together.max());
    assert_eq!(
        latency["histogram_v2_deflate_base64"],
        Latency::of(&together).histogram_v2_deflate_base64
    );
    let means: f64 = parts
        .iter()
        .map(|part| histogram(part).value_at_quantile(0.99) as f64)
        .sum::<f64>()
        / 3.0;
    assert!(
        (latency["p99_ns"].as_f64().unwrap() - means).abs() > 1000.0,
        "a mean would have passed"
    );
    let result = &document["result"];
    assert_eq!(document["schema"], "ringload/3");
    assert_eq!(result["sum"]["completed"], 8700);
    assert_eq!(result["sum"]["completed_per_second"], 4350.0);
    assert_eq!(document["load"]["connections"], 192);
    assert_eq!(document["checks"]["messages_verified"], 8700);
    assert_eq!(result["sum"]["window"]["overlap_percent"], 100.0);
    assert_eq!(document["result"]["warnings"], json!([]));
    assert_eq!(document["result"]["parts"].as_array().unwrap().len(), 3);
    assert_eq!(document["result"]["parts"][2]["file"], "c.json");
}

#[test]
fn cpu_time_is_shared_by_all_messages() {
    let place = Place::new();
    let values = latencies(1, 2000, 50_000.0);
    let mut a = run(&values, 4000.0, None, &[]);
    let mut b = run(&values, 4000.0, None, &[]);
    b["load"]["seed"] = json!(2);
    b["result"]["server"] = Value::Null;
    b["result"]["generator"]["cpu_ns_each"] = json!(3100.0);
    let files = [place.put("a.json", &a), place.put("b.json", &b)];
    let of = |document: &Value, name: &str| document["result"]["sum"][name].as_f64().unwrap();
    let document = place.merged(&[&files[0], &files[1]]);
    // One part saw the whole of the server's CPU time; half the messages were the other's.
    assert!((of(&document, "server_cpu_ns_each") - 2000.0).abs() < 1e-6);
    assert!((of(&document, "generator_cpu_ns_each") - 2600.0).abs() < 1e-6);
    // Both saw the same server: that is the same CPU time, told twice.
    a["load"]["seed"] = json!(3);
    let c = place.put("c.json", &a);
    let document = place.merged(&[&files[0], &c]);
    assert!((of(&document, "server_cpu_ns_each") - 2000.0).abs() < 1e-6);
    // Two servers: their CPU times add up.
    a["result"]["server"]["pids"] = json!([4343]);
    let d = place.put("d.json", &a);
    let document = place.merged(&[&files[0], &d]);
    assert!((of(&document, "server_cpu_ns_each") - 4000.0).abs() < 1e-6);
}

#[test]
fn every_check_is_added_up() {
    let place = Place::new();
    let a = run(&[1000], 1.0, None, &[]);
    let names: Vec<String> = a["checks"].as_object().unwrap().keys().cloned().collect();
    // Each has a number of its own, so that none can stand for another.
    let files = [("a.json", 10u64), ("b.json", 1000)].map(|(file, factor)| {
        let mut document = a.clone();
        for (number, name) in names.iter().enumerate() {
            document["checks"][name] = match name.as_str() {
                "faults" | "mismatches" => json!([format!("connection {factor}: odd {name}")]),
                _ => json!((number as u64 + 1) * factor),
            };
        }
        place.put(file, &document)
    });
    let checks = place.merged(&[&files[0], &files[1]])["checks"].clone();
    for (number, name) in names.iter().enumerate() {
        let number = number as u64 + 1;
        let expected = match name.as_str() {
            "faults" | "mismatches" => json!([
                format!("a.json: connection 10: odd {name}"),
                format!("b.json: connection 1000: odd {name}")
            ]),
            "oldest_unanswered_seconds" => json!(number as f64 * 1000.0),
            _ => json!(number * 1010),
        };
        assert_eq!(checks[name], expected, "{name}");
    }
    assert_eq!(checks.as_object().unwrap().len(), names.len());
}

#[test]
fn the_worst_status_is_the_whole_s_and_findings_name_their_part() {
    let place = Place::new();
    let values = latencies(1, 500, 50_000.0);
    let put = |name: &str, found: &[Id], status: &str, seed: u64| {
        let mut document = run(&values, 4000.0, None, found);
        document["load"]["seed"] = json!(seed);
        document["status"] = json!(status);
        document["error"] = match status {
            "ok" => Value::Null,
            _ => json!("it went wrong"),
        };
        place.put(name, &document)
    };
    let good = put("good.json", &[Id::ServerSaturated], "ok", 1);
    let noisy = put("noisy.json", &[Id::CpuShared], "ok", 2);
    let slow = put("slow.json", &[Id::GeneratorSaturated], "ok", 3);
    let bad = put("bad.json", &[], "failed", 4);
    let document = place.merged(&[&good, &noisy, &slow]);
    let found: Vec<(&str, &str)> = document["findings"]
        .as_array()
        .unwrap()
        .iter()
        .map(|found| {
            (
                found["id"].as_str().unwrap(),
                found["means"].as_str().unwrap(),
            )
        })
        .collect();
    let expected = ["generator_saturated", "server_saturated", "cpu_shared"];
    assert_eq!(
        found.iter().map(|(id, _)| *id).collect::<Vec<_>>(),
        expected
    );
    assert!(found[2].1.starts_with("noisy.json: made up"), "{found:?}");
    let summary = document["summary"].as_str().unwrap();
    assert!(
        summary.contains("throughput and latency cannot"),
        "{summary}"
    );
    let output = merge(&[&good, &bad]);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        stderr(&output).contains("bad.json: it went wrong"),
        "{}",
        stderr(&output)
    );
    assert_eq!(merge(&[&good, &noisy]).status.code(), Some(0));
}

#[test]
fn windows_that_hardly_overlap_are_told() {
    let place = Place::new();
    let values = latencies(1, 500, 50_000.0);
    let a = place.put("a.json", &run(&values, 4000.0, None, &[]));
    // Both are 2 s long. How much later the second began, and what comes of it.
    for (late_seconds, percent, is_told, is_valid) in [
        (0.125, 88, true, true),
        (0.5, 60, true, true),
        (1.0, 33, true, false),
        (60.0, 0, true, false),
        (0.0625, 94, false, true),
    ] {
        let mut late = run(&values, 4000.0, None, &[]);
        late["result"]["window_start_unix_seconds"] = json!(1_700_000_000.5 + late_seconds);
        let b = place.put("b.json", &late);
        let output = merge(&[&a, &b, "--json", "-"]);
        let document: Value = serde_json::from_slice(&output.stdout).unwrap();
        let window = &document["result"]["sum"]["window"];
        let common = window["overlap_percent"].as_f64().unwrap();
        assert_eq!(common.round() as i64, percent, "{late_seconds}");
        assert_eq!(window["union_seconds"], 2.0 + late_seconds);
        let says = format!("have {percent} % of {:.1} s in common", 2.0 + late_seconds);
        let warnings = document["result"]["warnings"].as_array().unwrap();
        assert_eq!(warnings.len(), usize::from(is_told), "{warnings:?}");
        assert!(!is_told || warnings[0].as_str().unwrap().contains(&says));
        if is_valid {
            assert_eq!(document["status"], "ok");
            assert_eq!(output.status.code(), Some(0));
        } else {
            assert_eq!(document["status"], "failed");
            assert_eq!(output.status.code(), Some(1));
            let reason = document["error"].as_str().unwrap();
            assert!(reason.contains(&says) && reason.contains("different times"));
            assert!(stderr(&output).contains(reason), "{}", stderr(&output));
        }
    }
}

#[test]
fn different_loads_are_refused_unless_forced() {
    let place = Place::new();
    let values = latencies(1, 500, 50_000.0);
    let a = place.put("a.json", &run(&values, 4000.0, None, &[]));
    let b = place.put("b.json", &run(&values, 4000.0, Some(250.0), &[]));
    let output = merge(&[&a, &b]);
    assert_eq!(output.status.code(), Some(2));
    let error = stderr(&output);
    assert!(
        error.contains("in_flight is 1 in a.json and null in b.json"),
        "{error}"
    );
    let document = place.merged(&[&a, &b, "--force"]);
    assert!(
        document["result"]["warnings"][0]
            .as_str()
            .unwrap()
            .contains("different loads were merged")
    );
    assert_eq!(document["result"]["sum"]["offered_per_second"], Value::Null);
}

#[test]
fn a_result_counts_once() {
    let place = Place::new();
    let document = run(&latencies(1, 500, 50_000.0), 4000.0, None, &[]);
    let a = place.put("a.json", &document);
    let copy = place.put("copy.json", &document);
    let round_about = format!("{}/./a.json", place.0.path().display());
    for (files, says) in [
        ([&a, &a], "is given twice"),
        ([&a, &round_about], "is given twice"),
        ([&a, &copy], "hold the same result"),
    ] {
        let output = merge(&[files[0], files[1]]);
        assert_eq!(output.status.code(), Some(2));
        assert!(stderr(&output).contains(says), "{}", stderr(&output));
    }
}

#[test]
fn what_is_no_result_is_refused_by_name() {
    let place = Place::new();
    let good = place.put("good.json", &run(&[1000, 2000], 1.0, None, &[]));
    let cases = [
        (
            json!({"schema": "ringload/3", "kind": "churn"}).to_string(),
            "holds \"ringload/3\" of kind \"churn\"",
            2,
        ),
        ("{}".to_owned(), "holds no schema", 2),
        (
            r#"{"schema": "ringload/3", "kind": "run"}"#.to_owned(),
            "is no ringload/3",
            1,
        ),
        (
            r#"{"schema": "ringload-"#.to_owned(),
            "is not whole, or no JSON",
            1,
        ),
        (String::new(), "is not whole, or no JSON", 1),
        ("[".repeat(100_000), "is not whole, or no JSON", 1),
    ];
    for (text, says, status) in cases {
        fs::write(place.path("bad.json"), text).unwrap();
        let output = merge(&[&good, &place.text("bad.json")]);
        let error = stderr(&output);
        assert!(
            error.contains("bad.json") && error.contains(says),
            "{error}"
        );
        assert_eq!(output.status.code(), Some(status), "{error}");
    }
    let mut broken = run(&[1000], 1.0, None, &[]);
    broken["result"]["latency"]["histogram_v2_deflate_base64"] = json!("HISTFAAA");
    let broken = place.put("broken.json", &broken);
    let output = merge(&[&good, &broken]);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        stderr(&output).contains("reading broken.json"),
        "{}",
        stderr(&output)
    );
    let output = merge(&[&place.text("absent.json")]);
    assert_eq!(output.status.code(), Some(2));
    assert!(
        stderr(&output).contains("absent.json cannot be read"),
        "{}",
        stderr(&output)
    );
}

#[test]
fn numbers_of_any_size_are_added_without_a_panic() {
    let place = Place::new();
    let mut huge = run(&[1000], 1.0, None, &[]);
    huge["result"]["completed"] = json!(u64::MAX);
    huge["checks"]["messages_verified"] = json!(u64::MAX);
    huge["load"]["connections"] = json!(u64::MAX);
    huge["result"]["completed_per_second"] = json!(1e308);
    let a = place.put("a.json", &huge);
    huge["load"]["seed"] = json!(2);
    let b = place.put("b.json", &huge);
    let output = merge(&[&a, &b]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
}

#[test]
fn a_directory_stands_for_the_results_in_it() {
    let place = Place::new();
    for (name, seed) in [("b.json", 5), ("a.json", 6)] {
        place.put(
            name,
            &run(&latencies(seed, 500, 50_000.0), 4000.0, None, &[]),
        );
    }
    // What merge itself wrote there, what is still being written, and what is no JSON at all.
    place.put(
        "merged.json",
        &json!({"schema": "ringload/3", "kind": "merge"}),
    );
    place.put(".c.json", &json!({"schema": "ringload/3", "kind": "run"}));
    fs::write(place.path("notes.txt"), "x").unwrap();
    let directory = place.0.path().to_str().unwrap();
    let csv = place.text("series.csv");
    let hgrm = place.text("latency.hgrm");
    let document = place.merged(&[directory, "--csv", &csv, "--histogram", &hgrm]);
    let files: Vec<&str> = document["result"]["parts"]
        .as_array()
        .unwrap()
        .iter()
        .map(|part| part["file"].as_str().unwrap())
        .collect();
    assert_eq!(files, ["a.json", "b.json"]);
    let csv = fs::read_to_string(csv).unwrap();
    assert_eq!(csv.lines().count(), 3, "{csv}");
    assert!(csv.starts_with("part,window_start_unix_seconds,"), "{csv}");
    assert!(
        fs::read_to_string(hgrm)
            .unwrap()
            .contains("Total count    =         1000")
    );
    let empty = TempDir::new().unwrap();
    let output = merge(&[empty.path().to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(2));
    assert!(
        stderr(&output).contains("there is no result"),
        "{}",
        stderr(&output)
    );
}

#[test]
fn results_are_waited_for_until_all_are_there_and_whole() {
    let place = Place::new();
    let directory = place.path("parts");
    let documents: Vec<String> = (0..3)
        .map(|seed| run(&latencies(seed, 500, 50_000.0), 4000.0, None, &[]).to_string())
        .collect();
    let writer = thread::spawn({
        let directory = directory.clone();
        move || write_slowly(&directory, &documents)
    });
    let document = place.merged(&[
        directory.to_str().unwrap(),
        "--wait",
        "3",
        "--timeout",
        "60s",
    ]);
    writer.join().unwrap();
    assert_eq!(document["result"]["sum"]["completed"], 1500);
}

/// One file after the other, the last in two halves.
fn write_slowly(directory: &Path, documents: &[String]) {
    let pause = || thread::sleep(Duration::from_millis(250));
    pause();
    fs::create_dir(directory).unwrap();
    for (number, text) in documents.iter().enumerate() {
        let path = directory.join(format!("part-{number}.json"));
        pause();
        fs::write(&path, &text[..text.len() / 2]).unwrap();
        pause();
        fs::write(&path, text).unwrap();
    }
}

#[test]
fn waiting_ends_with_a_sentence_that_counts() {
    let place = Place::new();
    let a = place.put("a.json", &run(&[1000], 1.0, None, &[]));
    let absent = place.text("absent.json");
    let output = merge(&[&a, &absent, "--wait", "2", "--timeout", "300ms"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        stderr(&output).contains("after 0.3 s there are 1 of 2 results"),
        "{}",
        stderr(&output)
    );
    for (arguments, says) in [
        (vec!["--wait", "0"], "--wait is 0"),
        (vec!["--timeout", "5s"], "--wait"),
    ] {
        let mut all = vec![a.as_str()];
        all.extend(arguments);
        let output = merge(&all);
        assert_eq!(output.status.code(), Some(2));
        assert!(stderr(&output).contains(says), "{}", stderr(&output));
    }
}
