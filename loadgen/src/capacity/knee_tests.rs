//! The search against pretended servers: no socket, no clock.

use hdrhistogram::Histogram;

use super::point::Counts;
use super::*;
use crate::assess::objective::Objective;
use crate::cli::{Command, Options};
use crate::echo::tally::latency_histogram;
use crate::schedule::Arrivals;
use clap::Parser as _;

/// A server with a queue in front of it: latency rises towards its capacity, and beyond it nothing
/// holds.
fn server(rate: f64, capacity: f64) -> Step {
    let load = rate / capacity;
    let latency_ns = match load < 1.0 {
        true => 100_000.0 / (1.0 - load),
        false => 1e9,
    };
    let mut latency: Histogram<u64> = latency_histogram();
    latency.saturating_record_n(latency_ns as u64, 1_000);
    Step {
        failure: None,
        is_hopeless: false,
        counts: Some(Counts {
            offered: rate,
            answered: rate.min(capacity) as u64,
        }),
        point: Point {
            rate,
            achieved_messages_per_second: Some(rate.min(capacity)),
            p50_ns: Some(latency.value_at_quantile(0.5)),
            p90_ns: Some(latency.value_at_quantile(0.9)),
            p99_ns: Some(latency.value_at_quantile(0.99)),
            p99_9_ns: Some(latency.value_at_quantile(0.999)),
            max_ns: Some(latency.max()),
            backlog_end: Some((rate - capacity).max(0.0) as u64),
            lateness_p99_9_ns: Some(50_000),
            server_cpu_ns_per_message: Some(2_000.0),
            verdict: if load < 0.95 {
                Verdict::LoadBound
            } else {
                Verdict::ServerBound
            },
            meets: false,
            why: None,
        },
        latency: Some(latency),
    }
}

fn options(arguments: &str) -> KneeOptions {
    let line = format!("ringload knee ws://127.0.0.1:1 {arguments}");
    let Command::Knee(options) = Options::try_parse_from(line.split_whitespace())
        .unwrap()
        .command
    else {
        panic!("{arguments}");
    };
    *options
}

/// What `ringload knee` with these arguments would report of this server.
fn find(arguments: &str, step: impl FnMut(f64) -> anyhow::Result<Option<Step>>) -> KneeDocument {
    let options = options(arguments);
    let objective: &Objective = &options.slo;
    let terms = Terms {
        objective,
        arrivals: Arrivals::Even,
    };
    let range = Range {
        from: options.from,
        to: options.to.unwrap_or(f64::INFINITY),
        precision: options.precision / 100.0,
    };
    let course = climb(range, &terms, step, |_| {}).unwrap();
    document(&options, None, course)
}

#[test]
fn the_knee_of_a_known_curve_is_found() {
    // p99 is below 1 ms up to nine tenths of the capacity.
    let knee = find("--slo p99<1ms", |rate| Ok(Some(server(rate, 100_000.0))));
    let best = knee.best.unwrap();
    assert!(best.rate <= 90_000.0 && best.rate > 85_000.0, "{best:?}");
    assert!(best.p99_ns < 1_000_000);
    assert_eq!(
        (knee.status, knee.verdict),
        (Status::Ok, Verdict::ServerBound)
    );
    assert!(!knee.is_lower_bound);
    assert!(
        knee.verdict_reason.contains("p99 is"),
        "{}",
        knee.verdict_reason
    );
    // In the order measured, each judged.
    assert_eq!(knee.points[0].rate, 1_000.0);
    assert!(
        knee.points
            .iter()
            .all(|point| point.meets == point.why.is_none())
    );
    // A tighter objective has a lower knee, and one beyond latency ends at the capacity.
    let tight = find("--slo p99<200us", |rate| Ok(Some(server(rate, 100_000.0))));
    let rate = tight.best.unwrap().rate;
    assert!(rate <= 50_000.0 && rate > 47_000.0, "{rate}");
    let loose = find("--slo max<9s --precision 1%", |rate| {
        Ok(Some(server(rate, 100_000.0)))
    });
    let rate = loose.best.unwrap().rate;
    assert!(rate <= 101_100.0 && rate > 99_000.0, "{rate}");
}

