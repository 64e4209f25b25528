//! The circumstances of a run: the server's settings, the kernel's moods, the crowd.

use std::num::NonZeroUsize;
use std::time::Duration;

use ringback::protocol::Policy;
use ringback::protocol::policy::GreetingAfter;
use ringback::shard::{Entrance, Protocol};

use crate::support::random::Random;

const MILLISECOND: u64 = 1_000_000;

/// By how much a deadline is put off that passes while there is something to read.
pub(crate) const UNREAD_PATIENCE: Duration = Duration::from_millis(10);

/// How often something goes wrong: once in so many times; never for zero.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Faults {
    /// A send takes less than there is room for.
    pub(crate) short: u64,
    /// A send takes nothing, or is interrupted.
    pub(crate) nothing: u64,
    /// A send that must not wait finds no room, though there is some.
    pub(crate) again: u64,
    /// A receive finds no buffer, though there is one.
    pub(crate) no_buffer: u64,
    /// A multishot operation ends for no reason.
    pub(crate) ends: u64,
    /// A report comes for a connection that is gone.
    pub(crate) stale: u64,
    /// Accepting fails.
    pub(crate) accept: u64,
    /// Readiness, or a waking, for nothing.
    pub(crate) spurious: u64,
    /// What is ready is not reported yet.
    pub(crate) late: u64,
    /// The clock jumps.
    pub(crate) jump: u64,
    /// A socket cannot be watched.
    pub(crate) watch: u64,
}

impl Faults {
    /// Whether the kernel serves whoever has waited longest, as the real one does, and at once.
    pub(crate) fn keep_order(&self) -> bool {
        self.late == 0
    }
}

/// The receive buffers of a ring.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Buffers {
    pub(crate) count: u16,
    pub(crate) bytes: usize,
    pub(crate) incremental: bool,
}

/// A run.
#[derive(Clone, Debug)]
pub(crate) struct Scenario {
    pub(crate) entrance: Entrance,
    pub(crate) policy: Policy,
    pub(crate) drain_timeout: Duration,
    pub(crate) connections_max: Option<NonZeroUsize>,
    pub(crate) buffer_memory_bytes: usize,
    /// Time plays no part: timeouts are far longer than anything takes, and the clock does not jump.
    pub(crate) calm: bool,
    pub(crate) listeners: usize,
    pub(crate) queue_max: usize,
    /// Sockets there may be, by the process's limit.
    pub(crate) descriptors_max: usize,
    pub(crate) buffers: Buffers,
    pub(crate) faults: Faults,
    pub(crate) peers: usize,
    /// Peers come within this time, in nanoseconds.
    pub(crate) arrival: u64,
    /// Most peers say more than anyone should have to keep.
    pub(crate) heavy: bool,
    /// They say half a frame and wait.
    pub(crate) hoards: bool,
    /// When the server is told to stop, if it is before everyone has left.
    pub(crate) drain_at: Option<u64>,
}

impl Scenario {
    pub(crate) fn new(random: &mut Random) -> Self {
        let calm = random.one_in(2);
        let crowd = random.one_in(150);
        let heavy = random.one_in(20);
        let hoards = heavy && random.one_in(3);
        let peers = match () {
            () if crowd => random.within(70..90),
            () if hoards => random.within(15..30),
            () if heavy => random.within(5..16),
            () => random.within(1..9),
        };
        let arrival = random.pick(&[0, MILLISECOND, 20 * MILLISECOND]);
        let limited = crowd || random.one_in(5);
        let drain_at = random
            .one_in(3)
            .then(|| random.below(arrival.max(MILLISECOND) * 3));
        Scenario {
            entrance: Entrance {
                protocol: if random.one_in(8) {
                    Protocol::Tcp
                } else {
                    Protocol::WebSocket
                },
                tls: false,
                number: 0,
            },
            policy: policy(random, calm, hoards),
            drain_timeout: span(random, calm),
            connections_max: limited
                .then(|| NonZeroUsize::new(random.within(1..5)))
                .flatten(),
            buffer_memory_bytes: if heavy {
                256 << 10
            } else {
                random.pick(&[1, 40_000, 256 << 10, 1 << 20, 64 << 20, 64 << 20])
            },
            calm,
            listeners: random.within(1..4),
            queue_max: random.pick(&[1, 8, 128]),
            descriptors_max: if random.one_in(4) {
                random.within(1..6)
            } else {
                1000
            },
            buffers: buffers(random),
            faults: faults(random, calm),
            peers,
            arrival,
            heavy,
            hoards,
            drain_at,
        }
    }

    /// Whether there is memory for whatever these peers leave unfinished.
    pub(crate) fn is_ample(&self) -> bool {
        self.buffer_memory_bytes >= 64 << 20
    }

    /// How long a connection lives at most, in nanoseconds, if nothing happens on it; none: it may talk
    /// for ever.
    pub(crate) fn silence_max(&self) -> Option<u64> {
        let idle = self.policy.idle_timeout?;
        let silence = idle.max(self.policy.handshake_timeout) + UNREAD_PATIENCE;
        Some((silence + self.ending_max()).as_nanos() as u64 + MILLISECOND)
    }

    /// How long a closing connection may take while its peer acknowledges nothing new: its last progress is
    /// noticed a quarter of either timeout later.
    pub(crate) fn ending_max(&self) -> Duration {
        let timeouts = self.policy.stall_timeout + self.policy.linger_timeout;
        timeouts * 5 / 4 + UNREAD_PATIENCE
    }
}

fn span(random: &mut Random, calm: bool) -> Duration {
    if calm {
        Duration::from_secs(1000)
    } else {
        Duration::from_micros(random.within(500..200_000) as u64)
    }
}

fn policy(random: &mut Random, calm: bool, hoards: bool) -> Policy {
    let delay = Duration::from_micros(random.below(3000));
    Policy {
        message_bytes_max: random
            .one_in(6)
            .then(|| random.pick(&[0, 1, 125, 3000, 20_000])),
        handshake_timeout: span(random, calm),
        idle_timeout: (!random.one_in(3)).then(|| span(random, calm)),
        linger_timeout: span(random, calm),
        stall_timeout: span(random, calm),
        greeting: random.one_in(6).then(|| "Hi there".to_owned()),
        greeting_after: random.pick(&[
            GreetingAfter::Handshake,
            GreetingAfter::Turn,
            GreetingAfter::Delay(delay),
        ]),
        prefix: random
            .one_in(if hoards { 2 } else { 5 })
            .then(|| "Received: ".into()),
        subprotocols: Vec::new(),
        ..Policy::default()
    }
}

fn buffers(random: &mut Random) -> Buffers {
    Buffers {
        count: random.within(1..6) as u16 * random.pick(&[1, 2, 8]),
        bytes: random.pick(&[1024, 1024, 4096, 20_000, 65_536, 65_536]),
        incremental: random.one_in(2),
    }
}

fn faults(random: &mut Random, calm: bool) -> Faults {
    if random.one_in(5) {
        return Faults::default();
    }
    let mut often = |choices: &[u64]| random.pick(choices);
    Faults {
        short: often(&[0, 3, 20]),
        nothing: often(&[0, 10, 50]),
        again: often(&[0, 5, 30]),
        no_buffer: often(&[0, 5, 30]),
        ends: often(&[0, 5, 30]),
        stale: often(&[0, 10]),
        accept: often(&[0, 0, 4]),
        spurious: often(&[0, 5, 30]),
        late: often(&[0, 2, 5]),
        jump: if calm { 0 } else { often(&[0, 100, 1000]) },
        watch: often(&[0, 0, 0, 50]),
    }
}
