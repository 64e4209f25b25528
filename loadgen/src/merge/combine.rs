//! The arithmetic: counts and rates are added, histograms are added value by value.

use anyhow::Context;
use hdrhistogram::Histogram;

use super::files::Input;
use crate::assess::verdict::Verdict;
use crate::echo::tally::latency_histogram;
use crate::output::document::latency::Latency;
use crate::output::document::merge::{
    MERGE_SCHEMA, MergeDocument, MergeResult, MergeWindow, Part, PartResult,
};
use crate::output::document::run::{Backlog, Checks, Load, RunResult};
use crate::output::document::{Environment, Status};
use crate::usage::UsageError;

/// The windows should have this much of their union in common, in percent; with less there is a warning.
const OVERLAP_PERCENT_MIN: f64 = 90.0;

/// With less than this in common the parts measured at different times, and their sum is no result.
const OVERLAP_PERCENT_VALID: f64 = 50.0;

/// Faults listed, as in a run.
const FAULTS_MAX: usize = 20;

/// One thing that a load is, as text.
type Trait = fn(&Load) -> String;

/// What was combined.
pub(crate) struct Merged {
    pub(crate) document: MergeDocument,
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
    for input in inputs
        .iter()
        .filter(|input| input.document.result.is_none())
    {
        warnings.push(format!("{} has no result and adds nothing", input.name));
    }
    let latency = add(inputs, |result| Some(&result.latency))?.unwrap_or_else(latency_histogram);
    let result = result(inputs, &latency, &mut warnings)?;
    let apart = result.as_ref().and_then(|result| apart(&result.window));
    let of_part = inputs.iter().find_map(|input| {
        let error = input.document.error.as_ref()?;
        Some(format!("{}: {error}", input.name))
    });
    let (status, error) = match (worst(inputs), apart) {
        (Status::Failed, _) => (Status::Failed, of_part),
        (_, Some(apart)) => (Status::Failed, Some(apart)),
        (status, None) => (status, of_part),
    };
    let document = MergeDocument {
        schema: MERGE_SCHEMA.to_owned(),
        status,
        error,
        environment: Environment::read(),
        warnings,
        parts: inputs.iter().map(part).collect(),
        checks: checks(inputs),
        result,
    };
    Ok(Merged { document, latency })
}

/// In what the loads differ, if in anything that makes them different loads.
fn difference(inputs: &[Input]) -> Option<String> {
    let (first, others) = inputs.split_first()?;
    let traits: [(&str, Trait); 13] = [
        ("protocol", |load| load.protocol.clone()),
        ("loop", |load| {
            format!("{:?}", load.loop_kind).to_lowercase()
        }),
        ("depth", |load| {
            load.depth
                .map_or("none".to_owned(), |depth| depth.to_string())
        }),
        ("arrivals", |load| {
            load.rate
                .as_ref()
                .map_or("none".to_owned(), |rate| rate.arrivals.clone())
        }),
        ("message size", |load| load.message_size.text.clone()),
        ("message kind", |load| load.message_kind.clone()),
        ("number of fragments", |load| load.fragments.to_string()),
        ("verification", |load| load.verify.clone()),
        ("expected reply", |load| load.expect.clone()),
        ("message", |load| {
            load.message.clone().unwrap_or("generated".to_owned())
        }),
        ("heavy connections", |load| match load.heavy {
            None => "none".to_owned(),
            Some(heavy) => format!("{} × {} B", heavy.connections, heavy.message_bytes),
        }),
        ("TLS", |load| load.tls.is_some().to_string()),
        ("compression", |load| load.deflate.is_some().to_string()),
    ];
    others.iter().find_map(|other| {
        traits.iter().find_map(|(name, of)| {
            let (a, b) = (of(&first.document.load), of(&other.document.load));
            (a != b).then(|| {
                format!(
                    "the {name} is {a} in {} and {b} in {}",
                    first.name, other.name
                )
            })
        })
    })
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
        result: document.result.as_ref().map(|result| PartResult {
            window_start_unix_seconds: result.window_start_unix_seconds,
            window_seconds: result.window_seconds,
            messages: result.messages,
            messages_per_second: result.messages_per_second,
            p50_ns: result.latency.p50_ns,
            p99_ns: result.latency.p99_ns,
            max_ns: result.latency.max_ns,
            generator_cpu_ns_per_message: result.generator.cpu_ns_per_message,
            server_cpu_ns_per_message: result
                .server
                .as_ref()
                .and_then(|server| server.cpu_ns_per_message),
            verdict: result.verdict,
            verdict_reason: result.verdict_reason.clone(),
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
            slow_readers_closed,
            faults,
        } = &input.document.checks;
        // A file may hold any number; a sum that does not fit is no reason to end in a panic.
        let add = |sum: &mut u64, count: &u64| *sum = sum.saturating_add(*count);
        add(&mut sum.messages_verified, messages_verified);
        add(&mut sum.messages_wrong, messages_wrong);
        add(&mut sum.payload_bytes_verified, payload_bytes_verified);
        add(&mut sum.replies_fragmented, replies_fragmented);
        add(&mut sum.replies_compressed, replies_compressed);
        add(&mut sum.pings_answered, pings_answered);
        add(&mut sum.pings_unanswered, pings_unanswered);
        add(&mut sum.pongs_received, pongs_received);
        add(&mut sum.messages_unanswered, messages_unanswered);
        add(&mut sum.messages_unsent, messages_unsent);
        sum.slow_readers_closed = sum.slow_readers_closed.saturating_add(*slow_readers_closed);
        sum.oldest_unanswered_seconds = sum
            .oldest_unanswered_seconds
            .max(*oldest_unanswered_seconds);
        let named = |fault: &String| format!("{}: {fault}", input.name);
        sum.faults.extend(faults.iter().map(named));
        sum.mismatches.extend(mismatches.iter().map(named));
    }
    sum.faults.truncate(FAULTS_MAX);
    sum.mismatches.truncate(FAULTS_MAX);
    sum
}

