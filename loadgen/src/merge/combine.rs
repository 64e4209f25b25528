//! The arithmetic: counts and rates are added, histograms are added value by value.

use anyhow::Context;
use hdrhistogram::Histogram;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::files::Input;
use crate::assess::finding::Finding;
use crate::assess::findings::summary;
use crate::echo::tally::latency_histogram;
use crate::result::figures::Figures;
use crate::result::latency::{HISTOGRAM, Latency};
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

/// Fields that may differ from machine to machine: a part's load is the same load all the same.
const OWN: &str = "urls addresses subprotocol connections ping_every_seconds keep_going slow_readers threads cpus \
    engine engine_reason server_pids seed warmup_seconds duration_seconds text";

/// A part that has figures.
type Measured<'a> = (&'a Input, &'a Figures);

/// Combines `inputs`, of which there is at least one, into a document and the latency of all. Different loads are
/// refused unless forced.
pub(crate) fn combine(inputs: &[Input], force: bool) -> anyhow::Result<(Document, Histogram<u64>)> {
    let mut warnings = Vec::new();
    if let Some(difference) = difference(inputs) {
        if !force {
            let text = format!("{difference}; these are different loads (--force merges them)");
            return Err(UsageError(text).into());
        }
        warnings.push(format!("{difference}: different loads were merged"));
    }
    let mut measured: Vec<Measured<'_>> = Vec::new();
    for input in inputs {
        match input.document.figures() {
            Some(figures) => measured.push((input, figures)),
            None => warnings.push(format!("{} has no result and adds nothing", input.name)),
        }
    }
    let sum = sum(&measured)?;
    let latency = match &sum {
        Some(sum) => sum.latency.histogram()?,
        None => latency_histogram(),
    };
    // What is said of windows that have less than so much in common.
    let apart = |percent: f64| {
        let window = &sum.as_ref()?.window;
        let (common, seconds) = (window.overlap_percent, window.union_seconds);
        (common < percent)
            .then(|| format!("the windows have {common:.0} % of {seconds:.1} s in common"))
    };
    if let Some(apart) = apart(OVERLAP_PERCENT_MIN) {
        warnings.push(format!(
            "{apart}: the parts did not measure at the same time, and their rates should not be added (--start-at, \
             and clocks that agree)"
        ));
    }
    let mut ending = worst(inputs);
    if let (false, Some(apart)) = (ending.0 == Status::Failed, apart(OVERLAP_PERCENT_VALID)) {
        let error = format!(
            "{apart}, less than half: the parts measured at different times, and their sum is no result"
        );
        ending = (Status::Failed, Some(error));
    }
    let connections = measured.iter().map(|(it, _)| it.document.load.connections);
    let load = Load {
        connections: connections.fold(0, usize::saturating_add),
        ..inputs[0].document.load.clone()
    };
    let (findings, summary) = if ending.0 == Status::Failed {
        (Vec::new(), NO_RESULT.to_owned())
    } else {
        let findings = findings(inputs);
        let summary = summary(&findings, "message", load.loop_kind == Loop::Open);
        (findings, summary)
    };
    let result = MergeResult {
        parts: inputs.iter().map(part).collect(),
        warnings,
        sum,
    };
    let outcome = Outcome::Merge(Some(Box::new(result)));
    let document = Document {
        summary,
        findings,
        ..Document::new(ending, load, checks(inputs)?, outcome)
    };
    Ok((document, latency))
}

/// The worst status (failed, then interrupted, then missed), and the first error with its part's name.
fn worst(inputs: &[Input]) -> (Status, Option<String>) {
    let has = |status: &Status| inputs.iter().any(|it| it.document.status == *status);
    let statuses = [Status::Failed, Status::Interrupted, Status::Missed];
    let error = inputs.iter().find_map(|input| {
        let error = input.document.error.as_ref()?;
        Some(format!("{}: {error}", input.name))
    });
    (statuses.into_iter().find(has).unwrap_or_default(), error)
}

/// Whatever spoils one part spoils the sum: the findings of all, each with its part's name.
fn findings(inputs: &[Input]) -> Vec<Finding> {
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
        let mut fields = a
            .iter()
            .filter(|(name, _)| !OWN.split(' ').any(|own| own == *name));
        return fields.find_map(|(name, value)| differing(name, value, b.get(name)?));
    }
    let text = |value: &Value| value.to_string().trim_matches('"').to_owned();
    (a != b).then(|| (name.to_owned(), text(a), text(b)))
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
        figures: document.figures().map(PartFigures::of),
    }
}

fn checks(inputs: &[Input]) -> anyhow::Result<Checks> {
    let each = || inputs.iter().map(|input| (input, &input.document.checks));
    let named = |list: fn(&Checks) -> &Vec<String>| {
        let all = each().flat_map(|(input, it)| {
            list(it)
                .iter()
                .map(|fault| format!("{}: {fault}", input.name))
        });
        all.take(FAULTS_MAX).collect()
    };
    let oldest = each().map(|(_, it)| it.oldest_unanswered_seconds);
    Ok(Checks {
        mismatches: named(|it| &it.mismatches),
        faults: named(|it| &it.faults),
        oldest_unanswered_seconds: oldest.fold(0.0, f64::max),
        ..added(each())?
    })
}

