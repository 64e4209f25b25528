//! The essence of the page, for people.

use std::time::{Duration, SystemTime};

use super::page::{Page, Sample};

/// The lines.
pub(super) fn words(page: &Page) -> String {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    words_at(page, now.unwrap_or_default().as_secs_f64())
}

fn words_at(page: &Page, now: f64) -> String {
    let number = |name: &str| page.value(name, &[]).unwrap_or(0.0);
    let of = |name, label, value| page.value(name, &[(label, value)]).unwrap_or(0.0);
    let age = (now - number("process_start_time_seconds")).max(0.0);
    // What is counted since the start, and how often that is.
    let counted = |count: f64| {
        let rate = if age > 0.0 { count / age } else { 0.0 };
        format!("{count} ({rate:.1}/s)")
    };
    let sum = |name, direction| of(name, "direction", direction);
    let build = page.of("ringback_build_info").next();
    let build = |label| build.and_then(|it| it.label(label)).unwrap_or("?");
    let state = page.of("ringback_state").find(|it| it.value > 0.0);
    let state = state.and_then(|it| it.label("state")).unwrap_or("unknown");
    let connections = |state| of("ringback_connections", "state", state);
    let max = page.value("ringback_connections_max", &[]);
    let memory = |what| {
        let taken = of("ringback_buffer_memory_bytes", "for", what);
        let max = of("ringback_buffer_memory_max_bytes", "for", what);
        format!("{} of {} for {what}", bytes(taken), bytes(max))
    };
    let worst = page
        .of("ringback_turn_duration_max_seconds")
        .map(|it| it.value);
    let refused = by(page, "ringback_handshakes_total", "status", |it| {
        it.label("status") != Some("101")
    });
    let closes = |whom: &str| {
        by(page, "ringback_closes_total", "code", |it| {
            it.label("by") == Some(whom)
        })
    };
    let limit = max.map_or("no limit".to_owned(), |max| format!("at most {max}"));
    let per_worker = of_workers(page, "ringback_connections");
    let last = |name| last(page, name, now);
    let speaks_tls = page.of("ringback_tls_reloads_total").next().is_some();
    let mut lines = vec![
        (
            "version",
            format!(
                "{}, commit {}, engine {}",
                build("version"),
                build("commit"),
                build("engine")
            ),
        ),
        ("state", format!("{state}, up for {}", span(age))),
        (
            "last handover",
            last("ringback_last_handover_timestamp_seconds"),
        ),
        (
            "connections",
            format!(
                "{} open, {} in their handshake, {} closing ({limit})",
                connections("open"),
                connections("handshake"),
                connections("closing")
            ),
        ),
        (
            "came, ended",
            format!(
                "{}, {}",
                counted(number("ringback_connections_accepted_total")),
                counted(number("ringback_connections_ended_total"))
            ),
        ),
        (
            "messages",
            format!(
                "{} in, {} out",
                counted(sum("ringback_messages_total", "in")),
                counted(sum("ringback_messages_total", "out"))
            ),
        ),
        (
            "bytes",
            format!(
                "{} received, {} answered",
                bytes(number("ringback_received_bytes_total")),
                bytes(number("ringback_answered_bytes_total"))
            ),
        ),
        (
            "upgrades",
            counted(of("ringback_handshakes_total", "status", "101")),
        ),
        ("refused", refused),
        ("closed by peers", closes("peer")),
        ("closed by us", closes("server")),
        (
            "violations",
            by(page, "ringback_violations_total", "kind", |_| true),
        ),
        (
            "timed out",
            by(page, "ringback_timeouts_total", "timer", |_| true),
        ),
        (
            "slow readers",
            format!(
                "{} are behind now, {} were reset for want of memory",
                number("ringback_connections_behind"),
                number("ringback_connections_shed_total")
            ),
        ),
        (
            "memory",
            format!("{}, {}", memory("sending"), memory("receiving")),
        ),
        (
            "workers",
            format!("{} ({per_worker} connections)", number("ringback_workers")),
        ),
        (
            "worst turn",
            format!(
                "{} of those that were timed",
                span(worst.fold(0.0, f64::max))
            ),
        ),
        (
            "HTTP",
            format!(
                "{} requests, {} turned away",
                counted(number("ringback_http_requests_total")),
                number("ringback_http_refused_total")
            ),
        ),
        (
            "process",
            format!(
                "{} resident, {} of CPU, {} open files of {}",
                bytes(number("process_resident_memory_bytes")),
                span(number("process_cpu_seconds_total")),
                number("process_open_fds"),
                page.value("process_max_fds", &[])
                    .map_or("any number".to_owned(), |it| it.to_string())
            ),
        ),
        (
            "log",
            format!(
                "{} lines left out",
                number("ringback_log_lines_left_out_total")
            ),
        ),
    ];
    if speaks_tls {
        let reload = last("ringback_tls_last_reload_timestamp_seconds");
        lines.push(("last reload", reload));
    }
    let line = |(what, said): &(&str, String)| format!("{what:<16} {said}\n");
    lines.iter().map(line).collect()
}

