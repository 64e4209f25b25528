//! The upgrade from HTTP/1.1 (RFC 6455, section 4.2): a request head in, a 101 or a clear refusal out.
//!
//! [`find_end`] finds the end of the head however it comes in pieces, and tells early what will never be one, [`answer`] parses the whole head once, [`write_switching`] writes the 101, and
//! [`Refusal::render`] whatever else there is to say. Nothing here keeps a byte or a state; the caller
//! holds the head until it is whole.

mod admit;
mod extensions;
mod foreign;
mod invitation;
mod line;
mod refusal;
mod request;
mod scan;
#[cfg(test)]
mod tests;
mod words;

use base64::Engine as _;
use base64::alphabet::STANDARD as ALPHABET;
use base64::engine::GeneralPurpose;
use base64::engine::general_purpose::PAD;
use sha1::{Digest, Sha1};

use super::policy::Policy;
use crate::memory::slab::HOLD_BYTES_MAX;

pub use extensions::Deflate;
pub use foreign::Foreign;
pub use invitation::{WHAT_THIS_IS, invitation, invitation_to};
pub(crate) use refusal::response_head;
pub use refusal::{HTTP_1_1_NEEDED, Refusal};
pub(crate) use request::elements;

use line::{Progress, RequestLine};
use request::{Once, Request};
use scan::{Scan, scan};

/// Lenient about the bits behind the last byte: the example key of RFC 6455 (section 4.1) has some set.
const BASE64: GeneralPurpose =
    GeneralPurpose::new(&ALPHABET, PAD.with_decode_allow_trailing_bits(true));

/// The longest request head, in bytes, with the empty line that ends it.
pub const HEAD_BYTES_MAX: usize = HOLD_BYTES_MAX;

/// The most header fields in a head.
pub const HEADERS_MAX: usize = 100;

/// What the server appends to a client's key (RFC 6455, section 1.3).
const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// The length of a decoded key, in bytes (section 4.1).
const KEY_BYTES: usize = 16;

/// An upgrade that the server agrees to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Accepted<'a> {
    /// The value of `Sec-WebSocket-Accept`.
    pub accept: [u8; 28],
    /// The subprotocol chosen from those the client offers.
    pub subprotocol: Option<&'a str>,
    /// What was agreed on of permessage-deflate; none: messages are not compressed.
    pub deflate: Option<Deflate>,
}

/// What is to become of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer<'a> {
    /// It is upgraded.
    Upgrade(Accepted<'a>),
    /// It is ordinary HTTP, for somebody else to answer. Only where `Policy::http` says that there is somebody.
    Http,
    /// It is upgraded by that somebody: its path is in `Policy::elsewhere`.
    Elsewhere(Accepted<'a>),
}

/// Reads a whole request head, one whose length [`find_end`] has found.
///
/// Of the extensions offered, permessage-deflate is agreed to where the session answers messages by themselves and
/// `policy.deflate` says so: the first offer that can be met. Of the subprotocols the first offered that
/// `policy.subprotocols` names is chosen; none is no error (section 4.2.2).
///
/// # Errors
/// A [`Refusal`] that names the first thing wrong, from the general to the particular: syntax, who may come (by what name
/// the server is called, origin, secret), HTTP version, `Host`, method, target, body, Engine.IO, `Upgrade`, `Connection`,
/// WebSocket version, key, subprotocols, extensions, path.
pub fn answer<'a>(head: &'a [u8], policy: &Policy) -> Result<Answer<'a>, Refusal> {
    let request = Request::parse(head, policy)?;
    if let Some(guests) = &policy.guests {
        admit::admit(&request, guests, policy.http)?;
    }
    let elsewhere = if policy.http {
        let mut places = policy.elsewhere.iter();
        places.find(|place| request.line.is_below(&place.path))
    } else {
        None
    };
    let may_speak_engine_io = elsewhere.is_some_and(|place| place.speaks_engine_io);
    if policy.http && is_http(&request, may_speak_engine_io)? {
        return Ok(Answer::Http);
    }
    match upgrade(&request, may_speak_engine_io) {
        Ok(mut accepted) => {
            // What is answered otherwise than by itself is not compressed.
            let is_echoed = elsewhere.is_none() && policy.prefix.is_none();
            accepted.deflate = accepted
                .deflate
                .filter(|_| policy.deflate.is_some() && is_echoed);
            match elsewhere {
                Some(_) => Ok(Answer::Elsewhere(accepted)),
                None => {
                    if let Some(guests) = &policy.guests {
                        admit::find(&request, guests)?;
                    }
                    Ok(Answer::Upgrade(accepted))
                }
            }
        }
        Err(Refusal::SocketIo) if policy.speaks_engine_io() => Err(Refusal::SocketIoPath),
        Err(refusal) => Err(refusal),
    }
}

