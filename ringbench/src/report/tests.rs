//! What a page must be, over results that are made up in memory.

use std::collections::BTreeMap;

use hdrhistogram::Histogram;
use ringload::result::latency::Latency;
use serde_json::{Value, json};

use super::compare::compare;
use super::page::page;
use super::tables;
use super::view::View;
use crate::suite::document::{Archive, Run, ServerEntry, SuiteDocument, WorkloadEntry};

/// Nanoseconds of CPU per message, messages per second, and what was found.
type Round = (f64, f64, &'static [&'static str]);

fn latency(values: &[u64]) -> Value {
    let mut histogram = Histogram::new_with_bounds(1, 3_600_000_000_000, 3).unwrap();
    values
        .iter()
        .for_each(|value| histogram.record(*value).unwrap());
    json!(Latency::of(&histogram))
}

fn finding(id: &&str) -> Value {
    json!({"id": id, "value": 12.0, "limit": 5.0, "unit": "percent", "means": "It is so."})
}

fn document(kind: &str, result: &Value, findings: &[&str]) -> Value {
    let findings: Vec<Value> = findings.iter().map(finding).collect();
    json!({
        "schema": "ringload/3", "status": "ok", "error": null, "environment": {
            "command_line": [], "ringload_version": "", "kernel": "", "machine": "", "cpus_online": 2,
            "host": null, "written_unix_seconds": 0,
        },
        "load": ringload::result::load::Load { connections: 64, ..Default::default() },
        "checks": ringload::result::Checks::default(), "summary": "Fine.", "findings": findings, "gate": [],
        "kind": kind, "result": result,
    })
}

/// A run's window; without a `cpu` its server was not observed.
fn window(cpu: Option<f64>, rate: f64, values: &[u64]) -> Value {
    let busy = json!({"threads": 1, "on_cpu_percent": 50.0, "cpu_wait_percent": 0.0});
    let mut server = json!({
        "pids": [1], "cpu_ns_each": cpu, "cpu_percent_of_one": 50.0, "cpu_source": "schedstat",
        "memory": {
            "rss_bytes": 20 << 20, "rss_anonymous_bytes": 1, "rss_peak_bytes": 1, "pss_bytes": null,
            "private_dirty_bytes": null,
        },
    });
    let busy_too = busy.as_object().unwrap().clone();
    server.as_object_mut().unwrap().extend(busy_too);
    json!({
        "window_start_unix_seconds": 0.0, "window_seconds": 1.0, "completed": values.len(),
        "completed_per_second": rate, "latency": latency(values), "series": [], "generator": busy,
        "server": cpu.map(|_| server),
        "stability": {"is_stable": true, "reason": "", "throughput_change_percent": 0.0},
    })
}

fn run(server: &str, workload: &str, round: u32, document: Value) -> Run {
    let document = serde_json::from_value(document).unwrap();
    let (server, workload, rss_before_bytes) = (server.into(), workload.into(), Some(8 << 20));
    Run {
        round,
        server,
        workload,
        rss_before_bytes,
        document,
    }
}

fn server(name: &str, role: &str) -> ServerEntry {
    let title = format!("The {name}");
    let (name, role) = (name.to_owned(), role.to_owned());
    ServerEntry {
        name,
        title,
        role,
        ..ServerEntry::default()
    }
}

fn workload(name: &str, kind: &str) -> WorkloadEntry {
    let (name, title, kind) = (name.to_owned(), format!("Workload {name}"), kind.to_owned());
    WorkloadEntry {
        name,
        title,
        kind,
        ..WorkloadEntry::default()
    }
}