/// The parts that have a result, with their names.
fn results(inputs: &[Input]) -> impl Iterator<Item = (&Input, &RunResult)> {
    inputs
        .iter()
        .filter_map(|input| Some((input, input.document.result.as_ref()?)))
}

/// Adds one kind of histogram of all parts; `None` if no part has it.
fn add(
    inputs: &[Input],
    of: impl Fn(&RunResult) -> Option<&Latency>,
) -> anyhow::Result<Option<Histogram<u64>>> {
    let mut sum: Option<Histogram<u64>> = None;
    for (input, result) in results(inputs) {
        let Some(latency) = of(result) else { continue };
        let histogram = latency
            .histogram()
            .with_context(|| format!("reading {}", input.name))?;
        sum.get_or_insert_with(latency_histogram)
            .add(&histogram)
            .with_context(|| format!("adding the histogram of {}", input.name))?;
    }
    Ok(sum)
}

fn result(
    inputs: &[Input],
    latency: &Histogram<u64>,
    warnings: &mut Vec<String>,
) -> anyhow::Result<Option<MergeResult>> {
    if results(inputs).next().is_none() {
        return Ok(None);
    }
    let sum = |of: fn(&RunResult) -> f64| results(inputs).map(|(_, result)| of(result)).sum();
    let all = |of: fn(&RunResult) -> Option<f64>| {
        results(inputs)
            .map(|(_, result)| of(result))
            .sum::<Option<f64>>()
    };
    let latency_of = |histogram: Option<Histogram<u64>>| histogram.as_ref().map(Latency::of);
    let count = |of: fn(&RunResult) -> u64| {
        let counts = results(inputs).map(|(_, result)| of(result));
        counts.fold(0, u64::saturating_add)
    };
    let messages = count(|result| result.messages);
    let messages_per_second: f64 = sum(|result| result.messages_per_second);
    let generator_ns = all(|result| {
        let messages = result.messages as f64;
        result
            .generator
            .cpu_ns_per_message
            .map(|cpu| cpu * messages)
    });
    let backlog = results(inputs)
        .filter_map(|(_, result)| result.backlog)
        .reduce(|a, b| Backlog {
            messages_max: a.messages_max.saturating_add(b.messages_max),
            messages_end: a.messages_end.saturating_add(b.messages_end),
        });
    let (server_cpu_ns_per_message, server_cpu_reason) = server_cpu(inputs, messages_per_second);
    let window = window(inputs);
    warnings.extend(hardly_overlap(&window));
    let (verdict, verdict_reason) = match apart(&window) {
        Some(why) => (Verdict::Invalid, why),
        None => verdict(inputs),
    };
    Ok(Some(MergeResult {
        connections: results(inputs)
            .map(|(input, _)| input.document.load.connections)
            .fold(0, usize::saturating_add),
        window,
        messages,
        payload_bytes: count(|result| result.payload_bytes),
        messages_per_second,
        payload_bytes_per_second: sum(|result| result.payload_bytes_per_second),
        wire_bytes_sent_per_second: sum(|result| result.wire_bytes_sent_per_second),
        wire_bytes_received_per_second: sum(|result| result.wire_bytes_received_per_second),
        offered_messages_per_second: all(|result| result.offered_messages_per_second),
        latency: Latency::of(latency),
        service: Latency::of(
            &add(inputs, |result| Some(&result.service))?.unwrap_or_else(latency_histogram),
        ),
        ping: latency_of(add(inputs, |result| result.ping.as_ref())?),
        lateness: latency_of(add(inputs, |result| result.lateness.as_ref())?),
        backlog,
        generator_cpu_ns_per_message: generator_ns
            .filter(|_| messages > 0)
            .map(|ns| ns / messages as f64),
        server_cpu_ns_per_message,
        server_cpu_reason,
        verdict,
        verdict_reason,
    }))
}

