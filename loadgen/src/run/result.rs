//! From what was read to what is reported: one way for messages and for sessions of churn.

use hdrhistogram::Histogram;

use super::conduct::Course;
use super::series::Series;
use super::window::{Observed, Window, others_between};
use crate::assess::busy::Busy;
use crate::assess::finding::Finding;
use crate::assess::findings::{Evidence, Schedule, findings, summary};
use crate::assess::stability::compare;
use crate::observe::cgroup::GroupTime;
use crate::observe::process::Memory;
use crate::result::figures::{Backlog, Figures, Server, Side, Slice, Traffic};
use crate::result::latency::Latency;
use crate::result::load::Load;
use crate::result::{Checks, Document, NO_RESULT, Outcome, PARTIAL, Status};

/// What only one kind of work knows of its window.
#[derive(Default)]
pub(crate) struct Own<'a> {
    /// The figures that only this kind has; the rest of them is for all.
    pub(crate) figures: Figures,
    /// How many share the CPU time beside those that were completed: what failed takes its part, too. `None` where it
    /// cannot be told whose it was.
    pub(crate) failed: Option<u64>,
    /// Of an open loop: how late each was taken up, in nanoseconds.
    pub(crate) send_lag: Option<&'a Histogram<u64>>,
    /// Of what it asked for within the window, what came to no good end, in the window or after it.
    pub(crate) lost: u64,
    /// What was due and had not begun when the window closed; else as the last slice has it.
    pub(crate) backlog_end: Option<u64>,
}

/// The document of a load that ended with `status` and its sentence.
pub(crate) fn document(
    outcome: fn(Option<Box<Figures>>) -> Outcome,
    (status, error): (Status, Option<String>),
    load: Load,
    checks: Checks,
    course: &Course<'_>,
    own: Own<'_>,
) -> Document {
    let each = own
        .figures
        .sessions
        .as_ref()
        .map_or("message", |_| "session");
    let series = course.series.as_ref();
    let found = series.map(|series| sum_up(series, course.memory, each, own));
    let (findings, summary) = match (&found, status) {
        (_, Status::Interrupted) => (Vec::new(), PARTIAL.to_owned()),
        (Some((figures, findings)), Status::Ok | Status::Missed) => (
            findings.clone(),
            summary(findings, each, figures.offered_per_second.is_some()),
        ),
        _ => (Vec::new(), NO_RESULT.to_owned()),
    };
    let outcome = outcome(found.map(|(figures, _)| Box::new(figures)));
    Document {
        summary,
        findings,
        ..Document::new((status, error), load, checks, outcome)
    }
}

fn sum_up(
    series: &Series<'_>,
    memory: Option<Memory>,
    each: &'static str,
    own: Own<'_>,
) -> (Figures, Vec<Finding>) {
    let (observed, slices) = (series.observed, &series.slices);
    let window = series.window();
    let seconds = window.seconds.max(1e-9);
    let per_second = |count: u64| count as f64 / seconds;
    let charged = own.failed.map_or(0, |failed| window.messages + failed);
    let [generator_cpus, server_cpus] = [0, 1].map(|side| series.last.cpus_of_sides[side].len());
    let generator = generator(&window, charged, generator_cpus);
    let server = server(&window, charged, server_cpus, observed, memory);
    let others = others_between(observed, &series.first, &series.last);
    let halves = compare(slices, each);
    let gap_ns = observed.gaps.map(|gaps| gaps.longest_ns);
    let due = series.due();
    let end = slices.last().map_or(0, |slice| slice.backlog);
    let end = own.backlog_end.unwrap_or(end);
    let backlogs = slices.iter().map(|slice: &Slice| slice.backlog);
    let max = backlogs.fold(end, u64::max);
    let findings = findings(&Evidence {
        each,
        generator: generator.busy,
        server: server.as_ref().map(|server| server.busy),
        steal_percent: window.steal_percent,
        others,
        halves: Some(&halves),
        schedule: due.map(|due| Schedule {
            due,
            lost: own.lost,
            backlog_end: end,
            send_lag: own.send_lag,
            latency: &series.latency,
        }),
        gap_ns,
    });
    let figures = Figures {
        window_start_unix_seconds: series.opened_unix_seconds,
        window_seconds: window.seconds,
        completed: window.messages,
        completed_per_second: per_second(window.messages),
        offered_per_second: due.map(|due| due / seconds),
        traffic: own.figures.sessions.is_none().then(|| Traffic {
            payload_bytes: window.payload_bytes,
            payload_bytes_per_second: per_second(window.payload_bytes),
            wire_bytes_sent_per_second: per_second(window.wire_bytes_sent),
            wire_bytes_received_per_second: per_second(window.wire_bytes_received),
        }),
        latency: Latency::of(&series.latency),
        send_lag: own.send_lag.map(Latency::of),
        backlog: due.map(|_| Backlog { max, end }),
        series: slices.clone(),
        stability: halves.stability,
        generator,
        server,
        steal_percent: window.steal_percent,
        others_percent: others.map(|others| others.percent),
        gap_ns,
        ..own.figures
    };
    (figures, findings)
}

/// The share of each of those that are charged.
fn for_each(charged: u64, ns: f64) -> Option<f64> {
    (charged > 0).then(|| ns / charged as f64)
}

fn generator(window: &Window, charged: u64, cpus: usize) -> Side {
    let ns = window.generator_cpu_ns() as f64;
    let user_share = window.generator_user_share;
    Side {
        cpu_ns_each: for_each(charged, ns),
        cpu_user_ns_each: for_each(charged, ns * user_share),
        cpu_system_ns_each: for_each(charged, ns * (1.0 - user_share)),
        busy: Busy::of(&window.generator, window.seconds).within(cpus),
    }
}

fn server(
    window: &Window,
    charged: u64,
    cpus: usize,
    observed: &Observed,
    memory: Option<Memory>,
) -> Option<Server> {
    let tasks = window.server.as_ref()?;
    let ns = window.server_cpu_ns? as f64;
    let part = |of: fn(GroupTime) -> u64| for_each(charged, of(window.server_group?) as f64);
    Some(Server {
        pids: observed.server_pids.clone(),
        cpu_ns_each: for_each(charged, ns),
        cpu_percent_of_one: ns / window.seconds.max(1e-9) / 1e7,
        cpu_user_ns_each: part(|group| group.user_ns),
        cpu_system_ns_each: part(|group| group.system_ns),
        cpu_source: observed.server_source(),
        busy: Busy::of(tasks, window.seconds).within(cpus),
        memory,
    })
}
