//! `/metrics`: rows of the workers' tallies and of what the process has besides, written by `prometheus-client`.

use std::borrow::Cow;
use std::fmt;
use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Registry;

use super::process;
use super::sources::{Handovers, STATES, Sources};
use crate::http::{Counters, Occupied};
use crate::log;
use crate::protocol::tally::{Kind, Row, Sample, Scope, TABLE, Value};

/// The label that names a worker.
const WORKER: &str = "worker";

/// What the process has besides its workers.
const PROCESS: &[Row<Sources>] = &[
    Row {
        metric: "ringback_build",
        help: "What runs.",
        kind: Kind::info,
        scope: Scope::in_all,
        labels: &["version", "commit", "engine"],
        read: |it| {
            let (version, commit) = it.build;
            vec![Sample::new([version, commit, it.engine], Value::Whole(1))]
        },
    },
    Row {
        metric: "ringback_state",
        help: "How far the server is: 1 for the state that it is in. Newcomers are welcome while it is serving.",
        kind: Kind::gauge,
        scope: Scope::in_all,
        labels: &["state"],
        read: |it| {
            let now = it.state();
            let one = |(state, name)| Sample::new([name], Value::Whole(u64::from(state == now)));
            STATES.map(one).into()
        },
    },
    Row {
        metric: "ringback_workers",
        help: "Threads that serve.",
        kind: Kind::gauge,
        scope: Scope::in_all,
        labels: &[],
        read: |it| whole(it.tallies.len() as u64),
    },
    Row {
        metric: "ringback_connections_max",
        help: "Connections that workers serve at most; not there where there is no limit.",
        kind: Kind::gauge,
        scope: Scope::in_all,
        labels: &[],
        read: |it| {
            let max = it.connections_max.iter();
            max.flat_map(|max| whole(max.get() as u64)).collect()
        },
    },
    Row {
        metric: "ringback_buffer_memory_bytes",
        help: "Memory that workers have drawn for what waits: to be sent, or for the rest of a head or a frame.",
        kind: Kind::gauge,
        scope: Scope::in_all,
        labels: &["for"],
        read: |it| memory(it, |level| level.taken),
    },
    Row {
        metric: "ringback_buffer_memory_max_bytes",
        help: "The most that may be drawn.",
        kind: Kind::gauge,
        scope: Scope::in_all,
        labels: &["for"],
        read: |it| memory(it, |level| level.max),
    },
    Row {
        metric: "ringback_http_requests",
        help: "Requests that the HTTP side has answered, malformed ones included.",
        kind: Kind::counter,
        scope: Scope::in_all,
        labels: &[],
        read: |it| of_http(it, |counters| &counters.requests),
    },
    Row {
        metric: "ringback_http_refused",
        help: "Connections that the HTTP side turned away for want of a place.",
        kind: Kind::counter,
        scope: Scope::in_all,
        labels: &[],
        read: |it| of_http(it, |counters| &counters.refused),
    },
    Row {
        metric: "ringback_http_unwelcome",
        help: "Requests that the HTTP side refused of those who may not come: their host, their origin, without a secret, or too many from one address.",
        kind: Kind::counter,
        scope: Scope::in_all,
        labels: &[],
        read: |it| of_http(it, |counters| &counters.unwelcome),
    },
    Row {
        metric: "ringback_http_tls_broken",
        help: "TLS connections that broke on the HTTP side, after their handshake: records that cannot be opened, or an alert.",
        kind: Kind::counter,
        scope: Scope::in_all,
        labels: &[],
        read: |it| of_http(it, |counters| &counters.tls_broken),
    },
    Row {
        metric: "ringback_http_connections",
        help: "Connections of the HTTP side now, by what they are for.",
        kind: Kind::gauge,
        scope: Scope::in_all,
        labels: &["of"],
        read: |it| places(it, CONNECTIONS, |place| place.taken),
    },
    Row {
        metric: "ringback_http_connections_max",
        help: "The most that there may be.",
        kind: Kind::gauge,
        scope: Scope::in_all,
        labels: &["of"],
        read: |it| places(it, CONNECTIONS, |place| place.max),
    },
    Row {
        metric: "ringback_http_held_bytes",
        help: "What the HTTP side holds of requests, by what they are for.",
        kind: Kind::gauge,
        scope: Scope::in_all,
        labels: &["of"],
        read: |it| places(it, BYTES, |place| place.taken),
    },
    Row {
        metric: "ringback_http_held_max_bytes",
        help: "The most that it may hold.",
        kind: Kind::gauge,
        scope: Scope::in_all,
        labels: &["of"],
        read: |it| places(it, BYTES, |place| place.max),
    },
    Row {
        metric: "ringback_handovers",
        help: "Successors that were started, and of these, those that were no good, after which this process went on.",
        kind: Kind::counter,
        scope: Scope::in_all,
        labels: &["step"],
        read: |it| {
            let Handovers {
                started, failed, ..
            } = &*it.handovers;
            let steps = [("started", started), ("failed", failed)];
            let one = |(step, count): (_, &AtomicU64)| {
                Sample::new([step], Value::Whole(count.load(Relaxed)))
            };
            steps.map(one).into()
        },
    },
    Row {
        metric: "ringback_connections_handed_over",
        help: "Connections that are a successor's.",
        kind: Kind::counter,
        scope: Scope::in_all,
        labels: &[],
        read: |it| whole(it.handovers.handed_over.load(Relaxed)),
    },
    Row {
        metric: "ringback_connections_taken_over",
        help: "Connections that this process has from the one before it.",
        kind: Kind::counter,
        scope: Scope::in_all,
        labels: &[],
        read: |it| whole(it.handovers.taken_over.load(Relaxed)),
    },
    Row {
        metric: "ringback_tls_reloads",
        help: "How often certificates were read again, as they changed or at SIGHUP: read, or refused, after which the old ones stayed.",
        kind: Kind::counter,
        scope: Scope::in_all,
        labels: &["result"],
        read: |it| {
            let one = |(result, count): (_, &AtomicU64)| {
                Sample::new([result], Value::Whole(count.load(Relaxed)))
            };
            let reloads = it.tls_reloads.iter();
            reloads
                .flat_map(|it| [("read", &it.read), ("refused", &it.refused)].map(one))
                .collect()
        },
    },
    Row {
        metric: "ringback_log_lines_left_out",
        help: "Lines that were not logged: the same was said often enough (limit), or nobody read (unread).",
        kind: Kind::counter,
        scope: Scope::in_all,
        labels: &["why"],
        read: |_| {
            let one = |(why, count)| Sample::new([why], Value::Whole(count));
            log::left_out().map(one).into()
        },
    },
    Row {
        metric: "process_cpu_seconds",
        help: "CPU time of all threads.",
        kind: Kind::counter,
        scope: Scope::in_all,
        labels: &[],
        read: |_| real(process::usage().cpu.as_secs_f64()),
    },
    Row {
        metric: "process_resident_memory_bytes",
        help: "Memory that is resident.",
        kind: Kind::gauge,
        scope: Scope::in_all,
        labels: &[],
        read: |_| whole(process::usage().resident_bytes),
    },
    Row {
        metric: "process_virtual_memory_bytes",
        help: "Address space.",
        kind: Kind::gauge,
        scope: Scope::in_all,
        labels: &[],
        read: |_| whole(process::usage().virtual_bytes),
    },
    Row {
        metric: "process_threads",
        help: "Threads.",
        kind: Kind::gauge,
        scope: Scope::in_all,
        labels: &[],
        read: |_| whole(process::usage().threads),
    },
    Row {
        metric: "process_open_fds",
        help: "Descriptors that are open.",
        kind: Kind::gauge,
        scope: Scope::in_all,
        labels: &[],
        read: |_| whole(process::open_files()),
    },
    Row {
        metric: "process_max_fds",
        help: "Descriptors that may be open; not there where there is no limit.",
        kind: Kind::gauge,
        scope: Scope::in_all,
        labels: &[],
        read: |_| process::files_max().map(whole).unwrap_or_default(),
    },
    Row {
        metric: "process_start_time_seconds",
        help: "When the process started, since 1970.",
        kind: Kind::gauge,
        scope: Scope::in_all,
        labels: &[],
        read: |_| real(process::usage().started.as_secs_f64()),
    },
];