/// Whether the request with this whole `head` asks how the server is, and brings nothing along that would take time.
pub fn is_probe(head: &[u8], policy: &Policy) -> bool {
    let request = Request::parse(head, policy);
    request.is_ok_and(|request| admit::is_probe(&request) && !request.body.is_announced())
}

/// Whether a request is ordinary HTTP/1. One that looks like an attempt at a WebSocket is not, however it
/// failed: behind a proxy that removed `Upgrade`, that is told best by the refusal.
///
/// # Errors
/// Where it would be, but is malformed.
fn is_http(request: &Request<'_>, may_speak_engine_io: bool) -> Result<bool, Refusal> {
    if request.mentions_websocket {
        return Ok(false);
    }
    let line = &request.line;
    let (1, minor_version) = line.version else {
        return Ok(false);
    };
    // RFC 9110, section 9.3, and RFC 5789. Whoever connects wants a proxy.
    let has_method = matches!(
        line.method,
        b"GET" | b"HEAD" | b"POST" | b"PUT" | b"DELETE" | b"OPTIONS" | b"TRACE" | b"PATCH"
    );
    if !has_method || (line.speaks_engine_io() && !may_speak_engine_io) {
        return Ok(false);
    }
    if !line.names_a_resource() && !line.asks_for_options_of_all() {
        return Err(Refusal::Target);
    }
    match request.host {
        Once::Value(host) if request::is_host(host) => {}
        Once::Missing if minor_version == 0 => {}
        Once::Missing | Once::Value(_) | Once::Repeated => return Err(Refusal::Host),
    }
    if !request.body.has_clear_end(minor_version) {
        return Err(Refusal::BodyEnd);
    }
    if request.body.has_unknown_coding() {
        return Err(Refusal::TransferCoding);
    }
    Ok(true)
}

/// The upgrade that a request asks for, if it is in order.
fn upgrade<'a>(request: &Request<'a>, may_speak_engine_io: bool) -> Result<Accepted<'a>, Refusal> {
    // A recipient takes a later minor version for its own (RFC 9110, section 2.5).
    if !matches!(request.line.version, (1, 1..)) {
        return Err(Refusal::HttpVersion);
    }
    // Whatever else is wrong with it (RFC 9112, section 3.2).
    if !matches!(request.host, Once::Value(host) if request::is_host(host)) {
        return Err(Refusal::Host);
    }
    match request.line.method {
        b"GET" | b"HEAD" => {}
        // RFC 9110, section 9.3, and RFC 5789.
        b"POST" | b"PUT" | b"DELETE" | b"OPTIONS" | b"TRACE" | b"PATCH" => {
            return Err(Refusal::Method);
        }
        b"CONNECT" => return Err(Refusal::Connect),
        _ => return Err(Refusal::UnknownMethod),
    }
    if !request.line.names_a_resource() {
        return Err(Refusal::Target);
    }
    if request.body.is_announced() {
        return Err(Refusal::Body);
    }
    if !may_speak_engine_io && request.line.speaks_engine_io() {
        return Err(Refusal::SocketIo);
    }
    // A HEAD is answered as the GET that asks for nothing would be; it cannot be upgraded itself.
    if !request.upgrades_to_websocket || request.line.method == b"HEAD" {
        return Err(Refusal::UpgradeRequired);
    }
    if !request.connection_upgrades {
        return Err(Refusal::Connection);
    }
    if !matches!(request.websocket_version, Once::Value(b"13")) {
        return Err(Refusal::WebSocketVersion);
    }
    let accept = match request.key {
        Once::Value(key) if is_key(key) => accept(key),
        Once::Missing | Once::Value(_) | Once::Repeated => return Err(Refusal::Key),
    };
    Ok(Accepted {
        accept,
        subprotocol: request.subprotocol.map_err(|_| Refusal::Subprotocol)?,
        deflate: request.deflate.map_err(|_| Refusal::Extensions)?,
    })
}

