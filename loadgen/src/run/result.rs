//! From what was read to what is reported.

use super::conduct::Course;
use super::series::Series;
use super::threads::Gathered;
use crate::assess::stability::stability;
use crate::assess::verdict::{Busy, Due, Evidence, Schedule, judge};
use crate::observe::process::{Memory, TaskTime};
use crate::output::document::latency::Latency;
use crate::output::document::run::{Backlog, HeavyResult, Load, RunResult, Server, Side};
use crate::run::window::{Observed, Window};

/// Sums up the window of a run, if there was one; `failure` is why the run is not a result.
pub(super) fn result(
    course: &Course<'_>,
    gathered: &Gathered,
    observed: &Observed,
    load: &Load,
    failure: Option<&str>,
) -> Option<RunResult> {
    let series = course.series.as_ref()?;
    let window = series.window();
    let per_second = |count: u64| match window.seconds > 0.0 {
        true => count as f64 / window.seconds,
        false => 0.0,
    };
    let (generator_cpus, server_cpus) = &course.cpus;
    let others = series.others(&(generator_cpus | server_cpus));
    // What a message costs cannot be told from what the heavy connections' messages cost.
    let counted = match load.heavy {
        None => window.messages,
        Some(_) => 0,
    };
    let mut generator = generator(&window, counted);
    generator.busy = generator.busy.within(generator_cpus.len());
    let mut server = server(&window, counted, observed, course.memory);
    if let Some(server) = &mut server {
        server.busy = server.busy.within(server_cpus.len());
    }
    let latency = Latency::of(&series.latency);
    let service = gathered.service.as_ref().map(Latency::of);
    let lateness = gathered.lateness.as_ref().map(Latency::of);
    let backlog = backlog(series);
    let schedule = backlog
        .zip(series.offered_per_second())
        .map(|(backlog, offered)| Schedule {
            due: Due::Messages,
            offered: offered * window.seconds,
            backlog_end: backlog.messages_end,
            answered: Some(window.messages),
            lateness_p99_9_ns: lateness.as_ref().map_or(0, |lateness| lateness.p99_9_ns),
            latency_p99_9_ns: latency.p99_9_ns,
        });
    let stability = stability(series.slices(), load.loop_kind);
    let (verdict, verdict_reason) = judge(&Evidence {
        seconds: window.seconds,
        generator: generator.busy,
        server: server.as_ref().map(|server| server.busy),
        steal_percent: window.steal_percent,
        unstable: (!stability.is_stable).then(|| stability.reason.clone()),
        failure: failure.map(str::to_owned),
        schedule,
        others,
    });
    Some(RunResult {
        window_start_unix_seconds: series.start_unix_seconds(),
        window_seconds: window.seconds,
        messages: window.messages,
        payload_bytes: window.payload_bytes,
        messages_per_second: per_second(window.messages),
        payload_bytes_per_second: per_second(window.payload_bytes),
        wire_bytes_sent_per_second: per_second(window.wire_bytes_sent),
        wire_bytes_received_per_second: per_second(window.wire_bytes_received),
        offered_messages_per_second: series.offered_per_second(),
        service: service.unwrap_or_else(|| latency.clone()),
        latency,
        ping: gathered.ping.as_ref().map(Latency::of),
        lateness,
        backlog,
        heavy: heavy(gathered, load, window.seconds),
        series: series.slices().to_vec(),
        stability,
        generator,
        server,
        steal_percent: window.steal_percent,
        others_percent: others.map(|others| others.percent),
        verdict,
        verdict_reason,
    })
}

fn cpu_ns(tasks: &[TaskTime]) -> u64 {
    tasks.iter().map(|task| task.cpu_ns).sum()
}

fn heavy(gathered: &Gathered, load: &Load, seconds: f64) -> Option<HeavyResult> {
    let (shares, load) = gathered.heavy_shares.as_ref().zip(load.heavy)?;
    let messages = shares.iter().sum::<u64>();
    let per_second = messages as f64 / seconds.max(1e-9);
    let mean = messages as f64 / load.connections as f64;
    let by_mean = |share: Option<&u64>| Some(*share.filter(|_| messages > 0)? as f64 / mean);
    Some(HeavyResult {
        messages,
        messages_per_second: per_second,
        payload_bytes_per_second: per_second * load.message_bytes as f64,
        most_by_mean: by_mean(shares.iter().max()),
        least_by_mean: by_mean(shares.iter().min()),
    })
}

fn per_message(messages: u64, ns: f64) -> Option<f64> {
    (messages > 0).then(|| ns / messages as f64)
}

fn generator(window: &Window, messages: u64) -> Side {
    let ns = cpu_ns(&window.generator) as f64;
    let user_share = window.generator_user_share;
    Side {
        cpu_ns_per_message: per_message(messages, ns),
        cpu_user_ns_per_message: per_message(messages, ns * user_share),
        cpu_system_ns_per_message: per_message(messages, ns * (1.0 - user_share)),
        busy: Busy::of(&window.generator, window.seconds),
    }
}

fn server(
    window: &Window,
    messages: u64,
    observed: &Observed,
    memory: Option<Memory>,
) -> Option<Server> {
    let tasks = window.server.as_ref()?;
    let ns = cpu_ns(tasks) as f64;
    Some(Server {
        pids: observed.server_pids.clone(),
        cpu_ns_per_message: per_message(messages, ns),
        cpu_percent_of_one: ns / window.seconds.max(1e-9) / 1e7,
        cpu_source: observed.source,
        busy: Busy::of(tasks, window.seconds),
        memory,
    })
}

fn backlog(series: &Series<'_>) -> Option<Backlog> {
    series.offered_per_second()?;
    let slices = series.slices();
    Some(Backlog {
        messages_max: slices.iter().map(|slice| slice.backlog).max().unwrap_or(0),
        messages_end: slices.last().map_or(0, |slice| slice.backlog),
    })
}
