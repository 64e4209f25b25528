//! Sizes and durations as people write them.
//!
//! `bytesize` and `humantime` read them; the bounds here catch what those two let through: a size
//! that saturates instead of failing, and humantime's `M`, which is a month.

use std::num::NonZeroU64;
use std::time::Duration;

/// The longest payload a frame can announce (RFC 6455, section 5.2: the top bit is zero).
const SIZE_BYTES_MAX: u64 = i64::MAX as u64;

/// Nothing that Ringback waits for takes longer. Shorter than any month, so `30M` is not taken for
/// one.
const DURATION_MAX: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// Whoever writes less has slipped in the unit.
const TIMEOUT_MIN: Duration = Duration::from_millis(10);

const SIZE_REMEDY: &str = "write bytes or a size such as 64KiB, 1MiB or 10kB";
const DURATION_REMEDY: &str = "write a number with its unit, such as 1500ms, 30s, 2m or 1h";

/// Why a value means nothing, and what would: the two last parts of a
/// [`ConfigError`](super::ConfigError). The problem is said of the value, which it does not repeat.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) problem: String,
    pub(super) remedy: String,
}

impl Refusal {
    pub(super) fn new(problem: impl Into<String>, remedy: impl Into<String>) -> Self {
        Refusal {
            problem: problem.into(),
            remedy: remedy.into(),
        }
    }
}

/// A size in bytes. A prefix without its unit is refused: `64K` is 65,536 to some programs and 64,000 to
/// others, and `64M` might be meant as either.
pub(super) fn size(text: &str) -> Result<u64, Refusal> {
    let number = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    if let [prefix] = text.as_bytes()[number.len()..]
        && b"KMGTPE".contains(&prefix.to_ascii_uppercase())
        && !number.is_empty()
    {
        let prefix = char::from(prefix).to_ascii_uppercase();
        let decimal = if prefix == 'K' { 'k' } else { prefix };
        return Err(Refusal::new(
            "may mean two sizes",
            format!("write {number}{prefix}iB (by 1024) or {number}{decimal}B (by 1000)"),
        ));
    }
    let bytes = text
        .parse::<bytesize::ByteSize>()
        .map_err(|_| Refusal::new("is not a size", SIZE_REMEDY))?
        .as_u64();
    match bytes {
        0..=SIZE_BYTES_MAX => Ok(bytes),
        _ => Err(Refusal::new("is too large", "write a size below 8EiB")),
    }
}

/// How long to wait for a peer, where zero has been seen to: nothing shorter than a network's own pauses.
pub(super) fn timeout(text: &str) -> Result<Duration, Refusal> {
    match duration(text)? {
        short if !short.is_zero() && short < TIMEOUT_MIN => Err(Refusal::new(
            "is too short",
            "write at least 10ms, or rather seconds",
        )),
        time => Ok(time),
    }
}

/// A span of time. A bare number has no meaning, unless it is zero.
pub(super) fn duration(text: &str) -> Result<Duration, Refusal> {
    let span = humantime::parse_duration(text).map_err(|error| {
        if text.chars().all(|c| c.is_ascii_digit() || c == '.') && !text.is_empty() {
            let remedy = format!("write {text}s for seconds or {text}ms for milliseconds");
            return Refusal::new("lacks a unit", remedy);
        }
        match error {
            humantime::DurationError::NumberOverflow => too_long(),
            _ => Refusal::new("is not a duration", DURATION_REMEDY),
        }
    })?;
    if span > DURATION_MAX {
        Err(too_long())
    } else {
        Ok(span)
    }
}

/// How often in a second, a minute or an hour.
pub(super) fn rate(text: &str) -> Result<(NonZeroU64, Duration), Refusal> {
    let refusal = || {
        Refusal::new(
            "is no rate",
            "write one such as 20/s, 600/m or 1000/h, or unlimited",
        )
    };
    let (count, unit) = text.split_once('/').ok_or_else(refusal)?;
    let seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 60 * 60,
        _ => return Err(refusal()),
    };
    let is_number = count.bytes().all(|byte| byte.is_ascii_digit());
    let count = count.parse().ok().filter(|_| is_number);
    Ok((count.ok_or_else(refusal)?, Duration::from_secs(seconds)))
}

/// How many bytes in a second.
pub(super) fn size_rate(text: &str) -> Result<NonZeroU64, Refusal> {
    let remedy = "write a size in a second, such as 64KiB/s or 1MB/s, or unlimited";
    let refusal = || Refusal::new("is no bandwidth", remedy);
    let bytes = text.strip_suffix("/s").ok_or_else(refusal)?;
    NonZeroU64::new(size(bytes)?).ok_or_else(refusal)
}

