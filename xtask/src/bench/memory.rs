//! The parts `idle` and `crowd`: what connections that do nothing cost in memory.
//!
//! Each server is started afresh for it. A crowd has more connections than one process may have
//! descriptors: so there are several servers, each with a generator of its own, at the same time.

use super::Bench;
use super::plan::{Part, Subject};
use super::reports::Idle;
use super::server::Server;
use super::summary::IdleRow;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::fs;
use std::time::Duration;

/// Descriptors that a server or the generator needs beside its connections.
const SPARE_FILES: u64 = 200;

/// Connections of one server, even where the limits allow more: several are what a crowd is about.
const CONNECTIONS_PER_SERVER_MAX: u64 = 25_000;

/// Servers of a crowd at most.
const SERVERS_MAX: u64 = 16;

/// Memory that a connection may take, the kernel's sockets at both ends and the dearest of servers
/// included: what decides how many the machine can hold.
const MACHINE_BYTES_PER_CONNECTION: u64 = 64 << 10;

/// How long a crowd is held beyond the usual: its generators are not done at the same moment.
const CROWD_HOLD: Duration = Duration::from_secs(5);

/// How many connections there are, and over how many servers they are spread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Size {
    servers: u64,
    connections_per_server: u64,
}

impl Size {
    /// As many of the `wanted` connections as the limits allow.
    fn of(part: Part, wanted: u64, open_files_max: u64, memory_available: u64) -> Size {
        let files = open_files_max.saturating_sub(SPARE_FILES);
        if part == Part::Idle {
            return Size {
                servers: 1,
                connections_per_server: wanted.min(files),
            };
        }
        let each = files.clamp(1, CONNECTIONS_PER_SERVER_MAX);
        let wanted = wanted.min(memory_available / MACHINE_BYTES_PER_CONNECTION);
        let servers = wanted.div_ceil(each).clamp(2, SERVERS_MAX);
        Size {
            servers,
            connections_per_server: wanted.div_ceil(servers).min(files),
        }
    }

    fn connections(self) -> u64 {
        self.servers * self.connections_per_server
    }
}

impl Bench {
    /// Measures `part` at each server in turn.
    pub(crate) fn measure_memory(&mut self, part: Part) -> anyhow::Result<()> {
        let wanted = self.options.connections(part);
        let size = Size::of(part, wanted, open_files_max(), memory_available());
        if size.connections() < wanted {
            self.summary.note(&format!(
                "Idle memory is measured with {} connections, not {wanted}: the limit of open \
                 files (RLIMIT_NOFILE, `ulimit -Hn`) or the memory of this machine allows no more.",
                size.connections()
            ));
        }
        if size.connections() == 0 {
            return Ok(());
        }
        for subject in self.taking_part(part) {
            let name = subject.name();
            let what = match part {
                Part::Crowd => "crowd",
                _ => "idle",
            };
            let text = format!("{what}  {} connections  {name}", size.connections());
            self.agenda.step(self.step_of(part), &text);
            match self.hold(what, subject, size) {
                Ok(row) if part == Part::Crowd => self.summary.crowd.push(row),
                Ok(row) => self.summary.idle.push(row),
                Err(error) => {
                    self.interrupt.check()?;
                    self.summary.fail(format!("{name}, {what}: {error:#}"));
                }
            }
        }
        self.agenda.rest();
        Ok(())
    }

    fn hold(&self, what: &str, subject: Subject, size: Size) -> anyhow::Result<IdleRow> {
        let name = subject.name();
        let servers = (0..size.servers).map(|_| self.start(subject));
        let servers: Vec<Server> = servers.collect::<anyhow::Result<_>>()?;
        let (mut hold, settle) = self.options.hold_and_settle();
        let raws: Vec<String> = match size.servers {
            1 => vec![format!("raw/{what}-{name}.json")],
            servers => (1..=servers)
                .map(|number| format!("raw/{what}-{name}-{number}.json"))
                .collect(),
        };
        if size.servers > 1 {
            hold += CROWD_HOLD;
        }
        let generator = self.generator();
        let mut working = Vec::new();
        for (server, raw) in servers.iter().zip(&raws) {
            let times = (hold, settle);
            working.push(generator.begin_idle(server, size.connections_per_server, times, raw)?);
        }
        let each: Vec<Idle> = working
            .into_iter()
            .map(|working| generator.finish_idle(working))
            .collect::<anyhow::Result<_>>()?;
        Ok(IdleRow {
            server: name.to_owned(),
            servers: size.servers,
            raws,
            idle: Idle::together(&each)?,
        })
    }

    /// How long a measurement of memory takes at one server.
    pub(crate) fn memory_step(&self, part: Part) -> Duration {
        let (hold, settle) = self.options.hold_and_settle();
        let crowd = if part == Part::Crowd {
            CROWD_HOLD
        } else {
            Duration::ZERO
        };
        // Opening and closing one after the other.
        let coming_and_going = self.options.connections(part) as f64 * 250e-6;
        hold + settle + crowd + Duration::from_secs_f64(coming_and_going + 0.2)
    }
}

/// Raises the soft limit of open files to the hard one, for every process started from here.
pub(crate) fn raise_open_files() {
    let limit = getrlimit(Resource::Nofile);
    // Allowed to everyone; should it fail all the same, the soft limit is what there is.
    let _ = setrlimit(
        Resource::Nofile,
        Rlimit {
            current: limit.maximum,
            ..limit
        },
    );
}

fn open_files_max() -> u64 {
    getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)
}

/// Memory that can be had without swapping; as much as one likes if the kernel does not say.
fn memory_available() -> u64 {
    let text = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("MemAvailable:"));
    line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok())
        .map_or(u64::MAX, |kibibytes| kibibytes * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MUCH: u64 = 1 << 40;

    fn size(servers: u64, connections_per_server: u64) -> Size {
        Size {
            servers,
            connections_per_server,
        }
    }

    #[test]
    fn idle_connections_are_those_of_one_server_within_its_descriptors() {
        assert_eq!(Size::of(Part::Idle, 10_000, 20_000, MUCH), size(1, 10_000));
        assert_eq!(Size::of(Part::Idle, 10_000, 1024, MUCH), size(1, 824));
        assert_eq!(Size::of(Part::Idle, 10_000, 100, MUCH).connections(), 0);
    }

    #[test]
    fn a_crowd_takes_as_many_servers_as_its_descriptors_ask_for() {
        let crowd = |files, memory| Size::of(Part::Crowd, 50_000, files, memory);
        assert_eq!(crowd(20_000, MUCH), size(3, 16_667));
        assert_eq!(crowd(1 << 20, MUCH), size(2, 25_000));
        assert_eq!(crowd(1024, MUCH), size(16, 824));
        assert_eq!(crowd(20_000, 1 << 30), size(2, 8192));
    }
}