/// One workload: of each server the same round, again and again, hardly different.
fn archive(rounds: u32, servers: &[(&str, &str, Round)]) -> Archive {
    let mut runs = Vec::new();
    for round in 1..=rounds {
        for (at, (name, _, (cpu, rate, found))) in servers.iter().enumerate() {
            let noise = 1.0 + 0.001 * f64::from((round * 7 + at as u32 * 3) % 5);
            let values = [100_000, 900_000].repeat(600);
            let window = window(Some(cpu * noise), rate / noise, &values);
            runs.push(run(name, "w", round, document("run", &window, found)));
        }
    }
    let entries = servers.iter().map(|(name, role, _)| server(name, role));
    let suite = SuiteDocument {
        title: "Made up".to_owned(),
        servers: entries.collect(),
        workloads: vec![workload("w", "run")],
        baseline: Some("node".to_owned()),
        rounds,
        seed: 7,
        ..SuiteDocument::default()
    };
    let environment = json!({"command_line": ["suite", "scripts/suites/it's.toml", "--rounds=6"], "kernel": "6.18"});
    Archive {
        suite,
        environment,
        runs,
        ..Archive::default()
    }
}

fn node(cpu: f64, rate: f64) -> (&'static str, &'static str, Round) {
    ("node", "baseline", (cpu, rate, &[]))
}

/// HTML and Markdown.
fn rendered(archive: &Archive) -> (String, String) {
    let page = page(&View::of(archive));
    (page.html(), page.markdown())
}

/// The cells of the table whose head has `title`, by their row's first word or two.
fn rows(markdown: &str, title: &str) -> Vec<Vec<String>> {
    let cells = |line: &str| -> Vec<String> {
        let cells = line.trim_matches('|').split(" | ");
        cells.map(|cell| cell.trim().to_owned()).collect()
    };
    let mut lines = markdown.lines().skip_while(|line| !line.contains(title));
    let head = cells(lines.next().unwrap());
    let rows = lines.take_while(|line| line.starts_with('|')).skip(1);
    std::iter::once(head).chain(rows.map(cells)).collect()
}

#[test]
fn rows_are_sorted_by_class_and_then_by_the_first_figure_which_is_cpu() {
    let archive = archive(
        6,
        &[
            node(8000.0, 50_000.0),
            ("slow", "peer", (2000.0, 40_000.0, &[])),
            // As fast as each other, and not equally dear.
            ("dear", "peer", (4000.0, 100_000.0, &[])),
            ("cheap", "ours", (3000.0, 99_900.0, &[])),
            ("floor", "limit", (1000.0, 200_000.0, &[])),
        ],
    );
    let (html, markdown) = rendered(&archive);
    let rows = rows(&markdown, "| CPU per message");
    assert_eq!(rows[0][..3], ["Server", "CPU per message", "Per second"]);
    let subjects: Vec<&str> = rows[1..].iter().map(|row| &*row[0]).collect();
    let expected = [
        "The cheap class 1",
        "The dear class 1",
        "The node class 2",
        "The slow class 3",
        "The floor no WebSocket",
    ];
    assert_eq!(subjects, expected);
    assert!(rows[1][1].contains("µs 0.37× (0.37–0.3"), "{rows:?}");
    assert!(
        rows[3][1].starts_with("8.0") && !rows[3][1].contains('×'),
        "{rows:?}"
    );
    // The bars are in the same order, and the cell of CPU is the second of its row on the page.
    let place = |title: &str| html.find(&format!(">{title}<")).unwrap();
    assert!(place("The cheap") < place("The dear") && place("The dear") < place("The node"));
    let text = tables(&View::of(&archive));
    assert!(
        text.starts_with("Workload w\n| Server") && text.contains("| The cheap class 1"),
        "{text}"
    );
}

#[test]
fn who_keeps_an_offered_rate_is_classed_by_what_it_costs() {
    let rate = 50_000.0;
    let mut archive = archive(
        6,
        &[
            node(8000.0, rate),
            ("dear", "peer", (4000.0, rate, &[])),
            ("cheap", "ours", (3000.0, rate, &[])),
        ],
    );
    for run in &mut archive.runs {
        run.document.load.loop_kind = ringload::result::load::Loop::Open;
    }
    let rows = rows(&rendered(&archive).1, "| CPU per message");
    let subjects: Vec<&str> = rows[1..].iter().map(|row| &*row[0]).collect();
    let expected = ["The cheap class 1", "The dear class 2", "The node class 3"];
    assert_eq!(subjects, expected);
}

