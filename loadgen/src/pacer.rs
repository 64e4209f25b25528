//! When each connection of a thread has its next message of an open loop, or its next ping.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::Arc;
use std::time::Duration;

use crate::payload::Random;
use crate::schedule::{Arrivals, Stream, Timeline};

/// A thread wakes up so long before something is due, and looks at the sockets until then: timers end
/// late, in a virtual machine by some ten microseconds. A sleep shorter than this is not worth it anyway,
/// since going to sleep and waking up costs about as much CPU time.
const POLL_NS: u64 = 50_000;

/// How long to wait for the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Patience {
    /// Until something happens.
    Endless,
    /// So long at most.
    Until(Duration),
    /// Not at all.
    Poll,
}

impl Patience {
    /// Until something is due in `left` nanoseconds.
    pub(crate) fn until(left: u64) -> Patience {
        match left.checked_sub(POLL_NS) {
            None | Some(0) => Patience::Poll,
            Some(sleep) => Patience::Until(Duration::from_nanos(sleep)),
        }
    }
}

/// The open loop of one thread: whose message is due next.
///
/// A connection that cannot take a message is held: it leaves the order until it has room, and then
/// catches up with what has come due meanwhile. What is held needs no memory, since due times are
/// computed.
pub(crate) struct Pacer {
    timeline: Arc<Timeline>,
    streams: Vec<Stream>,
    /// When the load began, in nanoseconds of the run's clock.
    start: u64,
    /// Connections that are not held, by when their next message is due.
    order: BinaryHeap<Reverse<(u64, usize)>>,
    held: Vec<bool>,
    /// Since when each connection has had room, if it was ever held.
    roomy_since: Vec<u64>,
    /// No message due at or after this is taken up.
    until: u64,
}

impl Pacer {
    /// For those connections of `connections` that have these numbers; nothing is due before
    /// [`Pacer::start`].
    pub(crate) fn new(
        timeline: Arc<Timeline>,
        arrivals: Arrivals,
        ordinals: impl Iterator<Item = usize>,
        connections: usize,
        random: &mut Random,
    ) -> Pacer {
        let stream = |ordinal| Stream::new(arrivals, ordinal, connections, random);
        let streams: Vec<Stream> = ordinals.map(stream).collect();
        Pacer {
            timeline,
            start: 0,
            order: BinaryHeap::with_capacity(streams.len()),
            held: vec![false; streams.len()],
            roomy_since: vec![0; streams.len()],
            streams,
            until: u64::MAX,
        }
    }

    /// The load begins at `start`.
    pub(crate) fn start(&mut self, start: u64) {
        self.start = start;
        for index in 0..self.streams.len() {
            self.order.push(Reverse((self.due(index), index)));
        }
    }

    /// From now on only what is due before `until` is taken up.
    pub(crate) fn stop_at(&mut self, until: u64) {
        self.until = until;
    }

    /// When the next message is due, if any connection is free for it.
    pub(crate) fn next_due(&self) -> Option<u64> {
        let Reverse((due, _)) = *self.order.peek()?;
        (due < self.until).then_some(due)
    }

    /// Takes up the next message that is due by `now`: its connection, and when it was due.
    ///
    /// The caller either sends it ([`Pacer::taken`]) or holds the connection ([`Pacer::hold`]).
    pub(crate) fn pop(&mut self, now: u64) -> Option<(usize, u64)> {
        let due = self.next_due().filter(|&due| due <= now)?;
        let Reverse((_, index)) = self.order.pop()?;
        Some((index, due))
    }

    /// The message that [`Pacer::pop`] gave is on its way; the connection's next one follows.
    pub(crate) fn taken(&mut self, index: usize, random: &mut Random) {
        self.streams[index].advance(random);
        self.order.push(Reverse((self.due(index), index)));
    }

    /// The message that [`Pacer::pop`] gave cannot be sent now.
    pub(crate) fn hold(&mut self, index: usize) {
        self.held[index] = true;
    }

    /// Whether connection `index` is held.
    pub(crate) fn is_held(&self, index: usize) -> bool {
        self.held[index]
    }

    /// Since when nothing but this thread has kept a message of connection `index`, due at `due`, from
    /// being taken up.
    pub(crate) fn could_since(&self, index: usize, due: u64) -> u64 {
        due.max(self.roomy_since[index])
    }

    /// Connection `index` has room again, at `now`.
    pub(crate) fn release(&mut self, index: usize, now: u64) {
        self.held[index] = false;
        self.roomy_since[index] = now;
        self.order.push(Reverse((self.due(index), index)));
    }