/// Overlap and union of the windows.
fn window(inputs: &[Input]) -> MergeWindow {
    let edges = || {
        results(inputs).map(|(_, result)| {
            let start = result.window_start_unix_seconds;
            (start, start + result.window_seconds)
        })
    };
    let first_start = edges()
        .map(|(start, _)| start)
        .fold(f64::INFINITY, f64::min);
    let last_start = edges()
        .map(|(start, _)| start)
        .fold(f64::NEG_INFINITY, f64::max);
    let first_end = edges().map(|(_, end)| end).fold(f64::INFINITY, f64::min);
    let last_end = edges()
        .map(|(_, end)| end)
        .fold(f64::NEG_INFINITY, f64::max);
    let union_seconds = last_end - first_start;
    let overlap_seconds = (first_end - last_start).max(0.0);
    // A file may hold times beyond all measure.
    let overlap_percent = match union_seconds > 0.0 && union_seconds.is_finite() {
        true => 100.0 * overlap_seconds / union_seconds,
        false => 0.0,
    };
    MergeWindow {
        start_unix_seconds: first_start,
        union_seconds,
        overlap_seconds,
        overlap_percent,
    }
}

/// The warning that the parts did not measure at the same time, if so.
fn hardly_overlap(window: &MergeWindow) -> Option<String> {
    (window.overlap_percent < OVERLAP_PERCENT_MIN).then(|| {
        format!(
            "{}: the parts did not measure at the same time, and their rates should not be added \
             (--start-at, and clocks that agree)",
            common(window)
        )
    })
}

/// Why the whole is no result, if the windows have too little in common.
fn apart(window: &MergeWindow) -> Option<String> {
    (window.overlap_percent < OVERLAP_PERCENT_VALID).then(|| {
        format!(
            "{}, less than half: the parts measured at different times, and their sum is no result",
            common(window)
        )
    })
}

fn common(window: &MergeWindow) -> String {
    format!(
        "the windows have {:.0} % of {:.1} s in common",
        window.overlap_percent, window.union_seconds
    )
}

/// The server's CPU time over the messages of all parts, as far as it can be known.
///
/// A part that observes the server sees all of its CPU time, whoever caused it. So parts that observe
/// one server say the same thing several times, and parts that observe several are to be added.
fn server_cpu(inputs: &[Input], messages_per_second: f64) -> (Option<f64>, String) {
    let observers: Vec<(&Input, f64)> = results(inputs)
        .filter_map(|(input, result)| {
            let server = result.server.as_ref()?;
            // 100 % of one CPU is a second of CPU time each second.
            Some((input, server.cpu_percent_of_one * 1e7))
        })
        .collect();
    let parts = results(inputs).count();
    let Some((first, _)) = observers.first() else {
        return (None, "no part observed the server".to_owned());
    };
    if messages_per_second <= 0.0 {
        return (None, "there was no message to share it".to_owned());
    }
    let key = |input: &Input| {
        let pids = input
            .document
            .result
            .as_ref()?
            .server
            .as_ref()?
            .pids
            .clone();
        Some((pids, input.document.load.addresses.clone()))
    };
    let total: f64 = observers.iter().map(|(_, cpu_ns)| cpu_ns).sum();
    let per_message = |cpu_ns_per_second: f64| Some(cpu_ns_per_second / messages_per_second);
    if observers.iter().all(|(input, _)| key(input) == key(first)) {
        let names: Vec<&str> = observers
            .iter()
            .map(|(input, _)| input.name.as_str())
            .collect();
        let reason = format!("one server, observed by {}", names.join(", "));
        return (per_message(total / observers.len() as f64), reason);
    }
    match observers.len() == parts {
        true => (
            per_message(total),
            "each part observed a server of its own".to_owned(),
        ),
        false => (
            None,
            format!(
                "{} of {parts} parts observed different servers",
                observers.len()
            ),
        ),
    }
}

/// The verdict that holds for all, and whose it was.
fn verdict(inputs: &[Input]) -> (Verdict, String) {
    // Whatever spoils one part spoils the sum; a server is the limit if one part saw that it was.
    let order = [
        Verdict::Invalid,
        Verdict::GeneratorBound,
        Verdict::Noisy,
        Verdict::ServerBound,
        Verdict::LoadBound,
    ];
    let found = order.into_iter().find_map(|verdict| {
        let whose: Vec<(&Input, &RunResult)> = results(inputs)
            .filter(|(_, result)| result.verdict == verdict)
            .collect();
        let (input, result) = whose.first()?;
        let more = match whose.len() {
            1 => String::new(),
            count => format!(" (and {} more of {})", count - 1, results(inputs).count()),
        };
        Some((
            verdict,
            format!("{}{more}: {}", input.name, result.verdict_reason),
        ))
    });
    found.unwrap_or_else(|| {
        (
            Verdict::Unobserved,
            "no part observed the server".to_owned(),
        )
    })
}