#[test]
fn the_headline_tells_of_all_servers_and_of_what_was_disturbed() {
    let mut archive = archive(
        6,
        &[
            node(8000.0, 50_000.0),
            ("node-fast", "peer", (6000.0, 60_000.0, &[])),
            ("ours", "ours", (3000.0, 100_000.0, &["steal"])),
            ("other", "peer", (3000.0, 100_000.0, &[])),
        ],
    );
    // A round that failed counts for nothing but the number of those.
    archive.runs[0].document.status = ringload::result::Status::Failed;
    let (html, markdown) = rendered(&archive);
    for text in [
        "1 of 1 workloads tell the servers' speed apart",
        "The other in 1 of 1, The node-fast in 0 of 1",
        "The node takes 2.6",
        "The node-fast takes 2.00 to 2.00 times as much as the best",
        "Of 24 rounds 6 were disturbed, so that not all their figures may be compared, steal in 6; 1 failed.",
    ] {
        let html = html.replace("&#39;", "'");
        assert!(
            html.contains(text) && markdown.contains(text),
            "{text}: {markdown}"
        );
    }
    let row = &rows(&markdown, "| Fastest class")[1];
    assert!(
        row[1].ends_with("The other") && row.contains(&"6 of 23".to_owned()),
        "{row:?}"
    );
    assert_eq!(row[2], "The other", "who is not told apart is in no class");
    archive.suite.prediction = Some("All <b>one</b> class".to_owned());
    let (html, markdown) = rendered(&archive);
    assert!(
        html.contains("All &lt;b&gt;one&lt;/b&gt; class <"),
        "{html}"
    );
    assert_eq!(rows(&markdown, "Predicted before")[1].len(), 2);
}

#[test]
fn what_may_not_be_compared_is_grey_with_its_reason_and_part_of_no_ratio() {
    let archive = archive(
        6,
        &[
            node(8000.0, 50_000.0),
            (
                "bound",
                "ours",
                (3000.0, 100_000.0, &["generator_saturated"]),
            ),
        ],
    );
    let (html, markdown) = rendered(&archive);
    let row = &rows(&markdown, "| CPU per message")[1];
    assert!(
        row[1].contains("× (0.37–"),
        "CPU per message holds: {row:?}"
    );
    assert!(
        row[2].starts_with('(') && row[2].ends_with(") generator\\_saturated"),
        "{row:?}"
    );
    assert!(
        row[0].ends_with("class 1"),
        "it was at least so fast: {row:?}"
    );
    assert!(html.contains("<td class=\"n grey\">"), "{html}");
}

#[test]
fn too_few_rounds_make_no_classes_and_settle_nothing() {
    let archive = archive(
        5,
        &[
            node(8000.0, 50_000.0),
            ("x", "peer", (3000.0, 100_000.0, &[])),
        ],
    );
    let (_, markdown) = rendered(&archive);
    let rows = rows(&markdown, "| CPU per message");
    assert_eq!(rows[1][0], "The x no class");
    assert!(
        rows[1][1].ends_with(" 0.37× ?") || rows[1][1].ends_with(" 0.38× ?"),
        "{rows:?}"
    );
    assert!(
        markdown.contains("None of 1 workloads tells the servers' speed apart."),
        "{markdown}"
    );
}

