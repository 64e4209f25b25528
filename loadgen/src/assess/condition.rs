//! A figure and a bound, as people write them: `p99>5ms`, `cpu>6us`, `rate<49k`, `errors>0`.
//!
//! The one grammar of `--fail-if` and `--slo`, whatever the command: which names it has figures for is the
//! command's to say.

use std::fmt;

use crate::quantity::{bytes, grouped, parse_size, time};

/// Where a figure must be for the condition to hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Above,
    Below,
}

/// What a figure is a number of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unit {
    /// Nanoseconds.
    Time,
    Bytes,
    /// A count, a rate, a ratio.
    Plain,
}

/// A condition as it was written: nobody has asked yet whether its name is known.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Condition {
    pub(crate) name: String,
    pub(crate) side: Side,
    /// In the unit's base: nanoseconds, bytes.
    pub(crate) bound: f64,
    pub(crate) unit: Unit,
    /// As it was written, without white space.
    written: String,
}

impl Condition {
    /// Reads one. The error says what would be right.
    pub(crate) fn parse(text: &str) -> Result<Condition, String> {
        let wrong = || {
            format!(
                "{text:?} is no condition; write a name, > or <, and a bound with its unit, such as p99>5ms, \
                 cpu>6us, rate<49k or errors>0"
            )
        };
        let at = text.find(['>', '<']).ok_or_else(wrong)?;
        let (name, rest) = text.split_at(at);
        let name = name.trim();
        if name.is_empty() {
            return Err(wrong());
        }
        let (bound, unit) = parse_bound(rest[1..].trim()).ok_or_else(wrong)?;
        let is_above = rest.starts_with('>');
        Ok(Condition {
            name: name.to_owned(),
            side: if is_above { Side::Above } else { Side::Below },
            bound,
            unit,
            written: [name].into_iter().chain(rest.split_whitespace()).collect(),
        })
    }

    /// Whether `value`, in the base of the condition's unit, is on the far side of the bound.
    pub(crate) fn holds(&self, value: f64) -> bool {
        match self.side {
            Side::Above => value > self.bound,
            Side::Below => value < self.bound,
        }
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.written)
    }
}

impl Unit {
    /// A figure of it as people read it.
    pub(crate) fn show(self, value: f64) -> String {
        match self {
            Unit::Time => time(value),
            Unit::Bytes => bytes(value),
            Unit::Plain if value.fract() == 0.0 || value >= 100.0 => grouped(value.round() as u64),
            Unit::Plain => format!("{value:.1}"),
        }
    }

    /// How a bound of it is written.
    pub(crate) fn example(self) -> &'static str {
        match self {
            Unit::Time => "a time with its unit, such as 5ms or 6us",
            Unit::Bytes => "a size with its unit, such as 16KiB",
            Unit::Plain => "a number such as 100 or 49k",
        }
    }
}

/// The share of values that `p99.9` or `max` is of, 0 to 1; `None` for what is neither.
pub(crate) fn quantile(name: &str) -> Option<f64> {
    if name == "max" {
        return Some(1.0);
    }
    let percent = name.strip_prefix('p')?;
    let percent = Some(percent).filter(|text| text.starts_with(|c: char| c.is_ascii_digit()))?;
    let percent = percent.parse::<f64>().ok()?;
    (percent > 0.0 && percent < 100.0).then_some(percent / 100.0)
}

/// A number and its unit: a bare number is no time and no size, which would be a guess.
fn parse_bound(text: &str) -> Option<(f64, Unit)> {
    let is_of_a_number = |c: char| c.is_ascii_digit() || c == '.';
    let end = text.find(|c| !is_of_a_number(c)).unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let (factor, unit) = match unit.trim_start() {
        "ns" => (1.0, Unit::Time),
        "us" | "µs" | "μs" => (1e3, Unit::Time),
        "ms" => (1e6, Unit::Time),
        "s" => (1e9, Unit::Time),
        unit if unit.ends_with('B') => (parse_size(&format!("1{unit}")).ok()? as f64, Unit::Bytes),
        "" => (1.0, Unit::Plain),
        "k" => (1e3, Unit::Plain),
        "M" => (1e6, Unit::Plain),
        _ => return None,
    };
    let number = Some(number).filter(|number| number.starts_with(|c: char| c.is_ascii_digit()))?;
    let bound = number.parse::<f64>().ok()? * factor;
    bound.is_finite().then_some((bound, unit))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conditions_are_read_and_shown_again() {
        for (text, shown, bound, unit) in [
            ("p99>5ms", "p99>5ms", 5e6, Unit::Time),
            (" cpu > 6 us", "cpu>6us", 6e3, Unit::Time),
            ("p99.9>20μs", "p99.9>20μs", 20e3, Unit::Time),
            ("max>1.5s", "max>1.5s", 1.5e9, Unit::Time),
            ("rate<49k", "rate<49k", 49e3, Unit::Plain),
            ("rate<1.2M", "rate<1.2M", 1.2e6, Unit::Plain),
            ("errors>0", "errors>0", 0.0, Unit::Plain),
            ("growth>16KiB", "growth>16KiB", 16384.0, Unit::Bytes),
        ] {
            let condition = Condition::parse(text).unwrap();
            assert_eq!(condition.to_string(), shown);
            assert_eq!((condition.bound, condition.unit), (bound, unit), "{text}");
        }
        for wrong in [
            "",
            "cpu",
            "cpu=1",
            "cpu>",
            "cpu>x",
            "cpu>-1",
            "cpu>NaN",
            "cpu>inf",
            ">1",
            "cpu>>1",
            "cpu>=1",
            "p99>1h",
            "p99>1msms",
            "p99>1e99s",
            "p99>.ms",
        ] {
            let error = Condition::parse(wrong).expect_err(wrong);
            assert!(error.contains("such as p99>5ms"), "{error}");
        }
    }

    #[test]
    fn a_bound_itself_is_beyond_neither_side() {
        let holds = |text: &str, value| Condition::parse(text).unwrap().holds(value);
        assert!(holds("p99>5ms", 5_000_001.0) && !holds("p99>5ms", 5_000_000.0));
        assert!(holds("rate<49k", 48_999.9) && !holds("rate<49k", 49_000.0));
    }

    #[test]
    fn percentiles_lie_between_their_ends() {
        assert_eq!(quantile("p50"), Some(0.5));
        assert_eq!(quantile("max"), Some(1.0));
        for wrong in ["p0", "p100", "p-1", "pinf", "pNaN", "p+5", "p", "mean", ""] {
            assert_eq!(quantile(wrong), None, "{wrong:?}");
        }
    }
}
