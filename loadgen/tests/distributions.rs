//! The latencies that are reported are those that the server injected.
//!
//! The server notes when it really sent each reply. What the generator reports of a message is never
//! less than what the server had it for, but for the histogram's precision; and it is more by what
//! scheduling takes on a loaded machine, which is why the injected delays are long and lie far apart.

mod support;

use std::time::Duration;

use hdrhistogram::Histogram;
use support::client::{count_within, histogram, run_each};
use support::{Delay, Log};

/// What a value loses at most in a histogram of three significant digits.
const PRECISION: f64 = 1e-3;

/// What scheduling may add to the quantiles compared here.
const ALLOWANCE: Duration = Duration::from_millis(15);

/// Quantiles that are compared: those beyond belong to single messages of so short a run.
const QUANTILES: [f64; 6] = [0.1, 0.25, 0.5, 0.75, 0.9, 0.95];

const fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

/// What the server injected into the messages that the histogram holds.
///
/// Those answered within the window are the first that were sent, so their number tells which.
fn injected(log: &Log, reported: &Histogram<u64>) -> Histogram<u64> {
    let mut injected = Histogram::new_with_bounds(1, 3_600_000_000_000, 3).unwrap();
    for held in log.held_ns(reported.len() as usize) {
        injected.saturating_record(held.max(1));
    }
    assert_eq!(injected.len(), reported.len(), "the server answered fewer");
    injected
}

/// Both must be the same distribution, as far as can be said.
fn compare(reported: &Histogram<u64>, injected: &Histogram<u64>) {
    for quantile in QUANTILES {
        let (reported, injected) = (
            reported.value_at_quantile(quantile),
            injected.value_at_quantile(quantile),
        );
        let least = injected as f64 * (1.0 - 2.0 * PRECISION);
        let most = injected as f64 * (1.0 + 2.0 * PRECISION) + ALLOWANCE.as_nanos() as f64;
        assert!(
            (least..=most).contains(&(reported as f64)),
            "at {quantile}: injected {injected} ns, reported {reported} ns"
        );
    }
    assert!(reported.min() as f64 >= injected.min() as f64 * (1.0 - 2.0 * PRECISION));
    assert!(reported.max() as f64 >= injected.max() as f64 * (1.0 - 2.0 * PRECISION));
    assert!(reported.mean() >= injected.mean() * (1.0 - 2.0 * PRECISION));
}

/// A closed loop of depth 1: no reply waits for another one.
fn closed(delay: Delay, arguments: &str) -> Vec<(Histogram<u64>, Histogram<u64>)> {
    let arguments = format!("--warmup 0s --connections 8 {arguments}");
    let runs = run_each(delay, &arguments);
    let both = runs.iter().map(|(server, outcome)| {
        outcome.expect_ok();
        let reported = histogram(&outcome.document, "/result/latency");
        let injected = injected(&server.log_without_complaints(), &reported);
        compare(&reported, &injected);
        (reported, injected)
    });
    both.collect()
}

#[test]
fn a_fixed_delay_is_all_there_is() {
    for protocol in ["", "--protocol tcp --size 8"] {
        for (reported, _) in closed(Delay::Fixed(ms(30)), &format!("--duration 1s {protocol}")) {
            assert!(reported.len() >= 8 * 10, "{}", reported.len());
            assert_eq!(
                count_within(&reported, ms(0), Duration::from_micros(29_900)),
                0
            );
        }
    }
}

#[test]
fn one_message_in_a_hundred_that_takes_long_is_one_in_a_hundred() {
    let rare = Delay::OneIn(100, ms(50));
    for (reported, injected) in closed(rare, "--duration 1s") {
        // All the others took what one exchange takes here, far less than 50 ms but for a few.
        let low = Duration::from_micros(49_900);
        let late = count_within(&reported, low, ms(200)) as f64;
        let share = late / reported.len() as f64;
        let noise = count_within(&injected, ms(10), Duration::from_micros(49_500)) as f64;
        assert!(
            noise / reported.len() as f64 <= 0.01,
            "{noise} were slow without being told to"
        );
        assert!(
            (0.009..0.013).contains(&share),
            "{late} of {}",
            reported.len()
        );
        assert!(reported.value_at_quantile(0.999) >= 49_900_000);
    }
}

#[test]
fn each_of_several_delays_has_its_share() {
    const DELAYS: [Duration; 4] = [ms(20), ms(60), ms(120), ms(60)];
    for (reported, injected) in closed(Delay::Each(&DELAYS), "--connections 16 --duration 2s") {
        for (low, high, share) in [(18, 50, 0.25), (58, 100, 0.5), (118, 170, 0.25)] {
            // What is said of a band holds for what the server did too: it is the clock, not the
            // generator, that a loaded machine keeps waiting.
            for histogram in [&reported, &injected] {
                let here = count_within(histogram, ms(low), ms(high)) as f64;
                let found = here / histogram.len() as f64;
                assert!((found - share).abs() < 0.06, "{low} to {high} ms: {found}");
            }
        }
        let between = [(0, 18), (170, 10_000)];
        let astray = between.map(|(low, high)| count_within(&reported, ms(low), ms(high)));
        assert!(
            astray.iter().sum::<u64>() as f64 <= 0.05 * reported.len() as f64,
            "{astray:?}"
        );
    }
}

#[test]
fn bursts_are_as_late_as_they_were_held() {
    // What arrives at any time and leaves with the tick has waited evenly from nothing to a tick.
    let arguments = "--rate 400 --arrivals poisson --warmup 0s --connections 8 --duration 1500ms";
    for (server, outcome) in run_each(Delay::Tick(ms(100)), arguments) {
        outcome.expect_ok();
        let service = histogram(&outcome.document, "/result/service");
        compare(
            &service,
            &injected(&server.log_without_complaints(), &service),
        );
        let latency = histogram(&outcome.document, "/result/latency");
        for quarter in 0..4 {
            let within = count_within(&latency, ms(25 * quarter), ms(25 * (quarter + 1)));
            let share = within as f64 / latency.len() as f64;
            assert!((0.12..0.38).contains(&share), "quarter {quarter}: {share}");
        }
    }
}
