//! `/metrics`: rows of the workers' tallies and of what the process has besides, written by `prometheus-client`.

use std::borrow::Cow;
use std::fmt;
use std::fmt::Write as _;
use std::sync::Arc;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Registry;

use super::rows::PROCESS;
use super::sources::Sources;
use crate::protocol::tally::{Kind, Row, Sample, Scope, TABLE, Value};

/// The label that names a worker.
const WORKER: &str = "worker";

/// What `/metrics` is written by.
pub(super) fn registry(sources: &Arc<Sources>) -> Registry {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(sources.clone()));
    registry
}

impl Collector for Sources {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        for row in TABLE {
            encode(&mut encoder, row, &of_workers(self, row))?;
        }
        for row in PROCESS {
            encode(&mut encoder, row, &(row.read)(self))?;
        }
        Ok(())
    }
}

/// The samples of all workers: each one's, with its number as the last label, or their sums.
pub(super) fn of_workers(sources: &Sources, row: &Row<crate::protocol::Tally>) -> Vec<Sample> {
    let mut all: Vec<Sample> = Vec::new();
    for (number, tally) in sources.tallies.iter().enumerate() {
        let samples = (row.read)(tally);
        if row.scope == Scope::by_worker {
            all.extend(samples.into_iter().map(|mut sample| {
                sample.labels.push(number.to_string().into());
                sample
            }));
        } else if all.is_empty() {
            all = samples;
        } else {
            for (sum, sample) in all.iter_mut().zip(&samples) {
                sum.value.add(&sample.value);
            }
        }
    }
    all
}

/// The labels of a row's samples, in their order.
pub(super) fn label_names<S>(row: &Row<S>) -> Vec<&'static str> {
    let worker = (row.scope == Scope::by_worker).then_some(WORKER);
    row.labels.iter().copied().chain(worker).collect()
}

fn encode<S>(encoder: &mut DescriptorEncoder<'_>, row: &Row<S>, samples: &[Sample]) -> fmt::Result {
    if samples.is_empty() {
        return Ok(());
    }
    let metric_type = match row.kind {
        Kind::counter => MetricType::Counter,
        Kind::gauge => MetricType::Gauge,
        Kind::histogram => MetricType::Histogram,
        Kind::info => MetricType::Info,
    };
    let mut metric = encoder.encode_descriptor(row.metric, row.help.trim(), None, metric_type)?;
    let names = label_names(row);
    for sample in samples {
        let labels: Vec<(&str, Cow<'static, str>)> = names
            .iter()
            .copied()
            .zip(sample.labels.iter().cloned())
            .collect();
        if row.kind == Kind::info {
            metric.encode_info(&labels)?;
        } else {
            encode_value(metric.encode_family(&labels)?, row.kind, &sample.value)?;
        }
    }
    Ok(())
}

fn encode_value(mut metric: MetricEncoder<'_>, kind: Kind, value: &Value) -> fmt::Result {
    match (value, kind) {
        (Value::Whole(number), Kind::counter) => {
            metric.encode_counter::<NoLabelSet, _, u64>(number, None)
        }
        (Value::Real(number), Kind::counter) => {
            metric.encode_counter::<NoLabelSet, _, u64>(number, None)
        }
        (Value::Whole(number), _) => metric.encode_gauge(number),
        (Value::Real(number), _) => metric.encode_gauge(number),
        (Value::Histogram { buckets, sum }, _) => {
            let count = buckets.iter().map(|(_, count)| count).sum();
            metric.encode_histogram::<NoLabelSet>(*sum, count, buckets, None)
        }
    }
}

/// What the workers have counted, without the zeros: `name{label=value,...} number`.
pub(super) fn in_short(sources: &Sources) -> Vec<String> {
    let mut told = Vec::new();
    for row in TABLE {
        let names = label_names(row);
        for sample in of_workers(sources, row) {
            let number = match sample.value {
                Value::Whole(number) if number > 0 => number,
                _ => continue,
            };
            let labels = names.iter().zip(&sample.labels);
            let labels: Vec<_> = labels
                .map(|(name, value)| format!("{name}={value}"))
                .collect();
            let labels = match &labels[..] {
                [] => String::new(),
                _ => format!("{{{}}}", labels.join(",")),
            };
            told.push(format!("{}{labels} {number}", row.metric));
        }
    }
    told
}

/// The table of `docs/metrics.md`: each metric with its labels and what it means.
pub fn markdown() -> String {
    let mut text = String::from("| metric | labels | what it is |\n|---|---|---|\n");
    let of_workers = TABLE.iter().map(line);
    let of_process = PROCESS.iter().map(line);
    of_workers.chain(of_process).for_each(|line| text += &line);
    text
}

fn line<S>(row: &Row<S>) -> String {
    let suffix = match row.kind {
        Kind::counter => "_total",
        Kind::info => "_info",
        Kind::gauge | Kind::histogram => "",
    };
    let labels: Vec<_> = label_names(row)
        .iter()
        .map(|name| format!("`{name}`"))
        .collect();
    let mut line = String::new();
    // Writing to a string does not fail.
    let _ = writeln!(
        line,
        "| `{}{suffix}` | {} | {} |",
        row.metric,
        labels.join(", "),
        row.help.trim()
    );
    line
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::{Exchange, Stop};
    use crate::memory::SlabPool;
    use crate::protocol::Tally;
    use prometheus_client::encoding::{prometheus_text, text};
    use std::time::Duration;

    fn sources() -> Arc<Sources> {
        let tallies: Vec<Arc<Tally>> = (0..2).map(|_| Arc::default()).collect();
        for tally in &tallies {
            tally.accepted.add(3);
            tally.shed.add(1);
            tally.turns.note(Duration::from_micros(5));
        }
        let stop = Arc::new(Stop::new(2, Duration::ZERO).unwrap());
        let budget = SlabPool::budget(1 << 20, 2);
        let exchange = Arc::new(Exchange::new(&stop, false, None));
        Arc::new(Sources::new(tallies, budget, stop, exchange, "epoll"))
    }

    #[test]
    fn both_formats_tell_the_same() {
        let registry = registry(&sources());
        let (mut open, mut plain) = (String::new(), String::new());
        text::encode(&mut open, &registry).unwrap();
        prometheus_text::encode(&mut plain, &registry).unwrap();
        for line in [
            "ringback_connections_accepted_total{worker=\"1\"} 3",
            "ringback_connections_shed_total 2",
            "ringback_turn_duration_seconds_bucket{worker=\"0\",le=\"1.6e-05\"} 1",
            "ringback_state{state=\"starting\"} 1",
        ] {
            assert!(plain.lines().any(|it| it == line), "{line}\n{plain}");
        }
        let samples = |text: &str| -> Vec<String> {
            let lines = text.lines().filter(|line| !line.starts_with('#'));
            // The formats order these otherwise, and have other ways to write small numbers.
            let are_alike =
                |line: &&str| !line.starts_with("process_") && !line.contains("_bucket{");
            let mut samples: Vec<_> = lines.filter(are_alike).map(str::to_owned).collect();
            samples.sort();
            samples
        };
        assert_eq!(samples(&open), samples(&plain));
        assert!(open.ends_with("# EOF\n"));
    }

    #[test]
    fn a_worker_more_is_not_a_series_more_where_only_the_sum_counts() {
        let sources = sources();
        let row = TABLE.iter().find(|row| row.metric == "ringback_violations");
        let samples = of_workers(&sources, row.unwrap());
        assert_eq!(samples.len(), crate::protocol::Violation::ALL.len());
    }
}
