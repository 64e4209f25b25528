//! What must be known of a measurement before its figures are used, and the one sentence that it comes to.
//!
//! The findings stand beside one another: each says what was seen, and [`Comparable`] what they leave. A failed
//! measurement has none, since its error says it.

use hdrhistogram::Histogram;

use super::busy::{Busy, SATURATED_PERCENT, SHARED_PERCENT};
use super::finding::{Comparable, Finding, Id};
use super::stability::Compared;
use crate::observe::others::Others;
use crate::quantity::{grouped, time};

/// CPU time that the hypervisor withheld of the CPUs of both sides, in percent of theirs.
const STEAL_PERCENT: f64 = 2.0;

/// CPU time that others used on the CPUs of both sides, in percent of one.
const OTHERS_PERCENT: f64 = 5.0;

/// Share of what was due, in percent, that may be left over before a schedule was not held, and a number that always
/// may: what is on its way.
const LEFT_PERCENT: f64 = 1.0;
const LEFT_MIN: f64 = 10.0;

/// What is sent this much later than it was due is late. What is shorter than the machine's own gaps, or than this
/// share of the 99th percentile of the latency, is not.
pub const LATE_NS: u64 = 200_000;
const LATE_SHARE: f64 = 0.1;

/// Late messages in percent from which on the 99th percentile is the generator's, and how many it takes for that.
const LATE_PERCENT: f64 = 1.0;
const LATE_MIN: u64 = 10;

/// All that findings rest on. What is not known keeps its default.
#[derive(Clone, Debug, Default)]
pub(crate) struct Evidence<'a> {
    /// What was completed: `message` or `session`.
    pub(crate) each: &'static str,
    pub(crate) generator: Busy,
    pub(crate) server: Option<Busy>,
    pub(crate) steal_percent: Option<f64>,
    /// What others used on the CPUs of both sides.
    pub(crate) others: Option<Others>,
    /// The halves of the window.
    pub(crate) halves: Option<&'a Compared>,
    /// Of an open loop only.
    pub(crate) schedule: Option<Schedule<'a>>,
    /// The longest gap of this machine's own.
    pub(crate) gap_ns: Option<u64>,
}

/// How an open loop's schedule was held.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Schedule<'a> {
    /// What was due within the window.
    pub(crate) due: f64,
    /// Of that, what came to no good end, in the window or after it.
    pub(crate) lost: u64,
    /// What was due and had not begun when the window closed.
    pub(crate) backlog_end: u64,
    /// How late each was taken up, in nanoseconds.
    pub(crate) send_lag: Option<&'a Histogram<u64>>,
    /// From when each was due, in nanoseconds.
    pub(crate) latency: &'a Histogram<u64>,
}

/// A finding whose consequence follows from its kind.
fn finding(id: Id, [value, limit]: [f64; 2], unit: &str, seen: &str) -> Finding {
    Finding {
        id,
        value,
        limit,
        unit: unit.to_owned(),
        means: format!("{seen}: {}", id.consequence()),
    }
}

/// Both sides, each with what is found of one that has nothing left.
fn sides(evidence: &Evidence<'_>) -> [(Id, &'static str, Option<Busy>); 2] {
    let generator = Some(evidence.generator);
    [
        (Id::GeneratorSaturated, "the generator", generator),
        (Id::ServerSaturated, "the server", evidence.server),
    ]
}

/// What was found, the worst first.
pub(crate) fn findings(evidence: &Evidence<'_>) -> Vec<Finding> {
    let mut found = Vec::new();
    let percent = |id, value, limit, seen: &str| finding(id, [value, limit], "percent", seen);
    for (id, name, busy) in sides(evidence) {
        let exhausted = busy.and_then(|busy| busy.exhausted(name));
        found.extend(exhausted.map(|(used, why)| percent(id, used, SATURATED_PERCENT, &why)));
    }
    if let Some(steal) = evidence.steal_percent
        && steal >= STEAL_PERCENT
    {
        let seen = format!("the hypervisor withheld {steal:.1} % of the CPU time");
        found.push(percent(Id::Steal, steal, STEAL_PERCENT, &seen));
    }
    found.extend(cpu_shared(evidence));
    if let Some(schedule) = &evidence.schedule {
        found.extend(late_sends(evidence, schedule));
        found.extend(rate_not_held(evidence, schedule));
        found.extend(backlog(evidence, schedule));
    }
    let halves = evidence.halves;
    for (id, differing) in [
        (
            Id::Unsteady,
            halves.and_then(|halves| halves.unsteady.as_ref()),
        ),
        (
            Id::CpuUnsteady,
            halves.and_then(|halves| halves.cpu_unsteady.as_ref()),
        ),
    ] {
        found.extend(differing.map(|differing| {
            let seen = format!(
                "the second half of the window differs from the first ({})",
                differing.all
            );
            percent(id, differing.percent, differing.limit_percent, &seen)
        }));
    }
    if evidence.server.is_none() {
        let seen = "the server was not observed (give --server-pid)";
        found.push(finding(Id::ServerUnobserved, [0.0, 1.0], "processes", seen));
    }
    found
}

