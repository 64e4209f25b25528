//! From what was read to what is reported: one way for messages and for sessions of churn.

use hdrhistogram::Histogram;

use super::conduct::Course;
use super::series::Series;
use super::threads::Gathered;
use crate::assess::busy::Busy;
use crate::assess::finding::Finding;
use crate::assess::findings::{Evidence, Schedule, findings, summary};
use crate::assess::stability::compare;
use crate::observe::cgroup::GroupTime;
use crate::observe::others::Others;
use crate::observe::process::Memory;
use crate::result::figures::{
    Backlog, Figures, HeavyResult, Server, Sessions, Side, Slice, Traffic,
};
use crate::result::latency::Latency;
use crate::result::load::Load;
use crate::result::{Checks, Document, NO_RESULT, Outcome, PARTIAL, Status};
use crate::run::window::{Observed, Window};

/// What was read of a window, whatever was completed in it. Histograms are of nanoseconds.
pub(crate) struct Readings<'a> {
    /// What was completed: `message` or `session`.
    pub(crate) each: &'static str,
    pub(crate) window: &'a Window,
    pub(crate) window_start_unix_seconds: f64,
    pub(crate) slices: &'a [Slice],
    /// How many were completed and right.
    pub(crate) completed: u64,
    /// How many the CPU time is shared by: those that failed take theirs. 0 where it cannot be told whose it was.
    pub(crate) charged: u64,
    pub(crate) latency: &'a Histogram<u64>,
    pub(crate) uncorrected_latency: Option<&'a Histogram<u64>>,
    pub(crate) send_lag: Option<&'a Histogram<u64>>,
    pub(crate) ping: Option<&'a Histogram<u64>>,
    /// Compressed bytes over those of the payload; `None` without compression.
    pub(crate) deflate_ratio: Option<f64>,
    /// Of an open loop.
    pub(crate) due: Option<Due>,
    /// Of churn.
    pub(crate) sessions: Option<Sessions>,
    pub(crate) heavy: Option<HeavyResult>,
    pub(crate) others: Option<Others>,
    /// CPUs that the generator and the server may use.
    pub(crate) cpus: [usize; 2],
    pub(crate) observed: &'a Observed,
    /// The server's memory at the end of the window.
    pub(crate) memory: Option<Memory>,
}

/// What an open loop asked for within the window.
#[derive(Clone, Copy)]
pub(crate) struct Due {
    pub(crate) due: f64,
    /// Of that, what came to no good end, in the window or after it.
    pub(crate) lost: u64,
    pub(crate) backlog: Backlog,
}

/// The document of a load that ended with `status` and its sentence; `readings` if its window opened.
pub(crate) fn document(
    outcome: fn(Option<Box<Figures>>) -> Outcome,
    (status, error): (Status, Option<String>),
    load: Load,
    checks: Checks,
    readings: Option<Readings<'_>>,
) -> Document {
    let figures = readings.map(|readings| (readings.each, readings.sum_up()));
    let (findings, summary) = match (&figures, status) {
        (_, Status::Interrupted) => (Vec::new(), PARTIAL.to_owned()),
        (Some((each, (figures, findings))), Status::Ok | Status::Missed) => (
            findings.clone(),
            summary(findings, each, figures.offered_per_second.is_some()),
        ),
        _ => (Vec::new(), NO_RESULT.to_owned()),
    };
    Document {
        summary,
        findings,
        ..Document::new(
            (status, error),
            load,
            checks,
            outcome(figures.map(|(_, (figures, _))| Box::new(figures))),
        )
    }
}

/// The document of a run over connections that stay.
pub(super) fn of_run(
    course: &Course<'_>,
    gathered: &Gathered,
    observed: &Observed,
    load: &Load,
    ending: (Status, Option<String>),
) -> Document {
    let load = Load {
        server_pids: observed.server_pids.clone(),
        ..load.clone()
    };
    let series = course.series.as_ref();
    let window = series.map(Series::window);
    let read = series.zip(window.as_ref());
    let checks = &gathered.checks;
    let readings = read.map(|(series, window)| {
        let read = Readings::of("message", series, window, course, observed);
        let lost = checks.messages_unanswered + checks.messages_unsent;
        Readings {
            // What a message costs cannot be told from what the heavy connections' messages cost.
            charged: if load.heavy.is_none() {
                read.charged
            } else {
                0
            },
            uncorrected_latency: gathered.service.as_ref(),
            send_lag: gathered.lateness.as_ref(),
            ping: gathered.ping.as_ref(),
            deflate_ratio: gathered.deflated.ratio(),
            due: read.due.map(|due| Due { lost, ..due }),
            heavy: heavy(gathered, &load, window.seconds),
            ..read
        }
    });
    let checks = gathered.checks.clone();
    document(Outcome::Run, ending, load, checks, readings)
}

