//! What the process has besides its workers: the rows of a table, as [`crate::protocol::tally::TABLE`] is that of workers.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::process;
use super::sources::{Occurrences, STATES, Sources};
use crate::http::{Counters, Occupied};
use crate::log;
use crate::memory::Level;
use crate::protocol::tally::{Kind, Row, Sample, Scope, Value};

/// What the places of the HTTP side are called by.
const CONNECTIONS: &str = "connections of ";
const BYTES: &str = "bytes for ";

/// Makes the table of lines like
///
/// ```text
/// /// Threads that serve.
/// gauge "ringback_workers" [] |it| whole(it.tallies.len() as u64);
/// ```
///
/// The comment is the help; in brackets are the labels.
macro_rules! rows {
    ($($(#[doc = $help:literal])+ $kind:ident $metric:literal [$($label:literal),*] $read:expr;)*) => {
        /// Every row.
        pub(super) const PROCESS: &[Row<Sources>] = &[$(Row {
            metric: $metric,
            help: concat!($($help),+),
            kind: Kind::$kind,
            scope: Scope::in_all,
            labels: &[$($label),*],
            read: $read,
        },)*];
    };
}

rows! {
    /// What runs.
    info "ringback_build" ["version", "commit", "engine"] |it| {
        let (version, commit) = it.build;
        vec![Sample::new([version, commit, it.engine], Value::Whole(1))]
    };
    /// How far the server is: 1 for the state that it is in. Newcomers are welcome while it is serving.
    gauge "ringback_state" ["state"] |it| {
        let now = it.state();
        of_each(STATES.map(|(state, name)| (name, u64::from(state == now))))
    };
    /// Threads that serve.
    gauge "ringback_workers" [] |it| whole(it.tallies.len() as u64);
    /// Connections that workers serve at most; not there where there is no limit.
    gauge "ringback_connections_max" [] |it| {
        it.connections_max.map_or_else(Vec::new, |max| whole(max.get() as u64))
    };
    /// Memory that workers have drawn for what waits: to be sent, or for the rest of a head or a frame.
    gauge "ringback_buffer_memory_bytes" ["for"] |it| memory(it, |level| level.taken);
    /// The most that may be drawn.
    gauge "ringback_buffer_memory_max_bytes" ["for"] |it| memory(it, |level| level.max);
    /// Requests that the HTTP side has answered, malformed ones included.
    counter "ringback_http_requests" [] |it| of_http(it, |counters| &counters.requests);
    /// Connections that the HTTP side turned away for want of a place.
    counter "ringback_http_refused" [] |it| of_http(it, |counters| &counters.refused);
    /// Requests that the HTTP side refused of those who may not come: their host, their origin, without a secret, or too
    /// many from one address.
    counter "ringback_http_unwelcome" [] |it| of_http(it, |counters| &counters.unwelcome);
    /// TLS connections that broke on the HTTP side, after their handshake: records that cannot be opened, or an alert.
    counter "ringback_http_tls_broken" [] |it| of_http(it, |counters| &counters.tls_broken);
    /// Connections of the HTTP side now, by what they are for.
    gauge "ringback_http_connections" ["of"] |it| places(it, CONNECTIONS, |place| place.taken);
    /// The most that there may be.
    gauge "ringback_http_connections_max" ["of"] |it| places(it, CONNECTIONS, |place| place.max);
    /// What the HTTP side holds of requests, by what they are for.
    gauge "ringback_http_held_bytes" ["of"] |it| places(it, BYTES, |place| place.taken);
    /// The most that it may hold.
    gauge "ringback_http_held_max_bytes" ["of"] |it| places(it, BYTES, |place| place.max);
    /// Successors that were asked for, and of these, those that were no good, after which this process went on.
    counter "ringback_handovers" ["step"] |it| {
        let it = &it.handovers;
        of_each([("started", it.started.count()), ("failed", it.failed.count())])
    };
    /// When a handover came to an end last, since 1970: this process has succeeded another, or a successor was no good
    /// (failed). Not there for what has not happened.
    gauge "ringback_last_handover_timestamp_seconds" ["result"] |it| {
        last([("succeeded", &it.handovers.succeeded), ("failed", &it.handovers.failed)])
    };
    /// Connections that are a successor's.
    counter "ringback_connections_handed_over" [] |it| whole(it.handovers.handed_over.load(Relaxed));
    /// Connections that this process has from the one before it.
    counter "ringback_connections_taken_over" [] |it| whole(it.handovers.taken_over.load(Relaxed));
    /// How often certificates were read again, as they changed or at SIGHUP: read, or refused, after which the old ones
    /// stayed.
    counter "ringback_tls_reloads" ["result"] |it| {
        let reloads = it.tls_reloads.iter();
        reloads
            .flat_map(|it| of_each([("read", it.read.count()), ("refused", it.refused.count())]))
            .collect()
    };
    /// When that was last, since 1970. Not there for what has not happened.
    gauge "ringback_tls_last_reload_timestamp_seconds" ["result"] |it| {
        let reloads = it.tls_reloads.iter();
        reloads.flat_map(|it| last([("read", &it.read), ("refused", &it.refused)])).collect()
    };
    /// Lines that were not logged: the same was said often enough (limit), or nobody read (unread).
    counter "ringback_log_lines_left_out" ["why"] |_| of_each(log::left_out());
    /// CPU time of all threads.
    counter "process_cpu_seconds" [] |_| real(process::usage().cpu.as_secs_f64());
    /// Memory that is resident.
    gauge "process_resident_memory_bytes" [] |_| whole(process::usage().resident_bytes);
    /// Address space.
    gauge "process_virtual_memory_bytes" [] |_| whole(process::usage().virtual_bytes);
    /// Threads.
    gauge "process_threads" [] |_| whole(process::usage().threads);
    /// Descriptors that are open.
    gauge "process_open_fds" [] |_| whole(process::open_files());
    /// Descriptors that may be open; not there where there is no limit.
    gauge "process_max_fds" [] |_| process::files_max().map(whole).unwrap_or_default();
    /// When the process started, since 1970.
    gauge "process_start_time_seconds" [] |_| real(process::usage().started.as_secs_f64());
}

fn whole(number: u64) -> Vec<Sample> {
    vec![Sample::new([], Value::Whole(number))]
}

fn real(number: f64) -> Vec<Sample> {
    vec![Sample::new([], Value::Real(number))]
}

/// A number for each value of the only label.
fn of_each<const N: usize>(numbers: [(&'static str, u64); N]) -> Vec<Sample> {
    let one = |(value, number)| Sample::new([value], Value::Whole(number));
    numbers.map(one).into()
}

/// When each has happened last that has.
fn last<const N: usize>(all: [(&'static str, &Occurrences); N]) -> Vec<Sample> {
    let one = |(value, it): (_, &Occurrences)| {
        let seconds = it.last()?.as_secs_f64();
        Some(Sample::new([value], Value::Real(seconds)))
    };
    all.into_iter().filter_map(one).collect()
}

fn of_http(sources: &Sources, counter: fn(&Counters) -> &AtomicU64) -> Vec<Sample> {
    let counters = sources.http.iter().map(|http| http.counters());
    counters
        .flat_map(|it| whole(counter(it).load(Relaxed)))
        .collect()
}

fn memory(sources: &Sources, part: fn(Level) -> usize) -> Vec<Sample> {
    let budget = &sources.budget;
    let levels = [
        ("sending", budget.queued()),
        ("receiving", budget.unfinished()),
    ];
    of_each(levels.map(|(what, level)| (what, part(level) as u64)))
}

fn places(sources: &Sources, kind: &str, part: fn(&Occupied) -> usize) -> Vec<Sample> {
    let sample = |place: Occupied| {
        let of = place.what.strip_prefix(kind)?;
        Some(Sample::new([of], Value::Whole(part(&place) as u64)))
    };
    sources.occupied().into_iter().filter_map(sample).collect()
}
