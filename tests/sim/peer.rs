//! A peer: it says its script in pieces, reads as it likes, and leaves in one of many ways.

use crate::sim::network::{Line, Network};
use crate::sim::reader::{Expected, Reader, Stage};
use crate::sim::scenario::Scenario;
use crate::sim::script::Script;
use crate::support::compare::Freedom;
use crate::support::random::Random;

/// How it reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reading {
    /// Whatever is there.
    Eager,
    /// This much, and then never again.
    Until(usize),
    /// Not between this many bytes and this moment.
    Pauses(usize, u64),
    /// A few bytes, then not for so long.
    Drips(u64),
}

/// How it leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Leaving {
    /// After the server's FIN.
    Last,
    /// With FIN when it has said everything.
    WhenSaid,
    /// With FIN when it has everything that is owed.
    WhenAnswered,
    /// With RST after so many bytes sent.
    ResetSaid(usize),
    /// With RST after so many bytes read.
    ResetRead(usize),
    /// By closing its socket after so many bytes sent.
    Vanishes(usize),
}

/// How it saw its connection end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    Finished,
    Reset,
}

/// A peer.
#[derive(Debug)]
pub(crate) struct Peer {
    pub(crate) script: Script,
    pub(crate) reader: Reader,
    /// Bytes of the script that are sent.
    pub(crate) sent: usize,
    pub(crate) line: Option<Line>,
    /// How it saw the connection end.
    pub(crate) end: Option<End>,
    /// Its socket is closed.
    pub(crate) over: bool,
    /// It came to harm that the server is not to blame for.
    pub(crate) hurt: bool,
    /// It has sent FIN.
    pub(crate) finished: bool,
    read: usize,
    reading: Reading,
    leaving: Leaving,
    /// It closes once it has seen FIN.
    prompt: bool,
    /// It goes on sending after it has seen FIN.
    talks_on: bool,
    piece_max: usize,
    window: (usize, usize),
    wakes: u64,
    /// Before that it does not read.
    hears: u64,
    pause: u64,
}

impl Peer {
    pub(crate) fn new(random: &mut Random, scenario: &Scenario) -> Self {
        let script = Script::new(random, scenario);
        let long = script.bytes.len();
        let large = |size: usize| size.max(long / 20);
        let freedom = Freedom {
            holds: scenario.is_ample(),
            rewrites: scenario.policy.prefix.is_some(),
        };
        let pause = if scenario.calm {
            3_000_000
        } else {
            200_000_000
        };
        let reading = match random.below(if scenario.heavy { 4 } else { 8 }) {
            0 => Reading::Until(random.within(0..long + 200)),
            1 => Reading::Pauses(random.within(0..long + 200), random.below(pause * 4)),
            2 if random.one_in(2) => Reading::Drips(random.below(pause / 3) + 1),
            _ => Reading::Eager,
        };
        let leaving = match random.below(10) {
            _ if scenario.hoards => Leaving::Last,
            0 | 1 => Leaving::WhenSaid,
            2..=4 => Leaving::WhenAnswered,
            5 => Leaving::ResetSaid(random.within(0..long + 1)),
            6 => Leaving::ResetRead(random.within(1..long + 200)),
            7 => Leaving::Vanishes(random.within(0..long + 1)),
            _ => Leaving::Last,
        };
        // Some say all they have at once.
        let rush = random.one_in(4);
        let window = |random: &mut Random| large(random.pick(&[1, 300, 5000, 70_000, 1 << 20]));
        Peer {
            reader: Reader::new(script.expected.clone(), script.extensions, freedom),
            sent: 0,
            line: None,
            end: None,
            over: false,
            hurt: false,
            finished: false,
            read: 0,
            reading,
            leaving,
            prompt: !random.one_in(6),
            talks_on: random.one_in(2),
            piece_max: if rush {
                1 << 20
            } else {
                large(random.pick(&[1, 7, 100, 1500, 20_000, 1 << 20]))
            },
            window: (if rush { 1 << 20 } else { window(random) }, window(random)),
            hears: 0,
            wakes: random.below(scenario.arrival + 1),
            pause: if random.one_in(3) {
                random.below(pause)
            } else {
                0
            },
            script,
        }
    }

