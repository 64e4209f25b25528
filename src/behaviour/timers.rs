//! What happens by itself, and when.

use std::time::Duration;

use crate::protocol::{CloseCode, Ending, Moment};

use super::framing::Item;
use super::{After, Ask, Behaviour, Message, Source, Stage, end};

/// What a time is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Timer {
    /// The session's deadline.
    Session,
    /// What is kept together has to go.
    Together,
    /// The next Ping.
    Ping,
    /// The next number.
    Count,
    /// The end that was asked for.
    End,
    /// The end of who was told nothing.
    Patience,
}

/// Something that happens again and again.
#[derive(Clone, Copy, Debug)]
struct Repeated {
    due: Moment,
    every: Duration,
}

impl Repeated {
    /// Goes on to the next time. What was missed is not made up for.
    fn again(&mut self, now: Moment) {
        let next = self.due + self.every;
        self.due = if next > now { next } else { now + self.every };
    }
}

/// Numbers, from 1 on.
#[derive(Clone, Copy, Debug)]
struct Count {
    next: u32,
    last: u32,
    ticks: Repeated,
}

/// The times that a behaviour has set.
#[derive(Debug, Default)]
pub(super) struct Timers {
    ping: Option<Repeated>,
    count: Option<Count>,
    end: Option<Moment>,
    patience: Option<Moment>,
}

impl Timers {
    /// Sets the times that were asked for, of a connection whose 101 is sent at `opened`.
    pub(super) fn start(&mut self, ask: &Ask, opened: Moment) {
        let repeated = |every| Repeated {
            due: opened + every,
            every,
        };
        self.ping = ask.ping.as_ref().map(|(every, _)| repeated(*every));
        if let Source::Count { n, every } = ask.source {
            self.count = Some(Count {
                next: 1,
                last: n,
                ticks: repeated(every),
            });
        }
        if let Some((_, After::Time(time))) = ask.end {
            self.end = Some(opened + time);
        }
    }

    /// Who is told nothing is given up at that moment.
    pub(super) fn lose_patience_at(&mut self, due: Moment) {
        self.patience = Some(due);
    }

    /// Nothing is said by itself any more. Who is told nothing is given up all the same.
    pub(super) fn stop(&mut self) {
        *self = Timers {
            patience: self.patience,
            ..Timers::default()
        };
    }

    /// A Ping was sent.
    pub(super) fn ping_again(&mut self, now: Moment) {
        if let Some(ping) = &mut self.ping {
            ping.again(now);
        }
    }

    /// The number that is due, and whether it is the last.
    pub(super) fn count(&mut self, now: Moment) -> Option<(u32, bool)> {
        let count = self.count.as_mut()?;
        let number = count.next;
        count.next += 1;
        count.ticks.again(now);
        Some((number, number >= count.last))
    }

    /// All that are set.
    pub(super) fn iter(&self) -> impl Iterator<Item = (Moment, Timer)> {
        let all = [
            (self.ping.map(|ping| ping.due), Timer::Ping),
            (self.count.map(|count| count.ticks.due), Timer::Count),
            (self.end, Timer::End),
            (self.patience, Timer::Patience),
        ];
        all.into_iter()
            .filter_map(|(due, timer)| Some((due?, timer)))
    }
}

impl Behaviour {
    /// Lets happen what is due.
    pub(super) fn advance(&mut self, now: Moment) {
        while let Some((due, timer)) = self.next_timer()
            && due <= now
        {
            self.fire(timer, due, now);
        }
    }

    /// The timer that is due first, of those that may fire as things stand.
    pub(super) fn next_timer(&self) -> Option<(Moment, Timer)> {
        let together = self.outlet.pace.together_until();
        let session = match (&self.dialogue, self.stage) {
            (Some(dialogue), Stage::Talking | Stage::Listening) => dialogue.deadline(),
            _ => None,
        };
        // No numbers are made for who does not read.
        let has_room = self.outlet.has_room();
        let own = self.timers.iter();
        let own = own.filter(|(_, timer)| *timer != Timer::Count || has_room);
        let others = [(session, Timer::Session), (together, Timer::Together)];
        let others = others
            .into_iter()
            .filter_map(|(due, timer)| Some((due?, timer)));
        own.chain(others).min_by_key(|(due, _)| *due)
    }

    fn fire(&mut self, timer: Timer, due: Moment, now: Moment) {
        match timer {
            Timer::Session => self.pass_deadline(now),
            Timer::Together => self.outlet.pace.let_go(due),
            Timer::Patience => self.leave([Item::Fin], due),
            Timer::End => self.end(due),
            Timer::Ping => {
                if let Some((_, payload)) = &self.ask.ping {
                    self.outlet.ping(payload.as_bytes());
                }
                self.timers.ping_again(now);
            }
            Timer::Count => {
                if let Some((number, is_last)) = self.timers.count(now) {
                    self.say(Message::text(number.to_string()), due);
                    if is_last {
                        let close = end::close(Some(CloseCode::NORMAL), "");
                        self.leave([close, Item::Fin], due);
                    }
                }
            }
        }
    }

    /// The session has waited for long enough.
    fn pass_deadline(&mut self, now: Moment) {
        let is_owed_or_unheard = self.outlet.owes() || self.is_unheard;
        let Some(dialogue) = &mut self.dialogue else {
            return;
        };
        if is_owed_or_unheard {
            // Whoever has not got all may well be waiting; whether it reads is seen by who sends. And of one that is not
            // read from silence says nothing.
            dialogue.heard(now);
        } else if !dialogue.pass_deadline(now) {
            if self.stage == Stage::Talking && !self.is_silent() {
                self.outlet.ping(b"");
            }
        } else if self.stage == Stage::Talking {
            self.close(Ending::Idle, now);
        } else {
            self.leave([Item::Fin], now);
        }
    }
}
