//! How many connections there are from each source, and how fast they come. Asked once when one comes and told once
//! when it goes, by all threads.

use core::net::IpAddr;
use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::rate::{Bucket, Rate};
use crate::protocol::Moment;

/// So many parts have a lock each, so that threads seldom wait for each other.
const PARTS: usize = 64;

/// A part knows so many sources at most of whom nobody is there; beyond it, how fast they came is forgotten. An attacker
/// with so many addresses would not have been held up by a limit for each.
const ABSENT_MAX: usize = 1024;

/// Who counts as one: an IPv4 address, or an IPv6 network of 64 bits, which is what one subscriber has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Source {
    V4(u32),
    V6(u64),
}

impl Source {
    fn of(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(address) => Source::V4(address.to_bits()),
            IpAddr::V6(address) => Source::V6((address.to_bits() >> 64) as u64),
        }
    }
}

/// What each source may have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// Connections at a time.
    pub connections_max: Option<NonZeroU32>,
    /// How fast they may come.
    pub handshakes: Option<Rate>,
}

/// What is known of a source.
#[derive(Clone, Copy, Debug, Default)]
struct Known {
    present: u32,
    handshakes: Bucket,
}

#[derive(Debug)]
struct Part {
    known: HashMap<Source, Known>,
    /// With so many, those are forgotten of whom there is nothing to know.
    sweep_at: usize,
}

/// The sources of all connections.
#[derive(Debug)]
pub struct Sources {
    limits: Limits,
    clock: fn() -> Moment,
    hasher: RandomState,
    parts: Box<[Mutex<Part>]>,
}

impl Sources {
    /// Holds every source to `limits`, by this clock.
    pub fn new(limits: Limits, clock: fn() -> Moment) -> Self {
        let part = || Part {
            known: HashMap::new(),
            sweep_at: ABSENT_MAX,
        };
        Sources {
            limits,
            clock,
            hasher: RandomState::new(),
            parts: (0..PARTS).map(|_| Mutex::new(part())).collect(),
        }
    }

    /// A place for a connection that comes from `address`; none: there are as many as may be, or they come too fast.
    pub fn enter(self: &Arc<Self>, address: IpAddr) -> Option<Seat> {
        self.take(address, true)
    }

    /// A place for somebody who has come before, and asks for something; none: there are as many as may be.
    pub fn hold(self: &Arc<Self>, address: IpAddr) -> Option<Seat> {
        self.take(address, false)
    }

    fn take(self: &Arc<Self>, address: IpAddr, is_newcomer: bool) -> Option<Seat> {
        let source = Source::of(address);
        let now = (self.clock)();
        let mut part = self.part(source);
        let known = part.known(source, now);
        let max = self
            .limits
            .connections_max
            .map_or(u32::MAX, NonZeroU32::get);
        if known.present >= max || (is_newcomer && !self.admits_newcomer(known, now)) {
            return None;
        }
        known.present += 1;
        Some(self.seat(source))
    }

    /// Whether one may come who is counted as a newcomer from now on.
    fn admits_newcomer(&self, known: &mut Known, now: Moment) -> bool {
        let rate = self.limits.handshakes;
        rate.is_none_or(|rate| known.handshakes.take_one(rate, now))
    }

    /// A place for a connection that is there already, whatever the limits are.
    pub fn stay(self: &Arc<Self>, address: IpAddr) -> Seat {
        let source = Source::of(address);
        let mut part = self.part(source);
        let known = part.known(source, (self.clock)());
        known.present = known.present.saturating_add(1);
        self.seat(source)
    }

    /// How many sources are known.
    pub fn len(&self) -> usize {
        let parts = self.parts.iter().map(lock);
        parts.map(|part| part.known.len()).sum()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn seat(self: &Arc<Self>, source: Source) -> Seat {
        Seat {
            sources: self.clone(),
            source,
        }
    }

    fn part(&self, source: Source) -> MutexGuard<'_, Part> {
        let hash = self.hasher.hash_one(source);
        lock(&self.parts[hash as usize % self.parts.len()])
    }

    fn leave(&self, source: Source) {
        let mut part = self.part(source);
        let Some(known) = part.known.get_mut(&source) else {
            return;
        };
        known.present = known.present.saturating_sub(1);
        let is_over = known.present == 0
            && (self.limits.handshakes.is_none() || known.handshakes.is_full((self.clock)()));
        if is_over {
            part.known.remove(&source);
        }
    }
}

