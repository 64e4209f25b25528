//! What happens by itself, and when.

use std::time::Duration;

use crate::protocol::Moment;

use super::{After, Ask, Source};

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
        self.ping = ask.ping.as_ref().map(|(ticker, _)| repeated(ticker.every));
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

    /// Gives up at that moment who is told nothing.
    pub(super) fn lose_patience(&mut self, due: Moment) {
        self.patience = Some(due);
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
