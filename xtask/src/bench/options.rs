//! What can be asked of `bench` on the command line.

use super::plan::{PARTS, Part};
use serde::Serialize;
use std::path::PathBuf;
use std::time::Duration;

/// The number of rounds, and how long each run takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Pace {
    pub(crate) rounds: u32,
    /// Measured time of one run.
    #[serde(rename = "duration_seconds", serialize_with = "as_seconds")]
    pub(crate) duration: Duration,
    /// Time under load before that.
    #[serde(rename = "warmup_seconds", serialize_with = "as_seconds")]
    pub(crate) warmup: Duration,
}

/// Options of `bench`. Lengths of time are written `1500ms` or `2s`.
#[derive(clap::Args, Clone, Debug, Serialize)]
pub(crate) struct Options {
    /// Only these parts; separated by commas, or repeated
    #[arg(long, value_name = "PART", value_enum, value_delimiter = ',')]
    pub(crate) only: Vec<Part>,

    /// Only the part `paired`, with these two: each is an engine or a program's path, then flags of
    /// ringback, such as 'uring', 'epoll --protocol tcp' or './old/ringback --engine epoll'
    #[arg(long, value_names = ["A", "B"], num_args = 2, conflicts_with = "only")]
    pub(crate) pair: Vec<String>,

    /// Rounds of each part [default: 6, paired 16, storm 5]. Fewer than six settle no difference,
    /// fewer than 15 no pair
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(crate) rounds: Option<u32>,

    /// Measured time of one run [default: 1500ms, paired 3s]
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    #[serde(skip)]
    pub(crate) duration: Option<Duration>,

    /// Time under load before measuring starts, in each run [default: 500ms]
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    #[serde(skip)]
    pub(crate) warmup: Option<Duration>,

    /// Only workloads whose name contains this; may be repeated. Pairs meet 64x32B-depth1 alone
    /// unless this names others
    #[arg(long, value_name = "TEXT")]
    pub(crate) workload: Vec<String>,

    /// Only servers whose name contains this; may be repeated
    #[arg(long, value_name = "TEXT")]
    pub(crate) server: Vec<String>,

    /// Margin within which a pair is called equal, in percent
    #[arg(long, value_name = "PERCENT", default_value_t = 3.0, value_parser = parse_percent)]
    pub(crate) margin: f64,

    /// Measured visits of each storm [default: 8000]. What a storm leaves in TIME_WAIT for a minute
    /// is waited for where the kernel would have no more room for it
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    pub(crate) visits: Option<u64>,

    /// Idle connections to hold for the memory measurement [default: 10000]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) idle_connections: Option<u64>,

    /// Connections of a crowd, spread over several processes, or as many as the limits of open
    /// files and memory allow [default: 50000]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) crowd_connections: Option<u64>,

    /// A look that takes a minute and settles nothing: everything short and few
    #[arg(long)]
    pub(crate) quick: bool,

    /// Seed of the random order; chosen and recorded when not given
    #[arg(long, value_name = "N")]
    pub(crate) seed: Option<u64>,

    /// CPU for the servers [default: the first this process may use]
    #[arg(long, value_name = "CPU")]
    pub(crate) server_cpu: Option<usize>,

    /// CPU for the generator [default: the next one on a core of its own]
    #[arg(long, value_name = "CPU")]
    pub(crate) generator_cpu: Option<usize>,

    /// Name of the machine in the name of the results [default: from its CPU model and count]
    #[arg(long, value_name = "NAME", value_parser = parse_machine)]
    pub(crate) machine: Option<String>,

    /// Directory to write, which must be empty or absent [default: results/DATE-MACHINE]
    #[arg(long, value_name = "DIR")]
    #[serde(skip)]
    pub(crate) out: Option<PathBuf>,

    /// Directory with the programs ringback and ringload [default: beside xtask]
    #[arg(long, value_name = "DIR")]
    #[serde(skip)]
    pub(crate) binaries: Option<PathBuf>,
}

impl Options {
    /// The parts to run, in their order.
    pub(crate) fn parts(&self) -> Vec<Part> {
        let is_asked_for = |part: &Part| match (&self.pair[..], &self.only[..]) {
            ([], []) => true,
            ([], only) => only.contains(part),
            _ => *part == Part::Paired,
        };
        PARTS.into_iter().filter(is_asked_for).collect()
    }

    /// How `part` is paced.
    pub(crate) fn pace(&self, part: Part) -> Pace {
        let (rounds, duration, warmup) = match (part, self.quick) {
            (Part::Echo | Part::Deep, false) => (6, 1500, 500),
            (Part::Echo | Part::Deep, true) => (1, 300, 100),
            (Part::Paired, false) => (16, 3000, 500),
            (Part::Paired, true) => (2, 300, 100),
            // A storm ends with its visits; a peer that cannot keep up, after this time.
            (Part::Storm, false) => (5, 5000, 100),
            (Part::Storm, true) => (1, 1000, 50),
            (Part::Idle | Part::Crowd, _) => (1, 0, 0),
        };
        Pace {
            rounds: self.rounds.unwrap_or(rounds),
            duration: self.duration.unwrap_or(Duration::from_millis(duration)),
            warmup: self.warmup.unwrap_or(Duration::from_millis(warmup)),
        }
    }

