//! Numbers that are told apart by a label. Which values a label has is known beforehand, so that no peer can make them
//! many.

use std::borrow::Cow;
use std::marker::PhantomData;

use super::counter::Counter;
use super::table::{Counted, Sample, Value};
use crate::protocol::close::{CloseCode, Violation};

/// The most values that a label may have.
const VALUES_MAX: usize = 24;

/// What a label's values stand for.
pub trait Labels: Copy {
    /// The label.
    const NAME: &'static str;
    /// Its values.
    const VALUES: &'static [&'static str];

    /// Which of them it is.
    fn index(self) -> usize;
}

/// A number for each value of a label.
#[derive(Debug)]
pub struct By<L> {
    counters: [Counter; VALUES_MAX],
    label: PhantomData<L>,
}

impl<L> Default for By<L> {
    fn default() -> Self {
        By {
            counters: Default::default(),
            label: PhantomData,
        }
    }
}

impl<L: Labels> By<L> {
    /// The number for `what`.
    #[inline]
    pub fn at(&self, what: L) -> &Counter {
        const { assert!(L::VALUES.len() <= VALUES_MAX) };
        &self.counters[what.index()]
    }

    /// Each value, and its number.
    fn each(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let numbers = self.counters.iter().map(Counter::get);
        L::VALUES.iter().copied().zip(numbers)
    }

    /// The sum of all.
    pub fn sum(&self) -> u64 {
        self.each().map(|(_, count)| count).sum()
    }
}

impl<L: Labels> Counted for By<L> {
    const LABELS: &'static [&'static str] = &[L::NAME];

    fn samples(&self) -> Vec<Sample> {
        let sample = |(value, count)| Sample::new([value], Value::Whole(count));
        self.each().map(sample).collect()
    }
}

/// How far a connection is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Its request has not been answered.
    Handshake,
    /// Messages come and go.
    Open,
    /// Its dialogue is over, and something is still to be sent, or its end to come.
    Closing,
}

impl Labels for Stage {
    const NAME: &'static str = "state";
    const VALUES: &'static [&'static str] = &["handshake", "open", "closing"];

    #[inline]
    fn index(self) -> usize {
        self as usize
    }
}

/// What those entrances are called together that are not counted apart.
const OTHER: &str = "other";

/// Connections by the entrance they came in by, and by how far they are.
#[derive(Debug)]
pub struct Stages(Vec<(Cow<'static, str>, By<Stage>)>);

impl Default for Stages {
    fn default() -> Self {
        Stages::new(Vec::new())
    }
}

impl Stages {
    /// Of entrances with these names, which must differ, and of all others.
    pub(super) fn new(entrances: Vec<String>) -> Self {
        let named = entrances.into_iter().map(Cow::<str>::Owned);
        let all = named.chain([Cow::Borrowed(OTHER)]);
        Stages(all.map(|name| (name, By::default())).collect())
    }

    /// Of the entrance of that number.
    pub fn of(&self, entrance: u16) -> &By<Stage> {
        let last = self.0.len() - 1;
        &self.0[usize::from(entrance).min(last)].1
    }
}

impl Counted for Stages {
    const LABELS: &'static [&'static str] = &["entrance", Stage::NAME];

    fn samples(&self) -> Vec<Sample> {
        let of = |(name, stages): &(Cow<'static, str>, By<Stage>)| {
            let one = |(stage, count)| Sample {
                labels: vec![name.clone(), Cow::Borrowed(stage)],
                value: Value::Whole(count),
            };
            stages.each().map(one).collect::<Vec<_>>()
        };
        self.0.iter().flat_map(of).collect()
    }
}

/// What was waited for in vain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Waited {
    /// The end of a request head.
    Handshake,
    /// A sign of life.
    Idle,
    /// An acknowledgement of what is owed.
    Stall,
    /// The peer's FIN.
    Linger,
    /// The end of a frame, in a drain.
    Drain,
}

impl Labels for Waited {
    const NAME: &'static str = "timer";
    const VALUES: &'static [&'static str] = &["handshake", "idle", "stall", "linger", "drain"];

    fn index(self) -> usize {
        self as usize
    }
}

/// The status of a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Status(
    /// Its code.
    pub u16,
);

impl Labels for Status {
    const NAME: &'static str = "status";
    const VALUES: &'static [&'static str] = &[
        "101", "400", "401", "403", "404", "405", "408", "414", "421", "426", "429", "431", "501",
        "503", "505", "other",
    ];

    fn index(self) -> usize {
        place(Self::VALUES, self.0)
    }
}

