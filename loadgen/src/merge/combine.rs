//! The arithmetic: counts and rates are added, histograms are added value by value.

use anyhow::Context;
use hdrhistogram::Histogram;
use serde_json::Value;

use super::files::Input;
use crate::assess::finding::Finding;
use crate::assess::findings::summary;
use crate::echo::tally::latency_histogram;
use crate::result::figures::{Backlog, Figures, Traffic};
use crate::result::latency::Latency;
use crate::result::load::{Load, Loop};
use crate::result::merge::{MergeResult, MergeWindow, Part, PartFigures, Sum};
use crate::result::{Checks, Document, NO_RESULT, Outcome, Status};
use crate::usage::UsageError;

/// The windows should have this much of their union in common, in percent; with less there is a warning.
const OVERLAP_PERCENT_MIN: f64 = 90.0;

/// With less than this in common the parts measured at different times, and their sum is no result.
const OVERLAP_PERCENT_VALID: f64 = 50.0;

/// Faults listed, as in a run.
const FAULTS_MAX: usize = 20;

/// A part that has figures.
type Measured<'a> = (&'a Input, &'a Figures);

/// What was combined.
pub(crate) struct Merged {
    pub(crate) document: Document,
    /// The latency of all parts.
    pub(crate) latency: Histogram<u64>,
}

/// Combines `inputs`. Different loads are refused unless forced.
pub(crate) fn combine(inputs: &[Input], force: bool) -> anyhow::Result<Merged> {
    let mut warnings = Vec::new();
    if let Some(difference) = difference(inputs) {
        if !force {
            let text = format!("{difference}; these are different loads (--force merges them)");
            return Err(UsageError(text).into());
        }
        warnings.push(format!("{difference}: different loads were merged"));
    }
    let measured: Vec<Measured<'_>> = inputs
        .iter()
        .filter_map(|input| Some((input, input.document.figures()?)))
        .collect();
    let without = inputs.iter().filter(|it| it.document.figures().is_none());
    warnings.extend(without.map(|it| format!("{} has no result and adds nothing", it.name)));
    let latency = add(&measured, |figures| Some(&figures.latency))?;
    let latency = latency.unwrap_or_else(latency_histogram);
    let sum = sum(&measured, &latency)?;
    let common = sum.as_ref().map_or(100.0, |sum| sum.window.overlap_percent);
    let apart = sum.as_ref().map(|sum| {
        let (percent, seconds) = (sum.window.overlap_percent, sum.window.union_seconds);
        format!("the windows have {percent:.0} % of {seconds:.1} s in common")
    });
    let apart = apart.unwrap_or_default();
    if common < OVERLAP_PERCENT_MIN {
        warnings.push(format!(
            "{apart}: the parts did not measure at the same time, and their rates should not be added (--start-at, \
             and clocks that agree)"
        ));
    }
    let of_part = inputs.iter().find_map(|input| {
        let error = input.document.error.as_ref()?;
        Some(format!("{}: {error}", input.name))
    });
    let ending = match worst(inputs) {
        status if status != Status::Failed && common < OVERLAP_PERCENT_VALID => {
            let error = format!(
                "{apart}, less than half: the parts measured at different times, and their sum is no result"
            );
            (Status::Failed, Some(error))
        }
        status => (status, of_part),
    };
    let findings = findings(inputs, ending.0);
    let load = load(&measured, inputs);
    let summary = match ending.0 {
        Status::Failed => NO_RESULT.to_owned(),
        _ => summary(&findings, "message", load.loop_kind == Loop::Open),
    };
    let result = MergeResult {
        parts: inputs.iter().map(part).collect(),
        warnings,
        sum,
    };
    let document = Document {
        summary,
        findings,
        ..Document::new(
            ending,
            load,
            checks(inputs),
            Outcome::Merge(Some(Box::new(result))),
        )
    };
    Ok(Merged { document, latency })
}

