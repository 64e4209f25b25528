//! What the figures of a workload are: a table of them for each kind of document.

use std::slice;

use ringload::assess::finding::{Comparable, Finding};
use ringload::quantity::{bytes, grouped, time};
use ringload::result::Outcome;
use ringload::result::capacity::{CapacityResult, Point};
use ringload::result::figures::{Figures, Sessions};
use ringload::result::idle::IdleResult;
use ringload::result::latency::Latency;
use ringload::result::load::Loop;

use crate::suite::document::Run;

/// What a figure counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unit {
    Nanoseconds,
    Count,
    Bytes,
}

impl Unit {
    /// A value with its unit.
    pub(super) fn text(self, value: f64) -> String {
        match self {
            Unit::Nanoseconds => time(value),
            Unit::Count => grouped(value.round().max(0.0) as u64),
            // Memory may shrink, and a unit must not hide the sign.
            Unit::Bytes if value < 0.0 => format!("−{}", bytes(-value)),
            Unit::Bytes => bytes(value),
        }
    }
}

/// Whether a figure may be compared, by what was found.
pub(super) type Needs = fn(Comparable) -> bool;

/// The findings of a run that keep something from being compared.
pub(super) fn forbidding(run: &Run, needs: Needs) -> impl Iterator<Item = &Finding> {
    let findings = run.document.findings.iter();
    findings.filter(move |finding| !needs(Comparable::of(slice::from_ref(finding))))
}

/// The findings of a run that forbid comparing some figure of it.
pub(super) fn disturbances(run: &Run) -> Vec<&Finding> {
    forbidding(run, |left| left.cpu && left.throughput && left.latency).collect()
}

/// A figure that each round gives one of.
pub(super) struct Metric {
    title: &'static str,
    pub(super) unit: Unit,
    pub(super) needs: Needs,
    /// Which quantile it is of the latencies of all rounds together.
    pub(super) quantile: Option<f64>,
    /// Of one round; `None` if it is not known.
    pub(super) of: fn(&Run) -> Option<f64>,
}

/// What one kind of workload measures.
pub(super) struct Kind {
    /// What is counted.
    each: &'static str,
    /// Its figures; by the first one servers of a class are ranked.
    pub(super) metrics: &'static [Metric],
    /// Number of the figure by which servers are of one class.
    pub(super) speed: usize,
}

impl Kind {
    /// The kind of a run; `None` of one that no suite makes.
    pub(super) fn of(run: &Run) -> Option<Kind> {
        // Who keeps a rate is as fast as all who do: there they differ in what it costs.
        let pace = usize::from(run.document.load.loop_kind != Loop::Open);
        let (each, metrics, speed) = match run.document.outcome {
            Outcome::Run(_) => ("message", WINDOW, pace),
            Outcome::Churn(_) => ("session", WINDOW, pace),
            Outcome::Capacity(_) => ("message", SEARCH, 1),
            Outcome::Idle(_) => ("connection", MEMORY, 0),
            _ => return None,
        };
        Some(Kind {
            each,
            metrics,
            speed,
        })
    }

    /// The name of a figure by its number.
    pub(super) fn title(&self, at: usize) -> String {
        self.metrics[at].title.replace("{each}", self.each)
    }
}

macro_rules! metrics {
    ($($title:literal $unit:ident $needs:ident $quantile:tt, $of:expr;)*) => {
        &[$(Metric {
            title: $title, unit: Unit::$unit, needs: metrics!(@needs $needs), quantile: metrics!(@ $quantile), of: $of,
        }),*]
    };
    (@needs nothing) => { |_| true };
    (@needs $what:ident) => { |left| left.$what };
    (@ _) => { None };
    (@ $quantile:literal) => { Some($quantile) };
}

