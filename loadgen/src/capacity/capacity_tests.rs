//! The search against pretended servers: no socket, no clock.

use clap::Parser as _;
use hdrhistogram::Histogram;

use anyhow::anyhow;

use super::*;
use crate::assess::finding::{Finding, Id};
use crate::cli::{Command, Options};
use crate::echo::tally::latency_histogram;
use crate::result::capacity::{CapacityResult, Point};
use crate::result::figures::{Backlog, Figures};
use crate::result::latency::Latency;
use crate::result::load::Load;
use crate::result::{Checks, Document};

/// A step at which these messages were answered.
pub(super) fn step(completed_per_second: f64, latency: &Histogram<u64>) -> Document {
    let figures = Figures {
        completed_per_second,
        latency: Latency::of(latency),
        ..Figures::default()
    };
    let outcome = Outcome::Run(Some(Box::new(figures)));
    let (load, checks) = (Load::default(), Checks::default());
    Document::new((Status::Ok, None), load, checks, outcome)
}

pub(super) fn figures(step: &mut Document) -> &mut Figures {
    match &mut step.outcome {
        Outcome::Run(Some(figures)) => figures,
        other => panic!("{other:?}"),
    }
}

pub(super) fn found(step: &mut Document, id: Id) {
    step.findings.push(Finding {
        id,
        value: 1.0,
        limit: 0.0,
        unit: "percent".to_owned(),
        means: format!("it was {}: so it is", id.name()),
    });
}

/// Something went wrong with a step.
pub(super) fn fail(step: &mut Document, error: &str) {
    step.status = Status::Failed;
    step.error = Some(error.to_owned());
}

/// Adds latencies, or lags, to those there are.
pub(super) fn add(latency: &mut Latency, ns: u64, count: u64) {
    let mut histogram = latency.histogram().unwrap();
    histogram.saturating_record_n(ns, count);
    *latency = Latency::of(&histogram);
}

/// A server with a queue in front of it: latency rises towards its capacity, and beyond it nothing
/// holds.
fn server(rate: f64, capacity: f64) -> Document {
    let load = rate / capacity;
    let latency_ns = match load < 1.0 {
        true => 100_000.0 / (1.0 - load),
        false => 1e9,
    };
    let mut latency: Histogram<u64> = latency_histogram();
    latency.saturating_record_n(latency_ns as u64, 1_000);
    let mut step = step(rate.min(capacity), &latency);
    let end = (rate - capacity).max(0.0) as u64;
    figures(&mut step).backlog = Some(Backlog { max: end, end });
    if rate > 1.01 * capacity {
        found(&mut step, Id::Backlog);
    }
    step
}

/// Makes a step too slow, for this reason.
fn slow(step: &mut Document, id: Id) {
    add(&mut figures(step).latency, 50_000_000, 500);
    found(step, id);
}

/// What is reported of a server at this rate.
fn point(rate: f64) -> Point {
    let objective = &options("").slo;
    point::judge(rate, &server(rate, 1e9), objective).0
}

fn options(arguments: &str) -> CapacityOptions {
    let line = format!("ringload capacity ws://127.0.0.1:1 --quiet {arguments}");
    let Command::Capacity(options) = Options::try_parse_from(line.split_whitespace())
        .unwrap()
        .command
    else {
        panic!("{arguments}");
    };
    *options
}

/// What `ringload capacity` with these arguments would report of this server.
fn find(
    arguments: &str,
    step: impl FnMut(f64) -> anyhow::Result<Option<Document>>,
) -> (Document, CapacityResult) {
    let document = climb(&options(arguments), step).unwrap();
    let Outcome::Capacity(Some(capacity)) = &document.outcome else {
        panic!("{:?}", document.error);
    };
    let capacity = capacity.clone();
    (document, capacity)
}

#[test]
fn the_capacity_of_a_known_curve_is_found() {
    // p99 is below 1 ms up to nine tenths of the capacity.
    let (document, capacity) = find("--slo p99<1ms", |rate| Ok(Some(server(rate, 100_000.0))));
    let best = capacity.best.unwrap();
    assert!(best.rate <= 90_000.0 && best.rate > 85_000.0, "{best:?}");
    assert!(best.p99_ns < 1_000_000);
    assert_eq!(
        (document.status, capacity.is_lower_bound),
        (Status::Ok, false)
    );
    let summary = &document.summary;
    assert!(
        summary.starts_with("The objective p99<1ms is met up to 8") && summary.contains("p99 is"),
        "{summary}"
    );
    // In the order measured, each judged.
    let points = &capacity.points;
    assert_eq!(points[0].rate, 1_000.0);
    assert!(
        points
            .iter()
            .all(|point| point.meets == point.why.is_none())
    );
    // A tighter objective has a lower one, and one beyond latency ends where the server falls behind.
    let rate = |arguments| {
        let (_, capacity) = find(arguments, |rate| Ok(Some(server(rate, 100_000.0))));
        capacity.best.unwrap().rate
    };
    let tight = rate("--slo p99<200us");
    assert!(tight <= 50_000.0 && tight > 47_000.0, "{tight}");
    let loose = rate("--slo max<9s --precision 1%");
    assert!(loose <= 101_100.0 && loose > 99_000.0, "{loose}");
}

