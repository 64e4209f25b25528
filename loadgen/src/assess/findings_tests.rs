//! A table of what was seen, and what is found in it.

use super::*;
use crate::assess::busy::tests::{busy, threads};
use crate::assess::stability::Differing;
use crate::echo::tally::latency_histogram;

/// Both sides half busy, undisturbed.
fn calm() -> Evidence<'static> {
    Evidence {
        each: "message",
        generator: busy(50, 1),
        server: Some(busy(50, 1)),
        others: Some(Others {
            percent: 1.0,
            error_percent: 2.0,
            is_judged: true,
        }),
        ..Evidence::default()
    }
}

fn ids(evidence: &Evidence<'_>) -> Vec<Id> {
    findings(evidence).iter().map(|it| it.id).collect()
}

#[test]
fn what_was_seen_and_what_is_found_in_it() {
    use Id::{CpuShared, GeneratorSaturated, ServerSaturated, ServerUnobserved, Steal, Unsteady};
    let server = |server| Evidence {
        server: Some(server),
        ..calm()
    };
    let generator = |generator| Evidence {
        generator,
        ..calm()
    };
    let others = |percent, error_percent, is_judged| Evidence {
        others: Some(Others {
            percent,
            error_percent,
            is_judged,
        }),
        ..calm()
    };
    let steal = |steal_percent, evidence| Evidence {
        steal_percent: Some(steal_percent),
        ..evidence
    };
    let differing = Compared {
        unsteady: Some(Differing {
            percent: 20.0,
            limit_percent: 10.0,
            all: "throughput +20.0 %".to_owned(),
        }),
        ..Compared::default()
    };
    let unsteady = Evidence {
        halves: Some(&differing),
        ..calm()
    };
    #[rustfmt::skip]
    let cases: Vec<(&str, Evidence<'_>, &[Id], &str)> = vec![
        ("both have time left", calm(), &[], ""),
        ("server full", server(busy(99, 0)), &[ServerSaturated], "the server had no CPU time left: the figures are"),
        ("server of threads, one full", server(threads(&[99, 40, 40])), &[ServerSaturated], "one of the server's 3"),
        ("generator full", generator(busy(99, 0)), &[GeneratorSaturated], "throughput is a lower bound"),
        ("both full", Evidence { generator: busy(97, 0), ..server(busy(98, 0)) }, &[GeneratorSaturated, ServerSaturated], "lower"),
        ("server starved", server(busy(50, 48)), &[CpuShared], "so the two sides shared one"),
        ("generator starved", generator(busy(50, 6)), &[CpuShared], "had to wait for a CPU for 6.0 %"),
        ("generator starved, a short window", Evidence { generator: busy(50, 6), ..others(0.0, 0.0, false) }, &[CpuShared], "wait"),
        ("steal", steal(2.5, calm()), &[Steal], "hypervisor withheld 2.5 %"),
        ("little steal", steal(1.5, calm()), &[], ""),
        ("steal and a full server", steal(9.0, server(busy(99, 0))), &[ServerSaturated, Steal], "no CPU time left"),
        ("others", others(12.0, 2.0, true), &[CpuShared], "other tasks used 12.0 % of a CPU (± 2.0)"),
        ("others, not certain", others(6.0, 2.0, true), &[], ""),
        ("others, too short to tell", others(50.0, 2.0, false), &[], ""),
        ("halves disagree", unsteady.clone(), &[Unsteady], "(throughput +20.0 %)"),
        ("nobody looked at the server", Evidence { server: None, ..calm() }, &[ServerUnobserved], "--server-pid"),
    ];
    for (case, evidence, expected, phrase) in cases {
        assert_eq!(ids(&evidence), expected, "{case}");
        let found = findings(&evidence);
        let all: Vec<_> = found.iter().map(|it| it.means.as_str()).collect();
        assert!(all.join("\n").contains(phrase), "{case}: {all:?}");
    }
}

/// A histogram of `count` values, of which `late` are this late.
fn lag(count: u64, late: u64, late_ns: u64) -> Histogram<u64> {
    let mut lag = latency_histogram();
    lag.saturating_record_n(1_000, count - late);
    lag.saturating_record_n(late_ns, late);
    lag
}