/// Checks the request line, as far as `head` has it: whoever speaks another protocol shows it there, and
/// need not wait for an answer until the head's deadline.
///
/// # Errors
/// The same that [`answer`] would give once the head is whole.
pub fn check_line(head: &[u8]) -> Result<(), Refusal> {
    match line::read(head) {
        Progress::Fault(place) => Err(Refusal::of_line(&head[..=place])),
        Progress::Partial | Progress::Whole(..) => Ok(()),
    }
}

/// The path and the query that a whole head asks for, as they stand in it, percent signs and all.
pub fn path_and_query(head: &[u8]) -> Option<&str> {
    let (line, _) = request_line(head)?;
    std::str::from_utf8(line.path_and_query()).ok()
}

/// The request line of a whole head, and the fields behind it.
pub(crate) fn request_line(head: &[u8]) -> Option<(RequestLine<'_>, &[u8])> {
    match line::read(head) {
        Progress::Whole(line, fields) => Some((line, fields)),
        Progress::Partial | Progress::Fault(_) => None,
    }
}

/// How long the head at the start of `bytes` is, of which `scanned` have been looked at before in vain; none while
/// it may still become one. Of `bytes` there are [`HEAD_BYTES_MAX`] at most.
///
/// # Errors
/// Why it will never be one: by its first line, or since it is too large.
pub fn find_end(bytes: &[u8], scanned: usize) -> Result<Option<usize>, Refusal> {
    let scan = scan(bytes, scanned);
    if let Scan::Complete(head_len) = scan {
        return Ok(Some(head_len));
    }
    check_line(bytes)?;
    match scan {
        Scan::BareLineFeed => Err(Refusal::BareLineFeed),
        _ if bytes.len() == HEAD_BYTES_MAX => Err(Refusal::too_large(bytes)),
        _ => Ok(None),
    }
}

/// Whether `byte` may stand in a token (RFC 9110, section 5.6.2).
pub(crate) fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// Whether `key` is sixteen bytes in base64, padded.
fn is_key(key: &[u8]) -> bool {
    // The decoder wants room for what as many characters could be without padding.
    let mut decoded = [0; KEY_BYTES + 2];
    BASE64.decode_slice(key, &mut decoded) == Ok(KEY_BYTES)
}

/// The answer to `key` (section 4.2.2, item 5.4).
fn accept(key: &[u8]) -> [u8; 28] {
    let digest = Sha1::new().chain_update(key).chain_update(GUID).finalize();
    let mut accept = [0; 28];
    BASE64
        .encode_slice(digest, &mut accept)
        .expect("the twenty bytes of a digest are twenty-eight in base64");
    accept
}

impl Accepted<'_> {
    /// How long the 101 is that answers it, in bytes.
    pub fn switching_len(&self) -> usize {
        let deflate = self.deflate.map_or(0, |deflate| deflate.written_len());
        129 + self.subprotocol.map_or(0, |name| 26 + name.len()) + deflate
    }
}

/// Writes the 101 to the front of `out` and returns its length, which is [`Accepted::switching_len`].
///
/// # Panics
/// If `out` is too short.
pub fn write_switching(accepted: &Accepted<'_>, out: &mut [u8]) -> usize {
    let mut len = 0;
    let mut put = |piece: &[u8]| {
        out[len..len + piece.len()].copy_from_slice(piece);
        len += piece.len();
    };
    put(b"HTTP/1.1 101 Switching Protocols\r\n\
        Upgrade: websocket\r\n\
        Connection: Upgrade\r\n\
        Sec-WebSocket-Accept: ");
    put(&accepted.accept);
    if let Some(subprotocol) = accepted.subprotocol {
        put(b"\r\nSec-WebSocket-Protocol: ");
        put(subprotocol.as_bytes());
    }
    if let Some(deflate) = &accepted.deflate {
        deflate.write(&mut put);
    }
    put(b"\r\n\r\n");
    len
}