#[test]
fn percentiles_are_of_all_rounds_together() {
    let mut archive = archive(0, &[node(8000.0, 50_000.0)]);
    for (round, slow) in [(1, 0), (2, 15)] {
        let values = [vec![1_000_000; 1000 - slow], vec![900_000_000; slow]].concat();
        let window = window(Some(8000.0), 50_000.0, &values);
        archive
            .runs
            .push(run("node", "w", round, document("run", &window, &[])));
    }
    let (_, markdown) = rendered(&archive);
    let rows = rows(&markdown, "| CPU per message");
    // Of one round p99 is 1 ms and of the other 900 ms: a mean would be 450 ms. Together 15 of 2,000 are slow.
    let p99 = rows[0].iter().position(|title| title == "p99").unwrap();
    assert!(rows[1][p99].starts_with("1.00 ms"), "{rows:?}");
}

#[test]
fn what_is_not_known_is_never_0() {
    let mut archive = archive(0, &[node(8000.0, 50_000.0), ("x", "peer", (1.0, 1.0, &[]))]);
    let observed = window(Some(8000.0), 50_000.0, &[1000; 100]);
    archive
        .runs
        .push(run("node", "w", 1, document("run", &observed, &[])));
    archive.runs.push(run(
        "x",
        "w",
        1,
        document("run", &window(None, 7.0, &[]), &[]),
    ));
    let (_, markdown) = rendered(&archive);
    let rows = rows(&markdown, "| CPU per message");
    let dashes = rows[2].iter().filter(|cell| *cell == "–").count();
    assert_eq!((&*rows[2][0], dashes), ("The x no class", 6), "{rows:?}");
    assert!(!rows[2].contains(&"0".to_owned()), "{rows:?}");
    // Memory is what a connection added: (20 - 8) MiB by 64.
    assert!(rows[1].iter().any(|cell| cell == "192 KiB"), "{rows:?}");
}

#[test]
fn capacity_and_idle_have_their_tables_and_curves() {
    let mut archive = archive(0, &[node(8000.0, 50_000.0)]);
    let point = |rate: f64, p99: Option<u64>, meets: bool| {
        json!({
            "rate": rate, "p50_ns": 1000, "p99_ns": p99, "p99_9_ns": p99, "server_cpu_ns_each": 5000.0, "findings": [],
            "meets": meets,
        })
    };
    let found = json!({
        "objective": "p99<1ms", "precision_percent": 5.0, "is_lower_bound": false,
        "best": {"rate": 20_000.0, "p50_ns": 1000, "p99_ns": 400_000, "p99_9_ns": 500_000},
        "points": [
            point(20_000.0, Some(400_000), true), point(40_000.0, Some(9_000_000), false), point(9e4, None, false),
        ],
    });
    let growth =
        json!({"rss_bytes_per_connection": 2048.0, "rss_anonymous_bytes_per_connection": -512.0});
    let idle = json!({
        "connections_opened": 10, "connections_lost": 0, "opening_seconds": 1.0, "sample_echoed": 1,
        "settle_seconds": 1.0, "full_unix_seconds": [0.0, 1.0], "growth": growth,
    });
    archive.suite.workloads = vec![workload("c", "capacity"), workload("i", "idle")];
    archive
        .runs
        .push(run("node", "c", 1, document("capacity", &found, &[])));
    archive
        .runs
        .push(run("node", "i", 1, document("idle", &idle, &[])));
    let (html, markdown) = rendered(&archive);
    let best = &rows(&markdown, "| Highest rate")[1];
    assert!(
        best.contains(&"5.00 µs".to_owned()) && best.contains(&"20,000".to_owned()),
        "{best:?}"
    );
    assert!(markdown.contains("Objective: p99&lt;1ms."), "{markdown}");
    let memory = &rows(&markdown, "| Memory per connection")[1];
    assert!(
        memory.contains(&"2 KiB".to_owned()) && memory.contains(&"−512 B".to_owned()),
        "{memory:?}"
    );
    assert_eq!(
        html.matches("M-4,-4L4,4").count(),
        1,
        "the rate that missed is crossed out"
    );
}