    /// Whether it does all that a server may hope for: it reads, says when it is done, and answers FIN.
    pub(crate) fn is_fair(&self) -> bool {
        let stays = matches!(
            self.leaving,
            Leaving::Last | Leaving::WhenSaid | Leaving::WhenAnswered
        );
        self.reading == Reading::Eager && stays && self.prompt && !self.hurt
    }

    /// Whether it reads whatever there is.
    pub(crate) fn is_eager(&self) -> bool {
        self.reading == Reading::Eager
    }

    /// Whether it has said everything.
    pub(crate) fn has_said_all(&self) -> bool {
        self.sent == self.script.bytes.len()
    }

    /// Whether it has all that is owed to it.
    pub(crate) fn is_answered(&self) -> bool {
        self.reader.is_complete(&self.script.bytes[..self.sent])
    }

    /// Whether it has been let in, as far as it knows.
    pub(crate) fn is_served(&self) -> bool {
        match self.reader.stage {
            Stage::Frames => true,
            Stage::Echo => self.read > 0,
            Stage::Head | Stage::Refused(_) => false,
        }
    }

    /// How many events it has, and how many are owed by what it has said.
    pub(crate) fn balance(&self) -> (usize, usize) {
        let has = match self.script.expected {
            Expected::Itself => self.reader.received(),
            _ => self.reader.events,
        };
        (has, self.owed(self.sent))
    }

    /// How many events are owed by the first `said` bytes.
    pub(crate) fn owed(&self, said: usize) -> usize {
        match self.script.expected {
            Expected::Itself => said,
            _ => self.script.owed(said),
        }
    }

    /// All that matters of it, for a report.
    pub(crate) fn summary(&self) -> String {
        let Peer {
            sent,
            read,
            end,
            over,
            reading,
            leaving,
            prompt,
            window,
            ..
        } = self;
        let (stage, events, close) = (self.reader.stage, self.reader.events, self.reader.close);
        let said = self.script.bytes.len();
        format!(
            "  its peer: said {sent} of {said} bytes, read {read}, {stage:?}, {events} events, \
             closed by {close:?}, saw {end:?}, over {over}, {reading:?}, {leaving:?}, prompt {prompt}, \
             windows {window:?}\n"
        )
    }

    /// When it will do something by itself.
    pub(crate) fn alarm(&self, now: u64) -> Option<u64> {
        let pauses = match self.reading {
            Reading::Pauses(_, until) if self.line.is_some() => until,
            Reading::Drips(_) => self.hears,
            _ => 0,
        };
        let alarms = [self.wakes, pauses];
        let later = alarms.into_iter().filter(|it| !self.over && *it > now);
        later.min()
    }

