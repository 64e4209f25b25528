//! What `--fail-if` can be asked of a search: figures of the knee, which are not known without one.

use crate::assess::condition::Unit;
use crate::output::document::knee::{KneeDocument, Point};
use crate::output::gate::{Figure, Known};

/// The last step at the best rate that met.
pub(super) fn best(rate: f64, points: &[Point]) -> Option<&Point> {
    let met = |point: &&Point| point.rate == rate && point.meets;
    points.iter().rev().find(met)
}

fn knee(document: &KneeDocument) -> Option<&Point> {
    best(document.best?.rate, &document.points)
}

fn rate(document: &KneeDocument) -> Option<f64> {
    Some(document.best?.rate)
}

fn time(ns: Option<u64>) -> Option<f64> {
    Some(ns? as f64)
}

pub(super) const FIGURES: Known<KneeDocument> = Known {
    figures: &[
        Figure::plain("rate", rate),
        Figure::plain("knee", rate),
        Figure::of_server("cpu", Unit::Time, |document| {
            knee(document)?.server_cpu_ns_per_message
        }),
        Figure::time("p50", |document| time(knee(document)?.p50_ns)),
        Figure::time("p90", |document| time(knee(document)?.p90_ns)),
        Figure::time("p99", |document| time(knee(document)?.p99_ns)),
        Figure::time("p99.9", |document| time(knee(document)?.p99_9_ns)),
        Figure::time("max", |document| time(knee(document)?.max_ns)),
    ],
    distributions: &[],
};
