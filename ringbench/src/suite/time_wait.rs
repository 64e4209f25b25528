//! Room for the sockets that a storm leaves behind.
//!
//! Each visit leaves a pair of address and port in TIME_WAIT for a minute. Towards 127.0.0.0/8 the
//! generator gives every 20,000 visits a source address of their own, counted from `--first-visit`: storms
//! that are numbered on never need a pair that is still taken. And the kernel keeps no more such sockets
//! than `tcp_max_tw_buckets`; beyond, it closes them at once, with a warning and at a cost that would fall
//! to the next storm: so the next storm waits until there is room for its own.

use std::fs;
use std::time::{Duration, Instant};

use ringload::interrupt::Interrupt;
use ringload::schedule::Rates;
use ringload::trial::process::Interrupted;
use serde_json::Value;

use super::workload::Workload;

/// How long the kernel keeps a socket in TIME_WAIT.
const TIME_WAIT: Duration = Duration::from_secs(60);

/// Time between two looks.
const LOOK: Duration = Duration::from_millis(200);

/// The share of the kernel's room for such sockets that is used.
const ROOM_SHARE: f64 = 0.9;

/// More visits per second than any server here does.
const VISITS_PER_SECOND_MAX: f64 = 40_000.0;

/// Numbers that visits have at most: 20,000 for each of some 16 million source addresses would be more
/// than the option takes.
const NUMBERS: u64 = 1 << 31;

/// Standard deviations of a number of Poisson arrivals that none is ever away from its mean.
const DEVIATIONS_MAX: f64 = 6.0;

/// The visits of a storm at most, those of its warm-up included.
pub(super) fn visits_max(workload: &Workload) -> u64 {
    let rates = match workload.options.get("rate") {
        Some(Value::String(text)) => Rates::parse(text).ok(),
        Some(Value::Number(number)) => number.as_f64().map(Rates::constant),
        _ => None,
    };
    let usual = rates.as_ref().and_then(Rates::length);
    let duration = workload.time("duration", usual.unwrap_or(Duration::from_secs(5)));
    let warmup = workload.time("warmup", Duration::from_secs(1));
    let within = |time: Duration| (time.as_secs_f64() * VISITS_PER_SECOND_MAX) as u64;
    let measured = within(duration).min(workload.number("visits", u64::MAX));
    let closed = measured + within(warmup);
    let Some(rates) = rates else {
        return closed;
    };
    // No visit begins before it is due, whatever the server does.
    let whole = u64::try_from(warmup.saturating_add(duration).as_nanos()).unwrap_or(u64::MAX);
    let due = rates.timeline(warmup).due_by(whole);
    let most = due + DEVIATIONS_MAX * due.sqrt();
    closed.min((most as u64).saturating_add(workload.number("connections", 64)))
}

/// The number of the first visit of the run at `position`, if no storm has more than `most` visits.
pub(super) fn first_visit(position: usize, most: u64) -> u64 {
    (position as u64).wrapping_mul(most) % NUMBERS
}

/// Waits until the sockets of `visits` visits can be in TIME_WAIT beside those that are, for as long as
/// any of them stays there at most. `false` if there is no such room even then.
pub(super) fn wait_for_room(visits: u64, interrupt: &Interrupt) -> anyhow::Result<bool> {
    let Some(room) = room() else {
        return Ok(true);
    };
    let allowed = room.saturating_sub(visits);
    let deadline = Instant::now() + TIME_WAIT;
    while time_waits() > allowed {
        if Instant::now() >= deadline {
            return Ok(false);
        }
        if !interrupt.sleep(LOOK)? {
            return Err(Interrupted.into());
        }
    }
    Ok(true)
}

/// How many sockets may be in TIME_WAIT, as far as they are used here.
fn room() -> Option<u64> {
    let text = fs::read_to_string("/proc/sys/net/ipv4/tcp_max_tw_buckets").ok()?;
    let room: u64 = text.trim().parse().ok()?;
    Some((room as f64 * ROOM_SHARE) as u64)
}

/// How many sockets are in TIME_WAIT; 0 if the kernel does not say.
fn time_waits() -> u64 {
    let text = fs::read_to_string("/proc/net/sockstat").unwrap_or_default();
    parse_time_waits(&text).unwrap_or_default()
}

/// Reads `TCP: inuse 5 orphan 0 tw 7 alloc 8 mem 1`.
fn parse_time_waits(sockstat: &str) -> Option<u64> {
    let line = sockstat
        .lines()
        .find_map(|line| line.strip_prefix("TCP:"))?;
    let mut words = line.split_whitespace();
    words.find(|word| *word == "tw")?;
    words.next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::suite::workload::Kind;
    use std::collections::BTreeMap;

    fn storm(options: &[(&str, &str)]) -> Workload {
        let options = options
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).into()))
            .collect::<BTreeMap<_, _>>();
        Workload {
            name: "storm".to_owned(),
            kind: Kind::Storm,
            title: "Storm".to_owned(),
            rounds: 1,
            servers: None,
            tls: false,
            options,
        }
    }

    #[test]
    fn sockets_in_time_wait_are_found() {
        let text = "sockets: used 16\nTCP: inuse 5 orphan 0 tw 7 alloc 8 mem 1\nUDP: inuse 0\n";
        assert_eq!(parse_time_waits(text), Some(7));
        assert_eq!(parse_time_waits("sockets: used 16\n"), None);
    }

    #[test]
    fn a_storm_has_as_many_visits_as_it_is_told_or_has_time_for() {
        let bounded = storm(&[("visits", "8000"), ("warmup", "100ms")]);
        assert_eq!(visits_max(&bounded), 8000 + 4000);
        let timed = storm(&[("duration", "2s"), ("warmup", "0s")]);
        assert_eq!(visits_max(&timed), 80_000);
    }

    #[test]
    fn an_open_storm_has_hardly_more_visits_than_are_due() {
        let visits = |rate, duration, connections| {
            let warmup = ("warmup", "1s");
            let connections = ("connections", connections);
            visits_max(&storm(&[
                ("rate", rate),
                ("duration", duration),
                warmup,
                connections,
            ]))
        };
        // 1,000 a second for 4 s, six deviations of the square root of that, and those under way.
        assert_eq!(visits("1k", "3s", "500"), 4000 + 379 + 500);
        // A ramp is due where its area says, and lasts as long as it takes.
        let ramp = storm(&[
            ("rate", "100..300/10s"),
            ("warmup", "0s"),
            ("connections", "1"),
        ]);
        assert_eq!(visits_max(&ramp), 2000 + 268 + 1);
        // Nobody does more than that, whatever the rate.
        assert_eq!(visits("1M", "1s", "1"), 80_000);
    }

    #[test]
    fn no_two_storms_share_a_number() {
        let most = 12_000;
        let starts: Vec<u64> = (0..200)
            .map(|position| first_visit(position, most))
            .collect();
        assert!(starts.windows(2).all(|pair| pair[1] - pair[0] == most));
        // Numbers start over rather than leave what the option takes.
        assert!(first_visit(usize::MAX, most) < NUMBERS);
    }
}
