//! An open loop keeps its schedule whatever the server does, and shows what that costs.

mod support;

use std::thread;
use std::time::Duration;

use serde_json::Value;
use support::client::{
    Outcome, Running, count_within, engines, histogram, number, run, run_each, whole,
};
use support::{Delay, Reading, Record, Script, Server, Stall};

const fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

/// Messages that the schedule asked for within the window.
fn offered(document: &Value) -> f64 {
    number(document, "/result/offered_per_second") * number(document, "/result/window_seconds")
}

fn series(document: &Value) -> &[Value] {
    document["result"]["series"].as_array().unwrap()
}

#[test]
fn what_is_offered_is_what_was_asked_for_and_is_achieved() {
    for arguments in ["", "--text --arrivals poisson", "--protocol tcp --size 8"] {
        let arguments =
            format!("--rate 500 --connections 7 --warmup 100ms --duration 1s {arguments}");
        for (server, outcome) in run_each(Script::default(), &arguments) {
            let result = outcome.expect_ok();
            let document = &outcome.document;
            assert_eq!(document["load"]["loop"], "open");
            assert_eq!(document["load"]["rate"]["text"], "500");
            assert_eq!(document["load"]["in_flight"], Value::Null);
            let poisson = arguments.contains("poisson");
            let arrivals = if poisson { "poisson" } else { "even" };
            assert_eq!(document["load"]["rate"]["arrivals"], arrivals);
            // Five standard deviations of a Poisson number.
            let spread = if poisson { 5.0 * 500f64.sqrt() } else { 10.0 };
            // A window may close late.
            let asked = 500.0 * number(document, "/result/window_seconds");
            let offered = offered(document);
            assert!((offered - asked).abs() <= 1.0, "{offered} of {asked}");
            // All that was due in it was sent and answered, if not always within it; and what came due until
            // the threads saw that it was over.
            let answered = whole(document, "/result/latency/count") as f64;
            assert!(answered >= offered - spread, "{answered} of {offered}");
            let messages = whole(document, "/result/completed") as f64;
            assert!(messages >= 0.5 * offered, "{messages} of {offered}");
            assert!(whole(document, "/result/send_lag/count") > 0, "{result}");
            assert!(result["backlog"]["end"].is_u64());
            let verified = whole(document, "/checks/messages_verified");
            assert!(answered.max(messages) <= verified as f64);
            // What a raw server reads at a time need not be one message.
            let log = server.log_without_complaints();
            let bytes: usize = log.records.iter().map(|record| record.payload_bytes).sum();
            assert_eq!(
                whole(document, "/checks/payload_bytes_verified"),
                bytes as u64
            );
            assert!(log.records.len() as u64 <= verified);
        }
    }
}

/// Every connection has its turn, and none has more of them than its part of the schedule.
#[test]
fn connections_take_turns() {
    let arguments = "--rate 400 --connections 4 --warmup 0s --duration 1s";
    for (server, outcome) in run_each(Script::default(), arguments) {
        outcome.expect_ok();
        let log = server.log_without_complaints();
        let counts: Vec<usize> = (0..4)
            .map(|connection| log.messages_of(connection))
            .collect();
        let (least, most) = (counts.iter().min().unwrap(), counts.iter().max().unwrap());
        assert!(*least > 50 && most - least <= 2, "{counts:?}");
    }
}

/// When connection 0's messages arrived, in seconds from its first.
fn arrivals(seed: u64, engine: &str) -> Vec<f64> {
    let server = Server::websocket(Script::default());
    let output = support::client::ringload(&format!(
        "run {} --engine {engine} --seed {seed} --rate 100 --arrivals poisson --connections 1 \
         --warmup 0s --duration 2s --json -",
        server.url()
    ));
    Outcome::of(&output, "any").expect_ok();
    let log = server.log_without_complaints();
    let first = log.records[0].received;
    let seconds = |record: &Record| (record.received - first).as_secs_f64();
    log.records.iter().map(seconds).collect()
}

fn median_difference(a: &[f64], b: &[f64]) -> f64 {
    let mut differences: Vec<f64> = a.iter().zip(b).map(|(a, b)| (a - b).abs()).collect();
    differences.sort_unstable_by(f64::total_cmp);
    differences[differences.len() / 2]
}

#[test]
fn a_seed_replays_a_poisson_schedule() {
    let engine = engines()[0];
    thread::scope(|scope| {
        let runs = [1, 1, 2].map(|seed| scope.spawn(move || arrivals(seed, engine)));
        let [first, again, other] = runs.map(|run| run.join().unwrap());
        let (same, different) = (
            median_difference(&first, &again),
            median_difference(&first, &other),
        );
        assert!(same < 0.02, "the same seed: {same} s apart");
        assert!(
            different > 2.0 * same,
            "another seed: {different} s apart, the same: {same} s"
        );
        let counts = [first.len(), again.len()];
        // A window may close late.
        assert!(counts.iter().all(|count| *count >= 150), "{counts:?}");
    });
}

