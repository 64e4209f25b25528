//! When the messages of an open loop are due: rates, ramps and steps, evenly spaced or Poisson.
//!
//! The whole schedule is one increasing function, from time to the number of messages due by then.
//! A message's due time is the inverse of it at the message's number. So nothing has to be stored for
//! what is due and not yet sent, however far a server has fallen behind.

use std::time::Duration;

use clap::ValueEnum;
use rand_distr::Exp1;

use crate::payload::Random;
use crate::quantity::parse_duration;

/// Most messages per second that can be asked for: a nanosecond each.
const RATE_MAX: f64 = 1e9;

/// How due times lie between each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Arrivals {
    /// All at the same distance.
    Even,
    /// At random, independent of each other, as from many independent clients.
    Poisson,
}

impl Arrivals {
    /// The name on the command line.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Arrivals::Even => "even",
            Arrivals::Poisson => "poisson",
        }
    }
}

/// A stretch in which the rate goes from one value to another in a straight line.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Stretch {
    /// Messages per second at its beginning and its end.
    from: f64,
    to: f64,
    /// Infinite for the last one.
    seconds: f64,
}

impl Stretch {
    /// One rate.
    fn hold(rate: f64, seconds: f64) -> Stretch {
        Stretch {
            from: rate,
            to: rate,
            seconds,
        }
    }

    /// Messages due within the first `seconds` of it.
    fn due_within(self, seconds: f64) -> f64 {
        if self.from == self.to {
            return self.from * seconds;
        }
        let slope = (self.to - self.from) / self.seconds;
        (self.from + slope * seconds / 2.0) * seconds
    }

    /// Seconds until `count` messages are due; the inverse of `due_within`.
    fn seconds_until(self, count: f64) -> f64 {
        if self.from == self.to {
            return count / self.from;
        }
        let slope = (self.to - self.from) / self.seconds;
        // The usual solution of the quadratic equation, turned so that nothing cancels out. A ramp
        // down ends where its root does; rounding may leave it a little below 0.
        let root = (self.from * self.from + 2.0 * slope * count).max(0.0);
        2.0 * count / (self.from + root.sqrt()).max(f64::MIN_POSITIVE)
    }
}

/// What `--rate` says.
#[derive(Clone, Debug, PartialEq)]
pub struct Rates {
    text: String,
    stretches: Vec<Stretch>,
}

impl Rates {
    /// Reads `50k`, `1k..50k/30s` or `1k/10s,2k/10s`. The error says what would be right.
    pub fn parse(text: &str) -> Result<Rates, String> {
        let is_alone = !text.contains(',');
        let parts = text
            .split(',')
            .map(|part| parse_stretch(part.trim(), is_alone));
        let stretches = parts.collect::<Result<Vec<_>, _>>()?;
        if stretches.last().is_some_and(|last| last.to <= 0.0) {
            return Err("the last rate is 0; end with one above 0".to_owned());
        }
        Ok(Rates {
            text: text.to_owned(),
            stretches,
        })
    }

    /// One rate, in messages per second, for as long as it takes.
    pub fn constant(rate: f64) -> Rates {
        Rates {
            text: format!("{rate}"),
            stretches: vec![Stretch::hold(rate, f64::INFINITY)],
        }
    }

    /// As it was asked for.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// How long all steps take together; `None` for a single rate without an end.
    pub fn length(&self) -> Option<Duration> {
        let seconds: f64 = self.stretches.iter().map(|stretch| stretch.seconds).sum();
        Duration::try_from_secs_f64(seconds).ok()
    }

    /// The schedule that holds the first rate for `warmup`, then follows the steps, then holds the
    /// last rate.
    pub fn timeline(&self, warmup: Duration) -> Timeline {
        let first = self.stretches.first().map_or(0.0, |first| first.from);
        let last = self.stretches.last().map_or(0.0, |last| last.to);
        let mut stretches = vec![Stretch::hold(first, warmup.as_secs_f64())];
        stretches.extend(&self.stretches);
        stretches.push(Stretch::hold(last, f64::INFINITY));
        let (mut begins_seconds, mut begins_count) = (0.0, 0.0);
        let mut placed = Vec::new();
        for stretch in stretches {
            if stretch.seconds > 0.0 {
                placed.push(Placed {
                    stretch,
                    begins_seconds,
                    begins_count,
                });
            }
            // A rate without an end is the last.
            if stretch.seconds.is_infinite() {
                break;
            }
            begins_seconds += stretch.seconds;
            begins_count += stretch.due_within(stretch.seconds);
        }
        Timeline { placed }
    }
}