#[test]
fn an_objective_that_no_rate_meets_is_missed() {
    let (document, capacity) = find("--slo p50<50us", |rate| Ok(Some(server(rate, 100_000.0))));
    assert_eq!((document.status, capacity.best), (Status::Missed, None));
    let error = document.error.unwrap();
    assert!(
        error.contains("no rate meets p50<50us: at 1,000 messages/s, p50 is"),
        "{error}"
    );
    assert_eq!(capacity.points.len(), 2);
}

#[test]
fn what_is_not_the_servers_limit_makes_a_lower_bound() {
    let limited = |id, to: f64| {
        find("--slo p99<1ms", move |rate| {
            let mut step = server(rate, 1e9);
            if rate > to {
                slow(&mut step, id);
            }
            Ok(Some(step))
        })
    };
    let (document, capacity) = limited(Id::GeneratorSaturated, 50_000.0);
    assert_eq!(
        (document.status, capacity.is_lower_bound),
        (Status::Ok, true)
    );
    let summary = &document.summary;
    assert!(
        summary.contains("at least") && summary.contains("the generator could do no more"),
        "{summary}"
    );
    let rate = capacity.best.unwrap().rate;
    assert!(rate <= 50_000.0 && rate > 47_000.0, "{rate}");
    let (document, capacity) = limited(Id::CpuShared, 3_000.0);
    assert!(capacity.is_lower_bound && document.summary.contains("others took part"));
    // And what is found of the best step alone is what is found.
    assert!(document.findings.is_empty(), "{:?}", document.findings);
}

#[test]
fn the_highest_rate_asked_for_makes_a_lower_bound() {
    let (document, capacity) = find("--to 10k", |rate| Ok(Some(server(rate, 1e9))));
    assert_eq!(capacity.best.unwrap().rate, 10_000.0);
    assert!(capacity.is_lower_bound && document.summary.contains("--to"));
}

#[test]
fn noise_now_and_then_does_not_move_the_capacity() {
    for unlucky in 1..12 {
        let mut steps = 0;
        let (_, capacity) = find("--slo p99<1ms", |rate| {
            steps += 1;
            let mut step = server(rate, 100_000.0);
            if steps == unlucky {
                slow(&mut step, Id::Steal);
            }
            Ok(Some(step))
        });
        let rate = capacity.best.unwrap().rate;
        assert!(rate <= 90_000.0 && rate > 85_000.0, "{unlucky}: {rate}");
    }
}

#[test]
fn an_interrupt_keeps_the_points_so_far() {
    let mut steps = 0;
    let (document, capacity) = find("--slo p99<1ms", |rate| {
        steps += 1;
        Ok((steps <= 3).then(|| server(rate, 100_000.0)))
    });
    let status = document.status;
    assert_eq!((status, capacity.points.len()), (Status::Interrupted, 3));
    assert_eq!(capacity.best.unwrap().rate, 4_000.0);
    assert!(capacity.is_lower_bound && document.summary.contains("not finished"));
    assert!(document.error.unwrap().contains("interrupted"));
}

#[test]
fn a_server_that_is_gone_ends_the_search_at_once() {
    let gone = |rate: f64| {
        let mut step = server(rate, 1.0);
        fail(&mut step, "connecting: connection refused");
        step.outcome = Outcome::Run(None);
        step
    };
    let (document, capacity) = find("--slo p99<1ms", |rate| {
        Ok(Some(match rate > 4_000.0 {
            true => gone(rate),
            false => server(rate, 100_000.0),
        }))
    });
    assert_eq!(
        (document.status, capacity.points.len()),
        (Status::Failed, 3)
    );
    assert!(document.error.unwrap().contains("connection refused"));
    let options = options("");
    // Without any step there is no result, and nothing to draw.
    let document = climb(&options, |rate| Ok(Some(gone(rate)))).unwrap();
    assert!(matches!(document.outcome, Outcome::Capacity(None)));
    let error = document.error.unwrap();
    assert_eq!(
        error,
        "the search cannot begin: connecting: connection refused"
    );
    // An error that leaves no result ends it as well, and is the whole outcome if it is the first.
    let mut steps = 0;
    let (document, capacity) = find("--slo p99<1ms", |rate| {
        steps += 1;
        match steps {
            3 => Err(anyhow!("out of something")),
            _ => Ok(Some(server(rate, 100_000.0))),
        }
    });
    assert_eq!(
        (document.status, capacity.points.len()),
        (Status::Failed, 2)
    );
    let nothing = climb(&options, |_| Err(anyhow!("out of something")));
    assert!(nothing.is_err_and(|error| error.to_string() == "out of something"));
    assert!(climb(&options, |_| Ok(None)).is_err());
}

