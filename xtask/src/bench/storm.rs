//! The part `storm`: what coming and going costs.
//!
//! Who closes first keeps a socket in TIME_WAIT for a minute. So each storm is bounded in visits
//! and has client addresses of its own, no port of an earlier one, and where the kernel would have
//! no more room for such sockets (`net.ipv4.tcp_max_tw_buckets`) it waits until it has.
//!
//! Servers stay up, as a server would, and round 0 does not count: a Node that has just started takes
//! a third more for some thousand visits, until its code is compiled.

use super::Bench;
use super::plan::{NODE, Part, SUBJECTS, Subject};
use super::reports::Storm;
use super::server::Server;
use super::statistics::{ByRound, Spread, paired_ratio};
use super::summary::count;
use serde::Serialize;
use std::collections::BTreeMap;
use std::fs;
use std::thread;
use std::time::{Duration, Instant};

/// More visits than any server may have in a second: bounds those of the warm-up, of which nobody
/// knows the number.
const VISITS_PER_SECOND_MAX: f64 = 100e3;

/// How long a socket stays in TIME_WAIT, and a little: the longest that is waited.
const TIME_WAIT: Duration = Duration::from_secs(65);

/// How often to look how many are left.
const LOOK: Duration = Duration::from_millis(200);

/// The share of the kernel's room for such sockets that is used.
const ROOM_SHARE: f64 = 0.9;

/// One storm at one server.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct StormSample {
    pub(crate) server: String,
    pub(crate) round: u32,
    pub(crate) raw: String,
    #[serde(flatten)]
    pub(crate) storm: Storm,
}

/// All storms at one server.
#[derive(Debug, Serialize)]
pub(crate) struct StormRow {
    pub(crate) server: &'static str,
    pub(crate) visits_per_second: Option<Spread>,
    pub(crate) opening_p50_microseconds: Option<Spread>,
    pub(crate) opening_p99_microseconds: Option<Spread>,
    pub(crate) server_cpu_microseconds_per_visit: Option<Spread>,
    /// Server CPU per visit relative to Node `ws` in the same round.
    pub(crate) ratio_to_node: Option<Spread>,
    /// The same, relative to the RFC 862 echo on the same engine: accept, one exchange, close.
    pub(crate) ratio_to_floor: Option<Spread>,
    pub(crate) saturated: BTreeMap<String, u32>,
}

impl Bench {
    /// Measures storms at every server, in turns.
    pub(crate) fn measure_storms(&mut self) -> anyhow::Result<()> {
        let mut servers = self.start_all(Part::Storm)?;
        let pace = self.options.pace(Part::Storm);
        for round in 0..=pace.rounds {
            self.random.shuffle(&mut servers);
            for server in &servers {
                let text = format!("storm {round}/{}  {}", pace.rounds, server.name);
                self.agenda.step(self.step_of(Part::Storm), &text);
                self.wait_for_room()?;
                match self.storm(server, round) {
                    Ok(sample) if round > 0 => self.summary.storm_samples.push(sample),
                    Ok(_) => {}
                    Err(error) => {
                        self.interrupt.check()?;
                        let name = &server.name;
                        self.summary
                            .fail(format!("{name}, storm, round {round}: {error:#}"));
                    }
                }
            }
            self.bury(&mut servers);
        }
        self.agenda.rest();
        Ok(())
    }

    fn storm(&mut self, server: &Server, round: u32) -> anyhow::Result<StormSample> {
        let raw = format!("raw/storm-{}-{round}.json", server.name);
        let first = self.next_visit;
        let visits = self.options.visits();
        self.next_visit += self.visits_max();
        let pace = self.options.pace(Part::Storm);
        let storm = self
            .generator()
            .storm(server, first..first + visits, pace, &raw)?;
        Ok(StormSample {
            server: server.name.clone(),
            round,
            raw,
            storm,
        })
    }

    /// The visits of a storm, those of its warm-up included.
    fn visits_max(&self) -> u64 {
        let warmup = self.options.pace(Part::Storm).warmup.as_secs_f64();
        self.options.visits() + (warmup * VISITS_PER_SECOND_MAX) as u64
    }

    /// Waits until the sockets of another storm can be in TIME_WAIT beside those that are.
    fn wait_for_room(&mut self) -> anyhow::Result<()> {
        let Some(room) = time_wait_room() else {
            return Ok(());
        };
        let allowed = room.saturating_sub(self.visits_max());
        let deadline = Instant::now() + TIME_WAIT;
        while time_waits() > allowed && Instant::now() < deadline {
            self.interrupt.check()?;
            thread::sleep(LOOK);
        }
        if time_waits() > allowed {
            self.summary.note(
                "The kernel had less room for sockets in TIME_WAIT than a storm takes; some were closed early.",
            );
        }
        Ok(())
    }

