//! `ringload check`: cases of raw bytes against any WebSocket echo server.
//!
//! ```text
//! cases/*  tables of cases         case      what a case is: a rule and a function that plays it
//! opening  a request, an answer    exchange  frames behind an upgrade, and what must come of them
//! head     heads of HTTP           wire      a client's frames, right and wrong
//! peer     a connection, recorded  reader    a server's frames, held to every rule
//! agreement  terms of permessage-deflate   strain  what is left of a server: memory, service for others
//! report, html, junit  what people and machines read
//! ```
//!
//! A case opens a connection of its own, is bounded in time, and fails only where a document says MUST to
//! the server. Where documents leave the choice, every lawful answer passes. Nothing here shares code with
//! the codec of the load generator but the link below it (TLS).

mod agreement;
mod case;
mod cases;
mod document;
mod exchange;
mod head;
mod html;
mod inflate;
mod junit;
mod opening;
pub(crate) mod options;
mod peer;
mod reader;
mod report;
mod scout;
mod skim;
mod strain;
mod transcript;
pub(crate) mod verdict;
mod wire;

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use self::case::Case;
use self::peer::{Ground, Peer};
use self::strain::another_is_served;
use self::transcript::Transcript;
use self::verdict::{Finding, Verdict};
use crate::check::document::{CHECK_SCHEMA, CaseResult, CheckDocument, Totals};
use crate::check::options::CheckOptions;
use crate::output::{deliver, print, write_file};
use crate::result::{Environment, Status};
use crate::target::Target;
use crate::usage::UsageError;

/// Cases at a time that failed and are played again.
const AGAIN_JOBS: usize = 4;

/// Where requests of a list would go.
const NOWHERE: &str = "ws://127.0.0.1/";

/// Checks a server, or lists the cases. `Failed` if a case failed; an error of usage if there is no such
/// server, or it does not echo.
pub(crate) fn run(options: &CheckOptions) -> anyhow::Result<Status> {
    options.check()?;
    let target = match &options.url {
        Some(target) => target.clone(),
        None => Target::parse(NOWHERE).map_err(UsageError)?,
    };
    let mut cases = cases::all(&target);
    cases.retain(|case| is_selected(&case.id, &options.only));
    if cases.is_empty() {
        return Err(UsageError(format!(
            "--only {} names no case; --list names all",
            options.only.join(" --only ")
        ))
        .into());
    }
    if options.list {
        print(&report::list(&cases))?;
        return Ok(Status::Ok);
    }
    let (ground, server) = scout::look(&target, options)?;
    let results = play_all(&cases, &ground, options.jobs);
    let totals = Totals::of(&results);
    // One that ended, or hangs, may have taken what killed it for a PASS.
    let gone = another_is_served(&ground)
        .err()
        .filter(|finding| matches!(finding, Finding::Illegal(_)));
    let error = match gone {
        Some(finding) => Some(format!("once all was played, {}", finding.words())),
        None => {
            (totals.fail > 0).then(|| format!("{} of {} cases failed", totals.fail, results.len()))
        }
    };
    let document = CheckDocument {
        schema: CHECK_SCHEMA.to_owned(),
        status: if error.is_some() {
            Status::Failed
        } else {
            Status::Ok
        },
        error,
        environment: Environment::read(),
        url: target.url,
        server,
        greetings: ground.greetings,
        deflate: ground.deflate,
        totals,
        cases: results,
    };
    deliver(
        &document,
        || report::table(&document, options.verbose),
        document.error.as_deref(),
        options.json.as_deref(),
        false,
    )?;
    if let Some(path) = &options.junit {
        write_file(path, &junit::junit(&document))?;
    }
    if let Some(path) = &options.html {
        write_file(path, &html::page(&document))?;
    }
    Ok(document.status)
}

/// Whether a case is named by one of the patterns, or there are none.
fn is_selected(id: &str, patterns: &[String]) -> bool {
    let has = |pattern: &String| {
        let mut rest = id;
        pattern.split('*').all(|part| match rest.find(part) {
            Some(at) => {
                rest = &rest[at + part.len()..];
                true
            }
            None => false,
        })
    };
    patterns.is_empty() || patterns.iter().any(has)
}

/// Plays the cases, so many at a time, then those that must be alone. The results are in their order.
///
/// What failed is played again with few beside it: a server, or a machine, that was just busy is not to
/// blame, and a fault shows again. What cannot be played again stands as it is.
fn play_all(cases: &[Case], ground: &Ground, jobs: usize) -> Vec<CaseResult> {
    let (alone, together): (Vec<_>, Vec<_>) = (0..cases.len()).partition(|&at| cases[at].alone);
    let mut results = play_each(cases, &together, ground, jobs);
    results.extend(play_each(cases, &alone, ground, 1));
    let failed = |alone| -> Vec<usize> {
        let places = results.iter();
        let failed = places.filter(|(_, result)| result.verdict == Verdict::Fail);
        let places = failed.map(|(&place, _)| place);
        places
            .filter(|&place| cases[place].alone == alone)
            .collect()
    };
    let (alone, together) = (failed(true), failed(false));
    let mut again = play_each(cases, &together, ground, jobs.min(AGAIN_JOBS));
    again.extend(play_each(cases, &alone, ground, 1));
    for (place, mut result) in again {
        let first = results.get(&place).map(|first| first.happened.clone());
        match result.verdict {
            Verdict::Skip => continue,
            Verdict::Pass => {
                result.verdict = Verdict::Warn;
                result.happened += &format!("; at first {}", first.unwrap_or_default());
            }
            Verdict::Warn | Verdict::Fail => {}
        }
        results.insert(place, result);
    }
    results.into_values().collect()
}

/// Plays the cases in these places, so many at a time.
fn play_each(
    cases: &[Case],
    places: &[usize],
    ground: &Ground,
    jobs: usize,
) -> BTreeMap<usize, CaseResult> {
    let results = Mutex::new(BTreeMap::new());
    let next = AtomicUsize::new(0);
    let work = || {
        while let Some(&place) = places.get(next.fetch_add(1, Ordering::Relaxed)) {
            let result = play(&cases[place], ground);
            // Nobody panics with it in hand: a panic ends the process.
            if let Ok(mut results) = results.lock() {
                results.insert(place, result);
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..jobs.min(places.len()) {
            scope.spawn(work);
        }
    });
    results.into_inner().unwrap_or_default()
}

fn play(case: &Case, ground: &Ground) -> CaseResult {
    let begin = Instant::now();
    let mut transcript = Transcript::default();
    // A server to which nobody can connect is at fault, but not in this case.
    let connected = Peer::connect(ground)
        .map_err(|finding| Finding::Inapplicable(format!("not played: {}", finding.words())));
    let result = connected.and_then(|mut peer| {
        let result = (case.play)(&mut peer);
        transcript = std::mem::take(&mut peer.transcript);
        result
    });
    let (verdict, happened) = match result {
        Ok(happened) => (Verdict::Pass, happened),
        Err(finding) => (finding.verdict(case.rule.level), finding.words().to_owned()),
    };
    CaseResult {
        id: case.id.clone(),
        level: case.rule.level,
        section: case.rule.section.to_owned(),
        requirement: case.rule.says.to_owned(),
        expected: case.expected.clone(),
        verdict,
        happened,
        transcript: transcript.words(),
        took_seconds: begin.elapsed().as_secs_f64(),
    }
}

#[cfg(test)]
mod check_tests;
