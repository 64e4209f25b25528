//! What is carried of a connection that was put down.

use sha1::{Digest, Sha1};

use crate::link::Link;
use crate::protocol::Moment;
use crate::protocol::carried::{Damage, Reader, Writer};
use crate::protocol::guests::Guest;

use super::admission::Permit;

/// What begins the encoding of something carried.
const MAGIC: [u8; 4] = *b"RBcn";

/// Which encoding it is. Whoever changes the fields, here or in `protocol`, counts it up.
pub const ENCODING_VERSION: u16 = 4;

/// A SHA-1.
const CHECKSUM_BYTES: usize = 20;

/// A connection that was put down: all that it is but its socket.
#[derive(Debug)]
pub struct Carried {
    /// How far its dialogue is and how its peer was seen to stand: the fields that `moving.rs` writes.
    pub(super) state: Vec<u8>,
    /// Bytes that came from the peer and were not taken in.
    pub(super) unread: Vec<u8>,
    /// Bytes that the peer is owed and the kernel was not given.
    pub(super) unsent: Vec<u8>,
    /// Its place among the connections there may be, if it has one. It is no part of the encoding.
    pub permit: Option<Permit>,
    /// Its link, if it has one, as it lives. It is no part of the encoding: what it has agreed on stays in this process.
    pub link: Option<Box<Link>>,
    /// Who is at the other end, where something is known of it. Of this only its address is in the encoding.
    pub guest: Option<Box<Guest>>,
    /// By which entrance it came in ([`super::Entrance::number`]). It is no part of the encoding: the next process has others.
    pub entrance: u16,
    /// Whoever picks it up keeps it as long as it lives. It is no part of the encoding.
    pub stays: bool,
}

/// A connection for whoever goes on with the bytes alone.
#[derive(Debug)]
pub struct Bytes {
    /// Those that came and were not taken in.
    pub unread: Vec<u8>,
    /// Those that go on the wire before any answer: what a link has said.
    pub unsent: Vec<u8>,
    /// How many have come on the wire so far.
    pub received: u64,
    /// What lies between the wire and them.
    pub link: Option<Box<Link>>,
    /// Who is at the other end, where something is known of it.
    pub guest: Option<Box<Guest>>,
}

impl Carried {
    /// For whoever goes on with the bytes alone, of which the dialogue has taken in none.
    pub fn into_bytes(self) -> Bytes {
        let Carried {
            unread,
            unsent,
            link,
            guest,
            ..
        } = self;
        debug_assert!(
            unsent.is_empty() || link.is_some(),
            "nothing has been answered"
        );
        let received = link.as_ref().map(|link| link.received());
        let preface = guest.as_ref().map_or(0, |guest| guest.preface_bytes());
        Bytes {
            received: received.unwrap_or((preface + unread.len()) as u64),
            unread,
            unsent,
            link,
            guest,
        }
    }

    /// One that came by [`Carried::into_bytes`], or the like, and goes back: its link, and what is still to be sent.
    #[must_use]
    pub fn over(self, link: Option<Box<Link>>, unsent: Vec<u8>) -> Self {
        Carried {
            link,
            unsent,
            ..self
        }
    }

    /// For another process, which [`Carried::decode`] reads it.
    ///
    /// ```text
    /// magic 4 | version 2 | SHA-1 of the rest 20 | state | unread | unsent     (each with its length, 8, before it)
    /// ```
    pub fn encode(&self) -> Vec<u8> {
        debug_assert!(self.link.is_none(), "a link stays in its process");
        let mut writer = Writer::new(Moment::default());
        writer.array(&MAGIC);
        writer.u16(ENCODING_VERSION);
        let checksum = MAGIC.len() + size_of_val(&ENCODING_VERSION);
        writer.array(&[0; CHECKSUM_BYTES]);
        writer.bytes(&self.state);
        writer.bytes(&self.unread);
        writer.bytes(&self.unsent);
        // Written once: what waits may be megabytes.
        let mut bytes = writer.into_bytes();
        let (head, body) = bytes.split_at_mut(checksum + CHECKSUM_BYTES);
        head[checksum..].copy_from_slice(&Sha1::digest(body));
        bytes
    }

    /// Reads what [`Carried::encode`] wrote. Its place in the limit on connections comes separately. Whether
    /// the state is one is seen by whoever picks it up.
    ///
    /// # Errors
    /// Where `bytes` are something else, or of another version, or damaged.
    pub fn decode(bytes: &[u8], permit: Option<Permit>) -> Result<Self, Damage> {
        let mut reader = Reader::new(bytes, Moment::default());
        if reader.array("magic")? != MAGIC {
            return Err(Damage::value("magic"));
        }
        if reader.u16("version")? != ENCODING_VERSION {
            return Err(Damage::value("version"));
        }
        let checksum: [u8; CHECKSUM_BYTES] = reader.array("checksum")?;
        if checksum[..] != Sha1::digest(reader.rest())[..] {
            return Err(Damage::value("checksum"));
        }
        let carried = Carried {
            state: reader.bytes("state", usize::MAX)?.to_vec(),
            unread: reader.bytes("unread", usize::MAX)?.to_vec(),
            unsent: reader.bytes("unsent", usize::MAX)?.to_vec(),
            permit,
            link: None,
            guest: None,
            entrance: 0,
            stays: false,
        };
        reader.end().map(|()| carried)
    }
}