    /// Whether connection `index` has no further message before the end.
    pub(crate) fn is_done(&self, index: usize) -> bool {
        self.due(index) >= self.until
    }

    /// Due times of the messages of held connections that are overdue at `now`, and before the end; and
    /// how many messages each of them stands for.
    ///
    /// Computes them anew, as many as `most` or so: of a hopeless rate only one in so many.
    pub(crate) fn overdue(
        &self,
        now: u64,
        connections: usize,
        most: u64,
        random: &mut Random,
    ) -> (Vec<u64>, u64) {
        let now = now.min(self.until);
        let each = self.overdue_count(now, connections).div_ceil(most).max(1);
        let mut overdue = Vec::new();
        for stream in self.held() {
            let mut stream = stream.clone();
            loop {
                let due = self.start + stream.due(&self.timeline);
                if due >= now {
                    break;
                }
                overdue.push(due);
                match each {
                    1 => stream.advance(random),
                    _ => stream.skip(each),
                }
            }
        }
        (overdue, each)
    }

    /// About how many messages of held connections are overdue at `now`: what the schedule says on
    /// average, without computing each.
    pub(crate) fn overdue_count(&self, now: u64, connections: usize) -> u64 {
        let all = self.timeline.due_by(now.saturating_sub(self.start));
        let missing = |stream: &Stream| (all - stream.number()).max(0.0) / connections as f64;
        self.held().map(missing).sum::<f64>().ceil() as u64
    }

    /// The streams of held connections.
    fn held(&self) -> impl Iterator<Item = &Stream> {
        let all = self.streams.iter().zip(&self.held);
        all.filter(|(_, is_held)| **is_held)
            .map(|(stream, _)| stream)
    }

    fn due(&self, index: usize) -> u64 {
        self.start + self.streams[index].due(&self.timeline)
    }
}

/// CPU time that a thread spent on looking for something to do. Times are those of its CPU clock.
#[derive(Debug, Default)]
pub(crate) struct Polling {
    total_ns: u64,
    /// When it last had nothing to do but to look; `None` while it works or sleeps.
    since: Option<u64>,
}

impl Polling {
    /// The thread is about to wait for the kernel.
    pub(crate) fn begin(&mut self, patience: Patience, now: impl FnOnce() -> u64) {
        self.since = match patience {
            // What it did since a look that found nothing was for the next look.
            Patience::Poll => Some(self.since.unwrap_or_else(now)),
            _ => None,
        };
    }

    /// The wait is over. If it was to be none and nothing had come, that was time for looking.
    pub(crate) fn end(&mut self, has_found: bool, now: impl FnOnce() -> u64) {
        let since = self.since.take().filter(|_| !has_found);
        self.since = since.map(|since| {
            let now = now();
            self.total_ns += now.saturating_sub(since);
            now
        });
    }

    /// Something has come due.
    pub(crate) fn interrupt(&mut self) {
        self.since = None;
    }

    /// So far.
    pub(crate) fn total_ns(&self) -> u64 {
        self.total_ns
    }
}

/// The pings of one thread: every connection one in each period, spread over it.
pub(crate) struct Pinger {
    period: u64,
    connections: u64,
    /// When the next one is due, and whose it is.
    next: (u64, usize),
}

impl Pinger {
    /// For so many connections, each pinged every `period` nanoseconds from `start` on.
    pub(crate) fn new(period: u64, connections: usize, start: u64) -> Pinger {
        Pinger {
            period,
            connections: connections as u64,
            next: (start, 0),
        }
    }

    /// When the next ping is due.
    pub(crate) fn next_due(&self) -> u64 {
        self.next.0
    }

