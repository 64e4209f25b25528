//! What can be asked of `bench` on the command line.

use serde::Serialize;
use std::path::PathBuf;
use std::time::Duration;

/// Options of `bench`. Lengths of time are written `1500ms` or `2s`.
#[derive(clap::Args, Clone, Debug, Serialize)]
pub(crate) struct Options {
    /// Rounds; in each, every server meets every workload once, in random order. Fewer than six
    /// settle no difference
    #[arg(long, value_name = "N", default_value_t = 6,
          value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(crate) rounds: u32,

    /// Measured time of one run
    #[arg(long, value_name = "TIME", default_value = "1500ms", value_parser = parse_duration)]
    #[serde(rename = "duration_seconds", serialize_with = "as_seconds")]
    pub(crate) duration: Duration,

    /// Time under load before measuring starts, in each run
    #[arg(long, value_name = "TIME", default_value = "500ms", value_parser = parse_duration)]
    #[serde(rename = "warmup_seconds", serialize_with = "as_seconds")]
    pub(crate) warmup: Duration,

    /// Only workloads whose name contains this; may be repeated
    #[arg(long, value_name = "TEXT")]
    pub(crate) workload: Vec<String>,

    /// Only servers whose name contains this; may be repeated
    #[arg(long, value_name = "TEXT")]
    pub(crate) server: Vec<String>,

    /// Idle connections to hold for the memory measurement; 0 leaves it out
    #[arg(long, value_name = "N", default_value_t = 10_000)]
    pub(crate) idle_connections: u64,

    /// A look that takes seconds and settles nothing: 2 rounds of 500ms, 1000 idle connections
    #[arg(long, conflicts_with_all = ["rounds", "duration", "warmup", "idle_connections"])]
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
    /// The same options with `--quick` spelt out.
    pub(crate) fn settled(&self) -> Options {
        let mut settled = self.clone();
        if self.quick {
            settled.rounds = 2;
            settled.duration = Duration::from_millis(500);
            settled.warmup = Duration::from_millis(200);
            settled.idle_connections = 1000;
        }
        settled
    }
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

    #[test]
    fn machine_names_cannot_leave_the_directory() {
        assert!(parse_machine("ryzen-9.7950x_32cpu").is_ok());
        for wrong in ["", "..", "a/b", ".hidden", "a b"] {
            assert!(parse_machine(wrong).is_err(), "{wrong:?}");
        }
    }
}