/// The load of all: the first part's, with the connections of those that measured.
fn load(measured: &[Measured<'_>], inputs: &[Input]) -> Load {
    let first = inputs.first().map(|input| input.document.load.clone());
    let connections = measured
        .iter()
        .map(|(input, _)| input.document.load.connections);
    Load {
        connections: connections.fold(0, usize::saturating_add),
        ..first.unwrap_or_default()
    }
}

/// Whatever spoils one part spoils the sum: the findings of all, each with its part's name.
fn findings(inputs: &[Input], status: Status) -> Vec<Finding> {
    if status == Status::Failed {
        return Vec::new();
    }
    let named = inputs.iter().flat_map(|input| {
        input.document.findings.iter().map(|finding| Finding {
            means: format!("{}: {}", input.name, finding.means),
            ..finding.clone()
        })
    });
    let mut findings: Vec<_> = named.collect();
    findings.sort_by_key(|finding| finding.id);
    findings
}

/// What may differ from machine to machine: a part's load is the same load all the same.
const OWN: [&str; 16] = [
    "urls",
    "addresses",
    "subprotocol",
    "connections",
    "ping_every_seconds",
    "keep_going",
    "slow_readers",
    "threads",
    "cpus",
    "engine",
    "engine_reason",
    "server_pids",
    "seed",
    "warmup_seconds",
    "duration_seconds",
    "text",
];

/// In what the loads differ, if in anything that makes them different loads.
fn difference(inputs: &[Input]) -> Option<String> {
    let (first, others) = inputs.split_first()?;
    let value = |input: &Input| {
        let mut load = input.document.load.clone();
        for agreed in [&mut load.tls, &mut load.deflate].into_iter().flatten() {
            "yes".clone_into(agreed);
        }
        serde_json::to_value(load).unwrap_or_default()
    };
    let mine = value(first);
    others.iter().find_map(|other| {
        let (name, a, b) = differing("load", &mine, &value(other))?;
        let (first, other) = (&first.name, &other.name);
        Some(format!("{name} is {a} in {first} and {b} in {other}"))
    })
}

/// The first field in which two objects differ, and its values.
fn differing(name: &str, a: &Value, b: &Value) -> Option<(String, String, String)> {
    if let (Some(a), Some(b)) = (a.as_object(), b.as_object()) {
        let mut fields = a.iter().filter(|(name, _)| !OWN.contains(&name.as_str()));
        return fields.find_map(|(name, value)| differing(name, value, b.get(name)?));
    }
    let text = |value: &Value| value.to_string().trim_matches('"').to_owned();
    (a != b).then(|| (name.to_owned(), text(a), text(b)))
}

/// The worst status: failed, then interrupted, then missed.
fn worst(inputs: &[Input]) -> Status {
    let has = |status| inputs.iter().any(|input| input.document.status == status);
    [Status::Failed, Status::Interrupted, Status::Missed]
        .into_iter()
        .find(|status| has(*status))
        .unwrap_or(Status::Ok)
}

fn part(input: &Input) -> Part {
    let document = &input.document;
    Part {
        file: input.name.clone(),
        status: document.status,
        error: document.error.clone(),
        environment: document.environment.clone(),
        load: document.load.clone(),
        findings: document.findings.clone(),
        figures: document.figures().map(|figures| PartFigures {
            window_start_unix_seconds: figures.window_start_unix_seconds,
            window_seconds: figures.window_seconds,
            completed: figures.completed,
            completed_per_second: figures.completed_per_second,
            p50_ns: figures.latency.p50_ns,
            p99_ns: figures.latency.p99_ns,
            max_ns: figures.latency.max_ns,
            generator_cpu_ns_each: figures.generator.cpu_ns_each,
            server_cpu_ns_each: figures
                .server
                .as_ref()
                .and_then(|server| server.cpu_ns_each),
        }),
    }
}

fn checks(inputs: &[Input]) -> Checks {
    let mut sum = Checks::default();
    for input in inputs {
        // Taken apart by name, so that a check that is added later cannot be forgotten here.
        let Checks {
            messages_verified,
            messages_wrong,
            mismatches,
            payload_bytes_verified,
            replies_fragmented,
            replies_compressed,
            pings_answered,
            pings_unanswered,
            pongs_received,
            messages_unanswered,
            oldest_unanswered_seconds,
            messages_unsent,
            sessions_verified,
            reconnects,
            slow_readers_closed,
            faults,
        } = &input.document.checks;
        for (sum, count) in [
            (&mut sum.messages_verified, messages_verified),
            (&mut sum.messages_wrong, messages_wrong),
            (&mut sum.payload_bytes_verified, payload_bytes_verified),
            (&mut sum.replies_fragmented, replies_fragmented),
            (&mut sum.replies_compressed, replies_compressed),
            (&mut sum.pings_answered, pings_answered),
            (&mut sum.pings_unanswered, pings_unanswered),
            (&mut sum.pongs_received, pongs_received),
            (&mut sum.messages_unanswered, messages_unanswered),
            (&mut sum.messages_unsent, messages_unsent),
            (&mut sum.sessions_verified, sessions_verified),
            (&mut sum.reconnects, reconnects),
        ] {
            // A file may hold any number; a sum that does not fit is no reason to end in a panic.
            *sum = sum.saturating_add(*count);
        }
        sum.slow_readers_closed = sum.slow_readers_closed.saturating_add(*slow_readers_closed);
        let oldest = sum.oldest_unanswered_seconds;
        sum.oldest_unanswered_seconds = oldest.max(*oldest_unanswered_seconds);
        let named = |fault: &String| format!("{}: {fault}", input.name);
        sum.faults.extend(faults.iter().map(named));
        sum.mismatches.extend(mismatches.iter().map(named));
    }
    sum.faults.truncate(FAULTS_MAX);
    sum.mismatches.truncate(FAULTS_MAX);
    sum
}

/// Adds one kind of histogram of all parts; `None` if no part has it.
fn add(
    measured: &[Measured<'_>],
    of: impl Fn(&Figures) -> Option<&Latency>,
) -> anyhow::Result<Option<Histogram<u64>>> {
    let mut sum: Option<Histogram<u64>> = None;
    for (input, figures) in measured {
        let Some(latency) = of(figures) else { continue };
        let histogram = latency
            .histogram()
            .with_context(|| format!("reading {}", input.name))?;
        sum.get_or_insert_with(latency_histogram)
            .add(&histogram)
            .with_context(|| format!("adding the histogram of {}", input.name))?;
    }
    Ok(sum)
}

fn sum(measured: &[Measured<'_>], latency: &Histogram<u64>) -> anyhow::Result<Option<Sum>> {
    if measured.is_empty() {
        return Ok(None);
    }
    let figures = || measured.iter().map(|(_, figures)| *figures);
    let added = |of: fn(&Figures) -> Option<&Latency>| -> anyhow::Result<Option<Latency>> {
        Ok(add(measured, of)?.as_ref().map(Latency::of))
    };
    let completed = figures()
        .map(|it| it.completed)
        .fold(0, u64::saturating_add);
    let completed_per_second = figures().map(|it| it.completed_per_second).sum();
    let generator_ns: Option<f64> = figures()
        .map(|it| Some(it.generator.cpu_ns_each? * it.completed as f64))
        .sum();
    let (server_cpu_ns_each, server_cpu_reason) = server_cpu(measured, completed_per_second);
    Ok(Some(Sum {
        window: window(measured),
        completed,
        completed_per_second,
        offered_per_second: figures().map(|it| it.offered_per_second).sum(),
        traffic: figures()
            .filter_map(|it| it.traffic)
            .reduce(|a, b| Traffic {
                payload_bytes: a.payload_bytes.saturating_add(b.payload_bytes),
                payload_bytes_per_second: a.payload_bytes_per_second + b.payload_bytes_per_second,
                wire_bytes_sent_per_second: a.wire_bytes_sent_per_second
                    + b.wire_bytes_sent_per_second,
                wire_bytes_received_per_second: a.wire_bytes_received_per_second
                    + b.wire_bytes_received_per_second,
            }),
        latency: Latency::of(latency),
        uncorrected_latency: added(|it| it.uncorrected_latency.as_ref())?,
        ping: added(|it| it.ping.as_ref())?,
        send_lag: added(|it| it.send_lag.as_ref())?,
        backlog: figures()
            .filter_map(|it| it.backlog)
            .reduce(|a, b| Backlog {
                max: a.max.saturating_add(b.max),
                end: a.end.saturating_add(b.end),
            }),
        generator_cpu_ns_each: generator_ns
            .filter(|_| completed > 0)
            .map(|ns| ns / completed as f64),
        server_cpu_ns_each,
        server_cpu_reason,
    }))
}

/// Overlap and union of the windows.
fn window(measured: &[Measured<'_>]) -> MergeWindow {
    let starts = || measured.iter().map(|(_, it)| it.window_start_unix_seconds);
    let ends = || {
        measured
            .iter()
            .map(|(_, it)| it.window_start_unix_seconds + it.window_seconds)
    };
    let first_start = starts().fold(f64::INFINITY, f64::min);
    let last_end = ends().fold(f64::NEG_INFINITY, f64::max);
    let last_start = starts().fold(f64::NEG_INFINITY, f64::max);
    let first_end = ends().fold(f64::INFINITY, f64::min);
    let union_seconds = last_end - first_start;
    let overlap_seconds = (first_end - last_start).max(0.0);
    // A file may hold times beyond all measure.
    let is_sane = union_seconds > 0.0 && union_seconds.is_finite();
    MergeWindow {
        start_unix_seconds: first_start,
        union_seconds,
        overlap_seconds,
        overlap_percent: if is_sane {
            100.0 * overlap_seconds / union_seconds
        } else {
            0.0
        },
    }
}

/// The server's CPU time over the messages of all parts, as far as it can be known.
///
/// A part that observes the server sees all of its CPU time, whoever caused it. So parts that observe one server say
/// the same thing several times, and parts that observe several are to be added.
fn server_cpu(measured: &[Measured<'_>], completed_per_second: f64) -> (Option<f64>, String) {
    // Whose CPU time, and how much of it: 100 % of one CPU is a second of CPU time each second.
    let observers: Vec<_> = measured
        .iter()
        .filter_map(|(input, figures)| {
            let server = figures.server.as_ref()?;
            let key = (&server.pids, &input.document.load.addresses);
            Some((key, server.cpu_percent_of_one * 1e7, input.name.as_str()))
        })
        .collect();
    let Some((first, ..)) = observers.first() else {
        return (None, "no part observed the server".to_owned());
    };
    if completed_per_second <= 0.0 {
        return (None, "there was no message to share it".to_owned());
    }
    let (count, parts) = (observers.len(), measured.len());
    let total: f64 = observers.iter().map(|(_, cpu_ns, _)| cpu_ns).sum();
    if observers.iter().all(|(key, ..)| key == first) {
        let names: Vec<_> = observers.iter().map(|(.., name)| *name).collect();
        let reason = format!("one server, observed by {}", names.join(", "));
        (Some(total / count as f64 / completed_per_second), reason)
    } else if count == parts {
        let reason = "each part observed a server of its own".to_owned();
        (Some(total / completed_per_second), reason)
    } else {
        let reason = format!("{count} of {parts} parts observed different servers");
        (None, reason)
    }
}
