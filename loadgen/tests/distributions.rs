//! The latencies that are reported are those that the server injected.
//!
//! The server notes when it really sent each reply. What the generator reports of a message is never
//! less than what the server had it for, but for the histogram's precision; and it is more by what
//! scheduling takes on a loaded machine, which is why the injected delays are long and lie far apart.

mod support;

use std::time::Duration;

use hdrhistogram::Histogram;
use support::client::{Outcome, histogram, run_each};
use support::{Delay, Log, Server};

/// What a value loses at most in a histogram of three significant digits, twice: both sides have one.
const PRECISION: f64 = 2e-3;

/// Quantiles that are compared, and what scheduling may add to each. None is where one injected delay
/// ends and the next begins: there a single message decides.
const QUANTILES: [(f64, Duration); 5] = [
    (0.1, ms(10)),
    (0.2, ms(10)),
    (0.45, ms(10)),
    (0.65, ms(15)),
    (0.9, ms(25)),
];

/// Other work on the machine adds to what is reported, never takes away. So what must not be less is
/// never less, and what should not be more is not in one of so many attempts.
const ATTEMPTS: usize = 5;

const fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

/// What the server held each message for, in nanoseconds, the shortest first.
///
/// There may be more of them than are reported: those due before the window opened do not count.
fn injected(log: &Log, reported: &Histogram<u64>) -> Vec<u64> {
    let injected = log.held_ns();
    let (held, counted) = (injected.len(), reported.len() as usize);
    assert!(held >= counted, "{counted} reported, {held} answered");
    injected
}

/// Every value that was reported, in nanoseconds, the shortest first.
fn values(reported: &Histogram<u64>) -> Vec<u64> {
    let recorded = reported.iter_recorded();
    let values = recorded.flat_map(|value| {
        let count = value.count_since_last_iteration() as usize;
        std::iter::repeat_n(value.value_iterated_to(), count)
    });
    values.collect()
}

/// No message can have taken less than the server had it for.
///
/// So whichever of them are reported, the shortest of those is no shorter than the shortest of all, and
/// so is each after it.
fn expect_no_less(reported: &Histogram<u64>, injected: &[u64]) {
    for (rank, (reported, injected)) in values(reported).into_iter().zip(injected).enumerate() {
        assert!(
            reported as f64 >= *injected as f64 * (1.0 - PRECISION),
            "number {rank}: injected {injected} ns, reported {reported} ns"
        );
    }
}

/// Where much more is reported than was injected.
///
/// Whichever are reported, the longest of those were held no longer than the longest of all.
fn excess(reported: &Histogram<u64>, injected: &[u64]) -> Result<(), String> {
    let unreported = injected.len() - reported.len() as usize;
    for (quantile, allowance) in QUANTILES {
        let rank = (quantile * reported.len() as f64) as usize;
        let reported = reported.value_at_quantile(quantile);
        let injected = injected[unreported + rank];
        let most = injected as f64 * (1.0 + PRECISION) + allowance.as_nanos() as f64;
        if reported as f64 > most {
            return Err(format!(
                "at {quantile}: injected {injected} ns, reported {reported} ns"
            ));
        }
    }
    Ok(())
}

/// That the share of values from `low` up to `high` is as it should be.
fn share(
    values: &[u64],
    (low, high): (Duration, Duration),
    expected: std::ops::Range<f64>,
) -> Result<(), String> {
    let band = low.as_nanos() as u64..high.as_nanos() as u64;
    let within = values.iter().filter(|value| band.contains(value));
    let share = within.count() as f64 / values.len() as f64;
    // Where the first and the last one lie is nobody's doing.
    let edges = 2.0 / values.len() as f64;
    let allowed = expected.start - edges..expected.end + edges;
    match allowed.contains(&share) {
        true => Ok(()),
        false => Err(format!(
            "a share of {share} from {low:?} to {high:?}, not {expected:?}"
        )),
    }
}

/// Runs on each engine until `judge` agrees, which is given the distribution at `pointer` and what was
/// injected. What is too small is never excused.
fn attempt(
    delay: Delay,
    arguments: &str,
    pointer: &str,
    judge: impl Fn(&Outcome, &Histogram<u64>, &[u64]) -> Result<(), String>,
) {
    let judged = |(server, outcome): &(Server, Outcome)| {
        outcome.expect_ok();
        let reported = histogram(&outcome.document, pointer);
        let injected = injected(&server.log_without_complaints(), &reported);
        expect_no_less(&reported, &injected);
        excess(&reported, &injected)?;
        judge(outcome, &reported, &injected)
    };
    let mut complaints = Vec::new();
    for _ in 0..ATTEMPTS {
        let runs = run_each(delay, arguments);
        match runs.iter().try_for_each(judged) {
            Ok(()) => return,
            Err(complaint) => complaints.push(complaint),
        }
    }
    panic!("{arguments}: {complaints:#?}");
}

#[test]
fn a_fixed_delay_is_all_there_is() {
    for protocol in ["", "--protocol tcp --size 8"] {
        let arguments = format!("--warmup 0s --connections 8 --duration 1s {protocol}");
        let fixed = Delay::Fixed(ms(40));
        attempt(fixed, &arguments, "/result/latency", |_, reported, _| {
            assert!(reported.min() >= 39_900_000, "{} ns", reported.min());
            match reported.len() >= 8 * 5 {
                true => Ok(()),
                false => Err(format!("{} messages", reported.len())),
            }
        });
    }
}

#[test]
fn one_message_in_a_hundred_that_takes_long_is_one_in_a_hundred() {
    let arguments = "--warmup 0s --connections 8 --duration 1s";
    let rare = Delay::OneIn(100, ms(50));
    attempt(rare, arguments, "/result/latency", |_, reported, _| {
        let late = (Duration::from_micros(49_900), ms(10_000));
        // All the others took what one exchange takes here, far less.
        let reported = values(reported);
        share(&reported, late, 0.009..0.012)?;
        share(&reported, (ms(0), ms(40)), 0.985..0.992)
    });
}

#[test]
fn each_of_several_delays_has_its_share() {
    const DELAYS: [Duration; 4] = [ms(20), ms(60), ms(120), ms(60)];
    let arguments = "--warmup 0s --connections 16 --duration 1500ms";
    let each = Delay::Each(&DELAYS);
    attempt(
        each,
        arguments,
        "/result/latency",
        |_, reported, injected| {
            for (low, high, expected) in [(19, 59, 0.25), (59, 119, 0.5), (119, 180, 0.25)] {
                for nanoseconds in [injected, &values(reported)] {
                    let band = (ms(low), ms(high));
                    share(nanoseconds, band, expected - 0.07..expected + 0.07)?;
                }
            }
            Ok(())
        },
    );
}

#[test]
fn bursts_are_as_late_as_they_were_held() {
    // What arrives at any time and leaves with the tick has waited evenly from nothing to a tick.
    let arguments = "--rate 400 --arrivals poisson --warmup 0s --connections 8 --duration 1500ms";
    let tick = Delay::Tick(ms(100));
    attempt(
        tick,
        arguments,
        "/result/uncorrected_latency",
        |outcome, _, _| {
            let latency = values(&histogram(&outcome.document, "/result/latency"));
            (0..4).try_for_each(|quarter| {
                let band = (ms(25 * quarter), ms(25 * (quarter + 1)));
                share(&latency, band, 0.15..0.35)
            })
        },
    );
}
