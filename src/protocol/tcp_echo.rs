//! The TCP echo of RFC 862: bytes back as they come. Useful by itself, and the yardstick for what the
//! WebSocket layer costs.

use super::carried::{Damage, Reader, Writer};
use super::close::{Cause, Ending};
use super::moment::Moment;
use super::policy::Policy;
use super::reply::Reply;
use super::session::{Next, Step, Turn, Wake};
use super::tally::Waited;

/// One connection. It speaks the same verbs as a [`super::Session`].
#[derive(Debug)]
pub struct TcpEcho {
    deadline: Option<Moment>,
}

impl TcpEcho {
    /// A connection that was accepted at `now`.
    pub fn open(policy: &Policy, now: Moment) -> Self {
        TcpEcho {
            deadline: policy.idle_timeout.map(|idle| now + idle),
        }
    }

    /// The peer gave a sign of life: silence counts from now.
    #[inline]
    pub fn heard(&mut self, policy: &Policy, now: Moment) {
        self.deadline = policy.idle_timeout.map(|idle| now + idle);
    }

    /// Answers all of `lent` with itself.
    #[inline]
    pub fn receive(&mut self, turn: &mut Turn<'_>, lent: &mut [u8], reply: &mut Reply) -> Step {
        self.heard(turn.policy, turn.now);
        reply.window = 0..lent.len();
        Step {
            consumed: lent.len(),
            next: Next::Read,
        }
    }

    /// Ends, once everything has been sent: there is nothing to say in this protocol.
    pub fn resume(&mut self, turn: &mut Turn<'_>, why: Wake) -> Next {
        match why {
            Wake::PeerFinished => Next::Close,
            Wake::Deadline => {
                turn.tally.timeouts.at(Waited::Idle).add(1);
                turn.cause = Some(Cause::Closed(Ending::Idle));
                Next::HalfClose
            }
            Wake::Drain(_) => Next::HalfClose,
        }
    }

    /// Writes it down, to be read elsewhere.
    pub fn write(&self, writer: &mut Writer) {
        writer.until(self.deadline.unwrap_or(Moment::NEVER));
    }

    /// Reads what [`TcpEcho::write`] wrote.
    ///
    /// # Errors
    /// Where the bytes end before.
    pub fn read(reader: &mut Reader<'_>) -> Result<Self, Damage> {
        let deadline = reader.until("deadline")?;
        Ok(TcpEcho {
            deadline: (deadline < Moment::NEVER).then_some(deadline),
        })
    }

    /// When the connection is given up if nothing comes; none: never.
    pub fn deadline(&self) -> Option<Moment> {
        self.deadline
    }
}