fn heavy(gathered: &Gathered, load: &Load, seconds: f64) -> Option<HeavyResult> {
    let (shares, load) = gathered.heavy_shares.as_ref().zip(load.heavy)?;
    let messages = shares.iter().sum::<u64>();
    let per_second = messages as f64 / seconds.max(1e-9);
    let mean = messages as f64 / load.connections as f64;
    let by_mean = |share: Option<&u64>| Some(*share.filter(|_| messages > 0)? as f64 / mean);
    Some(HeavyResult {
        messages,
        messages_per_second: per_second,
        payload_bytes_per_second: per_second * load.message_bytes as f64,
        most_by_mean: by_mean(shares.iter().max()),
        least_by_mean: by_mean(shares.iter().min()),
    })
}

impl<'a> Readings<'a> {
    /// What is read of any load; what only one kind has is for that to add. `window` is that of `series`.
    pub(crate) fn of(
        each: &'static str,
        series: &'a Series<'_>,
        window: &'a Window,
        course: &Course<'_>,
        observed: &'a Observed,
    ) -> Readings<'a> {
        let (generator_cpus, server_cpus) = &course.cpus;
        let slices = series.slices();
        Readings {
            each,
            window,
            window_start_unix_seconds: series.start_unix_seconds(),
            slices,
            completed: window.messages,
            charged: window.messages,
            latency: &series.latency,
            uncorrected_latency: None,
            send_lag: None,
            ping: None,
            deflate_ratio: None,
            due: series.offered_per_second().map(|offered| Due {
                due: offered * window.seconds,
                lost: 0,
                backlog: Backlog {
                    max: slices.iter().map(|slice| slice.backlog).max().unwrap_or(0),
                    end: slices.last().map_or(0, |slice| slice.backlog),
                },
            }),
            sessions: None,
            heavy: None,
            others: series.others(&(generator_cpus | server_cpus)),
            cpus: [generator_cpus.len(), server_cpus.len()],
            observed,
            memory: course.memory,
        }
    }

    fn sum_up(self) -> (Figures, Vec<Finding>) {
        let window = self.window;
        let seconds = window.seconds.max(1e-9);
        let per_second = |count: u64| count as f64 / seconds;
        let halves = compare(self.slices, self.each);
        let generator = self.generator();
        let server = self.server();
        let gap_ns = self.observed.gaps.map(|gaps| gaps.longest_ns);
        let findings = findings(&Evidence {
            each: self.each,
            generator: generator.busy,
            server: server.as_ref().map(|server| server.busy),
            steal_percent: window.steal_percent,
            others: self.others,
            halves: Some(&halves),
            schedule: self.due.map(|due| Schedule {
                due: due.due,
                lost: due.lost,
                backlog_end: due.backlog.end,
                send_lag: self.send_lag,
                latency: self.latency,
            }),
            gap_ns,
        });
        let figures = Figures {
            window_start_unix_seconds: self.window_start_unix_seconds,
            window_seconds: window.seconds,
            completed: self.completed,
            completed_per_second: per_second(self.completed),
            offered_per_second: self.due.map(|due| due.due / seconds),
            traffic: self.sessions.is_none().then(|| Traffic {
                payload_bytes: window.payload_bytes,
                payload_bytes_per_second: per_second(window.payload_bytes),
                wire_bytes_sent_per_second: per_second(window.wire_bytes_sent),
                wire_bytes_received_per_second: per_second(window.wire_bytes_received),
            }),
            deflate_ratio: self.deflate_ratio,
            latency: Latency::of(self.latency),
            uncorrected_latency: self.uncorrected_latency.map(Latency::of),
            send_lag: self.send_lag.map(Latency::of),
            ping: self.ping.map(Latency::of),
            backlog: self.due.map(|due| due.backlog),
            sessions: self.sessions,
            heavy: self.heavy,
            series: self.slices.to_vec(),
            stability: halves.stability,
            generator,
            server,
            steal_percent: window.steal_percent,
            others_percent: self.others.map(|others| others.percent),
            gap_ns,
        };
        (figures, findings)
    }

    fn for_each(&self, ns: f64) -> Option<f64> {
        (self.charged > 0).then(|| ns / self.charged as f64)
    }

    fn generator(&self) -> Side {
        let window = self.window;
        let ns = window.generator.iter().map(|task| task.cpu_ns).sum::<u64>() as f64;
        let user_share = window.generator_user_share;
        Side {
            cpu_ns_each: self.for_each(ns),
            cpu_user_ns_each: self.for_each(ns * user_share),
            cpu_system_ns_each: self.for_each(ns * (1.0 - user_share)),
            busy: Busy::of(&window.generator, window.seconds).within(self.cpus[0]),
        }
    }

    fn server(&self) -> Option<Server> {
        let window = self.window;
        let tasks = window.server.as_ref()?;
        let ns = window.server_cpu_ns? as f64;
        let part = |of: fn(GroupTime) -> u64| self.for_each(of(window.server_group?) as f64);
        Some(Server {
            pids: self.observed.server_pids.clone(),
            cpu_ns_each: self.for_each(ns),
            cpu_percent_of_one: ns / window.seconds.max(1e-9) / 1e7,
            cpu_user_ns_each: part(|group| group.user_ns),
            cpu_system_ns_each: part(|group| group.system_ns),
            cpu_source: self.observed.server_source(),
            busy: Busy::of(tasks, window.seconds).within(self.cpus[1]),
            memory: self.memory,
        })
    }
}