/// Whether others used the CPUs of the two sides, or the two had to share one.
fn cpu_shared(evidence: &Evidence<'_>) -> Option<Finding> {
    let judged = evidence.others.filter(|others| others.is_judged);
    let took_part = |others: &Others| others.percent - others.error_percent >= OTHERS_PERCENT;
    if let Some(others) = judged.filter(took_part) {
        let (used, error) = (others.percent, others.error_percent);
        let seen =
            format!("other tasks used {used:.1} % of a CPU (± {error:.1}) where the two sides ran");
        let figures = [used, OTHERS_PERCENT + error];
        return Some(finding(Id::CpuShared, figures, "percent of one CPU", &seen));
    }
    let waits = |(_, name, busy): (_, _, Option<Busy>)| Some((name, busy?.shared()?));
    let (name, waited) = sides(evidence).into_iter().find_map(waits)?;
    let whose = if judged.is_some() {
        " though no other task used much, so the two sides shared one (keep them apart with --cpu)"
    } else {
        ""
    };
    let seen = format!("{name} had to wait for a CPU for {waited:.1} % of the time{whose}");
    let figures = [waited, SHARED_PERCENT];
    Some(finding(Id::CpuShared, figures, "percent", &seen))
}

fn late_sends(evidence: &Evidence<'_>, schedule: &Schedule<'_>) -> Option<Finding> {
    let lag = schedule.send_lag.filter(|lag| !lag.is_empty())?;
    let of_latency = LATE_SHARE * schedule.latency.value_at_quantile(0.99) as f64;
    let gap_ns = evidence.gap_ns.unwrap_or(0);
    let late_ns = LATE_NS.max(gap_ns).max(of_latency as u64);
    let late = lag.len() - lag.count_between(0, late_ns);
    let percent = 100.0 * late as f64 / lag.len() as f64;
    (percent >= LATE_PERCENT && late >= LATE_MIN).then(|| {
        let seen = format!(
            "the generator took up {} of {} {}s more than {} late",
            grouped(late),
            grouped(lag.len()),
            evidence.each,
            time(late_ns as f64)
        );
        finding(Id::LateSends, [percent, LATE_PERCENT], "percent", &seen)
    })
}

/// How many may be left over of so many.
fn left(due: f64) -> f64 {
    (LEFT_PERCENT / 100.0 * due).max(LEFT_MIN)
}

fn rate_not_held(evidence: &Evidence<'_>, schedule: &Schedule<'_>) -> Option<Finding> {
    let lost = schedule.lost as f64;
    let limit = left(schedule.due);
    (lost > limit).then(|| {
        let each = evidence.each;
        let how = match each {
            "message" => "were never answered",
            _ => "did not end well",
        };
        let seen = format!(
            "the rate was not held (of {} {each}s that were due in the window, {} {how})",
            grouped(schedule.due.round() as u64),
            grouped(schedule.lost)
        );
        finding(Id::RateNotHeld, [lost, limit], &format!("{each}s"), &seen)
    })
}

fn backlog(evidence: &Evidence<'_>, schedule: &Schedule<'_>) -> Option<Finding> {
    let each = evidence.each;
    let limit = left(schedule.due);
    let waiting = schedule.backlog_end as f64;
    let grown = evidence.halves.and_then(|halves| halves.behind);
    let (seen, figures) = if waiting > limit {
        let count = grouped(schedule.backlog_end);
        let seen = format!("at the window's end {count} {each}s were due and could not begin");
        (seen, [waiting, limit])
    } else if let Some((middle, end)) = grown
        // What the sockets take is on its way, however long it has been.
        && let limit = middle as f64 + left(schedule.due / 2.0)
        && end as f64 > limit
    {
        let (from, to) = (grouped(middle), grouped(end));
        let seen = format!(
            "what was due and not answered went from {from} {each}s to {to} in half of the window"
        );
        (seen, [end as f64, limit])
    } else {
        return None;
    };
    let seen = format!("the server fell behind ({seen})");
    Some(finding(Id::Backlog, figures, &format!("{each}s"), &seen))
}

/// What findings come to, in one plain sentence; `each` is a message or a session, `is_open` whether there was a rate
/// to hold.
pub(crate) fn summary(findings: &[Finding], each: &str, is_open: bool) -> String {
    let seen = findings.iter().filter_map(|it| it.means.rsplit_once(": "));
    let mut seen: Vec<&str> = seen.map(|(seen, _)| seen).collect();
    let has = |id| findings.iter().any(|finding| finding.id == id);
    if seen.is_empty() {
        seen.push(if is_open {
            "the rate was held, and both sides had CPU time left"
        } else {
            "both sides had CPU time left, so the load asked for set the pace"
        });
    }
    let comparable = Comparable::of(findings);
    let cpu_name = format!("CPU time per {each}");
    let mut figures = vec![
        ("throughput", comparable.throughput),
        ("latency", comparable.latency),
    ];
    if !has(Id::ServerUnobserved) {
        figures.push((&cpu_name, comparable.cpu));
    }
    let names = |can: bool| {
        let named = figures.iter().filter(|figure| figure.1 == can);
        named
            .map(|figure| figure.0)
            .collect::<Vec<_>>()
            .join(" and ")
    };
    let compared = match [names(true), names(false)] {
        [_, cannot] if cannot.is_empty() => "all figures can be compared".to_owned(),
        [can, _] if can.is_empty() => "no figure can be compared".to_owned(),
        [can, cannot] => format!("{can} can be compared, {cannot} cannot"),
    };
    sentence(&format!("{}; {compared}", seen.join("; ")))
}

/// Text that begins with a capital and ends with a full stop.
pub(crate) fn sentence(text: &str) -> String {
    let text = text.trim_end_matches('.');
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| {
        format!("{}{}.", first.to_uppercase(), chars.as_str())
    })
}

#[cfg(test)]
#[path = "findings_tests.rs"]
mod tests;
