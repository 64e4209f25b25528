//! Whether the two halves of a window agree: whether the run had settled when it was measured, and
//! stayed so.

use crate::output::document::run::{Loop, Slice, Stability};

/// Change of the throughput of a closed or duplex loop, in percent, from which on the halves disagree.
/// A quiet machine repeats it to one or two percent.
const THROUGHPUT_PERCENT: f64 = 10.0;

/// The same of the server's CPU time per message, which others on the machine hardly move: a change is
/// the server's own (memory that grows, a compiler that warms up).
const SERVER_CPU_PERCENT: f64 = 5.0;

/// CPU time that each half must have for it: an edge is exact to a tick of at most 10 ms, which is then
/// half of what would count.
const SERVER_CPU_NS_MIN: u64 = 400_000_000;

/// The same of latency: the median over a half's slices, of the slices' own median and 99th
/// percentile. The latter varies more, since a hundredth of the messages makes it.
const P50_PERCENT: f64 = 25.0;
const P99_PERCENT: f64 = 75.0;

/// Changes of latency below this are nobody's concern.
const LATENCY_NS_MIN: f64 = 20_000.0;

/// Growth of what an open loop is behind with, as a share of what is offered in half a window, from
/// which on the server falls behind.
const BEHIND_SHARE: f64 = 0.01;

/// Change of the offered rate between the halves, in percent, from which on they are not alike.
const OFFERED_PERCENT: f64 = 1.0;

/// Fewest slices and messages of a half.
const SLICES_MIN: usize = 2;
const MESSAGES_MIN: u64 = 500;

/// A half of the window.
struct Half<'a> {
    slices: &'a [Slice],
    seconds: f64,
    messages: u64,
}

impl Half<'_> {
    fn new(slices: &[Slice]) -> Half<'_> {
        Half {
            slices,
            seconds: slices.iter().map(|slice| slice.seconds).sum(),
            messages: slices.iter().map(|slice| slice.messages).sum(),
        }
    }

    fn throughput(&self) -> f64 {
        ratio(self.messages as f64, self.seconds)
    }

    /// Messages offered per second; `None` unless the loop is open.
    fn offered(&self) -> Option<f64> {
        let offered: Option<f64> = self.slices.iter().map(|slice| slice.offered).sum();
        offered.map(|offered| ratio(offered, self.seconds))
    }

    /// `None` without an observed server.
    fn server_cpu_ns(&self) -> Option<u64> {
        self.slices.iter().map(|slice| slice.server_cpu_ns).sum()
    }

    /// Median over the slices that had messages.
    fn median(&self, value: impl Fn(&Slice) -> u64) -> f64 {
        let with_messages = self.slices.iter().filter(|slice| slice.messages > 0);
        let mut values: Vec<u64> = with_messages.map(value).collect();
        values.sort_unstable();
        match values.len() {
            0 => 0.0,
            count if count % 2 == 1 => values[count / 2] as f64,
            count => (values[count / 2 - 1] + values[count / 2]) as f64 / 2.0,
        }
    }

    /// Messages due and not answered at its end.
    fn behind(&self) -> u64 {
        self.slices
            .last()
            .map_or(0, |slice| slice.backlog + slice.in_flight)
    }
}

fn ratio(a: f64, b: f64) -> f64 {
    if b > 0.0 { a / b } else { 0.0 }
}

fn change_percent(from: f64, to: f64) -> f64 {
    match from > 0.0 {
        true => 100.0 * (to / from - 1.0),
        false => 0.0,
    }
}

/// Compares the halves of a window.
///
/// What cannot be told does not make a run unstable; the reason then says why it could not.
pub(crate) fn stability(slices: &[Slice], loop_kind: Loop) -> Stability {
    let (first, second) = halves(slices);
    let server_cpu = first
        .server_cpu_ns()
        .zip(second.server_cpu_ns())
        .filter(|(a, b)| *a.min(b) >= SERVER_CPU_NS_MIN)
        .map(|(a, b)| {
            let per_message = |ns: u64, half: &Half<'_>| ratio(ns as f64, half.messages as f64);
            change_percent(per_message(a, &first), per_message(b, &second))
        });
    let mut stability = Stability {
        is_stable: true,
        reason: String::new(),
        throughput_change_percent: change_percent(first.throughput(), second.throughput()),
        server_cpu_change_percent: server_cpu,
    };
    if let Some(why) = cannot_tell(&first, &second) {
        stability.reason =
            format!("it cannot be told whether the halves of the window agree: {why}");
        return stability;
    }
    let differences = differences(&first, &second, &stability, loop_kind);
    stability.is_stable = differences.is_empty();
    stability.reason = match stability.is_stable {
        true => "the halves of the window agree".to_owned(),
        false => format!(
            "the second half of the window differs from the first: {}",
            differences.join(", ")
        ),
    };
    stability
}