#[test]
fn an_objective_that_no_rate_meets_is_missed() {
    let knee = find("--slo p50<50us", |rate| Ok(Some(server(rate, 100_000.0))));
    assert_eq!((knee.status, knee.best), (Status::Missed, None));
    let error = knee.error.unwrap();
    assert!(
        error.contains("no rate meets p50<50us: at 1,000 messages/s, p50 is"),
        "{error}"
    );
    assert_eq!(knee.points.len(), 2);
}

#[test]
fn the_generators_limit_makes_a_lower_bound() {
    let limited = |rate: f64| {
        let mut step = server(rate, 1e9);
        if rate > 50_000.0 {
            step.point.verdict = Verdict::GeneratorBound;
            step.point.lateness_p99_9_ns = Some(30_000_000);
            let latency = step.latency.as_mut().unwrap();
            latency.saturating_record_n(30_000_000, 500);
        }
        Ok(Some(step))
    };
    let knee = find("--slo p99<1ms", limited);
    assert_eq!(
        (knee.status, knee.verdict),
        (Status::Ok, Verdict::GeneratorBound)
    );
    assert!(knee.is_lower_bound);
    assert!(
        knee.verdict_reason.contains("lower bound"),
        "{}",
        knee.verdict_reason
    );
    let rate = knee.best.unwrap().rate;
    assert!(rate <= 50_000.0 && rate > 47_000.0, "{rate}");
}

#[test]
fn the_highest_rate_asked_for_makes_a_lower_bound() {
    let knee = find("--to 10k", |rate| Ok(Some(server(rate, 1e9))));
    assert_eq!(knee.best.unwrap().rate, 10_000.0);
    assert_eq!(
        (knee.verdict, knee.is_lower_bound),
        (Verdict::LoadBound, true)
    );
    assert!(
        knee.verdict_reason.contains("--to"),
        "{}",
        knee.verdict_reason
    );
}

#[test]
fn noise_now_and_then_does_not_move_the_knee() {
    for unlucky in 1..12 {
        let mut steps = 0;
        let knee = find("--slo p99<1ms", |rate| {
            steps += 1;
            let mut step = server(rate, 100_000.0);
            if steps == unlucky {
                step.latency
                    .as_mut()
                    .unwrap()
                    .saturating_record_n(50_000_000, 500);
                step.point.verdict = Verdict::Noisy;
            }
            Ok(Some(step))
        });
        let rate = knee.best.unwrap().rate;
        assert!(rate <= 90_000.0 && rate > 85_000.0, "{unlucky}: {rate}");
    }
}

#[test]
fn noise_that_stays_is_named() {
    let knee = find("--slo p99<1ms", |rate| {
        let mut step = server(rate, 1e9);
        if rate > 3_000.0 {
            step.latency
                .as_mut()
                .unwrap()
                .saturating_record_n(50_000_000, 500);
            step.point.verdict = Verdict::Noisy;
        }
        Ok(Some(step))
    });
    assert_eq!((knee.verdict, knee.is_lower_bound), (Verdict::Noisy, true));
}

#[test]
fn an_unobserved_server_is_not_said_to_be_the_limit() {
    let knee = find("--slo p99<1ms", |rate| {
        let mut step = server(rate, 100_000.0);
        step.point.server_cpu_ns_per_message = None;
        Ok(Some(step))
    });
    assert_eq!(knee.verdict, Verdict::Unobserved);
    assert!(knee.verdict_reason.contains("--server-pid"));
}

#[test]
fn an_interrupt_keeps_the_points_so_far() {
    let mut steps = 0;
    let knee = find("--slo p99<1ms", |rate| {
        steps += 1;
        Ok((steps <= 3).then(|| server(rate, 100_000.0)))
    });
    assert_eq!((knee.status, knee.points.len()), (Status::Interrupted, 3));
    assert_eq!(knee.best.unwrap().rate, 4_000.0);
    assert!(knee.is_lower_bound && knee.verdict_reason.contains("not finished"));
    assert!(knee.error.unwrap().contains("interrupted"));
}

