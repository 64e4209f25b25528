//! With `--keep-going` each wrong reply is counted, none is missed, and no right one is taken for wrong.

mod support;

use serde_json::Value;
use support::client::{Outcome, run_each, whole};
use support::{Habit, Log, Server};

/// Attempts until a busy machine lets a wrong reply through within the window.
const ATTEMPTS: usize = 10;

/// Wrong replies that are described at most.
const DESCRIBED_MAX: usize = 20;

/// Runs on each engine, as often as it takes for each to have a wrong reply, which `wrong` counts in what the
/// server did.
fn run(
    habit: Habit,
    arguments: &str,
    wrong: impl Fn(&Log) -> usize,
) -> Vec<(Server, Outcome, usize)> {
    let arguments =
        format!("--connections 3 --warmup 50ms --duration 300ms --keep-going {arguments}");
    for _ in 0..ATTEMPTS {
        let runs: Vec<_> = run_each(habit, &arguments)
            .into_iter()
            .map(|(server, outcome)| {
                let wrong = wrong(&server.log_without_complaints());
                (server, outcome, wrong)
            })
            .collect();
        if runs.iter().all(|(_, _, wrong)| *wrong > 0) {
            return runs;
        }
    }
    panic!("{arguments}: no wrong reply in {ATTEMPTS} attempts");
}

/// The counts must be those of the server.
fn expect_counts(server: &Server, outcome: &Outcome, wrong: usize) {
    let sentence = match wrong {
        1 => "one reply was wrong: connection ".to_owned(),
        _ => format!("{wrong} replies were wrong, such as this one: connection "),
    };
    outcome.expect_failure(&[&sentence]);
    let checks = &outcome.document["checks"];
    assert_eq!(checks["messages_wrong"], wrong);
    assert_eq!(
        checks["messages_verified"],
        server.log().records.len() - wrong
    );
    assert_eq!(checks["messages_unanswered"], 0);
    assert_eq!(checks["faults"], serde_json::json!([]));
    let described = checks["mismatches"].as_array().unwrap();
    assert_eq!(described.len(), wrong.min(DESCRIBED_MAX));
    assert_eq!(outcome.document["load"]["keep_going"], true);
    assert_eq!(outcome.document["findings"], serde_json::json!([]));
    // They are no part of the figures.
    let right = whole(&outcome.document, "/checks/messages_verified");
    assert!(whole(&outcome.document, "/result/latency/count") <= right);
    assert!(whole(&outcome.document, "/result/completed") <= right);
}

/// Each described reply must be one that the server altered, at that place.
fn expect_places(log: &Log, described: &Value) {
    let places: Vec<String> = log
        .alterations
        .iter()
        .map(|alteration| {
            let pairs = alteration.right.iter().zip(&alteration.wrong);
            let offset = pairs.take_while(|(right, wrong)| right == wrong).count();
            format!("(message {}, offset {offset})", alteration.number)
        })
        .collect();
    for told in described.as_array().unwrap() {
        let told = told.as_str().unwrap();
        assert!(
            told.contains("a byte of the reply differs from what was sent"),
            "{told}"
        );
        assert!(places.iter().any(|place| told.contains(place)), "{told}");
    }
}

#[test]
fn each_wrong_byte_is_found() {
    for arguments in [
        "--size 32",
        "--size 1000 --text --in-flight 4",
        "--size 32 --rate 2000 --fragments 3",
        "--size 4096 --duplex",
        "--size 8 --protocol tcp",
    ] {
        for (server, outcome, wrong) in run(Habit::CorruptEach(7), arguments, |log| {
            log.alterations.len()
        }) {
            expect_counts(&server, &outcome, wrong);
            expect_places(&server.log(), &outcome.document["checks"]["mismatches"]);
        }
    }
}

#[test]
fn one_wrong_reply_of_any_kind_spoils_no_other() {
    for (habit, number, arguments) in [
        (Habit::CorruptFragment(2), 2, "--size 1000 --in-flight 2"),
        (Habit::Truncate(1), 1, "--size 32"),
        (Habit::TruncateFragment(1), 1, "--size 1000 --in-flight 4"),
        (Habit::Extend(1), 1, "--size 0"),
        (Habit::ExtendFragment(1), 1, "--size 1000 --in-flight 4"),
    ] {
        let of_that_number = |log: &Log| {
            let records = log.records.iter();
            records.filter(|record| record.number == number).count()
        };
        for (server, outcome, wrong) in run(habit, arguments, of_that_number) {
            expect_counts(&server, &outcome, wrong);
        }
    }
}

#[test]
fn where_all_are_wrong_all_are_counted() {
    for (server, outcome, wrong) in run(Habit::SwapKinds, "", |log| log.records.len()) {
        expect_counts(&server, &outcome, wrong);
        let told = &outcome.stderr;
        assert!(
            told.contains("a Binary message came back as Text"),
            "{told}"
        );
    }
}
