//! How what is counted is told: rows of a table, and the samples of each.

use std::borrow::Cow;

/// What the numbers of a row are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(non_camel_case_types)] // As they stand in the table.
pub enum Kind {
    /// How often something has happened: it only grows.
    counter,
    /// How much there is of something now.
    gauge,
    /// How long, or how large, things were.
    histogram,
    /// What something is, in labels; its value is 1.
    info,
}

/// Whose numbers a row has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(non_camel_case_types)] // As they stand in the table.
pub enum Scope {
    /// The sum over all workers, or of what there is one of.
    in_all,
    /// Each worker's, which is named by the label `worker`.
    by_worker,
}

/// One row: a metric, and how it is read of a `Source`.
#[derive(Clone, Copy, Debug)]
pub struct Row<Source> {
    /// Its name, without the `_total` of a counter and the `_info` of an info.
    pub metric: &'static str,
    /// What it means.
    pub help: &'static str,
    /// What its numbers are.
    pub kind: Kind,
    /// Whose they are.
    pub scope: Scope,
    /// The names of the labels that its samples have.
    pub labels: &'static [&'static str],
    /// Reads it.
    pub read: fn(&Source) -> Vec<Sample>,
}

/// One number, with the values of its labels.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// In the order of [`Row::labels`].
    pub labels: Vec<Cow<'static, str>>,
    /// The number.
    pub value: Value,
}

impl Sample {
    /// One with these labels.
    pub fn new<const N: usize>(labels: [&'static str; N], value: Value) -> Self {
        Sample {
            labels: labels.map(Cow::Borrowed).into(),
            value,
        }
    }
}

/// What is told.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// A whole number.
    Whole(u64),
    /// Any number.
    Real(f64),
    /// How many there were in each bucket.
    Histogram {
        /// The upper bound of each, and how many are in it and in none before it.
        buckets: Vec<(f64, u64)>,
        /// The sum of all.
        sum: f64,
    },
}

impl Value {
    /// Adds the same of another worker.
    pub fn add(&mut self, other: &Value) {
        match (self, other) {
            (Value::Whole(one), Value::Whole(other)) => *one = one.wrapping_add(*other),
            (Value::Real(one), Value::Real(other)) => *one += other,
            (
                Value::Histogram { buckets, sum },
                Value::Histogram {
                    buckets: others,
                    sum: other_sum,
                },
            ) => {
                for ((_, one), (_, other)) in buckets.iter_mut().zip(others) {
                    *one += other;
                }
                *sum += other_sum;
            }
            _ => debug_assert!(false, "a row has values of one kind"),
        }
    }
}

/// What a field of a tally is: something that can be told.
pub trait Counted {
    /// The names of its labels.
    const LABELS: &'static [&'static str];

    /// Its numbers now, always the same ones in the same order.
    fn samples(&self) -> Vec<Sample>;
}