#[test]
fn a_server_that_is_gone_ends_the_search() {
    let gone = |rate: f64| Step {
        failure: Some("connecting: connection refused".to_owned()),
        counts: None,
        latency: None,
        ..server(rate, 1.0)
    };
    let knee = find("--slo p99<1ms", |rate| {
        Ok(Some(match rate > 4_000.0 {
            true => gone(rate),
            false => server(rate, 100_000.0),
        }))
    });
    assert_eq!((knee.status, knee.points.len()), (Status::Failed, 5));
    assert!(knee.error.unwrap().contains("connection refused"));
    // An error that leaves no result ends it as well, and is the whole outcome if it is the first.
    let mut steps = 0;
    let knee = find("--slo p99<1ms", |rate| {
        steps += 1;
        match steps {
            3 => Err(anyhow!("out of something")),
            _ => Ok(Some(server(rate, 100_000.0))),
        }
    });
    assert_eq!((knee.status, knee.points.len()), (Status::Failed, 2));
    let options = options("");
    let terms = Terms {
        objective: &options.slo,
        arrivals: Arrivals::Even,
    };
    let range = Range {
        from: 1_000.0,
        to: 2_000.0,
        precision: 0.05,
    };
    let nothing = climb(range, &terms, |_| Err(anyhow!("out of something")), |_| {});
    assert!(nothing.is_err_and(|error| error.to_string() == "out of something"));
    assert!(climb(range, &terms, |_| Ok(None), |_| {}).is_err());
}

#[test]
fn a_server_that_answers_wrongly_has_failed() {
    let knee = find("--slo p99<1ms", |rate| {
        let mut step = server(rate, 100_000.0);
        step.failure = Some("connection 1: byte 3 is wrong".to_owned());
        step.point.verdict = Verdict::Invalid;
        Ok(Some(step))
    });
    assert_eq!(
        (knee.status, knee.verdict),
        (Status::Failed, Verdict::Invalid)
    );
    assert!(knee.error.unwrap().contains("byte 3 is wrong"));
}

#[test]
fn a_server_that_fails_above_the_knee_has_failed() {
    // Twice, or once beside a step that was only slow: the first of the two, or the second.
    for wrong in [&[0, 1][..], &[0], &[1]] {
        let mut trials = 0;
        let knee = find("--slo p99<1ms --to 8k", |rate| {
            let mut step = server(rate, 1e9);
            if rate > 4_000.0 {
                // Of each rate, since a miss is repeated at once.
                let is_wrong = wrong.contains(&(trials % 2));
                trials += 1;
                let latency = step.latency.as_mut().unwrap();
                latency.saturating_record_n(50_000_000, 500);
                if is_wrong {
                    step.failure = Some("connection 1: the server reset the connection".to_owned());
                    step.point.verdict = Verdict::Invalid;
                }
            }
            Ok(Some(step))
        });
        assert_eq!(
            (knee.status, knee.verdict),
            (Status::Failed, Verdict::Invalid),
            "{wrong:?}"
        );
        let error = knee.error.unwrap();
        assert!(error.contains("reset the connection"), "{error}");
        assert!(error.contains(" messages/s, connection 1"), "{error}");
        // What was found until then is kept.
        assert_eq!(knee.best.unwrap().rate, 4_000.0);
        assert!(knee.points.len() > 4);
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
    let line = "ringload knee ws://x:1 --slo p99";
    assert!(Options::try_parse_from(line.split_whitespace()).is_err());
}

#[test]
fn the_document_is_read_back_as_it_was_written() {
    let knee = find("--to 10k", |rate| Ok(Some(server(rate, 1e9))));
    let text = serde_json::to_string(&knee).unwrap();
    let read: KneeDocument = serde_json::from_str(&text).unwrap();
    assert_eq!((read.best, &read.points), (knee.best, &knee.points));
    assert!(text.contains("\"schema\":\"ringload-knee/1\""));
    assert!(report::text(&knee).contains("knee              at least 10,000 messages/s"));
}