/// Where a number stands among such values, of which the last is for all others.
fn place(values: &[&str], number: u16) -> usize {
    // Without the care of `str::parse`, which would be most of what counting a refusal costs. `none` reads as more than
    // a number here can be.
    let read = |value: &&str| {
        value.bytes().fold(0, |read, digit| {
            10 * read + i32::from(digit) - i32::from(b'0')
        })
    };
    let is_it = |value: &&str| read(value) == i32::from(number);
    let numbers = values.len() - 1;
    values[..numbers].iter().position(is_it).unwrap_or(numbers)
}

/// The code of a Close, if it has one.
impl Labels for Option<CloseCode> {
    const NAME: &'static str = "code";
    const VALUES: &'static [&'static str] = &[
        "none", "1000", "1001", "1002", "1003", "1007", "1008", "1009", "1010", "1011", "1012",
        "1013", "1014", "other",
    ];

    fn index(self) -> usize {
        self.map_or(0, |code| place(Self::VALUES, code.to_wire()))
    }
}

impl Labels for Violation {
    const NAME: &'static str = "kind";
    const VALUES: &'static [&'static str] = &{
        let mut values = [""; Violation::ALL.len()];
        let mut index = 0;
        while index < values.len() {
            values[index] = Violation::ALL[index].reason();
            index += 1;
        }
        values
    };

    fn index(self) -> usize {
        self as usize
    }
}

/// Closes that began a closing.
#[derive(Debug, Default)]
pub struct Closes {
    /// Of peers.
    pub peer: By<Option<CloseCode>>,
    /// Of the server.
    pub server: By<Option<CloseCode>>,
}

impl Counted for Closes {
    const LABELS: &'static [&'static str] = &["by", "code"];

    fn samples(&self) -> Vec<Sample> {
        let of = |by, closes: &By<Option<CloseCode>>| {
            let samples = closes
                .each()
                .map(|(code, count)| Sample::new([by, code], Value::Whole(count)));
            samples.collect::<Vec<_>>()
        };
        [of("peer", &self.peer), of("server", &self.server)].concat()
    }
}

/// What a frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opcode {
    /// Text, compressed or not.
    Text,
    /// Binary.
    Binary,
    /// Ping.
    Ping,
    /// Pong.
    Pong,
    /// Close.
    Close,
}

impl Labels for Opcode {
    const NAME: &'static str = "opcode";
    const VALUES: &'static [&'static str] = &["text", "binary", "ping", "pong", "close"];

    #[inline]
    fn index(self) -> usize {
        self as usize
    }
}

/// Something of messages, by direction and opcode. What goes back as it came is counted once, for both directions.
#[derive(Debug, Default)]
pub struct Messages {
    echoed: By<Opcode>,
    received_alone: By<Opcode>,
    sent_alone: By<Opcode>,
}

impl Messages {
    /// Of what comes in and goes out again.
    #[inline]
    pub fn echoed(&self, opcode: Opcode) -> &Counter {
        self.echoed.at(opcode)
    }

    /// Of what comes in and is answered otherwise, or not.
    #[inline]
    pub fn received_alone(&self, opcode: Opcode) -> &Counter {
        self.received_alone.at(opcode)
    }

    /// Of what goes out and did not come in so.
    #[inline]
    pub fn sent_alone(&self, opcode: Opcode) -> &Counter {
        self.sent_alone.at(opcode)
    }

    /// All that came in.
    pub fn received(&self, opcode: Opcode) -> u64 {
        self.echoed.at(opcode).get() + self.received_alone.at(opcode).get()
    }

    /// All that went out.
    pub fn sent(&self, opcode: Opcode) -> u64 {
        self.echoed.at(opcode).get() + self.sent_alone.at(opcode).get()
    }
}

impl Counted for Messages {
    const LABELS: &'static [&'static str] = &["direction", "opcode"];

    fn samples(&self) -> Vec<Sample> {
        let of = |direction, alone: &By<Opcode>| {
            let both = self.echoed.each().zip(alone.each());
            let samples = both.map(|((opcode, echoed), (_, alone))| {
                Sample::new([direction, opcode], Value::Whole(echoed + alone))
            });
            samples.collect::<Vec<_>>()
        };
        [of("in", &self.received_alone), of("out", &self.sent_alone)].concat()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_value_has_its_place() {
        for (index, violation) in Violation::ALL.iter().enumerate() {
            assert_eq!(violation.index(), index, "{violation:?}");
        }
        assert_eq!(Status::VALUES[Status(503).index()], "503");
        assert_eq!(Status::VALUES[Status(200).index()], "other");
        let code = |code| Option::<CloseCode>::VALUES[CloseCode::from_wire(code).index()];
        assert_eq!(code(1001), "1001");
        assert_eq!(code(4000), "other");
        assert_eq!(
            Option::<CloseCode>::VALUES[None::<CloseCode>.index()],
            "none"
        );
    }
}