    /// Does one thing, if there is one to do; what it was.
    pub(crate) fn act(
        &mut self,
        random: &mut Random,
        network: &mut Network,
        winding_up: bool,
    ) -> Result<Option<&'static str>, String> {
        let now = network.clock.now;
        if self.over {
            return Ok(None);
        }
        let Some(line) = self.line else {
            if now < self.wakes {
                return Ok(None);
            }
            let listener = random.within(0..network.queues.len());
            self.line = network.connect(listener, self.window.0, self.window.1);
            return Ok(self.line.map(|_| "connects"));
        };
        if network.connections[line].cut {
            let (there, _) = network.peer_sees(line);
            if self.is_eager() {
                self.take(network, line, there)?;
            }
            self.end = self.end.or(Some(End::Reset));
            return Ok(Some(self.close(network, line, "sees RST")));
        }
        let first = random.below(3);
        for choice in first..first + 3 {
            let done = match choice % 3 {
                0 => self.say(random, network, line),
                1 => self.listen(random, network, line)?,
                _ => self.leave(random, network, line, winding_up),
            };
            if done.is_some() {
                if self.pause > 0 && random.one_in(20) {
                    self.wakes = now + random.below(self.pause);
                }
                return Ok(done);
            }
        }
        Ok(None)
    }

    fn say(
        &mut self,
        random: &mut Random,
        network: &mut Network,
        line: Line,
    ) -> Option<&'static str> {
        let rest = &self.script.bytes[self.sent..];
        let over = self.finished || (self.end.is_some() && !self.talks_on);
        let silent = over || network.clock.now < self.wakes;
        let (_, room) = network.peer_sees(line);
        let max = rest.len().min(room).min(self.piece_max);
        if silent || max == 0 {
            return None;
        }
        let count = if random.one_in(2) {
            max
        } else {
            random.within(1..max + 1)
        };
        self.sent += network.peer_write(line, &rest[..count]).unwrap_or(0);
        Some("says")
    }

    fn listen(
        &mut self,
        random: &mut Random,
        network: &mut Network,
        line: Line,
    ) -> Result<Option<&'static str>, String> {
        if network.peer_at_end(line) && self.end.is_none() {
            self.end = Some(End::Finished);
            return Ok(Some("sees FIN"));
        }
        let (there, _) = network.peer_sees(line);
        let max = match self.reading {
            Reading::Until(bytes) => there.min(bytes.saturating_sub(self.read)),
            Reading::Pauses(bytes, until) if network.clock.now < until => {
                there.min(bytes.saturating_sub(self.read))
            }
            Reading::Drips(_) if network.clock.now < self.hears => 0,
            Reading::Drips(_) => there.min(10 + self.script.bytes.len() / 100),
            Reading::Eager | Reading::Pauses(..) => there,
        };
        if max == 0 {
            return Ok(None);
        }
        if let Reading::Drips(span) = self.reading {
            self.hears = network.clock.now + span;
        }
        let count = if random.one_in(2) {
            max
        } else {
            random.within(1..max + 1)
        };
        self.take(network, line, count)?;
        Ok(Some("hears"))
    }

    fn take(&mut self, network: &mut Network, line: Line, count: usize) -> Result<(), String> {
        self.read += count;
        let bytes = network.peer_read(line, count);
        self.reader.take(&bytes, &self.script.bytes[..self.sent])
    }

    fn leave(
        &mut self,
        random: &mut Random,
        network: &mut Network,
        line: Line,
        winding_up: bool,
    ) -> Option<&'static str> {
        let said_all = self.has_said_all();
        let reset = match self.leaving {
            Leaving::ResetSaid(count) => self.sent >= count,
            Leaving::ResetRead(count) => self.read >= count,
            _ => false,
        };
        if reset || (winding_up && !self.is_eager() && random.one_in(2)) {
            network.peer_reset(line, random.one_in(2));
            self.over = true;
            return Some("sends RST");
        }
        let vanishes = matches!(self.leaving, Leaving::Vanishes(count) if self.sent >= count);
        if vanishes || (winding_up && !self.is_eager()) {
            return Some(self.close(network, line, "vanishes"));
        }
        let quiet = self.finished || said_all || !self.talks_on;
        if self.end.is_some() && quiet && (self.prompt || self.finished || winding_up) {
            return Some(self.close(network, line, "closes"));
        }
        let finishes = match self.leaving {
            _ if self.finished => false,
            _ if winding_up => true,
            Leaving::WhenSaid => said_all,
            Leaving::WhenAnswered => said_all && self.is_answered(),
            _ => false,
        };
        if finishes {
            network.peer_finish(line);
            self.finished = true;
            return Some("sends FIN");
        }
        None
    }

    fn close(&mut self, network: &mut Network, line: Line, what: &'static str) -> &'static str {
        network.peer_close(line);
        self.over = true;
        what
    }
}