/// Of a run's window, or churn's.
const WINDOW: &[Metric] = metrics! {
    "CPU per {each}"     Nanoseconds cpu _,        |run| figures(run)?.server.as_ref()?.cpu_ns_each;
    "Per second"         Count throughput _,       |run| Some(figures(run)?.completed_per_second);
    "p50"                Nanoseconds latency 0.5,  |run| ns(latency(run)?, |of| of.p50_ns);
    "p99"                Nanoseconds latency 0.99, |run| ns(latency(run)?, |of| of.p99_ns);
    "p99.9"              Nanoseconds latency 0.999, |run| ns(latency(run)?, |of| of.p99_9_ns);
    "Memory per connection" Bytes nothing _,       memory_each;
    "Memory"             Bytes nothing _,          memory_bytes;
    "p99 uncorrected"    Nanoseconds latency _,    |run| ns(figures(run)?.uncorrected_latency.as_ref()?, |of| of.p99_ns);
    "Connect p50"        Nanoseconds latency _,    |run| ns(&sessions(run)?.connect, |of| of.p50_ns);
    "Handshake p50"      Nanoseconds latency _,    |run| ns(&sessions(run)?.handshake, |of| of.p50_ns);
    "First echo p50"     Nanoseconds latency _,    |run| ns(&sessions(run)?.first_echo, |of| of.p50_ns);
    "Failed {each}s"     Count nothing _,          |run| Some(sessions(run)?.failed as f64);
    "Reset by the server" Count nothing _,         |run| Some(sessions(run)?.closes.reset as f64);
    // Beside heavy connections the question is whether anybody starves.
    "Worst"              Nanoseconds latency 1.0,  |run| figures(run)?.heavy.and(ns(latency(run)?, |of| of.max_ns));
    "Heavy per second" Count throughput _, |run| Some(figures(run)?.heavy?.messages_per_second);
    "Most percent of mean" Count nothing _,        |run| Some(100.0 * figures(run)?.heavy?.most_by_mean?);
};

/// Of a capacity search: at the highest rate that met the objective.
const SEARCH: &[Metric] = metrics! {
    "CPU per {each}" Nanoseconds cpu _,     |run| best(run)?.server_cpu_ns_each;
    "Highest rate"   Count throughput _,    |run| Some(best(run)?.rate);
    "p50 there"      Nanoseconds latency _, |run| Some(best(run)?.p50_ns? as f64);
    "p99 there"      Nanoseconds latency _, |run| Some(best(run)?.p99_ns? as f64);
    "p99.9 there"    Nanoseconds latency _, |run| Some(best(run)?.p99_9_ns? as f64);
};

/// Of idle connections.
const MEMORY: &[Metric] = metrics! {
    "Memory per {each}"  Bytes nothing _, |run| Some(idle(run)?.growth?.rss_bytes_per_connection);
    "Anonymous"          Bytes nothing _, |run| Some(idle(run)?.growth?.rss_anonymous_bytes_per_connection);
    "Proportional"       Bytes nothing _, |run| idle(run)?.growth?.pss_bytes_per_connection;
    "Kept afterwards"    Bytes nothing _, |run| Some(idle(run)?.kept?.rss_bytes_per_connection);
    "Without connections" Bytes nothing _, |run| Some(idle(run)?.memory_before?.rss_bytes as f64);
};

fn figures(run: &Run) -> Option<&Figures> {
    run.document.figures()
}

/// Of messages, of churn of sessions.
pub(super) fn latency(run: &Run) -> Option<&Latency> {
    figures(run).map(|figures| &figures.latency)
}

/// Of a distribution that has values: one without has zeros.
fn ns(latency: &Latency, of: fn(&Latency) -> u64) -> Option<f64> {
    (latency.count > 0).then(|| of(latency) as f64)
}

fn sessions(run: &Run) -> Option<&Sessions> {
    figures(run)?.sessions.as_ref()
}

/// Resident, at the end of the window.
fn memory_bytes(run: &Run) -> Option<f64> {
    Some(figures(run)?.server.as_ref()?.memory?.rss_bytes as f64)
}

/// The same beyond what the server had before the load, by its connections.
fn memory_each(run: &Run) -> Option<f64> {
    let grown = memory_bytes(run)? - run.rss_before_bytes? as f64;
    Some(grown / run.document.load.connections as f64)
}

/// What a capacity search found.
pub(super) fn capacity(run: &Run) -> Option<&CapacityResult> {
    match &run.document.outcome {
        Outcome::Capacity(result) => result.as_ref(),
        _ => None,
    }
}

/// The last step at the highest rate that met the objective.
fn best(run: &Run) -> Option<&Point> {
    let found = capacity(run)?;
    let rate = found.best?.rate;
    let mut points = found.points.iter();
    points.rfind(|point| point.meets && point.rate == rate)
}

fn idle(run: &Run) -> Option<&IdleResult> {
    match &run.document.outcome {
        Outcome::Idle(result) => result.as_deref(),
        _ => None,
    }
}
