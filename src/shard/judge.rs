//! Whether a peer is alive, too slow, or to be given up, by how its TCP stands: one answer for every phase.

use std::time::Duration;

use crate::protocol::{Moment, Policy, Timer};

use super::Standing;
use super::connection::{Connection, Phase};
use super::deadlines::LOOKS;
use super::retention::QUEUE_BYTES;

/// A peer that acknowledges nothing for so long, while more of what it writes has come, writes before it reads.
pub(super) const WRITES_FIRST: Duration = Duration::from_millis(10);

/// How often a peer's looks are put further apart, to twice the time, while it reads.
pub(super) const FOUND_READING_MAX: u8 = 16;

/// How soon a peer that has all its share is looked at again: it grows when others leave.
const SHARE_GROWS: Duration = Duration::from_millis(250);

/// How often a deadline is put off at most: by then what had come has been received, if it ever is.
const PUT_OFF_MAX: u8 = 200;

/// How soon a deadline is looked at again that passed while something had come and was not received yet.
const UNREAD_PATIENCE: Duration = Duration::from_millis(10);

/// What follows from a look at a connection.
pub(super) enum Verdict {
    /// Nothing: it is looked at again then.
    Again(Moment),
    /// The dialogue's deadline has passed.
    Wake,
    /// It has had its time to send FIN.
    Close,
    /// It makes no progress.
    GiveUp,
}

impl<Io> Connection<Io> {
    /// Judges a peer by how it stands. `timer`: which of the dialogue's deadlines has passed; `share`: how many
    /// bytes may be queued for it at most.
    pub(super) fn judge(
        &mut self,
        now: Moment,
        policy: &Policy,
        timer: Option<Timer>,
        standing: Standing,
        wants_read: bool,
        share: usize,
    ) -> Verdict {
        let talks = self.phase == Phase::Talking;
        let owed = !self.outbox.is_empty() || standing.outstanding;
        let has_read = standing.acknowledged != self.acknowledged;
        let has_said = std::mem::take(&mut self.said) && talks;
        let has_more = talks && standing.received > self.taken_in;
        self.unmoved = self.unmoved.saturating_add(1);
        if has_read || has_said || owed != self.owed {
            self.progress = now;
            self.unmoved = 0;
        }
        if has_said {
            self.put_off = 0;
        }
        self.owed = owed;
        self.acknowledged = standing.acknowledged;
        if timer == Some(Timer::Greeting) {
            return Verdict::Wake;
        }
        if timer.is_some() && wants_read && has_more && self.put_off < PUT_OFF_MAX {
            // Its word came in time, and is about to be heard: from now on, if there was no room for it before.
            self.put_off += 1;
            return Verdict::Again(now + UNREAD_PATIENCE);
        }
        if matches!(timer, Some(Timer::Handshake | Timer::Drain)) {
            return Verdict::Wake;
        }
        if owed {
            // A process that was stopped has seen nothing meanwhile, so time alone does not count.
            let gives_up = self.progress + policy.stall_timeout;
            if gives_up <= now && u32::from(self.unmoved) >= LOOKS {
                return Verdict::GiveUp;
            }
            if timer == Some(Timer::Idle) {
                self.dialogue.heard(policy, now);
            }
            let patience = match self.phase {
                Phase::Talking if self.blocked && !wants_read && has_more => {
                    self.patience_with_writer(has_read, share)
                }
                Phase::Talking => Duration::MAX,
                _ => policy.linger_timeout / LOOKS,
            };
            let look = now + patience.min(policy.stall_timeout / LOOKS);
            return Verdict::Again(if gives_up > now {
                gives_up.min(look)
            } else {
                look
            });
        }
        match self.phase {
            Phase::Talking if timer.is_some() => Verdict::Wake,
            Phase::Talking => Verdict::Again(Moment::NEVER),
            // All has been acknowledged, FIN included; the peer may take this long to send its own.
            Phase::Lingering if self.progress + policy.linger_timeout <= now => Verdict::Close,
            _ => {
                let due = self.progress + policy.linger_timeout;
                Verdict::Again(due.max(now + UNREAD_PATIENCE))
            }
        }
    }

    /// How soon a peer is looked at again for which as much is queued as may be, while more of what it writes has
    /// come. Where it reads, it will have room; where it does not, it may be owed more.
    fn patience_with_writer(&mut self, has_read: bool, share: usize) -> Duration {
        if has_read {
            self.doublings = 0;
            self.found_reading = (self.found_reading + 1).min(FOUND_READING_MAX);
            return WRITES_FIRST * (1 << self.found_reading);
        }
        self.found_reading = 0;
        if QUEUE_BYTES << self.doublings >= share {
            return SHARE_GROWS;
        }
        self.doublings += 1;
        WRITES_FIRST
    }
}
