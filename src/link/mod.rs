//! What lies between the wire and a dialogue where an entrance speaks TLS, and before that what a load balancer puts in
//! front. A plain connection has no link, or none any more.
//!
//! Bytes in, bytes out: ciphertext comes in and is opened where it lies, plaintext is sealed into memory of the caller's.
//! Nothing in here knows a socket, a clock of its own or a file. rustls is behind `tls.rs`, and nobody else asks it.
//!
//! A link keeps the part of a record that has come before its rest, and nothing else: an idle one has no buffers. Who
//! owns it counts that part ([`Link::unfinished_bytes`]), as every other half of something.
//!
//! | file | what it is |
//! |---|---|
//! | `preface.rs` | the header of the PROXY protocol |
//! | `tls.rs` | one connection's TLS, from the first byte to close_notify |
//! | `records.rs` | where records begin and end |
//! | `acceptor.rs` | what a handshake is made from, and how that is replaced |
//! | `certificates.rs` | certificates and keys, read and checked |
//! | `fault.rs` | why it cannot go on, in words |
//!
//! It may import `memory`. It must never know a shard, an engine, the HTTP side or a configuration.

mod acceptor;
mod certificates;
mod fault;
mod preface;
mod records;
#[cfg(test)]
pub(crate) mod rehearsal;
#[cfg(test)]
mod tests;
mod tls;

use std::fmt;
use std::sync::Arc;

use crate::memory::Counted;

pub use acceptor::{Acceptor, Offer};
pub use certificates::{ClientRoots, Pair, Unfit, self_signed};
pub use fault::Fault;
use preface::Preface;
pub use preface::{Introduction, PREFACE_BYTES_MAX};
use records::Place;
use tls::Tls;
pub use tls::{Facts, RECORD_BYTES_MAX, sealed_bytes_max};

/// What a link keeps of input that is not whole at most, in bytes: a flight of a handshake, certificates included. A
/// record alone has no more than 18,437.
pub const UNFINISHED_BYTES_MAX: usize = 32 * 1024;

/// What the bytes of one receive came to. It is used again, so that a receive allocates nothing.
#[derive(Debug, Default)]
pub struct Opened {
    /// Plaintext.
    pub plain: Vec<u8>,
    /// What TLS itself has to say, as it goes on the wire, before any answer to the plaintext.
    pub out: Vec<u8>,
    /// The peer says that nothing follows (close_notify).
    pub is_finished: bool,
    /// Whom the peer has behind it: said once.
    pub introduced: Option<Introduction>,
}

impl Opened {
    /// Empties it for the next receive.
    pub fn clear(&mut self) {
        /// What a large receive took is kept up to here, in bytes.
        const KEPT_BYTES_MAX: usize = 256 * 1024;
        self.plain.clear();
        self.out.clear();
        self.plain.shrink_to(KEPT_BYTES_MAX);
        self.out.shrink_to(KEPT_BYTES_MAX);
        self.is_finished = false;
        self.introduced = None;
    }
}

/// One connection's link.
pub struct Link {
    /// What has still to come before anything else.
    preface: Option<Preface>,
    /// None: once the preface has come, there is nothing between.
    tls: Option<Tls>,
    /// What came and is not whole: of records that were opened, as long as a message of the handshake goes on in the
    /// next, and then a part of a record.
    unfinished: Vec<u8>,
    /// Where in there the part of a record begins.
    opened: usize,
    received: u64,
    /// What its owner counts for it in a budget.
    pub counted: Counted,
}

impl Link {
    /// Of a connection that has just been accepted, if it has one: with TLS, and behind a load balancer's preface.
    pub fn accept(acceptor: Option<&Arc<Acceptor>>, has_preface: bool) -> Option<Box<Self>> {
        if acceptor.is_none() && !has_preface {
            return None;
        }
        Some(Box::new(Link {
            preface: has_preface.then(Preface::default),
            tls: acceptor.map(|acceptor| Tls::new(acceptor.clone())),
            unfinished: Vec::new(),
            opened: 0,
            received: 0,
            counted: Counted::default(),
        }))
    }

    /// Whether it speaks TLS.
    pub fn has_tls(&self) -> bool {
        self.tls.is_some()
    }

    /// Whether it has done all that it was for: its connection goes on as a plain one.
    pub fn is_spent(&self) -> bool {
        self.preface.is_none() && self.tls.is_none()
    }

