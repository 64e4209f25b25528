//! What a peer reads, checked against the oracle as it comes.

use crate::support::compare::{Freedom, same};
use crate::support::event::{CloseSeen, Event, Message, Outcome};
use crate::support::{replies, request};

/// What a server says that goes down, or has waited long enough.
pub(crate) const GOING_AWAY: CloseSeen = CloseSeen::Code(1001);

/// What a peer must see.
#[derive(Clone, Debug)]
pub(crate) enum Expected {
    /// What it has sent (RFC 862).
    Itself,
    /// Any refusal.
    Refusal,
    /// A 101, then this. Two outcomes where a fault may be answered early or late.
    Frames(Box<[Outcome; 2]>),
}

/// How far the answer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    Head,
    /// Refused with this status.
    Refused(u16),
    Frames,
    Echo,
}

/// A frame of which the header has come.
#[derive(Debug)]
struct Frame {
    first: u8,
    remaining: u64,
}

/// Everything that one peer has read.
#[derive(Debug)]
pub(crate) struct Reader {
    expected: Expected,
    freedom: Freedom,
    /// What is agreed to.
    extensions: Option<&'static str>,
    pub(crate) stage: Stage,
    /// The head, and then all that came behind it.
    received: Vec<u8>,
    /// Up to where `received` has been checked.
    checked: usize,
    frame: Option<Frame>,
    control: Vec<u8>,
    /// How much of the open message has come.
    open: Option<usize>,
    /// How many of the expected events have come.
    pub(crate) events: usize,
    pub(crate) close: Option<CloseSeen>,
}

impl Reader {
    pub(crate) fn new(
        expected: Expected,
        extensions: Option<&'static str>,
        freedom: Freedom,
    ) -> Self {
        let stage = match expected {
            Expected::Itself => Stage::Echo,
            Expected::Refusal | Expected::Frames(_) => Stage::Head,
        };
        Reader {
            expected,
            extensions,
            freedom,
            stage,
            received: Vec::new(),
            checked: 0,
            frame: None,
            control: Vec::new(),
            open: None,
            events: 0,
            close: None,
        }
    }

    /// Bytes that have come in all, without the head of a 101.
    pub(crate) fn received(&self) -> usize {
        self.received.len()
    }

    fn outcome(&self) -> Option<&Outcome> {
        match &self.expected {
            Expected::Frames(outcomes) => Some(&outcomes[0]),
            Expected::Itself | Expected::Refusal => None,
        }
    }

    /// Whether the script ends with a Close.
    pub(crate) fn expects_close(&self) -> bool {
        let ends = |outcomes: &[Outcome; 2]| outcomes.iter().all(|it| it.close.is_some());
        match &self.expected {
            Expected::Frames(outcomes) => ends(outcomes),
            Expected::Refusal => true,
            Expected::Itself => false,
        }
    }

    /// Whether a frame has begun whose end has not come.
    pub(crate) fn is_inside(&self) -> bool {
        self.frame.is_some()
    }

    /// Whether the script itself ends with this Close.
    pub(crate) fn is_owed(&self, close: CloseSeen) -> bool {
        self.outcome().is_some_and(|it| it.close == Some(close))
    }

    /// Whether everything has come that follows from `sent`, all that the peer has to say.
    pub(crate) fn is_complete(&self, sent: &[u8]) -> bool {
        match (&self.expected, self.stage) {
            (Expected::Itself, _) => self.received.len() == sent.len(),
            (Expected::Frames(outcomes), Stage::Frames) => {
                self.events == outcomes[0].events.len()
                    && (self.close.is_some() || !self.expects_close())
            }
            (Expected::Refusal, Stage::Refused(_)) => true,
            _ => false,
        }
    }

    /// Takes in `bytes`, of which none may be anything but the answer to `sent`.
    pub(crate) fn take(&mut self, bytes: &[u8], sent: &[u8]) -> Result<(), String> {
        self.received.extend_from_slice(bytes);
        match self.stage {
            Stage::Echo if sent.starts_with(&self.received) => Ok(()),
            Stage::Echo => Err("not what was sent".into()),
            Stage::Head => self.take_head(),
            Stage::Refused(_) => Ok(()),
            Stage::Frames => self.take_frames(),
        }
    }

    fn take_head(&mut self) -> Result<(), String> {
        let Some(response) = request::read(&self.received) else {
            return Ok(());
        };
        if response.status != 101 {
            self.stage = Stage::Refused(response.status);
            return Ok(());
        }
        if !matches!(self.expected, Expected::Frames(_)) {
            return Err("101 for a request that is none".into());
        }
        response.assert_switched_with(self.extensions);
        self.received = response.rest;
        self.stage = Stage::Frames;
        self.take_frames()
    }

    fn take_frames(&mut self) -> Result<(), String> {
        while self.checked < self.received.len() {
            if self.close.is_some() {
                return Err("bytes behind the Close".into());
            }
            if let Some(frame) = &mut self.frame {
                let here = (self.received.len() - self.checked) as u64;
                let count = frame.remaining.min(here);
                frame.remaining -= count;
                self.take_payload(count as usize)?;
            } else if !self.take_header()? {
                return Ok(());
            }
            if self.frame.as_ref().is_some_and(|it| it.remaining == 0) {
                self.end_frame()?;
            }
        }
        Ok(())
    }

