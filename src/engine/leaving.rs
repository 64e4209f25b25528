//! A worker's way down: its peers first, then whoever knocked meanwhile.

use std::collections::VecDeque;
use std::time::Duration;

use super::{Stop, StopPhase};
use crate::protocol::Moment;
use crate::shard::SlotId;

/// How long those may take who came while the server went down. They are owed a 503, once their request is
/// there.
const LAST_CALL: Duration = Duration::from_secs(1);

/// Turns to make after the last call: what waited to be accepted then comes in with the second.
const LAST_TURNS: u32 = 2;

/// Whom a worker has to tell that the server goes down, and when.
#[derive(Debug, Default)]
pub(super) struct Farewells(VecDeque<(Moment, SlotId)>);

impl Farewells {
    /// Those of `ids` that are not `open` yet now, since they are refused; the others one after another within
    /// `spread`, at equal distances but for a part of chance, and in no order of their coming: those who came
    /// together are not to come again together.
    pub(super) fn new(
        ids: Vec<SlotId>,
        now: Moment,
        spread: Duration,
        open: impl Fn(SlotId) -> bool,
    ) -> Self {
        let (mut open, refused): (Vec<_>, Vec<_>) = ids.into_iter().partition(|id| open(*id));
        open.sort_by_key(|id| scatter(id.index));
        let count = open.len().max(1) as f64;
        let open = open.into_iter().enumerate().map(|(place, id)| {
            let chance = f64::from(scatter(!id.index)) / f64::from(u32::MAX);
            (
                now + spread.mul_f64((place as f64 + chance) / (count + 1.0)),
                id,
            )
        });
        let refused = refused.into_iter().map(|id| (now, id));
        Farewells(refused.chain(open).collect())
    }

    /// Whose turn has come.
    pub(super) fn pop_due(&mut self, now: Moment) -> Option<SlotId> {
        let next = self.0.pop_front_if(|(due, _)| *due <= now);
        next.map(|(_, id)| id)
    }

    /// When the next one's turn comes.
    pub(super) fn next_due(&self) -> Option<Moment> {
        self.0.front().map(|(due, _)| *due)
    }
}

/// A number that looks like chance, each of another, and always the same: the finalizer of MurmurHash3.
fn scatter(number: u32) -> u32 {
    let mut hash = number;
    hash = (hash ^ (hash >> 16)).wrapping_mul(0x85eb_ca6b);
    hash = (hash ^ (hash >> 13)).wrapping_mul(0xc2b2_ae35);
    hash ^ (hash >> 16)
}

/// How far a worker is on its way down.
#[derive(Debug, Default)]
pub(super) struct Leaving {
    /// When it is over in any case.
    ends: Option<Moment>,
    /// Those that were there at the beginning are gone, and the other workers know.
    deserted: bool,
    /// When those that came later are given up.
    last_call: Option<Moment>,
    /// Turns made since the last call.
    turns: u32,
}

impl Leaving {
    /// Whether it is on its way; if it is to be and is not, it is from now on, and this says so once.
    pub(super) fn begins(&mut self, stop: &Stop, now: Moment) -> bool {
        let begins = self.ends.is_none() && stop.phase() >= StopPhase::Draining;
        if begins {
            self.ends = Some(now + stop.drain_timeout);
        }
        begins
    }

    /// A turn has been made; this many are left of those that were there at the beginning.
    pub(super) fn advance(&mut self, residents: usize, stop: &Stop, now: Moment) {
        let Some(ends) = self.ends else {
            return;
        };
        if residents == 0 && !self.deserted {
            self.deserted = true;
            stop.desert();
        }
        if stop.phase() == StopPhase::Closing {
            self.last_call.get_or_insert(ends.min(now + LAST_CALL));
            self.turns += 1;
        }
    }

    /// Whether the worker may end; `is_empty`: nobody is left.
    pub(super) fn is_over(&self, is_empty: bool, now: Moment) -> bool {
        let is_past = |moment: Option<Moment>| moment.is_some_and(|moment| moment <= now);
        let has_called = self.last_call.is_some() && self.turns >= LAST_TURNS;
        is_past(self.ends) || is_past(self.last_call) || (has_called && is_empty)
    }

    /// When something is due that no event may announce.
    pub(super) fn next_due(&self) -> Option<Moment> {
        match self.last_call {
            Some(_) if self.turns < LAST_TURNS => Some(Moment::default()),
            last_call => last_call.or(self.ends),
        }
    }
}