    /// Measured visits of each storm.
    pub(crate) fn visits(&self) -> u64 {
        self.visits.unwrap_or(self.unless_quick(8000, 500))
    }

    /// Connections to hold in each of the two measurements of memory.
    pub(crate) fn connections(&self, part: Part) -> u64 {
        match part {
            Part::Crowd => self
                .crowd_connections
                .unwrap_or(self.unless_quick(50_000, 2000)),
            _ => self
                .idle_connections
                .unwrap_or(self.unless_quick(10_000, 1000)),
        }
    }

    /// How long idle connections are held, and how long a server may take to give back what they
    /// held.
    pub(crate) fn hold_and_settle(&self) -> (Duration, Duration) {
        let milliseconds = self.unless_quick(2000, 200);
        (
            Duration::from_millis(milliseconds),
            Duration::from_millis(milliseconds * 5 / 2),
        )
    }

    fn unless_quick(&self, full: u64, quick: u64) -> u64 {
        if self.quick { quick } else { full }
    }
}

/// Reads a percentage above 0, up to 100.
fn parse_percent(text: &str) -> Result<f64, String> {
    text.parse::<f64>()
        .ok()
        .filter(|percent| *percent > 0.0 && *percent <= 100.0)
        .ok_or_else(|| "expected a number above 0, up to 100".to_owned())
}

/// Reads `1500ms`, `2s` or `1.5s`, up to an hour.
fn parse_duration(text: &str) -> Result<Duration, String> {
    let (number, seconds_per_unit) = match (text.strip_suffix("ms"), text.strip_suffix('s')) {
        (Some(number), _) => (number, 1e-3),
        (None, Some(number)) => (number, 1.0),
        (None, None) => return Err("write it with its unit, such as 1500ms or 2s".to_owned()),
    };
    number
        .parse::<f64>()
        .ok()
        .filter(|number| (0.0..=3600.0).contains(&(number * seconds_per_unit)))
        .map(|number| Duration::from_secs_f64(number * seconds_per_unit))
        .ok_or_else(|| "expected a time up to one hour, such as 1500ms or 2s".to_owned())
}

/// A machine's name becomes part of a directory's name.
fn parse_machine(text: &str) -> Result<String, String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if !text.is_empty() && text.chars().all(plain) && !text.starts_with('.') {
        Ok(text.to_owned())
    } else {
        Err("use letters, digits, '-', '_' and '.' only".to_owned())
    }
}

fn as_seconds<S: serde::Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(duration.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_need_a_unit_and_a_bound() {
        assert_eq!(parse_duration("1500ms"), Ok(Duration::from_millis(1500)));
        assert_eq!(parse_duration("1.5s"), Ok(Duration::from_millis(1500)));
        for wrong in ["", "s", "ms", "5", "-1s", "NaNs", "infs", "3601s", "1h"] {
            assert!(parse_duration(wrong).is_err(), "{wrong:?}");
        }
    }

    fn options(arguments: &[&str]) -> Options {
        #[derive(clap::Parser)]
        struct Line {
            #[command(flatten)]
            options: Options,
        }
        let line = ["bench"].iter().chain(arguments);
        <Line as clap::Parser>::try_parse_from(line)
            .unwrap()
            .options
    }

    #[test]
    fn a_part_can_be_run_alone_and_a_pair_is_one() {
        assert_eq!(options(&[]).parts(), PARTS);
        let some = options(&["--only", "storm,deep", "--only", "idle"]);
        assert_eq!(some.parts(), [Part::Deep, Part::Storm, Part::Idle]);
        let pair = options(&["--pair", "uring", "uring --uring-entries 64"]);
        assert_eq!(pair.parts(), [Part::Paired]);
    }

    #[test]
    fn what_is_asked_for_overrides_the_quick_and_the_usual_pace() {
        assert_eq!(options(&[]).pace(Part::Paired).rounds, 16);
        let quick = options(&["--quick", "--rounds", "3"]);
        assert_eq!(quick.pace(Part::Paired).rounds, 3);
        assert_eq!(
            quick.pace(Part::Paired).duration,
            Duration::from_millis(300)
        );
    }

    #[test]
    fn machine_names_cannot_leave_the_directory() {
        assert!(parse_machine("ryzen-9.7950x_32cpu").is_ok());
        for wrong in ["", "..", "a/b", ".hidden", "a b"] {
            assert!(parse_machine(wrong).is_err(), "{wrong:?}");
        }
    }
}