    /// How long a storm takes, the wait before it included.
    pub(crate) fn storm_step(&self) -> Duration {
        let visits = self.options.visits() as f64;
        // Between the fastest and Node, some 50 µs to 300 µs each.
        let storm = Duration::from_secs_f64(0.5 + visits * 120e-6);
        let sockets = visits * 1.3;
        let rounds = f64::from(self.options.pace(Part::Storm).rounds + 1);
        let runs = rounds * self.taking_part(Part::Storm).len() as f64;
        let Some(room) = time_wait_room() else {
            return storm;
        };
        // Until the room is taken once, nothing is waited for.
        let waiting = (sockets - room as f64 / runs).max(0.0) / room as f64;
        storm.max(TIME_WAIT.mul_f64(waiting))
    }
}

/// How many sockets may be in TIME_WAIT, as far as they are used here.
fn time_wait_room() -> Option<u64> {
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

/// One row for each server that had storms, in the order of the plan.
pub(crate) fn tabulate_storms(samples: &[StormSample]) -> Vec<StormRow> {
    let of = |subject: Subject| -> Vec<&StormSample> {
        let is_its = |sample: &&StormSample| sample.server == subject.name();
        samples.iter().filter(is_its).collect()
    };
    let cpu = |subject: Subject| -> ByRound {
        let by_round = |sample: &StormSample| {
            Some((
                sample.round,
                sample.storm.server_cpu_microseconds_per_visit?,
            ))
        };
        of(subject).into_iter().filter_map(by_round).collect()
    };
    let row = |subject: Subject| {
        let own = of(subject);
        let spread =
            |value: fn(&Storm) -> f64| Spread::of(own.iter().map(|sample| value(&sample.storm)));
        let own_cpu = cpu(subject);
        let ratio_to = |other: Subject| {
            (other != subject)
                .then(|| paired_ratio(&own_cpu, &cpu(other)))
                .flatten()
        };
        (!own.is_empty()).then(|| StormRow {
            server: subject.name(),
            visits_per_second: spread(|storm| storm.visits_per_second),
            opening_p50_microseconds: spread(|storm| storm.opening_p50_microseconds),
            opening_p99_microseconds: spread(|storm| storm.opening_p99_microseconds),
            server_cpu_microseconds_per_visit: Spread::of(own_cpu.values().copied()),
            ratio_to_node: ratio_to(NODE),
            ratio_to_floor: subject.limit().and_then(ratio_to),
            saturated: count(own.iter().map(|sample| &sample.storm.saturated)),
        })
    };
    SUBJECTS.into_iter().filter_map(row).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::plan::Engine;

    const URING: Subject = Subject::Ringback(Engine::Uring);

    #[test]
    fn sockets_in_time_wait_are_found() {
        let text = "sockets: used 16\nTCP: inuse 5 orphan 0 tw 7 alloc 8 mem 1\nUDP: inuse 0\n";
        assert_eq!(parse_time_waits(text), Some(7));
        assert_eq!(parse_time_waits("sockets: used 16\n"), None);
    }

    #[test]
    fn storms_are_compared_with_node_and_with_the_floor_of_the_engine() {
        let storm = |subject: Subject, cpu: f64| StormSample {
            server: subject.name().to_owned(),
            round: 1,
            raw: String::new(),
            storm: Storm {
                visits: 1,
                visits_per_second: 1e6 / cpu,
                opening_p50_microseconds: cpu,
                opening_p99_microseconds: cpu,
                server_cpu_microseconds_per_visit: Some(cpu),
                saturated: "server".to_owned(),
            },
        };
        let rows = tabulate_storms(&[
            storm(NODE, 200.0),
            storm(URING, 50.0),
            storm(Subject::Limit(Engine::Uring), 40.0),
        ]);
        let names: Vec<_> = rows.iter().map(|row| row.server).collect();
        assert_eq!(names, ["ringback-uring", "rfc862-uring", "node-ws"]);
        assert_eq!(rows[0].ratio_to_node.unwrap().median, 0.25);
        assert_eq!(rows[0].ratio_to_floor.unwrap().median, 1.25);
        assert_eq!(rows[2].ratio_to_node, None);
    }
}