/// Splits by time, so that a last slice of odd length weighs what it is.
fn halves(slices: &[Slice]) -> (Half<'_>, Half<'_>) {
    let middle = slices.last().map_or(0.0, |last| last.until_seconds) / 2.0;
    let is_first = |slice: &Slice| slice.until_seconds - slice.seconds / 2.0 < middle;
    let (first, second) = slices.split_at(slices.partition_point(is_first));
    (Half::new(first), Half::new(second))
}

fn cannot_tell(first: &Half<'_>, second: &Half<'_>) -> Option<String> {
    let slices = first.slices.len().min(second.slices.len());
    if slices < SLICES_MIN {
        return Some("the window has too few slices; measure for longer".to_owned());
    }
    let messages = first.messages.min(second.messages);
    if messages < MESSAGES_MIN {
        return Some(format!(
            "one of them has {messages} messages, and {MESSAGES_MIN} are the least; measure for longer"
        ));
    }
    let (from, to) = first.offered().zip(second.offered())?;
    let is_ramp = change_percent(from, to).abs() > OFFERED_PERCENT;
    is_ramp.then(|| {
        format!(
            "the rate that was asked for changed, from {from:.0} to {to:.0} messages/s on average"
        )
    })
}

fn differences(
    first: &Half<'_>,
    second: &Half<'_>,
    stability: &Stability,
    loop_kind: Loop,
) -> Vec<String> {
    let mut differences = Vec::new();
    // By the smaller of the two values, so that more and less count alike.
    let mut judge = |name: &str, percent: f64, most: f64| {
        let factor = (1.0 + percent / 100.0).max(f64::MIN_POSITIVE);
        if factor.max(1.0 / factor) > 1.0 + most / 100.0 {
            differences.push(format!("{name} {percent:+.1} %"));
        }
    };
    // The halves of a steady open loop are offered the same, so there it says nothing.
    if loop_kind != Loop::Open {
        let throughput = stability.throughput_change_percent;
        judge("throughput", throughput, THROUGHPUT_PERCENT);
    }
    if let Some(percent) = stability.server_cpu_change_percent {
        judge(
            "the server's CPU time per message",
            percent,
            SERVER_CPU_PERCENT,
        );
    }
    let mut judge_latency = |name: &str, value: fn(&Slice) -> u64, most: f64| {
        let (from, to) = (first.median(value), second.median(value));
        if (to - from).abs() >= LATENCY_NS_MIN {
            judge(name, change_percent(from, to), most);
        }
    };
    judge_latency("p50 of the latency", |slice| slice.p50_ns, P50_PERCENT);
    judge_latency("p99 of the latency", |slice| slice.p99_ns, P99_PERCENT);
    if loop_kind == Loop::Open {
        let (from, to) = (first.behind(), second.behind());
        let allowed = BEHIND_SHARE * second.offered().unwrap_or(0.0) * second.seconds;
        if to as f64 > from as f64 + allowed {
            differences.push(format!(
                "messages due and not answered went from {from} to {to}"
            ));
        }
    }
    differences
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Ten slices of half a second; `change` is applied to those of the second half.
    fn slices(offered: Option<f64>, change: impl Fn(&mut Slice)) -> Vec<Slice> {
        let slice = |index: u32| {
            let mut slice = Slice {
                until_seconds: 0.5 * f64::from(index + 1),
                seconds: 0.5,
                messages: 10_000,
                offered,
                in_flight: 64,
                p50_ns: 200_000,
                // A slice that stands out does not make a half.
                p99_ns: if index == 1 { 9_000_000 } else { 400_000 },
                max_ns: 1_000_000,
                server_cpu_ns: Some(300_000_000),
                ..Slice::default()
            };
            if index >= 5 {
                change(&mut slice);
            }
            slice
        };
        (0..10).map(slice).collect()
    }

    #[track_caller]
    fn assert_unstable(slices: &[Slice], loop_kind: Loop, phrase: &str) {
        let stability = stability(slices, loop_kind);
        assert!(!stability.is_stable, "{stability:?}");
        assert!(stability.reason.contains(phrase), "{stability:?}");
    }

    #[track_caller]
    fn assert_stable(slices: &[Slice], loop_kind: Loop, phrase: &str) {
        let stability = stability(slices, loop_kind);
        assert!(stability.is_stable, "{stability:?}");
        assert!(stability.reason.contains(phrase), "{stability:?}");
    }

    #[test]
    fn halves_that_agree_are_stable() {
        assert_stable(&slices(None, |_| {}), Loop::Closed, "agree");
        assert_stable(&slices(Some(10_000.0), |_| {}), Loop::Open, "agree");
        let same = stability(&slices(None, |_| {}), Loop::Duplex);
        assert_eq!(same.throughput_change_percent, 0.0);
        assert_eq!(same.server_cpu_change_percent, Some(0.0));
        // A little of everything.
        let near = slices(None, |slice| {
            slice.messages = 9_700;
            slice.p50_ns = 215_000;
            slice.p99_ns = 600_000;
        });
        assert_stable(&near, Loop::Closed, "agree");
    }

    #[test]
    fn what_differs_is_named_with_its_amount() {
        let slower = slices(None, |slice| slice.messages = 8_000);
        assert_unstable(&slower, Loop::Closed, "throughput -20.0 %");
        assert_unstable(&slower, Loop::Duplex, "throughput -20.0 %");
        let dearer = slices(None, |slice| slice.server_cpu_ns = Some(330_000_000));
        assert_unstable(&dearer, Loop::Closed, "CPU time per message +10.0 %");
        let late = slices(Some(10_000.0), |slice| slice.p50_ns = 300_000);
        assert_unstable(&late, Loop::Open, "p50 of the latency +50.0 %");
        let early = slices(Some(10_000.0), |slice| slice.p50_ns = 100_000);
        assert_unstable(&early, Loop::Open, "p50 of the latency -50.0 %");
        let tail = slices(Some(10_000.0), |slice| slice.p99_ns = 1_000_000);
        assert_unstable(&tail, Loop::Open, "p99 of the latency +150.0 %");
        let behind = slices(Some(10_000.0), |slice| slice.backlog = 2_000);
        assert_unstable(&behind, Loop::Open, "from 64 to 2064");
        let absorbed = slices(Some(10_000.0), |slice| slice.in_flight = 5_000);
        assert_unstable(&absorbed, Loop::Open, "from 64 to 5000");
    }

    #[test]
    fn an_open_loops_throughput_is_not_its_servers() {
        let fewer = slices(Some(10_000.0), |slice| slice.messages = 8_000);
        let stability = stability(&fewer, Loop::Open);
        // The CPU time per message did change.
        assert!(!stability.reason.contains("throughput"), "{stability:?}");
        assert!((stability.throughput_change_percent + 20.0).abs() < 1e-9);
    }

    #[test]
    fn tiny_latencies_may_double() {
        let mut quick = slices(None, |slice| slice.p50_ns = 18_000);
        quick[..5].iter_mut().for_each(|slice| slice.p50_ns = 9_000);
        assert_stable(&quick, Loop::Closed, "agree");
    }

    #[test]
    fn what_cannot_be_told_is_said() {
        assert_stable(&[], Loop::Closed, "too few slices");
        let all = slices(None, |slice| slice.messages = 100);
        assert_stable(&all[4..6], Loop::Closed, "too few slices");
        let few = slices(None, |slice| slice.messages = 20);
        assert_stable(&few, Loop::Closed, "one of them has 100 messages");
        let ramp = slices(Some(10_000.0), |slice| slice.offered = Some(20_000.0));
        assert_stable(&ramp, Loop::Open, "from 20000 to 40000 messages/s");
    }

    #[test]
    fn a_few_ticks_of_cpu_time_are_not_compared() {
        let idle = |slice: &mut Slice| slice.server_cpu_ns = Some(9_000_000);
        let mut slices = slices(None, idle);
        slices[..5].iter_mut().for_each(idle);
        slices[0].server_cpu_ns = Some(90_000_000);
        let stability = stability(&slices, Loop::Closed);
        assert_eq!(stability.server_cpu_change_percent, None);
        assert!(stability.is_stable);
    }
}