    /// Bytes have come from the wire. They are overwritten. What is behind the end that the peer has told is ignored
    /// (RFC 8446, section 6.1).
    ///
    /// # Errors
    /// Where it cannot go on: what [`Opened::out`] has then is the last that is sent.
    pub fn receive(&mut self, lent: &mut [u8], opened: &mut Opened) -> Result<(), Fault> {
        self.received += lent.len() as u64;
        let mut rest = lent;
        if let Some(preface) = &mut self.preface {
            let Some((used, introduction)) = preface.receive(rest)? else {
                return Ok(());
            };
            opened.introduced = Some(introduction);
            self.preface = None;
            rest = &mut rest[used..];
        }
        let Some(tls) = &mut self.tls else {
            opened.plain.extend_from_slice(rest);
            return Ok(());
        };
        while !rest.is_empty() && !tls.hears_no_more() {
            if self.unfinished.is_empty() {
                let Place { whole, .. } = records::find(rest);
                let used = tls.receive(rest, opened)?;
                if !tls.hears_no_more() {
                    self.unfinished = rest[used..].to_vec();
                    self.opened = whole.saturating_sub(used);
                }
                break;
            }
            // Only as much as makes the next record whole: those behind it are opened where they lie.
            let Place { missing, .. } = records::find(&self.unfinished[self.opened..]);
            let (next, after) = rest.split_at_mut(missing.min(rest.len()));
            rest = after;
            self.unfinished.extend_from_slice(next);
            let Place { whole, missing } = records::find(&self.unfinished[self.opened..]);
            if whole == 0 && missing > 0 {
                continue;
            }
            let used = tls.receive(&mut self.unfinished, opened)?;
            self.opened = (self.opened + whole).saturating_sub(used);
            self.unfinished.drain(..used);
            if self.unfinished.is_empty() {
                self.unfinished = Vec::new();
            }
        }
        if tls.hears_no_more() {
            self.forget();
        }
        if self.unfinished.len() > UNFINISHED_BYTES_MAX {
            self.finish(&mut opened.out);
            return Err(Fault::TooLong);
        }
        Ok(())
    }

    /// Seals up to [`RECORD_BYTES_MAX`] bytes as one record into `out`, which has room for [`sealed_bytes_max`], and says
    /// how many bytes that is. None: the connection cannot go on, or its handshake is not over.
    pub fn seal(&mut self, plain: &[u8], out: &mut [u8]) -> Option<usize> {
        self.tls.as_mut()?.seal(plain, &mut self.unfinished, out)
    }

    /// Seals any number of bytes, behind what is in `out`; whether it can.
    pub fn seal_to(&mut self, plain: &[u8], out: &mut Vec<u8>) -> bool {
        plain.chunks(RECORD_BYTES_MAX).all(|record| {
            let start = out.len();
            out.resize(start + sealed_bytes_max(record.len()), 0);
            let sealed = self.seal(record, &mut out[start..]);
            out.truncate(start + sealed.unwrap_or(0));
            sealed.is_some()
        })
    }

    /// Nothing more is sent: says so, be it that the handshake is not over. To be called before FIN; what is behind it
    /// says nothing.
    pub fn finish(&mut self, out: &mut Vec<u8>) {
        if let Some(tls) = &mut self.tls {
            tls.finish(&mut self.unfinished, out);
        }
        self.forget();
    }

    /// Whether the handshake is over, and plaintext may go both ways.
    pub fn is_open(&self) -> bool {
        let tls = self.tls.as_ref().filter(|_| self.preface.is_none());
        tls.is_some_and(Tls::is_open)
    }

    /// Whether the peer has said that nothing follows.
    pub fn is_finished(&self) -> bool {
        self.tls.as_ref().is_some_and(Tls::is_finished)
    }

    /// Whether the client came again and resumed, by a ticket.
    pub fn is_resumed(&self) -> bool {
        self.tls.as_ref().is_some_and(Tls::is_resumed)
    }

    /// What was agreed on, once it is open.
    pub fn facts(&self) -> Option<Facts> {
        self.tls.as_ref()?.facts()
    }

    /// The memory that it takes for what is not whole, in bytes.
    pub fn unfinished_bytes(&self) -> usize {
        let preface = self.preface.as_ref().map_or(0, Preface::held_bytes);
        preface + self.unfinished.capacity()
    }

    /// How many bytes have come from the wire so far.
    pub fn received(&self) -> u64 {
        self.received
    }

    fn forget(&mut self) {
        self.unfinished = Vec::new();
        self.opened = 0;
    }
}

/// Shows no keys, and nothing that was said.
impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Link");
        shown.field("is_open", &self.is_open());
        shown.field("received", &self.received);
        shown.finish_non_exhaustive()
    }
}
