//! What is said to the peer, and what is said last.

use crate::protocol::frame::{CLOSE, PONG};
use crate::protocol::{Ending, Moment};

use super::answers::Answer as Said;
use super::dialogue::Dialogue;
use super::frames::Watch;
use super::framing::Item;
use super::timers::Timers;
use super::{After, Behaviour, End, Message, Source, Stage, WAIT_MAX, end};

impl Behaviour {
    pub(super) fn is_silent(&self) -> bool {
        self.ask.source == Source::Silent
    }

    /// Answers what the session would.
    pub(super) fn answer(&mut self, said: Said, now: Moment) {
        match said {
            Said::Message(message) => match self.ask.source {
                Source::Broadcast { .. } => {
                    self.for_room_cost += message.cost();
                    self.for_room.push_back(message);
                }
                Source::Silent => {}
                _ => {
                    if let Some(told) = self.watch.as_mut().and_then(Watch::next) {
                        self.outlet.pace.answer(Item::text(told), now);
                    }
                    self.echo(message, now);
                }
            },
            Said::Pong(payload) => {
                if !self.ask.no_pong && !self.is_silent() {
                    self.outlet.pace.answer(Item::frame(PONG, &payload), now);
                }
            }
            Said::Close(_) if self.is_silent() => self.timers.lose_patience_at(now + WAIT_MAX),
            Said::Close(payload) => {
                let close = Item::frame(CLOSE, &payload);
                self.outlet.pace.answer(close, now);
                self.leave([Item::Fin], now);
            }
        }
    }

    /// Answers with a message.
    pub(super) fn echo(&mut self, message: Message, now: Moment) {
        self.say(message, now);
        self.answered = self.answered.saturating_add(1);
        if matches!(self.ask.end, Some((_, After::Messages(count))) if count == self.answered) {
            self.end(now);
        }
    }

    pub(super) fn say(&mut self, message: Message, now: Moment) {
        let message = self.change.apply(message);
        self.outlet.pace.answer(Item::Message(message), now);
    }

    /// Ends as was asked for.
    pub(super) fn end(&mut self, now: Moment) {
        let Some((end, after)) = self.ask.end.take() else {
            return;
        };
        match (end, after) {
            (End::Close { code, reason }, _) => {
                self.leave([end::close(code, &reason), Item::Fin], now);
            }
            (End::Reset, after) => {
                if matches!(after, After::Time(_)) {
                    self.outlet.drop_all();
                }
                self.leave([Item::Reset], now);
            }
            (End::HalfClose, _) => self.fall_silent(Item::HalfClose, now),
            (End::Bad(bad), _) => self.fall_silent(Item::Bytes(end::malformed(bad).to_vec()), now),
        }
    }

    /// Closes for a reason that is the server's.
    pub(super) fn close(&mut self, ending: Ending, now: Moment) {
        let gives_reasons = self.dialogue.as_ref().is_some_and(Dialogue::gives_reasons);
        let reason = if gives_reasons { ending.reason() } else { "" };
        if self.is_silent() {
            self.leave([Item::Fin], now);
        } else {
            self.leave([end::close(Some(ending.code()), reason), Item::Fin], now);
        }
    }

    /// Says the last, and listens on.
    fn fall_silent(&mut self, last: Item, now: Moment) {
        self.outlet.pace.push(last, now);
        self.stage = Stage::Listening;
        self.timers.stop();
        self.watch = None;
    }

    /// Says the last behind what is owed.
    pub(super) fn leave(&mut self, last: impl IntoIterator<Item = Item>, now: Moment) {
        for item in last {
            self.outlet.pace.push(item, now);
        }
        self.stage = Stage::Leaving;
        self.timers = Timers::default();
        self.watch = None;
    }
}