#[test]
fn a_server_that_answers_wrongly_has_failed() {
    let (document, _) = find("--slo p99<1ms", |rate| {
        let mut step = server(rate, 100_000.0);
        fail(&mut step, "connection 1: byte 3 is wrong");
        Ok(Some(step))
    });
    assert_eq!(document.status, Status::Failed);
    assert!(document.error.unwrap().contains("byte 3 is wrong"));
}

#[test]
fn a_server_that_fails_above_its_capacity_has_failed() {
    // Twice, or once beside a step that was only slow: the first of the two, or the second.
    for wrong in [&[0, 1][..], &[0], &[1]] {
        let mut trials = 0;
        let (document, capacity) = find("--slo p99<1ms --to 8k", |rate| {
            let mut step = server(rate, 1e9);
            if rate > 4_000.0 {
                // Of each rate, since a miss is repeated at once.
                let is_wrong = wrong.contains(&(trials % 2));
                trials += 1;
                slow(&mut step, Id::ServerSaturated);
                if is_wrong {
                    fail(&mut step, "connection 1: the server reset the connection");
                }
            }
            Ok(Some(step))
        });
        assert_eq!(document.status, Status::Failed, "{wrong:?}");
        let error = document.error.unwrap();
        assert!(error.contains("reset the connection"), "{error}");
        assert!(error.contains(" messages/s, connection 1"), "{error}");
        // What was found until then is kept.
        assert_eq!(capacity.best.unwrap().rate, 4_000.0);
        assert!(capacity.points.len() > 4);
    }
}

#[test]
fn what_cannot_be_searched_is_refused() {
    for (arguments, phrase) in [
        ("--from 2k --to 1k", "--to 1000 is below --from 2000"),
        ("--from 10", "at least 50"),
        ("--from 0", "at least 50"),
        ("--step 0s", "--step is 0"),
        ("--connections 0", "--connections"),
    ] {
        let error = options(arguments).check().expect_err(arguments).to_string();
        assert!(error.contains(phrase), "{arguments}: {error}");
    }
    assert!(options("").check().is_ok());
    let line = "ringload capacity ws://x:1 --slo p99";
    assert!(Options::try_parse_from(line.split_whitespace()).is_err());
}

#[test]
fn the_document_is_read_back_as_it_was_written() {
    let (document, capacity) = find("--to 10k", |rate| Ok(Some(server(rate, 1e9))));
    let text = serde_json::to_string(&document).unwrap();
    let read: Document = serde_json::from_str(&text).unwrap();
    let Outcome::Capacity(Some(read)) = read.outcome else {
        panic!("{text}");
    };
    assert_eq!((read.best, &read.points), (capacity.best, &capacity.points));
    let table = crate::output::tables::table(&document).into_text();
    assert!(table.starts_with("The objective p99<1ms is met up to at least 10,000 messages/s; "));
    assert!(table.contains("capacity          at least 10,000 messages/s"));
    // By rate, each with all its cells.
    let rates: Vec<_> = table
        .lines()
        .filter(|line| line.ends_with(" yes"))
        .collect();
    assert_eq!(rates.len(), capacity.points.len(), "{table}");
}

#[test]
fn a_step_is_told_in_a_line() {
    let told = |why: Option<&str>| Point {
        why: why.map(str::to_owned),
        ..point(4_000.0)
    };
    let line = report::progress_line(&told(None));
    assert!(
        line.starts_with("4,000 messages/s: p50 100.0") && line.ends_with("; meets"),
        "{line}"
    );
    let line = report::progress_line(&told(Some("p99 is 2.00 ms")));
    assert!(line.ends_with("; misses: p99 is 2.00 ms"), "{line}");
}

#[test]
fn the_curve_for_spreadsheets_is_in_the_order_measured() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("curve.csv");
    let unknown = Point {
        completed_per_second: None,
        p50_ns: None,
        why: Some("p99 is \"long\", very".to_owned()),
        ..point(4_000.0)
    };
    report::write_csv(&path, &[unknown, point(1_500.5)]).unwrap();
    let mut reader = csv::Reader::from_path(&path).unwrap();
    let rows: Vec<std::collections::HashMap<String, String>> =
        reader.deserialize().map(Result::unwrap).collect();
    assert_eq!((&*rows[0]["rate"], &*rows[0]["p50_ns"]), ("4000.0", ""));
    assert_eq!(rows[0]["why"], "p99 is \"long\", very");
    assert_eq!(rows[1]["rate"], "1500.5");
}