#[test]
fn poisson_arrivals_have_exponential_distances() {
    let arguments = "--rate 200 --arrivals poisson --connections 5 --warmup 0s --duration 2s";
    for (server, outcome) in run_each(Script::default(), arguments) {
        outcome.expect_ok();
        let distances = server.log_without_complaints().arrival_distances_ns();
        let count = distances.len() as f64;
        let mean = distances.iter().sum::<f64>() / count;
        let variance = distances.iter().map(|d| (d - mean).powi(2)).sum::<f64>() / count;
        let spread = variance.sqrt() / mean;
        assert!(
            (0.75..1.4).contains(&spread),
            "deviation over mean: {spread}"
        );
        // Of an exponential distribution 36.8 % lie above the mean, and 39.3 % below half of it.
        let above = distances.iter().filter(|&&d| d > mean).count() as f64 / count;
        assert!((0.28..0.46).contains(&above), "above the mean: {above}");
        let small = distances.iter().filter(|&&d| d < mean / 2.0).count() as f64 / count;
        assert!(
            (0.28..0.51).contains(&small),
            "below half of the mean: {small}"
        );
    }
}

/// A server that stands still for a second, once.
fn stalls(after: u64, reading: Reading) -> Script {
    Script {
        stall: Some(Stall {
            after,
            length: ms(1000),
        }),
        reading,
        ..Script::default()
    }
}

#[test]
fn a_stall_is_seen_at_full_size() {
    let arguments = "--rate 1000 --connections 10 --warmup 0s --duration 2500ms";
    for (server, outcome) in run_each(stalls(300, Reading::Eager), arguments) {
        outcome.expect_ok();
        assert!(server.log_without_complaints().stall.is_some());
        let latency = histogram(&outcome.document, "/result/latency");
        // A thousand messages were due while the server stood still, each as late as there was
        // still to wait.
        let late = count_within(&latency, ms(500), ms(10_000));
        assert!(late >= 450, "{late} messages above 500 ms");
        assert!(latency.max() >= 950_000_000, "{} ns", latency.max());
        for quarter in 0..4 {
            let within = count_within(&latency, ms(250 * quarter), ms(250 * (quarter + 1)));
            assert!(
                within >= 150,
                "quarter {quarter} of the second has {within}"
            );
        }
        assert!(latency.value_at_quantile(0.9) >= 500_000_000);
    }
}

#[test]
fn a_closed_loop_hides_the_same_stall() {
    let arguments = "--connections 10 --warmup 0s --duration 2500ms";
    for (server, outcome) in run_each(stalls(5000, Reading::Eager), arguments) {
        outcome.expect_ok();
        assert!(server.log_without_complaints().stall.is_some());
        let latency = histogram(&outcome.document, "/result/latency");
        // One message of each connection met it, and no more were sent.
        let late = count_within(&latency, ms(500), ms(10_000));
        assert!((1..=10).contains(&late), "{late} messages above 500 ms");
        assert!(latency.max() >= 950_000_000);
        assert!(latency.value_at_quantile(0.99) < 500_000_000);
    }
}

/// What the sockets do not take waits in the generator: that shows in the latency from when it was due, and
/// not in that from when the kernel had it.
#[test]
fn the_service_time_hides_what_the_intended_time_shows() {
    let arguments = "--rate 400 --size 64KiB --connections 1 --warmup 0s --duration 2500ms";
    for (_, outcome) in run_each(stalls(300, Reading::SmallBuffer), arguments) {
        outcome.expect_ok();
        let document = &outcome.document;
        let intended = count_within(&histogram(document, "/result/latency"), ms(500), ms(10_000));
        let service = count_within(
            &histogram(document, "/result/uncorrected_latency"),
            ms(500),
            ms(10_000),
        );
        assert!(intended >= 180, "{intended} were late");
        assert!(
            2 * service < intended,
            "{service} of {intended} show in the service time"
        );
        let most = whole(document, "/result/backlog/max");
        assert!(most >= 100, "backlog of {most} messages at most");
        let in_series = series(document)
            .iter()
            .map(|slice| whole(slice, "/backlog"));
        assert_eq!(in_series.max(), Some(most));
    }
}

#[test]
fn a_server_that_does_not_keep_up_is_not_hidden() {
    let stands_still = Script {
        stall: Some(Stall {
            after: 50,
            length: ms(2500),
        }),
        reading: Reading::SmallBuffer,
        ..Script::default()
    };
    let arguments = "--rate 400 --size 64KiB --connections 1 --warmup 0s --duration 1500ms";
    for (_, outcome) in run_each(stands_still, arguments) {
        outcome.expect_ok();
        let document = &outcome.document;
        let end = whole(document, "/result/backlog/end");
        assert!(end >= 100, "{end} messages were due and not sent");
        assert!(whole(document, "/result/backlog/max") >= end);
        assert!((offered(document) - 600.0).abs() < 60.0);
        assert!(whole(document, "/result/completed") < 300);
        let found = outcome.document["findings"].as_array().unwrap();
        assert!(found.iter().any(|it| it["id"] == "backlog"), "{found:?}");
    }
}