#[test]
fn sends_are_late_if_enough_of_them_are() {
    let of = |lag: &Histogram<u64>, latency_ns: u64, gap_ns: Option<u64>| {
        let mut latency = latency_histogram();
        latency.saturating_record_n(latency_ns, lag.len());
        let schedule = Schedule {
            due: lag.len() as f64,
            lost: 0,
            backlog_end: 0,
            send_lag: Some(lag),
            latency: &latency,
        };
        let evidence = Evidence {
            schedule: Some(schedule),
            gap_ns,
            ..calm()
        };
        findings(&evidence)
    };
    let late = of(&lag(10_000, 120, 300_000), 400_000, None);
    assert_eq!(
        (late[0].id, late[0].value, late[0].limit),
        (Id::LateSends, 1.2, 1.0)
    );
    assert!(late[0].means.contains("120 of 10,000 messages"), "{late:?}");
    for (case, lag, latency_ns, gap_ns) in [
        (
            "one in a thousand",
            lag(10_000, 10, 3_000_000),
            400_000,
            None,
        ),
        ("one message", lag(100, 1, 3_000_000), 400_000, None),
        ("hardly late", lag(10_000, 120, 150_000), 400_000, None),
        (
            "beside far slower replies",
            lag(10_000, 120, 300_000),
            9_000_000,
            None,
        ),
        (
            "the machine's own gaps",
            lag(10_000, 120, 300_000),
            400_000,
            Some(1_000_000),
        ),
        ("nothing was sent", latency_histogram(), 400_000, None),
    ] {
        assert_eq!(of(&lag, latency_ns, gap_ns), [], "{case}");
    }
}

#[test]
fn a_rate_is_held_unless_what_was_due_is_lost_or_waits() {
    let latency = latency_histogram();
    let of = |each, lost, backlog_end, behind| {
        let halves = Compared {
            behind: Some(behind),
            ..Compared::default()
        };
        let schedule = Schedule {
            due: 10_000.0,
            lost,
            backlog_end,
            send_lag: None,
            latency: &latency,
        };
        let evidence = Evidence {
            each,
            halves: Some(&halves),
            schedule: Some(schedule),
            ..calm()
        };
        let found = findings(&evidence);
        let all: Vec<_> = found.iter().map(|it| it.means.clone()).collect();
        (ids(&evidence), all.join("\n"))
    };
    // A hundredth may be on its way.
    assert_eq!(of("message", 100, 100, (64, 114)).0, []);
    let (found, why) = of("message", 2_000, 3_000, (64, 3_064));
    assert_eq!(found, [Id::RateNotHeld, Id::Backlog]);
    assert!(
        why.contains("of 10,000 messages that were due in the window, 2,000 were never answered")
            && why.contains("3,000 messages were due and could not begin"),
        "{why}"
    );
    let (found, why) = of("session", 101, 0, (64, 64));
    assert_eq!(found, [Id::RateNotHeld]);
    assert!(why.contains("101 did not end well"), "{why}");
    // What sockets swallow is behind all the same.
    let (found, why) = of("message", 0, 0, (64, 200));
    assert_eq!(found, [Id::Backlog]);
    assert!(why.contains("from 64 messages to 200"), "{why}");
}

#[test]
fn a_summary_says_what_was_seen_and_what_can_be_compared() {
    let said = |evidence: &Evidence<'_>, is_open| summary(&findings(evidence), "message", is_open);
    assert_eq!(
        said(&calm(), true),
        "The rate was held, and both sides had CPU time left; all figures can be compared."
    );
    let full = Evidence {
        generator: busy(99, 0),
        steal_percent: Some(9.0),
        ..calm()
    };
    assert_eq!(
        said(&full, false),
        "The generator had no CPU time left; the hypervisor withheld 9.0 % of the CPU time; CPU time per message can \
         be compared, throughput and latency cannot."
    );
    let unobserved = Evidence {
        server: None,
        ..calm()
    };
    assert_eq!(
        said(&unobserved, false),
        "The server was not observed (give --server-pid); all figures can be compared."
    );
}