/// What the places of the HTTP side are called by.
const CONNECTIONS: &str = "connections of ";
const BYTES: &str = "bytes for ";

fn whole(number: u64) -> Vec<Sample> {
    vec![Sample::new([], Value::Whole(number))]
}

fn real(number: f64) -> Vec<Sample> {
    vec![Sample::new([], Value::Real(number))]
}

fn of_http(sources: &Sources, counter: fn(&Counters) -> &AtomicU64) -> Vec<Sample> {
    let counters = sources.http.iter().map(|http| http.counters());
    counters
        .flat_map(|it| whole(counter(it).load(Relaxed)))
        .collect()
}

fn memory(sources: &Sources, part: fn(crate::memory::Level) -> usize) -> Vec<Sample> {
    let queued = ("sending", sources.budget.queued());
    let unfinished = ("receiving", sources.budget.unfinished());
    let sample = |(what, level)| Sample::new([what], Value::Whole(part(level) as u64));
    [queued, unfinished].map(sample).into()
}

fn places(sources: &Sources, kind: &str, part: fn(&Occupied) -> usize) -> Vec<Sample> {
    let sample = |place: Occupied| {
        let of = place.what.strip_prefix(kind)?;
        Some(Sample::new([of], Value::Whole(part(&place) as u64)))
    };
    sources.occupied().into_iter().filter_map(sample).collect()
}

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