fn parse_stretch(text: &str, may_lack_an_end: bool) -> Result<Stretch, String> {
    let (rates, seconds) = match text.split_once('/') {
        Some((rates, time)) => {
            let time = parse_duration(time)?;
            if time.is_zero() {
                return Err(format!("{text:?} takes no time; give one such as 10s"));
            }
            (rates, time.as_secs_f64())
        }
        None if may_lack_an_end && !text.contains("..") => (text, f64::INFINITY),
        None => {
            return Err(format!(
                "{text:?} lacks its time; write it as 1k/10s or 1k..50k/30s"
            ));
        }
    };
    let (from, to) = rates.split_once("..").unwrap_or((rates, rates));
    let (from, to) = (parse_rate(from)?, parse_rate(to)?);
    if from <= 0.0 && to <= 0.0 {
        return Err("the rate is 0; give messages per second above 0".to_owned());
    }
    Ok(Stretch { from, to, seconds })
}

/// Reads messages per second: `500`, `1.5k`, `2M`.
pub(crate) fn parse_rate(text: &str) -> Result<f64, String> {
    let text = text.trim();
    let (number, factor) = match text.chars().last() {
        Some('k' | 'K') => (&text[..text.len() - 1], 1e3),
        Some('m' | 'M') => (&text[..text.len() - 1], 1e6),
        _ => (text, 1.0),
    };
    let rate = number.parse::<f64>().map(|number| number * factor);
    rate.ok()
        .filter(|rate| (0.0..=RATE_MAX).contains(rate))
        .ok_or_else(|| {
            format!("{text:?} is no rate; write messages per second such as 500, 50k or 1.5M")
        })
}

/// A stretch of a timeline, with where it begins.
#[derive(Clone, Copy, Debug)]
struct Placed {
    stretch: Stretch,
    begins_seconds: f64,
    /// Messages due before it.
    begins_count: f64,
}

/// A whole schedule, from the beginning of the load on.
#[derive(Clone, Debug)]
pub struct Timeline {
    placed: Vec<Placed>,
}

impl Timeline {
    /// Messages due within the first `nanoseconds`.
    pub fn due_by(&self, nanoseconds: u64) -> f64 {
        let seconds = nanoseconds as f64 / 1e9;
        let placed = self.last_where(|placed| placed.begins_seconds <= seconds);
        placed.begins_count + placed.stretch.due_within(seconds - placed.begins_seconds)
    }

    /// When message number `number` is due, in nanoseconds from the beginning of the load.
    pub(crate) fn due_at(&self, number: f64) -> u64 {
        let placed = self.last_where(|placed| placed.begins_count <= number);
        let seconds =
            placed.begins_seconds + placed.stretch.seconds_until(number - placed.begins_count);
        (seconds * 1e9) as u64
    }

    fn last_where(&self, holds: impl Fn(&Placed) -> bool) -> &Placed {
        let found = self.placed.iter().rev().find(|placed| holds(placed));
        found.unwrap_or(&self.placed[0])
    }
}

/// The messages of one connection of a schedule that several share.
///
/// Evenly spaced, connection *c* of *n* has the messages *c*, *n* + *c*, 2*n* + *c* and so on; at
/// random, each connection's distances are exponential, which makes all of them together Poisson.
#[derive(Clone, Debug)]
pub(crate) struct Stream {
    arrivals: Arrivals,
    connections: f64,
    /// Number of the next message, on the scale of all connections together.
    next: f64,
}

impl Stream {
    /// That of connection `index` of `connections`.
    pub(crate) fn new(
        arrivals: Arrivals,
        index: usize,
        connections: usize,
        random: &mut Random,
    ) -> Stream {
        let mut stream = Stream {
            arrivals,
            connections: connections as f64,
            next: 0.0,
        };
        match arrivals {
            Arrivals::Even => stream.next = index as f64,
            Arrivals::Poisson => stream.advance(random),
        }
        stream
    }

