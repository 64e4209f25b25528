//! Sizes, durations and CPU lists as people write them, `64KiB`, `1.5s`, `0,2-3`, and figures as they read them.

use std::time::Duration;

use bytesize::ByteSize;
use indicatif::HumanCount;

pub use crate::observe::placement::{CpuList, parse_cpu_list};

/// Reads a number of bytes: `32`, `64KiB`, `16MiB`, `10kB`.
///
/// Binary units (KiB, MiB, GiB) are powers of 1024, decimal ones (kB, MB, GB) powers of 1000.
pub(crate) fn parse_size(text: &str) -> Result<usize, String> {
    let text = text.trim();
    // A part of a byte would be cut off.
    let size = text.parse().ok().filter(|_| !text.contains('.'));
    match size {
        // What is more than 64 bits is cut to that.
        Some(ByteSize(u64::MAX)) => Err(format!("{text} is too large")),
        Some(ByteSize(bytes)) => {
            usize::try_from(bytes).map_err(|_| format!("{text} is too large for this machine"))
        }
        None => Err("expected a whole number of bytes such as 32, 64KiB, 16MiB or 10kB".to_owned()),
    }
}

/// Reads a length of time as Ringback's own options take it: `5s`, `500ms`, `2m`, `1.5s`, `1m30s`. A bare number has no
/// meaning, unless it is zero.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    let text = text.trim();
    let is_bare = text.chars().all(|c| c.is_ascii_digit() || c == '.');
    humantime::parse_duration(text).map_err(|error| match error {
        _ if is_bare && !text.is_empty() => {
            format!("{text} lacks a unit; write {text}s for seconds or {text}ms for milliseconds")
        }
        humantime::DurationError::UnknownUnit { unit, .. } => {
            format!("unknown unit {unit:?}; write ms, s, m or h")
        }
        humantime::DurationError::NumberOverflow => "out of range for a duration".to_owned(),
        _ => "expected a duration such as 5s or 500ms; write ms, s, m or h".to_owned(),
    })
}

/// A figure of one digit behind the point; `-` for one that is not known.
pub(crate) fn known(figure: Option<f64>) -> String {
    figure.map_or_else(|| "-".to_owned(), |figure| format!("{figure:.1}"))
}

/// `1234567` as `1,234,567`.
pub fn grouped(number: u64) -> String {
    HumanCount(number).to_string()
}

/// Bytes with a binary unit.
pub fn bytes(number: f64) -> String {
    const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
    let exponent = (number.max(1.0).log2() / 10.0).min(4.0) as usize;
    let value = number / 1024_f64.powi(exponent as i32);
    let decimals = usize::from(exponent > 0 && value.fract() != 0.0);
    format!("{value:.decimals$} {}", UNITS[exponent])
}

/// Nanoseconds with the unit that suits them, to three digits or more.
pub fn time(nanoseconds: f64) -> String {
    match nanoseconds {
        ns if ns < 1e3 => format!("{ns:.0} ns"),
        ns if ns < 1e6 => format!("{:.2} µs", ns / 1e3),
        ns if ns < 1e9 => format!("{:.2} ms", ns / 1e6),
        ns => format!("{:.3} s", ns / 1e9),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        assert_eq!(parse_size("32"), Ok(32));
        assert_eq!(parse_size("64KiB"), Ok(65_536));
        assert_eq!(parse_size("2 mib"), Ok(2 << 20));
        assert_eq!(parse_size("10kB"), Ok(10_000));
        for wrong in [
            "",
            "KiB",
            "1.5KiB",
            "-1",
            "3 parsecs",
            "99999999999GiB",
            "0.5",
            "1 KiB KiB",
        ] {
            assert!(parse_size(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn durations() {
        assert_eq!(parse_duration("5s"), Ok(Duration::from_secs(5)));
        assert_eq!(parse_duration("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(parse_duration("1.5s"), Ok(Duration::from_millis(1500)));
        assert_eq!(parse_duration("0"), Ok(Duration::ZERO));
        assert_eq!(parse_duration("2m"), Ok(Duration::from_secs(120)));
        assert_eq!(parse_duration("1m30s"), Ok(Duration::from_secs(90)));
        for bare in ["1", "1.5"] {
            let right = format!("{bare} lacks a unit; write {bare}s for seconds");
            assert!(
                parse_duration(bare).unwrap_err().starts_with(&right),
                "{bare}"
            );
        }
        for wrong in [
            "",
            "s",
            "five",
            "1fortnight",
            "1.2.3s",
            "-1s",
            "99999999999999999999h",
        ] {
            assert!(parse_duration(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn numbers_have_units() {
        assert_eq!(grouped(0), "0");
        assert_eq!(grouped(999), "999");
        assert_eq!(grouped(1_234_567), "1,234,567");
        assert_eq!(bytes(32.0), "32 B");
        assert_eq!(bytes(65_536.0), "64 KiB");
        assert_eq!(bytes(1_572_864.0), "1.5 MiB");
        assert_eq!(time(999.0), "999 ns");
        assert_eq!(time(4_700.0), "4.70 µs");
        assert_eq!(time(2_500_000_000.0), "2.500 s");
    }
}