/// All parts as one: so a field that is declared later cannot be forgotten here.
fn added<'a, T: Serialize + 'a, S: DeserializeOwned>(
    parts: impl Iterator<Item = (&'a Input, &'a T)>,
) -> anyhow::Result<S> {
    let mut sum = Value::Null;
    for (input, part) in parts {
        add(&mut sum, serde_json::to_value(part)?, &input.name)?;
    }
    serde_json::from_value(sum).context("adding what the parts found")
}

/// Adds to `sum` what the part called `name` has: numbers to numbers, histograms value by value, objects field by
/// field. What only one of them has is the sum; of anything else it is the first.
fn add(sum: &mut Value, part: Value, name: &str) -> anyhow::Result<()> {
    if part.get(HISTOGRAM).is_some() {
        let histogram = |value| serde_json::from_value::<Latency>(value)?.histogram();
        let mut all = match sum.take() {
            Value::Null => latency_histogram(),
            before => histogram(before)?,
        };
        let more = histogram(part).with_context(|| format!("reading {name}"))?;
        all.add(&more)
            .with_context(|| format!("adding the histogram of {name}"))?;
        *sum = serde_json::to_value(Latency::of(&all))?;
    } else if let Value::Object(fields) = part {
        for (field, value) in fields {
            // What is not there yet is null.
            add(&mut sum[field], value, name)?;
        }
    } else if sum.is_null() {
        *sum = part;
    } else if let Some((a, b)) = sum.as_u64().zip(part.as_u64()) {
        // A file may hold any number; a sum that does not fit is no reason to end in a panic.
        *sum = a.saturating_add(b).into();
    } else if let Some((a, b)) = sum.as_f64().zip(part.as_f64()) {
        *sum = (a + b).clamp(f64::MIN, f64::MAX).into();
    }
    Ok(())
}

fn sum(measured: &[Measured<'_>]) -> anyhow::Result<Option<Sum>> {
    let Some(window) = window(measured) else {
        return Ok(None);
    };
    let figures = || measured.iter().map(|(_, figures)| *figures);
    let sum: Sum = added(measured.iter().copied())?;
    let generator_ns: Option<f64> = figures()
        .map(|it| Some(it.generator.cpu_ns_each? * it.completed as f64))
        .sum();
    let generator_ns = generator_ns.filter(|_| sum.completed > 0);
    let (server_cpu_ns_each, server_cpu_reason) = server_cpu(measured, sum.completed_per_second);
    Ok(Some(Sum {
        window,
        offered_per_second: figures().map(|it| it.offered_per_second).sum(),
        generator_cpu_ns_each: generator_ns.map(|ns| ns / sum.completed as f64),
        server_cpu_ns_each,
        server_cpu_reason,
        ..sum
    }))
}

/// Overlap and union of the windows; `None` if there is none.
fn window(measured: &[Measured<'_>]) -> Option<MergeWindow> {
    let windows = measured.iter().map(|(_, figures)| {
        let start = figures.window_start_unix_seconds;
        (start, start + figures.window_seconds)
    });
    let (start, end) = windows
        .clone()
        .reduce(|a, b| (a.0.min(b.0), a.1.max(b.1)))?;
    let (last_start, first_end) = windows.reduce(|a, b| (a.0.max(b.0), a.1.min(b.1)))?;
    let union_seconds = end - start;
    let overlap_seconds = (first_end - last_start).max(0.0);
    // A file may hold times beyond all measure.
    let is_sane = union_seconds > 0.0 && union_seconds.is_finite();
    Some(MergeWindow {
        start_unix_seconds: start,
        union_seconds,
        overlap_seconds,
        overlap_percent: if is_sane {
            100.0 * overlap_seconds / union_seconds
        } else {
            0.0
        },
    })
}

/// The server's CPU time over the messages of all parts, as far as it can be known, and how it was come by.
///
/// A part that observes the server sees all of its CPU time, whoever caused it. So parts that observe one server say
/// the same thing several times, and parts that observe several are to be added.
fn server_cpu(measured: &[Measured<'_>], completed_per_second: f64) -> (Option<f64>, String) {
    // Whose CPU time, and how much of it: 100 % of one CPU is a second of CPU time each second.
    let observers: Vec<_> = measured
        .iter()
        .filter_map(|(input, figures)| {
            let server = figures.server.as_ref()?;
            let whose = (&server.pids, &input.document.load.addresses);
            Some((whose, server.cpu_percent_of_one * 1e7, &*input.name))
        })
        .collect();
    let (count, parts) = (observers.len(), measured.len());
    let total: f64 = observers.iter().map(|(_, cpu_ns, _)| cpu_ns).sum();
    let (cpu_ns, reason) = if count == 0 {
        (None, "no part observed the server".to_owned())
    } else if completed_per_second <= 0.0 {
        (None, "there was no message to share it".to_owned())
    } else if observers.iter().all(|(whose, ..)| *whose == observers[0].0) {
        let names: Vec<_> = observers.iter().map(|(.., name)| *name).collect();
        let reason = format!("one server, observed by {}", names.join(", "));
        (Some(total / count as f64), reason)
    } else if count == parts {
        let reason = "each part observed a server of its own";
        (Some(total), reason.to_owned())
    } else {
        let reason = format!("{count} of {parts} parts observed different servers");
        (None, reason)
    };
    (cpu_ns.map(|ns| ns / completed_per_second), reason)
}