    /// When the next message is due, in nanoseconds from the beginning of the load.
    pub(crate) fn due(&self, timeline: &Timeline) -> u64 {
        timeline.due_at(self.next)
    }

    /// Number of the next message, on the scale of all connections together.
    pub(crate) fn number(&self) -> f64 {
        self.next
    }

    /// Passes over `count` messages, as far apart as they are on average.
    pub(crate) fn skip(&mut self, count: u64) {
        self.next += self.connections * count as f64;
    }

    /// Goes on to the message after it.
    pub(crate) fn advance(&mut self, random: &mut Random) {
        self.next += self.connections
            * match self.arrivals {
                Arrivals::Even => 1.0,
                Arrivals::Poisson => random.sample::<f64>(&Exp1),
            };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    #[test]
    fn rates_ramps_and_steps_are_read() {
        assert_eq!(Rates::parse("50k").unwrap().stretches[0].from, 50_000.0);
        assert_eq!(Rates::parse("1.5M").unwrap().length(), None);
        let ramp = Rates::parse("1k..50k/30s").unwrap();
        assert_eq!(ramp.length(), Some(Duration::from_secs(30)));
        let steps = Rates::parse("1k/10s, 2k/500ms").unwrap();
        assert_eq!(steps.length(), Some(Duration::from_millis(10_500)));
        for wrong in [
            "",
            "k",
            "-1",
            "0",
            "1k..2k",
            "1k,2k",
            "1k/0s",
            "1k/10s,0/1s",
            "nan",
            "inf",
            "2G",
            "1k/ten",
        ] {
            assert!(Rates::parse(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn a_ramp_is_due_where_its_area_says() {
        let timeline = Rates::parse("0..1k/10s").unwrap().timeline(Duration::ZERO);
        assert!((timeline.due_by(10 * SECOND) - 5000.0).abs() < 1e-6);
        assert!((timeline.due_by(5 * SECOND) - 1250.0).abs() < 1e-6);
        // Afterwards the last rate is held.
        assert!((timeline.due_by(11 * SECOND) - 6000.0).abs() < 1e-6);
    }

    #[test]
    fn due_times_are_the_inverse_of_what_is_due() {
        for text in [
            "7",
            "50k",
            "1k..50k/3s",
            "50k..10/3s",
            "0..9/1s,100/2s,3..0/1s,5/1s",
        ] {
            let timeline = Rates::parse(text)
                .unwrap()
                .timeline(Duration::from_millis(300));
            let mut before = 0;
            for step in 0..2000 {
                let number = f64::from(step) * 1.7;
                let at = timeline.due_at(number);
                assert!(at >= before, "{text}: message {number}");
                before = at;
                let back = timeline.due_by(at);
                assert!((back - number).abs() < 1e-3, "{text}: {number} and {back}");
            }
        }
    }

    #[test]
    fn even_streams_share_one_even_schedule() {
        let mut random = Random::new(1, 0);
        let timeline = Rates::constant(1000.0).timeline(Duration::ZERO);
        let mut due: Vec<u64> = Vec::new();
        for index in 0..3 {
            let mut stream = Stream::new(Arrivals::Even, index, 3, &mut random);
            for _ in 0..5 {
                due.push(stream.due(&timeline));
                stream.advance(&mut random);
            }
        }
        due.sort_unstable();
        let expected: Vec<u64> = (0..15).map(|number| number * 1_000_000).collect();
        assert_eq!(due, expected);
    }

    #[test]
    fn poisson_streams_have_exponential_distances() {
        let mut random = Random::new(2, 0);
        let timeline = Rates::constant(1e6).timeline(Duration::ZERO);
        let mut stream = Stream::new(Arrivals::Poisson, 0, 1, &mut random);
        let mut distances = Vec::new();
        let mut last = 0;
        for _ in 0..200_000 {
            let due = stream.due(&timeline);
            distances.push((due - last) as f64);
            last = due;
            stream.advance(&mut random);
        }
        let mean = distances.iter().sum::<f64>() / distances.len() as f64;
        let variance =
            distances.iter().map(|d| (d - mean).powi(2)).sum::<f64>() / distances.len() as f64;
        assert!((mean - 1000.0).abs() < 10.0, "{mean}");
        assert!((variance.sqrt() / mean - 1.0).abs() < 0.02, "{variance}");
    }
}