    /// Whether a header was there.
    fn take_header(&mut self) -> Result<bool, String> {
        let (first, length, count) = match &self.received[self.checked..] {
            [_, second, ..] if second & 0x80 != 0 => return Err("a masked frame".into()),
            [first, 126, high, low, ..] => {
                (*first, u64::from(u16::from_be_bytes([*high, *low])), 4)
            }
            [first, 127, rest @ ..] if rest.len() >= 8 => {
                let length = rest[..8]
                    .iter()
                    .fold(0, |all, byte| all << 8 | u64::from(*byte));
                (*first, length, 10)
            }
            [_, 126 | 127, ..] => return Ok(false),
            [first, length, ..] => (*first, u64::from(*length), 2),
            _ => return Ok(false),
        };
        let compressed = first & 0x40 != 0;
        let right = match first & 0x7f {
            0 => self.open.is_some(),
            1 | 2 | 0x41 | 0x42 => self.open.is_none(),
            8..=10 => first & 0x80 != 0 && length <= 125,
            _ => false,
        };
        if !right {
            return Err(format!("a frame out of place: {first:#x}, {length} bytes"));
        }
        self.checked += count;
        self.frame = Some(Frame {
            first,
            remaining: length,
        });
        if matches!(first & 0x0f, 1 | 2) {
            self.open = Some(0);
            let Some(message) = self.message() else {
                return Err("a message that nobody asked for".into());
            };
            if (message.text, message.compressed) != (first & 0x0f == 1, compressed) {
                return Err("a message of another kind".into());
            }
        }
        Ok(true)
    }

    /// The message that is open, or would come next.
    fn message(&self) -> Option<&Message> {
        let outcome = self.outcome()?;
        let mut events = outcome.events[self.events..].iter();
        let next = events.find_map(|event| match event {
            Event::Message(message) => Some(message),
            Event::Pong { .. } | Event::Ping(_) => None,
        });
        next.or(outcome.partial.as_ref())
    }

    fn take_payload(&mut self, count: usize) -> Result<(), String> {
        let range = self.checked..self.checked + count;
        self.checked = range.end;
        let control = self.frame.as_ref().is_some_and(|it| it.first & 8 != 0);
        if control {
            self.control.extend_from_slice(&self.received[range]);
            return Ok(());
        }
        let start = self.open.unwrap_or(0);
        let wanted = self.message().map_or(&[][..], |message| &message.bytes);
        if wanted.get(start..start + count) != Some(&self.received[range]) {
            return Err(format!("bytes {start} and on of a message are not its own"));
        }
        self.open = Some(start + count);
        Ok(())
    }

    fn end_frame(&mut self) -> Result<(), String> {
        let Some(frame) = self.frame.take() else {
            return Ok(());
        };
        let payload = std::mem::take(&mut self.control);
        let next = self.outcome().and_then(|it| it.events.get(self.events));
        match frame.first {
            0x88 => {
                let close = match payload[..] {
                    [high, low, ..] => CloseSeen::Code(u16::from_be_bytes([high, low])),
                    [] => CloseSeen::Empty,
                    [_] => return Err("a Close of one byte".into()),
                };
                let owed = self.outcome().and_then(|it| it.close);
                // Whether the server might go away is judged elsewhere.
                if close != GOING_AWAY && (next.is_some() || owed != Some(close)) {
                    return Err(format!("{close:?} instead of {next:?}, {owed:?}"));
                }
                self.close = Some(close);
            }
            0x89 => {}
            0x8a => match next {
                Some(Event::Pong { payload: owed, .. }) if *owed == payload => self.events += 1,
                _ => return Err(format!("a Pong instead of {next:?}")),
            },
            first if first & 0x80 != 0 => match next {
                Some(Event::Message(owed)) if Some(owed.bytes.len()) == self.open => {
                    self.open = None;
                    self.events += 1;
                }
                _ => return Err(format!("the end of a message instead of {next:?}")),
            },
            _ => {}
        }
        Ok(())
    }

    /// Everything once more, by a reader of its own: what has come is all that follows from the script.
    pub(crate) fn check_whole(&self) -> Result<(), String> {
        match (&self.expected, self.stage) {
            (_, Stage::Refused(status)) => {
                let response = request::read(&self.received).ok_or("no response")?;
                response.assert_refused(status);
                Ok(())
            }
            (Expected::Frames(outcomes), Stage::Frames) => {
                let mut seen = replies::read_extended(&self.received, self.extensions.is_some())?;
                let events = &mut seen.outcome.events;
                events.retain(|event| !matches!(event, Event::Ping(_)));
                same(&seen, &outcomes[0], self.freedom)
                    .or_else(|why| same(&seen, &outcomes[1], self.freedom).map_err(|_| why))
            }
            _ => Ok(()),
        }
    }
}