/// Two are the same where they count together.
impl PartialEq for Sources {
    fn eq(&self, other: &Sources) -> bool {
        std::ptr::eq(self, other)
    }
}

impl Eq for Sources {}

fn lock(part: &Mutex<Part>) -> MutexGuard<'_, Part> {
    part.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Part {
    fn known(&mut self, source: Source, now: Moment) -> &mut Known {
        if self.known.len() >= self.sweep_at && !self.known.contains_key(&source) {
            self.sweep(now);
        }
        self.known.entry(source).or_default()
    }

    /// Forgets those of whom there is nothing to know, and if they are many, how fast others came of whom nobody is
    /// there. It is done again only after as many have come as are left, so it costs each of them little.
    fn sweep(&mut self, now: Moment) {
        self.known
            .retain(|_, it| it.present > 0 || !it.handshakes.is_full(now));
        if self.known.len() > ABSENT_MAX / 2 {
            self.known.retain(|_, it| it.present > 0);
        }
        self.sweep_at = ABSENT_MAX.max(2 * self.known.len());
        self.known.shrink_to(self.sweep_at);
    }
}

/// A connection's place among those of its source. It gives itself back.
#[derive(Debug)]
pub struct Seat {
    sources: Arc<Sources>,
    source: Source,
}

impl Seat {
    /// Whether another newcomer of its source may come, to share it; from now on that counts as one.
    pub fn admits_newcomer(&self) -> bool {
        let now = (self.sources.clock)();
        let mut part = self.sources.part(self.source);
        let known = part.known(self.source, now);
        self.sources.admits_newcomer(known, now)
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.sources.leave(self.source);
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU64;
    use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
    use std::time::Duration;

    use super::*;

    static SECONDS: AtomicU64 = AtomicU64::new(1);

    fn clock() -> Moment {
        Moment::from_nanos(SECONDS.load(Relaxed) * 1_000_000_000)
    }

    fn at_rest() -> Moment {
        Moment::from_nanos(1)
    }

    fn sources(connections: u32, handshakes: u64, clock: fn() -> Moment) -> Arc<Sources> {
        let rate = |count| Rate::new(count, Duration::from_secs(1));
        let limits = Limits {
            connections_max: NonZeroU32::new(connections),
            handshakes: NonZeroU64::new(handshakes).map(rate),
        };
        Arc::new(Sources::new(limits, clock))
    }

    fn address(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn each_source_has_its_own_places_and_gives_them_back() {
        let sources = sources(2, 0, at_rest);
        let enter = |text| sources.enter(address(text));
        let seats = [enter("192.0.2.1"), enter("::ffff:192.0.2.1")];
        assert!(seats.iter().all(Option::is_some));
        assert!(enter("192.0.2.1").is_none());
        assert!(enter("192.0.2.2").is_some());
        let _stays = sources.stay(address("192.0.2.1"));
        drop(seats);
        assert!(enter("192.0.2.1").is_some(), "one stays, one comes");
        let _seats = [enter("2001:db8::1"), enter("2001:db8::2:3")];
        assert!(enter("2001:db8:0:0:ffff::").is_none(), "the same network");
        assert!(enter("2001:db8:0:1::1").is_some());
    }

    #[test]
    fn nothing_is_known_of_whoever_has_left() {
        let sources = sources(2, 0, at_rest);
        for number in 0..1000_u32 {
            drop(sources.enter(IpAddr::V4(number.into())));
        }
        assert!(sources.is_empty());
    }

    #[test]
    fn how_fast_they_came_is_known_as_long_as_it_matters() {
        let sources = sources(0, 2, clock);
        let enter = || sources.enter(address("192.0.2.1")).is_some();
        assert!(enter() && enter() && !enter());
        SECONDS.fetch_add(1, Relaxed);
        assert!(enter() && enter() && !enter());
    }

    #[test]
    fn any_number_of_addresses_takes_bounded_memory() {
        let sources = sources(0, 1, at_rest);
        let mut seats = Vec::new();
        for number in 0..500_000_u32 {
            let seat = sources.enter(IpAddr::V4(number.into()));
            assert!(seat.is_some());
            if number % 5000 == 0 {
                seats.push(seat);
            }
        }
        assert!(sources.len() <= PARTS * ABSENT_MAX, "{}", sources.len());
        let first = IpAddr::V4(0.into());
        assert!(sources.enter(first).is_none(), "who is there is known");
    }
}
