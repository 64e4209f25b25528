//! Connections with a link: what a load balancer puts in front is read; what comes is opened before the dialogue gets
//! it, what the dialogue says is sealed before it is queued.
//!
//! What is above the link is plaintext: the dialogue, what is parked for it, and what it has said in the event that is
//! being told. What is below is what goes on the wire: the queue, and every count of bytes that is compared with the
//! kernel's.
//!
//! All that a dialogue answers to one receive is gathered, so that it takes as few records as possible, and sealed at
//! the end of the event at the latest. Nothing of it lies there between two events.

use std::mem;

use crate::link::{Fault, Introduction, Link, RECORD_BYTES_MAX, sealed_bytes_max};
use crate::memory::SlabPool;
use crate::protocol::{Cause, Next, Piece, Reply};

use super::connection::{Dialogue, Phase};
use super::inbound::Copying;
use super::{Common, Connection, Handle, SURPLUS_CONNECTIONS_MAX};

/// What is gathered of one event is kept allocated up to here, in bytes.
const KEPT_BYTES_MAX: usize = 256 * 1024;

impl<Io> Handle<'_, Io> {
    /// Bytes have come on a connection with a link.
    pub(super) fn receive_sealed(&mut self, lent: &mut [u8]) {
        let Some(link) = &mut self.connection.link else {
            return;
        };
        let mut opened = mem::take(&mut self.common.opened);
        let was_open = link.is_open();
        let outcome = link.receive(lent, &mut opened);
        let is_spent = link.is_spent();
        let tally = &self.common.tally;
        if !was_open && link.is_open() {
            tally.tls_handshakes.add(1);
            tally.tls_resumed.add(u64::from(link.is_resumed()));
        }
        self.recount_link();
        if is_spent {
            self.connection.link = None;
        }
        if let Some(introduction) = opened.introduced.take() {
            self.introduce(introduction);
        }
        self.queue_from_link(&opened.out);
        if !opened.plain.is_empty() {
            self.take_in_all(&mut opened.plain, &mut Copying);
            self.seal();
        }
        match outcome {
            Err(fault) => self.break_off(fault, was_open),
            Ok(()) if opened.is_finished => self.peer_finished(),
            Ok(()) => {}
        }
        opened.clear();
        self.common.opened = opened;
    }

    /// A load balancer has said whom it has behind it: only now does that one take a place among those of its source.
    fn introduce(&mut self, introduction: Introduction) {
        let guests = self.common.settings.policy.guests.as_deref();
        let Some((guest, guests)) = self.connection.guest.as_mut().zip(guests) else {
            return;
        };
        guest.introduce(guests, introduction.source, introduction.bytes);
        if !guest.is_turned_away() {
            return;
        }
        if self.connection.permit.take().is_some() {
            self.common.surplus += 1;
        }
        let is_http = matches!(self.connection.dialogue, Dialogue::WebSocket(_));
        let may_be_told = is_http && self.connection.link.is_none();
        if !may_be_told || self.common.surplus > SURPLUS_CONNECTIONS_MAX / 2 {
            self.common.tally.turned_away.add(1);
            self.connection.phase = Phase::Gone { reset: true };
        }
    }

    /// The link cannot go on, and has said so.
    fn break_off(&mut self, fault: Fault, was_open: bool) {
        let tally = &self.common.tally;
        if let Fault::Preface(why) = fault {
            tally.prefaces_refused.add(1);
            self.connection.cause.get_or_insert(Cause::Preface(why));
            return self.follow(Next::Close);
        }
        match fault {
            Fault::PlainHttp => tally.plain_to_tls.add(1),
            _ if was_open => tally.tls_broken.add(1),
            _ => tally.tls_refused.add(1),
        }
        self.connection
            .cause
            .get_or_insert(Cause::Tls(fault.text()));
        self.follow(Next::HalfClose);
    }

    /// The peer goes: if it was amid its handshake, it has given that up. Who has said nothing only wanted to see whether
    /// somebody listens.
    pub(super) fn note_given_up(&mut self) {
        let Connection {
            link,
            guest,
            phase,
            cause,
            ..
        } = &mut *self.connection;
        // A balancer that looks whether somebody listens may introduce itself, and no more.
        let has_to_introduce = guest.as_ref().is_some_and(|it| it.awaits_introduction());
        let preface = guest.as_ref().map_or(0, |it| it.preface_bytes()) as u64;
        let is_amid = |link: &Link| {
            let has_begun = !has_to_introduce && link.received() > preface;
            link.has_tls() && !link.is_open() && has_begun
        };
        if *phase == Phase::Talking && link.as_deref().is_some_and(is_amid) {
            self.common.tally.tls_refused.add(1);
            cause.get_or_insert(Cause::Tls("gave up the handshake"));
        }
    }

    /// Gathers what the dialogue says. Before the handshake is over nothing can be said: that it ends is told by an alert,
    /// and the connection is closed at once (RFC 8446, section 6.2).
    pub(super) fn gather(&mut self, reply: Reply, lent: &[u8]) {
        let Common {
            unsealed, slabs, ..
        } = &mut *self.common;
        append(reply.before, unsealed, slabs);
        unsealed.extend_from_slice(&lent[reply.window]);
        append(reply.after, unsealed, slabs);
        if !self.connection.link.as_ref().is_some_and(|it| it.is_open()) && !unsealed.is_empty() {
            unsealed.clear();
            let (tally, cause) = (&self.common.tally, &mut self.connection.cause);
            if self
                .connection
                .guest
                .as_ref()
                .is_some_and(|guest| guest.awaits_introduction())
            {
                tally.prefaces_refused.add(1);
                *cause = Some(Cause::Preface("sends no PROXY header in time"));
            } else {
                tally.tls_refused.add(1);
                *cause = Some(Cause::Tls("does not finish its handshake"));
            }
            // From whoever is silent nothing comes that could overtake the alert; whoever still sends may miss it.
            return self.follow(Next::Close);
        }
        // Whether there is room for more is seen by what is queued.
        if unsealed.len() >= RECORD_BYTES_MAX {
            self.seal();
        }
    }

    /// Seals and queues what was gathered.
    pub(super) fn seal(&mut self) {
        if self.common.unsealed.is_empty() {
            return;
        }
        let mut plain = mem::take(&mut self.common.unsealed);
        let Connection { link, outbox, .. } = &mut *self.connection;
        let Common { entries, slabs, .. } = &mut *self.common;
        let mut is_sealed = true;
        for record in plain.chunks(RECORD_BYTES_MAX) {
            let room = sealed_bytes_max(record.len());
            entries.push_with(outbox, room, slabs, |spare| {
                let sealed = link.as_mut().and_then(|link| link.seal(record, spare));
                is_sealed &= sealed.is_some();
                sealed.unwrap_or(0)
            });
        }
        plain.clear();
        plain.shrink_to(KEPT_BYTES_MAX);
        self.common.unsealed = plain;
        if !is_sealed {
            // Its keys are used up, which takes longer than any connection lives.
            self.give_up(Cause::Tls("has used up its keys"));
        }
        if self.connection.blocked {
            self.note_kept();
        }
    }

    /// Nothing more is said on the connection: its link says so, if there is one, behind all that was.
    pub(super) fn finish_link(&mut self) {
        if self.connection.link.is_none() {
            return;
        }
        self.seal();
        let mut out = mem::take(&mut self.common.opened.out);
        if let Some(link) = &mut self.connection.link {
            link.finish(&mut out);
        }
        self.recount_link();
        self.queue_from_link(&out);
        out.clear();
        self.common.opened.out = out;
    }

    fn queue_from_link(&mut self, bytes: &[u8]) {
        if !bytes.is_empty() {
            self.queue().1.push_bytes(bytes);
        }
    }

    /// Counts what the link keeps, among what is unfinished.
    pub(super) fn recount_link(&mut self) {
        if let Some(link) = &mut self.connection.link {
            let bytes = link.unfinished_bytes();
            self.common.slabs.recount(&mut link.counted, bytes);
            if link.counted.queued() > 0 {
                self.note_kept();
            }
        }
    }
}

/// Appends a piece to what is gathered.
fn append(piece: Piece, to: &mut Vec<u8>, slabs: &mut SlabPool) {
    match piece {
        Piece::None => {}
        Piece::Inline(small) => to.extend_from_slice(small.as_slice()),
        Piece::Slabs(mut chain) => {
            while let Some(slab) = chain.pop() {
                to.extend_from_slice(slab.bytes());
                slabs.give(slab);
            }
        }
    }
}

#[cfg(test)]
mod tests;
