//! The way out: what is due becomes bytes, which leave at once or in drops.

use crate::protocol::Moment;
use crate::protocol::frame::PING;

use super::framing::{Item, Writing};
use super::pace::Pace;
use super::{Ask, Drip, Transmit};

/// How much is made ready to be sent at once, in bytes.
const READY_BYTES_MAX: usize = 64 * 1024;

/// So much may be owed and not sent, in bytes, before no more is taken in.
const OWED_BYTES_MAX: usize = 1 << 20;

/// All that is to be sent.
#[derive(Debug)]
pub(super) struct Outlet {
    pub(super) pace: Pace,
    fragment: Option<usize>,
    drops: Option<Drops>,
    /// Taken from the queue, and not all of it made ready.
    writing: Option<Writing>,
    /// A Ping that goes before what waits.
    ping: Option<Vec<u8>>,
    /// Ready, and sent up to `sent`.
    ready: Vec<u8>,
    sent: usize,
    /// Whether what is ready is the answer to the request.
    is_opening: bool,
    end: Option<Item>,
}

/// The pieces in which bytes leave.
#[derive(Debug)]
struct Drops {
    drip: Drip,
    /// How much of the present piece is not sent.
    rest: usize,
    next: Moment,
}

impl Outlet {
    pub(super) fn new(ask: &Ask, seed: u64) -> Self {
        Outlet {
            pace: Pace::new(ask, seed),
            fragment: ask.fragment,
            drops: ask.drip.map(|drip| Drops {
                drip,
                rest: 0,
                next: Moment::default(),
            }),
            writing: None,
            ping: None,
            ready: Vec::new(),
            sent: 0,
            is_opening: false,
            end: None,
        }
    }

    /// What is to be done.
    pub(super) fn transmit(&mut self, now: Moment) -> Transmit<'_> {
        if self.unsent() == 0 {
            self.ready.clear();
            self.sent = 0;
            self.make_ready(now);
        }
        let unsent = self.unsent();
        if unsent > 0 {
            let count = match &mut self.drops {
                Some(drops) if !self.is_opening => drops.open(unsent, now),
                _ => unsent,
            };
            return match count {
                0 => Transmit::Nothing,
                _ => Transmit::Bytes(&self.ready[self.sent..][..count]),
            };
        }
        // Whoever waits keeps no memory for it.
        self.ready = Vec::new();
        match self.end {
            Some(Item::Fin) => Transmit::Fin,
            Some(Item::Reset) => Transmit::Reset,
            Some(_) => {
                self.end = None;
                Transmit::HalfClose
            }
            None => Transmit::Nothing,
        }
    }

    /// So many bytes were sent.
    pub(super) fn sent(&mut self, count: usize) {
        let count = count.min(self.unsent());
        self.sent += count;
        let is_empty = self.unsent() == 0;
        if let Some(drops) = &mut self.drops {
            drops.rest = if is_empty {
                0
            } else {
                drops.rest.saturating_sub(count)
            };
        }
    }

    /// When something is due next, where the socket takes all that is ready.
    pub(super) fn deadline(&self) -> Option<Moment> {
        match &self.drops {
            _ if self.unsent() == 0 => self.pace.next_due(),
            Some(drops) if drops.rest == 0 && !self.is_opening => Some(drops.next),
            _ => None,
        }
    }

    /// Whether the peer waits for something.
    pub(super) fn owes(&self) -> bool {
        self.owed_bytes() > 0 || self.writing.is_some()
    }

    /// Whether more may be owed.
    pub(super) fn has_room(&self) -> bool {
        self.owed_bytes() < OWED_BYTES_MAX
    }

    /// How much is owed, in bytes, of which there is a copy.
    pub(super) fn owed_bytes(&self) -> usize {
        let writing = self.writing.as_ref().map_or(0, Writing::cost);
        self.pace.cost() + writing + self.unsent()
    }

    /// A Ping is sent as soon as one can be: before what waits, and between the fragments of a message. One
    /// that still waits is enough.
    pub(super) fn ping(&mut self, payload: &[u8]) {
        self.ping = Some(payload.to_vec());
    }

    /// Sends what waits without delays or drops. A message that is made as it is sent is cut off: whether a Close
    /// can follow.
    pub(super) fn hurry(&mut self, now: Moment) -> bool {
        self.drops = None;
        self.pace.hurry(now);
        self.pace.retain(|item| !matches!(item, Item::Huge(_)));
        let Some(cut) = self.writing.take_if(|writing| writing.is_huge()) else {
            return true;
        };
        // No message can follow on one that has no end, and nothing on a frame that has none.
        let is_amid_frame = cut.is_amid_frame();
        self.pace.retain(|item| match item {
            Item::Opening(_) | Item::Message(_) | Item::Huge(_) => false,
            Item::Bytes(_) => !is_amid_frame,
            Item::Fin | Item::HalfClose | Item::Reset => true,
        });
        if is_amid_frame {
            self.ping = None;
        }
        !is_amid_frame
    }

    /// Drops what waits and was not begun, except for the answer to the request.
    pub(super) fn forget(&mut self) {
        self.pace.retain(|item| matches!(item, Item::Opening(_)));
    }

    /// Drops all that was not sent, except for the answer to the request.
    pub(super) fn drop_all(&mut self) {
        self.forget();
        (self.writing, self.ping) = (None, None);
        if !self.is_opening {
            self.ready.clear();
            self.sent = 0;
        }
    }

    fn unsent(&self) -> usize {
        self.ready.len() - self.sent
    }

    /// Makes bytes of what is due, as far as there is room for them.
    fn make_ready(&mut self, now: Moment) {
        self.is_opening = false;
        while self.ready.len() < READY_BYTES_MAX && self.end.is_none() {
            let writing = self.writing.as_ref();
            let may_ping = writing.is_none_or(|writing| !writing.is_amid_frame())
                && !self.pace.holds_opening();
            if may_ping && let Some(payload) = self.ping.take() {
                self.put(Item::frame(PING, &payload));
            } else if let Some(mut writing) = self.writing.take() {
                if !writing.write(&mut self.ready, READY_BYTES_MAX) {
                    self.writing = Some(writing);
                }
            } else if let Some(item) = self.pace.pop(now) {
                self.put(item);
                if self.is_opening {
                    return;
                }
            } else {
                return;
            }
        }
    }

    fn put(&mut self, item: Item) {
        match item {
            Item::Opening(bytes) => {
                self.ready = bytes;
                self.is_opening = true;
            }
            Item::Message(message) => {
                self.writing = Some(Writing::message(message, self.fragment));
            }
            Item::Huge(length) => self.writing = Some(Writing::huge(length, self.fragment)),
            Item::Bytes(bytes) => self.ready.extend_from_slice(&bytes),
            Item::Fin | Item::HalfClose | Item::Reset => self.end = Some(item),
        }
    }
}

impl Drops {
    /// How many of `unsent` bytes may leave.
    fn open(&mut self, unsent: usize, now: Moment) -> usize {
        if self.rest == 0 && self.next <= now {
            self.rest = self.drip.bytes;
            self.next = now + self.drip.every;
        }
        self.rest.min(unsent)
    }
}