    /// The connection whose ping is due by `now`. Periods that were missed are not made up for.
    pub(crate) fn pop(&mut self, now: u64) -> Option<usize> {
        let (due, index) = self.next;
        if due > now {
            return None;
        }
        let step = (self.period / self.connections).max(1);
        let late = (now - due) / self.period * self.period;
        self.next = (due + late + step, (index + 1) % self.connections as usize);
        Some(index)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schedule::Rates;

    fn pacer(rate: f64, connections: usize) -> (Pacer, Random) {
        let mut random = Random::new(1, 0);
        let timeline = Arc::new(Rates::constant(rate).timeline(Duration::ZERO));
        let range = 0..connections;
        let mut pacer = Pacer::new(timeline, Arrivals::Even, range, connections, &mut random);
        pacer.start(1_000_000);
        (pacer, random)
    }

    #[test]
    fn only_what_led_to_nothing_is_polling() {
        let mut polling = Polling::default();
        let mut wait = |patience, from: u64, to: u64, has_found| {
            polling.begin(patience, || from);
            polling.end(has_found, || to);
            polling.total_ns()
        };
        let sleep = Patience::Until(Duration::from_millis(1));
        assert_eq!(wait(sleep, 0, 100, false), 0);
        assert_eq!(wait(Patience::Endless, 100, 200, false), 0);
        assert_eq!(wait(Patience::Poll, 200, 210, false), 10);
        // What lies between two such looks belongs to them.
        assert_eq!(wait(Patience::Poll, 215, 220, false), 20);
        assert_eq!(wait(Patience::Poll, 225, 230, true), 20);
        // What was found had to be handled.
        assert_eq!(wait(Patience::Poll, 300, 310, false), 30);
        assert_eq!(wait(sleep, 320, 330, false), 30);
        assert_eq!(wait(Patience::Poll, 400, 401, false), 31);
        polling.interrupt();
        polling.begin(Patience::Poll, || 500);
        polling.end(false, || 501);
        assert_eq!(polling.total_ns(), 32);
    }

    #[test]
    fn messages_come_in_turn_when_they_are_due() {
        let (mut pacer, mut random) = pacer(1000.0, 3);
        assert_eq!(pacer.pop(999_999), None);
        let mut seen = Vec::new();
        while let Some((index, due)) = pacer.pop(5_000_000) {
            seen.push((index, due));
            pacer.taken(index, &mut random);
        }
        let expected: Vec<_> = (0..5)
            .map(|n| (n % 3, 1_000_000 + n as u64 * 1_000_000))
            .collect();
        assert_eq!(seen, expected);
        assert_eq!(pacer.next_due(), Some(6_000_000));
    }

    #[test]
    fn a_held_connection_loses_nothing_and_catches_up() {
        let (mut pacer, mut random) = pacer(1000.0, 2);
        let (held, _) = pacer.pop(1_000_000).unwrap();
        pacer.hold(held);
        while let Some((index, _)) = pacer.pop(10_500_000) {
            assert_ne!(index, held);
            pacer.taken(index, &mut random);
        }
        // 1, 3, 5, 7 and 9 ms.
        let mut overdue = |most| pacer.overdue(10_500_000, 2, most, &mut random);
        assert_eq!(
            overdue(100),
            ([1, 3, 5, 7, 9].map(|ms| ms * 1_000_000).to_vec(), 1)
        );
        assert_eq!(overdue(2), ([1, 7].map(|ms| ms * 1_000_000).to_vec(), 3));
        assert_eq!(pacer.overdue_count(10_500_000, 2), 5);
        pacer.release(held, 10_000_000);
        assert_eq!(pacer.could_since(held, 1_000_000), 10_000_000);
        assert_eq!(pacer.could_since(held, 10_200_000), 10_200_000);
        let mut caught_up = Vec::new();
        while let Some((index, due)) = pacer.pop(10_500_000) {
            caught_up.push(due);
            pacer.taken(index, &mut random);
        }
        assert_eq!(caught_up, [1, 3, 5, 7, 9].map(|ms| ms * 1_000_000));
    }

    #[test]
    fn nothing_is_taken_up_after_the_end() {
        let (mut pacer, mut random) = pacer(1000.0, 1);
        pacer.stop_at(3_000_000);
        let mut count = 0;
        while let Some((index, _)) = pacer.pop(u64::MAX) {
            count += 1;
            assert!(!pacer.is_done(index));
            pacer.taken(index, &mut random);
        }
        assert_eq!(count, 2);
        assert!(pacer.is_done(0));
        assert_eq!(pacer.next_due(), None);
    }

    #[test]
    fn pings_are_spread_over_their_period() {
        let mut pinger = Pinger::new(1000, 4, 50);
        let mut due = Vec::new();
        for now in 0..2000 {
            while let Some(index) = pinger.pop(now) {
                due.push((now, index));
            }
        }
        assert_eq!(
            &due[..5],
            [(50, 0), (300, 1), (550, 2), (800, 3), (1050, 0)]
        );
        // After a pause there is no burst.
        assert_eq!(pinger.pop(1_000_000), Some(0));
        assert!(pinger.next_due() > 999_000);
    }
}