/// A million messages fall due while nothing can be sent: they must not be held anywhere.
#[test]
fn memory_is_bounded_however_far_the_server_is_behind() {
    const BYTES_MAX: u64 = 100 << 20;
    let watch = |engine: &'static str| {
        let server = Server::websocket(Reading::Stops(100));
        let mut running = Running::start(&format!(
            "run {} --engine {engine} --rate 1M --size 1KiB --connections 8 --warmup 0s \
             --duration 1500ms --json -",
            server.url()
        ));
        let most = running.watch_memory();
        let outcome = Outcome::of(&running.wait(), engine);
        let backlog = whole(&outcome.document, "/result/backlog/max");
        assert!(
            backlog >= 500_000,
            "{backlog} messages were due and not sent"
        );
        assert!((1..BYTES_MAX).contains(&most), "{engine}: {most} bytes");
        // What never came back counts as having taken until the end, for all that were due.
        let latency = histogram(&outcome.document, "/result/latency");
        assert!(latency.len() >= 1_000_000, "{} messages", latency.len());
        assert!(latency.value_at_quantile(0.5) >= 2_000_000_000);
        outcome.expect_failure(&["messages were not answered; the oldest had waited for "]);
    };
    thread::scope(|scope| {
        let watches = engines()
            .iter()
            .map(|engine| scope.spawn(move || watch(engine)));
        let watches: Vec<_> = watches.collect();
        watches.into_iter().for_each(|watch| watch.join().unwrap());
    });
}

#[test]
fn a_ramp_is_followed() {
    let arguments = "--rate 100..900/2s --connections 8 --warmup 200ms";
    for (_, outcome) in run_each(Script::default(), arguments) {
        outcome.expect_ok();
        let document = &outcome.document;
        assert_eq!(document["load"]["duration_seconds"], 2.0);
        // The area below the ramp, 100 t + 200 t², and below the rate that is held after it.
        let due = |seconds: f64| {
            let (ramp, held) = (seconds.min(2.0), (seconds - 2.0).max(0.0));
            100.0 * ramp + 200.0 * ramp * ramp + 900.0 * held
        };
        let window = number(document, "/result/window_seconds");
        // The window opens some time after the ramp begins. How long after, its sum says; then each slice
        // must agree.
        let within = |late: f64, seconds: f64| due(late + seconds) - due(late);
        let (mut least, mut most) = (-0.05, 1.5);
        for _ in 0..60 {
            let middle = f64::midpoint(least, most);
            match within(middle, window) < offered(document) {
                true => least = middle,
                false => most = middle,
            }
        }
        let mut sum = 0.0;
        for slice in series(document) {
            sum += number(slice, "/offered");
            let until = number(slice, "/until_seconds");
            let expected = within(least, until);
            assert!(
                (sum - expected).abs() < 2.0,
                "until {until} s: {sum} of {expected}, {least} s late"
            );
        }
        assert!((sum - offered(document)).abs() < 1.0, "{sum}");
        assert!(series(document).len() >= 4);
    }
}

#[test]
fn steps_are_followed() {
    let arguments = "--rate 100/1s,800/500ms,50/500ms --connections 8 --warmup 0s";
    for (server, outcome) in run_each(Delay::None, arguments) {
        outcome.expect_ok();
        let document = &outcome.document;
        let expected = 100.0 + 400.0 + 25.0;
        assert!(
            (offered(document) - expected).abs() < 20.0,
            "{}",
            offered(document)
        );
        let log = server.log_without_complaints();
        let first = log.records[0].received;
        let within = |from: f64, to: f64| {
            let times = log
                .records
                .iter()
                .map(|record| (record.received - first).as_secs_f64());
            times.filter(|time| (from..to).contains(time)).count()
        };
        let steps = [within(0.0, 1.0), within(1.0, 1.5), within(1.5, 2.0)];
        assert!(steps[0].abs_diff(100) < 60, "{steps:?}");
        assert!(steps[1].abs_diff(400) < 100, "{steps:?}");
        assert!(steps[2] < 150, "{steps:?}");
    }
}

#[test]
fn without_a_server_that_answers_within_the_window_there_is_still_a_result() {
    let late = Delay::Fixed(ms(400));
    for engine in engines() {
        let server = Server::websocket(late);
        let outcome = run(
            &server.url(),
            engine,
            "--rate 100 --connections 2 --warmup 0s --duration 200ms",
        );
        outcome.expect_failure(&["no message was answered within the window"]);
        assert_eq!(whole(&outcome.document, "/result/completed"), 0);
    }
}
