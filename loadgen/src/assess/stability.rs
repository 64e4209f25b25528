//! Whether the two halves of a window agree: whether the run had settled when it was measured, and
//! stayed so.

use serde::{Deserialize, Serialize};

/// Change of the throughput of a closed or duplex loop, in percent, from which on the halves disagree.
/// A quiet machine repeats it to one or two percent.
const THROUGHPUT_PERCENT: f64 = 10.0;

/// The same of the server's CPU time per message, which others on the machine hardly move: a change is
/// the server's own (memory that grows, a compiler that warms up).
const SERVER_CPU_PERCENT: f64 = 5.0;

/// CPU time that each half must have for it. In half a second a virtual machine gives and takes more than would
/// count: of 119 windows of one second 34 had halves that differed by more than 5 %, whatever the server.
const SERVER_CPU_NS_MIN: u64 = 1_000_000_000;

/// The same of latency: the median over a half's slices, of the slices' own median and 99th
/// percentile. The latter varies more, since a hundredth of the messages makes it.
const P50_PERCENT: f64 = 25.0;
const P99_PERCENT: f64 = 75.0;

/// Share of the pairs of slices, one of each half, that must differ the same way for a change of throughput or latency
/// to be one: a machine whose slices go up and down has none. (Of 119 windows of one second 31 had halves that differed
/// by more than 10 % in throughput, whatever the server: a stall of a fifth of a second does that.)
const PAIRS_SHARE: f64 = 0.9;

/// Changes of latency below this are nobody's concern.
const LATENCY_NS_MIN: f64 = 20_000.0;

/// Change of the offered rate between the halves, in percent, from which on they are not alike.
const OFFERED_PERCENT: f64 = 1.0;

/// Fewest slices of a half, and fewest messages, or sessions.
const SLICES_MIN: usize = 2;
const COMPLETED_MIN: u64 = 500;

/// A slice of the window.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub struct Slice {
    /// From the opening of the window to the slice's end.
    pub until_seconds: f64,
    /// Its length.
    pub seconds: f64,
    /// Messages, or sessions, that were completed in it.
    pub completed: u64,
    /// `None` unless the loop is open.
    pub offered: Option<f64>,
    /// At its end; 0 unless the loop is open.
    pub backlog: u64,
    /// Messages, or sessions, in flight at its end.
    pub in_flight: u64,
    /// Percentiles of the latency; 0 if nothing was answered.
    pub p50_ns: u64,
    /// The 99th.
    pub p99_ns: u64,
    /// The longest.
    pub max_ns: u64,
    /// Of all load threads.
    pub generator_cpu_ns: u64,
    /// `None` without a readable `--server-pid`.
    pub server_cpu_ns: Option<u64>,
}

/// The second half of the window beside the first.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub struct Stability {
    /// Whether they agree.
    pub is_stable: bool,
    /// What differs and by how much, or why it could not be told.
    pub reason: String,
    /// Change of what was completed per second, in percent.
    pub throughput_change_percent: f64,
    /// Change of the server's CPU time for each, in percent.
    pub server_cpu_change_percent: Option<f64>,
}

/// A half of the window.
struct Half<'a> {
    slices: &'a [Slice],
    seconds: f64,
    completed: u64,
}