#[test]
fn nothing_of_a_result_becomes_markup_and_drawings_hold_numbers_only() {
    let hostile = "<script>alert('x')</script>|`*[y](z)\u{1b}[2J";
    let mut archive = archive(
        6,
        &[
            node(8000.0, 50_000.0),
            ("huge", "peer", (1e300, 1e-300, &["unsteady"])),
            ("zero", "ours", (0.0, 0.0, &[])),
        ],
    );
    archive
        .suite
        .servers
        .iter_mut()
        .for_each(|server| server.title = hostile.to_owned());
    archive.suite.title = hostile.to_owned();
    archive.suite.workloads[0].title = hostile.to_owned();
    archive.suite.notes = vec![hostile.to_owned()];
    archive.suite.failures = vec![hostile.to_owned()];
    archive.environment[hostile] = hostile.into();
    let (html, markdown) = rendered(&archive);
    for text in [&html, &markdown] {
        assert!(
            !text.contains("<script") && text.contains("&lt;script&gt;"),
            "{text}"
        );
    }
    assert!(!markdown.contains('\u{1b}') && !tables(&View::of(&archive)).contains('\u{1b}'));
    assert!(markdown.contains("\\|\\`\\*\\[y\\](z) \\[2J"), "{markdown}");
    let links = html.matches("http").count();
    assert_eq!(
        links,
        html.matches("http://www.w3.org/2000/svg").count() + 1,
        "http-equiv is the other"
    );
    assert!(html.contains("default-src 'none'") && html.contains("light-dark("));
    assert!(html.contains("<svg"));
    for drawing in html.split("<svg").skip(1) {
        let drawing = drawing.split("</svg>").next().unwrap();
        let words = drawing.split(|c: char| !c.is_ascii_alphanumeric());
        assert!(
            words.clone().all(|word| !["NaN", "inf"].contains(&word)),
            "{drawing}"
        );
    }
}

#[test]
fn a_workload_can_be_repeated_by_pasting() {
    let archive = archive(1, &[node(8000.0, 50_000.0)]);
    let (html, markdown) = rendered(&archive);
    let command = "ringbench suite \"scripts/suites/it's.toml\" --only w --seed 7";
    assert!(
        markdown.contains(&format!("\n    {command}\n")),
        "{markdown}"
    );
    let html = html.replace("&#39;", "'").replace("&quot;", "\"");
    assert!(html.contains(&format!("<pre>{command}</pre>")), "{html}");
}

#[test]
fn two_results_are_set_side_by_side() {
    let of = |rounds, cpu| archive(rounds, &[node(cpu, 50_000.0)]);
    let (old, mut new) = (of(6, 4000.0), of(6, 8000.0));
    new.environment["kernel"] = "7.0".into();
    new.suite.workloads.push(workload("more", "run"));
    new.runs.push(run(
        "node",
        "more",
        1,
        document("run", &window(Some(1.0), 1.0, &[]), &[]),
    ));
    let markdown = compare(&View::of(&old), View::of(&new)).markdown();
    let row = &rows(&markdown, "| CPU per message")[1];
    assert!(row[1].ends_with("2.00× (2.00–2.00)"), "{row:?}");
    assert!(row[2].ends_with("1.00× (1.00–1.00) ?"), "{row:?}");
    let differences: BTreeMap<String, Vec<String>> = rows(&markdown, "| Property")
        .into_iter()
        .map(|row| (row[0].clone(), row))
        .collect();
    assert_eq!(differences["environment.kernel"][1..], ["6.18", "7.0"]);
    assert!(!differences.contains_key("suite.seed"), "{differences:?}");
    assert!(
        markdown.contains("Workload more is in one of the two only."),
        "{markdown}"
    );
}

#[test]
fn what_the_suite_does_not_name_is_passed_over() {
    let mut archive = archive(1, &[node(8000.0, 50_000.0)]);
    archive.suite.servers.clear();
    let (_, markdown) = rendered(&archive);
    assert!(
        markdown.contains("Of 1 rounds 0 were disturbed"),
        "{markdown}"
    );
}
