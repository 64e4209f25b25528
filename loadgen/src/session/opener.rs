//! Opens connections, so many at a time and so many a second, and hands out those that stand.

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use socket2::Socket;

use super::crowd::{Crowd, Ready};
use super::{Crew, OPEN_TIMEOUT_NS, Task, WAIT};
use crate::dial::Opened;
use crate::dial::options::PaceOptions;
use crate::dial::standing::{Standing, Waiting};
use crate::wire::failure::Failure;

/// Time before a connection that could not be made again is tried once more.
const REST_NS: u64 = 100_000_000;

/// Lets connections begin to be opened.
pub(crate) struct Gate {
    /// Those that have not begun, and when each may, in this order.
    waiting: VecDeque<(u64, usize)>,
    under_way: usize,
    under_way_max: usize,
}

impl Gate {
    /// For connections of these numbers, the first of which may begin at `now`, as one of `gates` that share what
    /// the options allow.
    pub(crate) fn new(
        ordinals: impl Iterator<Item = usize>,
        pace: &PaceOptions,
        gates: usize,
        now: u64,
    ) -> Gate {
        // By the number within the command, so that all gates together keep the rate.
        let due = |ordinal| match pace.connect_rate {
            Some(rate) => now + (ordinal as f64 / rate * 1e9) as u64,
            None => now,
        };
        let waiting: VecDeque<_> = ordinals.map(|ordinal| (due(ordinal), ordinal)).collect();
        Gate {
            under_way: 0,
            under_way_max: (pace.connecting / gates).min(waiting.len()).max(1),
            waiting,
        }
    }

    /// A connection that may begin now.
    pub(crate) fn next(&mut self, now: u64) -> Option<usize> {
        self.next_due().filter(|due| *due <= now)?;
        self.under_way += 1;
        self.waiting.pop_front().map(|(_, ordinal)| ordinal)
    }

    /// When the next may begin, if that does not depend on others.
    pub(crate) fn next_due(&self) -> Option<u64> {
        let next = self.waiting.front().map(|(due, _)| *due);
        next.filter(|_| self.under_way < self.under_way_max)
    }

    /// One that had begun stands, or never will.
    pub(crate) fn is_through(&mut self) {
        self.under_way -= 1;
    }

    fn is_idle(&self) -> bool {
        self.waiting.is_empty() && self.under_way == 0
    }
}

/// A connection of the run by its number, which stands or never will.
pub(crate) type Through = (usize, Result<(Socket, Opened), Failure>);

/// Connections of one thread that are being opened.
pub(crate) struct Opener<'a> {
    crew: Crew,
    crowd: Crowd,
    gate: Gate,
    standing: &'a Standing,
    waiting: Waiting,
}

impl<'a> Opener<'a> {
    /// For those that `gate` lets begin; tells `standing` how it goes.
    pub(crate) fn new(crew: Crew, gate: Gate, standing: &'a Standing) -> io::Result<Opener<'a>> {
        standing.ask(gate.waiting.len());
        Ok(Opener {
            crew,
            crowd: Crowd::new(gate.under_way_max)?,
            gate,
            standing,
            waiting: Waiting::default(),
        })
    }

    /// Whether there is nothing left to open.
    pub(crate) fn is_idle(&self) -> bool {
        self.gate.is_idle()
    }

    /// Opens connection `ordinal` once more: at once, or after a rest if that has just failed.
    pub(crate) fn again(&mut self, ordinal: usize, has_failed: bool) {
        let rest = if has_failed { REST_NS } else { 0 };
        let due = self.crew.clock.now() + rest;
        self.gate.waiting.push_back((due, ordinal));
    }

    /// How long [`Opener::turn`] need not be called, unless the descriptor is readable; `None` for ever.
    pub(crate) fn patience(&self) -> Option<Duration> {
        if self.is_idle() {
            return None;
        }
        let now = self.crew.clock.now();
        let due = self.gate.next_due().unwrap_or(u64::MAX);
        Some(Duration::from_nanos(due.saturating_sub(now)).min(WAIT))
    }

    /// Waits for `wait` at most, goes on with what is under way, begins what may begin, and hands out what
    /// stands, or why it never will, by number.
    pub(crate) fn turn(&mut self, wait: Duration) -> io::Result<Vec<Through>> {
        let (mut ready, mut through, mut ended) = (Vec::new(), Vec::new(), Vec::new());
        self.crowd.wait(wait, &mut ready)?;
        for event in ready {
            let Ready::Session(slot) = event else {
                continue;
            };
            ended.extend(self.crowd.advance(slot, &mut self.crew));
            if self
                .crowd
                .session(slot)
                .is_some_and(|session| session.stands())
                && let Some(session) = self.crowd.remove(slot)
                && let (ordinal, Some(made)) = (session.ordinal, session.into_standing())
            {
                self.standing.stood();
                through.push((ordinal, Ok(made)));
            }
        }
        self.publish();
        let seconds = OPEN_TIMEOUT_NS as f64 / 1e9;
        for mut late in self.crowd.expire(&mut self.crew, seconds) {
            if let Err(ending) = &mut late.how {
                let others = self.standing.sentence();
                ending.failure = Failure::Late(format!("{} ({others})", ending.failure));
            }
            ended.push(late);
        }
        through.extend(ended.into_iter().filter_map(|ended| {
            let ordinal = ended.session?.ordinal;
            Some((ordinal, Err(ended.how.err()?.failure)))
        }));
        through.iter().for_each(|_| self.gate.is_through());
        // What failed is told first: the caller may not want the others any more. Until the next turn it counts as
        // waiting, since other threads may be about to say the same of theirs.
        if through.iter().any(|(_, made)| made.is_err()) {
            return Ok(through);
        }
        while let Some(ordinal) = self.gate.next(self.crew.clock.now()) {
            let (crowd, crew, task) = (&mut self.crowd, &self.crew, Task::HandOver);
            let ended = crowd.begin(crew, ordinal, task, u64::MAX, OPEN_TIMEOUT_NS);
            if let Some(Err(ending)) = ended.map(|ended| ended.how) {
                self.gate.is_through();
                through.push((ordinal, Err(ending.failure)));
                break;
            }
        }
        self.publish();
        Ok(through)
    }

    /// Tells what those under way wait for.
    fn publish(&mut self) {
        let mut now = Waiting::default();
        for (_, session) in self.crowd.sessions() {
            now[session.awaits() as usize] += 1;
        }
        self.standing.wait(&self.waiting, &now);
        self.waiting = now;
    }
}

impl AsFd for Opener<'_> {
    /// Readable when something under way can go on.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.crowd.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_begin_than_may_and_none_before_its_time() {
        let pace = PaceOptions {
            connecting: 5,
            connect_rate: Some(1000.0),
        };
        // The second of two threads.
        let mut gate = Gate::new((1..9).step_by(2), &pace, 2, 0);
        let mut begun = |now| gate.next(now);
        assert_eq!(
            [begun(999_999), begun(1_000_000), begun(2_000_000)],
            [None, Some(1), None]
        );
        assert_eq!([begun(9_000_000), begun(9_000_000)], [Some(3), None]);
        assert_eq!(gate.next_due(), None, "it depends on others");
        gate.is_through();
        assert_eq!(
            (gate.next_due(), gate.next(9_000_000)),
            (Some(5_000_000), Some(5))
        );
        let pace = PaceOptions {
            connect_rate: None,
            ..pace
        };
        let mut gate = Gate::new(0..9, &pace, 9, 7);
        assert_eq!(
            (gate.next(7), gate.next(7)),
            (Some(0), None),
            "one at least"
        );
    }
}