fn too_long() -> Refusal {
    Refusal::new(
        "is longer than a week",
        "write at most 7d (`m` is a minute, `M` a month)",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        for (text, bytes) in [
            ("0", 0),
            ("1", 1),
            ("64KiB", 65_536),
            ("64 kib", 65_536),
            ("1MiB", 1 << 20),
            ("10kB", 10_000),
            ("1.5MB", 1_500_000),
            ("9223372036854775807", i64::MAX as u64),
        ] {
            assert_eq!(size(text), Ok(bytes), "{text}");
        }
    }

    #[test]
    fn sizes_that_mean_nothing() {
        for text in [
            "",
            "KiB",
            "-1",
            "1.5.2MB",
            "1e3",
            "64 apples",
            "NaN",
            "inf",
            "0x10",
            "١",
        ] {
            assert_eq!(size(text).unwrap_err().problem, "is not a size", "{text}");
        }
        for text in ["9223372036854775808", "8EiB", "16EiB", "99999999999EB"] {
            assert_eq!(size(text).unwrap_err().problem, "is too large", "{text}");
        }
    }

    #[test]
    fn rates() {
        for (text, expected) in [
            ("20/s", Some((20, 1))),
            ("600/m", Some((600, 60))),
            ("1/h", Some((1, 3600))),
            ("0/s", None),
            ("20", None),
            ("+1/s", None),
            ("20/sec", None),
            ("/s", None),
        ] {
            let read = rate(text).ok();
            let read = read.map(|(count, span)| (count.get(), span.as_secs()));
            assert_eq!(read, expected, "{text}");
        }
        for (text, expected) in [
            ("64KiB/s", Some(65_536)),
            ("0/s", None),
            ("64KiB", None),
            ("64KiB/m", None),
            ("64K/s", None),
        ] {
            let read = size_rate(text).ok().map(NonZeroU64::get);
            assert_eq!(read, expected, "{text}");
        }
    }

    #[test]
    fn a_prefix_alone_means_no_size() {
        for (text, remedy) in [
            ("64K", "write 64KiB (by 1024) or 64kB (by 1000)"),
            ("64k", "write 64KiB (by 1024) or 64kB (by 1000)"),
            ("1.5G", "write 1.5GiB (by 1024) or 1.5GB (by 1000)"),
        ] {
            let refusal = Refusal::new("may mean two sizes", remedy);
            assert_eq!(size(text), Err(refusal), "{text}");
        }
        assert_eq!(size("64B"), Ok(64));
    }

    #[test]
    fn a_timeout_is_long_enough_for_a_network() {
        assert_eq!(timeout("0"), Ok(Duration::ZERO));
        assert_eq!(timeout("10ms"), Ok(Duration::from_millis(10)));
        for text in ["1us", "1ns", "9999us"] {
            assert_eq!(timeout(text).unwrap_err().problem, "is too short", "{text}");
        }
    }

    #[test]
    fn durations() {
        for (text, milliseconds) in [
            ("0", 0),
            ("0s", 0),
            ("30s", 30_000),
            ("30 s", 30_000),
            ("1500ms", 1500),
            ("1.5s", 1500),
            ("2m", 120_000),
            ("1h", 3_600_000),
            ("1h30m", 5_400_000),
            ("7d", 604_800_000),
        ] {
            assert_eq!(
                duration(text),
                Ok(Duration::from_millis(milliseconds)),
                "{text}"
            );
        }
    }

    #[test]
    fn durations_that_mean_nothing() {
        for text in [
            "",
            "s",
            "-1s",
            "ten seconds",
            "30q",
            "1_000ms",
            "NaNs",
            "30s!",
        ] {
            assert_eq!(
                duration(text).unwrap_err().problem,
                "is not a duration",
                "{text}"
            );
        }
        for text in [
            "8d",
            "1M",
            "30M",
            "1y",
            "18446744073709551615s",
            "99999999999999999999s",
        ] {
            assert_eq!(
                duration(text).unwrap_err().problem,
                "is longer than a week",
                "{text}"
            );
        }
    }

    #[test]
    fn a_bare_number_is_told_its_unit() {
        for text in ["30", "1.5", "99999999999999999999"] {
            assert_eq!(
                duration(text),
                Err(Refusal::new(
                    "lacks a unit",
                    format!("write {text}s for seconds or {text}ms for milliseconds")
                ))
            );
        }
    }
}
