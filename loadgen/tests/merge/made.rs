//! Documents that are made up, and where they lie.

use hdrhistogram::Histogram;
use ringload::assess::finding::{Finding, Id};
use ringload::observe::process::CpuSource;
use ringload::result::figures::{Backlog, Figures, Server, Side, Slice, Traffic};
use ringload::result::latency::Latency;
use ringload::result::load::{Load, Loop, Rate};
use ringload::result::{Checks, Document, Outcome, Status};
use serde_json::Value;
use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output};
use tempfile::TempDir;

/// Latencies around `median_ns`, some far above; the same seed gives the same.
pub(crate) fn latencies(seed: u64, count: usize, median_ns: f64) -> Vec<u64> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut unit = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 11) as f64 / (1u64 << 53) as f64
    };
    (0..count)
        .map(|_| {
            let tail = if unit() < 0.003 { 20.0 } else { 1.0 };
            (median_ns * (0.5 + unit()) * tail) as u64
        })
        .collect()
}

pub(crate) fn histogram(values: &[u64]) -> Histogram<u64> {
    let mut histogram = Histogram::new_with_bounds(1, 3_600_000_000_000, 3).unwrap();
    for value in values {
        histogram.record(*value).unwrap();
    }
    histogram
}

/// What a run of 2 s with these latencies writes, with the server's CPU time of a message; `rate` makes its loop
/// an open one.
pub(crate) fn run(values: &[u64], cpu_ns: f64, rate: Option<f64>, found: &[Id]) -> Value {
    let count = values.len() as u64;
    let per_second = rate.unwrap_or(count as f64 / 2.0);
    let load = Load {
        urls: vec!["ws://127.0.0.1:9001/".to_owned()],
        addresses: vec!["127.0.0.1:9001".to_owned()],
        loop_kind: rate.map_or(Loop::Closed, |_| Loop::Open),
        in_flight: rate.is_none().then_some(1),
        rate: rate.map(|rate| Rate {
            text: rate.to_string(),
            arrivals: "even".to_owned(),
        }),
        connections: 64,
        ..Load::default()
    };
    let figures = Figures {
        window_start_unix_seconds: 1_700_000_000.5,
        window_seconds: 2.0,
        completed: count,
        completed_per_second: per_second,
        offered_per_second: rate,
        traffic: Some(Traffic::default()),
        latency: Latency::of(&histogram(values)),
        backlog: rate.map(|_| Backlog { max: 3, end: 1 }),
        series: vec![Slice::default()],
        generator: Side {
            cpu_ns_each: Some(2100.0),
            ..Side::default()
        },
        server: Some(Server {
            pids: vec![4242],
            cpu_user_ns_each: None,
            cpu_system_ns_each: None,
            cpu_ns_each: Some(cpu_ns),
            cpu_percent_of_one: cpu_ns * per_second / 1e7,
            cpu_source: CpuSource::Schedstat,
            busy: Side::default().busy,
            memory: None,
        }),
        ..Figures::default()
    };
    let checks = Checks {
        messages_verified: count,
        ..Checks::default()
    };
    let finding = |id: &Id| Finding {
        id: *id,
        value: 2.0,
        limit: 1.0,
        unit: "percent".to_owned(),
        means: "made up for a test: and so it is".to_owned(),
    };
    let outcome = Outcome::Run(Some(Box::new(figures)));
    let mut document = Document::new((Status::Ok, None), load, checks, outcome);
    document.findings = found.iter().map(finding).collect();
    serde_json::to_value(document).unwrap()
}

pub(crate) fn merge(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_ringload"))
        .arg("merge")
        .args(arguments)
        .output()
        .unwrap()
}

pub(crate) fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// A place for files.
pub(crate) struct Place(pub(crate) TempDir);

impl Place {
    pub(crate) fn new() -> Place {
        Place(TempDir::new().unwrap())
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub(crate) fn text(&self, name: &str) -> String {
        self.path(name).to_str().unwrap().to_owned()
    }

    pub(crate) fn put(&self, name: &str, document: &Value) -> String {
        fs::write(self.path(name), document.to_string()).unwrap();
        self.text(name)
    }

    /// Merges files into a document.
    pub(crate) fn merged(&self, arguments: &[&str]) -> Value {
        let mut all = arguments.to_vec();
        all.extend(["--json", "-"]);
        let output = merge(&all);
        serde_json::from_slice(&output.stdout)
            .unwrap_or_else(|error| panic!("{error}: {}", stderr(&output)))
    }
}

pub(crate) fn parts() -> [Vec<u64>; 3] {
    [5000, 3000, 700].map(|count| latencies(7, count, 40_000.0 + count as f64 * 30.0))
}