impl Half<'_> {
    fn new(slices: &[Slice]) -> Half<'_> {
        Half {
            slices,
            seconds: slices.iter().map(|slice| slice.seconds).sum(),
            completed: slices.iter().map(|slice| slice.completed).sum(),
        }
    }

    fn throughput(&self) -> f64 {
        ratio(self.completed as f64, self.seconds)
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

    /// The throughput of each slice.
    fn rates(&self) -> Vec<f64> {
        let rate = |slice: &Slice| ratio(slice.completed as f64, slice.seconds);
        self.slices.iter().map(rate).collect()
    }

    /// A value of the slices in which something was completed, in ascending order.
    fn sorted(&self, value: impl Fn(&Slice) -> u64) -> Vec<u64> {
        let with_any = self.slices.iter().filter(|slice| slice.completed > 0);
        let mut values: Vec<u64> = with_any.map(value).collect();
        values.sort_unstable();
        values
    }

    /// What was due and not answered at its end.
    fn behind(&self) -> Option<u64> {
        let last = self.slices.last()?;
        Some(last.backlog + last.in_flight)
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

/// What the halves of a window are to one another.
#[derive(Clone, Debug, Default)]
pub(crate) struct Compared {
    pub(crate) stability: Stability,
    /// What differs too much of throughput and latency; `None` if nothing does.
    pub(crate) unsteady: Option<Differing>,
    /// The same of the server's CPU time.
    pub(crate) cpu_unsteady: Option<Differing>,
    /// Open loop: what was due and not answered in the middle of the window and at its end; `None` without slices.
    pub(crate) behind: Option<(u64, u64)>,
}

/// What differs more than it may.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Differing {
    /// Change of what is furthest beyond its limit, by the smaller of the two values, and that limit.
    pub(crate) percent: f64,
    pub(crate) limit_percent: f64,
    /// All that differs, each with its change.
    pub(crate) all: String,
}

/// Compares the halves of a window. `each` is what was completed: a message, or a session.
///
/// What cannot be told does not make a run unsteady; the reason then says why it could not.
pub(crate) fn compare(slices: &[Slice], each: &str) -> Compared {
    let (first, second) = halves(slices);
    let server_cpu = first
        .server_cpu_ns()
        .zip(second.server_cpu_ns())
        .filter(|(a, b)| *a.min(b) >= SERVER_CPU_NS_MIN)
        .map(|(a, b)| {
            let for_each = |ns: u64, half: &Half<'_>| ratio(ns as f64, half.completed as f64);
            change_percent(for_each(a, &first), for_each(b, &second))
        });
    let mut stability = Stability {
        is_stable: true,
        reason: String::new(),
        throughput_change_percent: change_percent(first.throughput(), second.throughput()),
        server_cpu_change_percent: server_cpu,
    };
    let behind = second.offered().and(first.behind().zip(second.behind()));
    let cannot_tell = cannot_tell(&first, &second, each);
    let [unsteady, cpu_unsteady] = match cannot_tell {
        Some(_) => [None, None],
        None => [
            furthest(&pace(&first, &second, &stability)),
            furthest(&server_cpu_beyond(&stability, each)),
        ],
    };
    let all: Vec<&str> = [&unsteady, &cpu_unsteady]
        .into_iter()
        .flatten()
        .map(|differing| differing.all.as_str())
        .collect();
    stability.is_stable = all.is_empty();
    stability.reason = match cannot_tell {
        Some(why) => format!("it cannot be told whether the halves of the window agree: {why}"),
        None if all.is_empty() => "the halves of the window agree".to_owned(),
        None => format!(
            "the second half of the window differs from the first: {}",
            all.join(", ")
        ),
    };
    Compared {
        stability,
        unsteady,
        cpu_unsteady,
        behind,
    }
}

/// Splits by time, so that a last slice of odd length weighs what it is.
fn halves(slices: &[Slice]) -> (Half<'_>, Half<'_>) {
    let middle = slices.last().map_or(0.0, |last| last.until_seconds) / 2.0;
    let is_first = |slice: &Slice| slice.until_seconds - slice.seconds / 2.0 < middle;
    let (first, second) = slices.split_at(slices.partition_point(is_first));
    (Half::new(first), Half::new(second))
}

/// The middle of sorted values, or between the two in the middle; 0 of none.
fn median(sorted: &[u64]) -> f64 {
    let middle = sorted.len() / 2;
    match sorted.len() {
        0 => 0.0,
        count if count % 2 == 1 => sorted[middle] as f64,
        _ => sorted[middle - 1].midpoint(sorted[middle]) as f64,
    }
}

/// Whether nearly all of `after` are above those of `before`, or nearly all below.
fn is_one_way<T: PartialOrd>(before: &[T], after: &[T]) -> bool {
    let above = |a: &T| after.iter().filter(|b| *b > a).count();
    let below = |a: &T| after.iter().filter(|b| *b < a).count();
    let pairs = (before.len() * after.len()) as f64;
    let (up, down) = (
        before.iter().map(above).sum::<usize>(),
        before.iter().map(below).sum::<usize>(),
    );
    up.max(down) as f64 >= PAIRS_SHARE * pairs
}

fn cannot_tell(first: &Half<'_>, second: &Half<'_>, each: &str) -> Option<String> {
    let slices = first.slices.len().min(second.slices.len());
    if slices < SLICES_MIN {
        return Some("the window has too few slices; measure for longer".to_owned());
    }
    let completed = first.completed.min(second.completed);
    if completed < COMPLETED_MIN {
        return Some(format!(
            "one of them has {completed} {each}s, and {COMPLETED_MIN} are the least; measure for longer"
        ));
    }
    let (from, to) = first.offered().zip(second.offered())?;
    let is_ramp = change_percent(from, to).abs() > OFFERED_PERCENT;
    is_ramp.then(|| {
        format!(
            "the rate that was asked for changed, from {from:.0} to {to:.0} {each}s/s on average"
        )
    })
}

/// A figure's name, its change in percent, and the limit of that.
type Change = (String, f64, f64);

/// What changed of throughput and latency.
fn pace(first: &Half<'_>, second: &Half<'_>, stability: &Stability) -> Vec<Change> {
    let latency = |name: &str, value: fn(&Slice) -> u64, limit: f64| {
        let (before, after) = (first.sorted(value), second.sorted(value));
        let (from, to) = (median(&before), median(&after));
        let is_much = (to - from).abs() >= LATENCY_NS_MIN && is_one_way(&before, &after);
        is_much.then(|| (name.to_owned(), change_percent(from, to), limit))
    };
    // The halves of a steady open loop are offered the same, so there throughput says nothing.
    let is_closed = second.offered().is_none();
    let throughput = (is_closed && is_one_way(&first.rates(), &second.rates())).then(|| {
        let percent = stability.throughput_change_percent;
        ("throughput".to_owned(), percent, THROUGHPUT_PERCENT)
    });
    let p50 = latency("p50 of the latency", |slice| slice.p50_ns, P50_PERCENT);
    let p99 = latency("p99 of the latency", |slice| slice.p99_ns, P99_PERCENT);
    [throughput, p50, p99].into_iter().flatten().collect()
}

/// What changed of the server's CPU time.
fn server_cpu_beyond(stability: &Stability, each: &str) -> Vec<Change> {
    let change = |percent| {
        let name = format!("the server's CPU time per {each}");
        (name, percent, SERVER_CPU_PERCENT)
    };
    let percent = stability.server_cpu_change_percent;
    percent.map(change).into_iter().collect()
}

/// Of changes that are beyond their limits, the one that is furthest; `None` if there is none.
fn furthest(changes: &[Change]) -> Option<Differing> {
    // By the smaller of the two values, so that more and less count alike.
    let excess = |percent: f64, limit: f64| {
        let factor = (1.0 + percent / 100.0).max(f64::MIN_POSITIVE);
        factor.max(1.0 / factor) / (1.0 + limit / 100.0)
    };
    let beyond = || {
        changes
            .iter()
            .filter(|(_, percent, limit)| excess(*percent, *limit) > 1.0)
    };
    let (_, percent, limit_percent) =
        beyond().max_by(|a, b| excess(a.1, a.2).total_cmp(&excess(b.1, b.2)))?;
    let all: Vec<_> = beyond()
        .map(|(name, percent, _)| format!("{name} {percent:+.1} %"))
        .collect();
    Some(Differing {
        percent: 100.0 * (excess(*percent, 0.0) - 1.0),
        limit_percent: *limit_percent,
        all: all.join(", "),
    })
}

#[cfg(test)]
#[path = "stability_tests.rs"]
mod tests;