/// What is counted by a label, without the zeros.
fn by(page: &Page, name: &str, label: &str, counts: impl Fn(&Sample) -> bool) -> String {
    let samples = page.of(name).filter(|it| it.value > 0.0 && counts(it));
    let words: Vec<_> = samples
        .map(|it| format!("{} × {}", it.value, it.label(label).unwrap_or("?")))
        .collect();
    if words.is_empty() {
        "none".to_owned()
    } else {
        words.join(", ")
    }
}

/// What happened last of what has a time for each result, and how long ago.
fn last(page: &Page, name: &str, now: f64) -> String {
    let last = page.of(name).max_by(|a, b| a.value.total_cmp(&b.value));
    last.map_or("none".to_owned(), |it| {
        let result = it.label("result").unwrap_or("?");
        format!("{result} {} ago", span((now - it.value).max(0.0).trunc()))
    })
}

/// The sum of each worker, in their order.
fn of_workers(page: &Page, name: &str) -> String {
    let mut sums: Vec<f64> = Vec::new();
    for sample in page.of(name) {
        let worker = sample
            .label("worker")
            .and_then(|it| it.parse::<usize>().ok());
        // A page of somebody else's may name any number.
        let Some(worker) = worker.filter(|it| *it < 4096) else {
            continue;
        };
        sums.resize(sums.len().max(worker + 1), 0.0);
        sums[worker] += sample.value;
    }
    let words: Vec<_> = sums.iter().map(f64::to_string).collect();
    words.join(" + ")
}

fn bytes(count: f64) -> String {
    bytesize::ByteSize::b(count.max(0.0) as u64).to_string()
}

/// Seconds and above as such; below, in three digits or so.
fn span(seconds: f64) -> String {
    let span = Duration::try_from_secs_f64(seconds).unwrap_or_default();
    let rounded = if seconds >= 1.0 {
        Duration::from_secs(span.as_secs())
    } else {
        Duration::from_micros(u64::try_from(span.as_micros()).unwrap_or(u64::MAX))
    };
    humantime::format_duration(rounded).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_essence_is_some_lines() {
        let page = Page::read(
            "ringback_build_info{version=\"1\",commit=\"c\",engine=\"epoll\"} 1\n\
             ringback_state{state=\"serving\"} 1\n\
             ringback_connections{state=\"open\",worker=\"0\"} 3\n\
             ringback_connections{state=\"open\",worker=\"1\"} 4\n\
             ringback_messages_total{direction=\"in\",opcode=\"text\"} 500\n\
             ringback_handshakes_total{status=\"101\"} 7\n\
             ringback_handshakes_total{status=\"400\"} 2\n\
             ringback_handshakes_total{status=\"503\"} 0\n\
             ringback_turn_duration_max_seconds{worker=\"0\"} 0.0021\n\
             ringback_last_handover_timestamp_seconds{result=\"succeeded\"} 1000.5\n\
             ringback_last_handover_timestamp_seconds{result=\"failed\"} 1090.25\n\
             ringback_tls_reloads_total{result=\"read\"} 0\n\
             process_start_time_seconds 1000\n",
        );
        let text = words_at(&page, 1100.0);
        for line in [
            "version          1, commit c, engine epoll",
            "state            serving, up for 1m 40s",
            "connections      7 open, 0 in their handshake, 0 closing (no limit)",
            "messages         500 (5.0/s) in, 0 (0.0/s) out",
            "refused          2 × 400",
            "violations       none",
            "workers          0 (3 + 4 connections)",
            "worst turn       2ms 100us of those that were timed",
            "last handover    failed 9s ago",
            "last reload      none",
        ] {
            assert!(text.lines().any(|it| it == line), "{line}\n{text}");
        }
        assert!(text.lines().count() <= 21);
        assert!(!words_at(&Page::default(), 0.0).is_empty());
    }
}
