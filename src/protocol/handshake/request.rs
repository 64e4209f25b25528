//! What a request head says, as far as an upgrade cares.

use httparse::{EMPTY_HEADER, Status};

use crate::protocol::guests::BEARER_SUBPROTOCOL;
use crate::protocol::policy::{ANY_SUBPROTOCOL, Policy};

use super::extensions::{self, Deflate, Malformed};
use super::line::{self, Progress, RequestLine};
use super::{HEADERS_MAX, Refusal, is_token_byte};

/// A field that must come exactly once.
#[derive(Clone, Copy, Debug)]
pub(super) enum Once<'a> {
    Missing,
    Value(&'a [u8]),
    Repeated,
}

impl<'a> Once<'a> {
    pub(super) fn put(&mut self, value: &'a [u8]) {
        *self = match self {
            Once::Missing => Once::Value(value),
            Once::Value(_) | Once::Repeated => Once::Repeated,
        };
    }
}

/// What the fields say of the body (RFC 9112, section 6).
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Body<'a> {
    length: Option<&'a [u8]>,
    /// A length is no number, or there are two.
    is_unclear: bool,
    is_encoded: bool,
    /// The last coding is `chunked`, which says where the body ends.
    ends_chunked: bool,
    /// There is a coding other than `chunked`.
    is_encoded_otherwise: bool,
}

impl<'a> Body<'a> {
    fn put_length(&mut self, value: &'a [u8]) {
        let text = std::str::from_utf8(value).unwrap_or_default();
        let is_number = value.iter().all(u8::is_ascii_digit) && text.parse::<u64>().is_ok();
        let differs = self.length.is_some_and(|length| length != value);
        self.is_unclear |= differs || !is_number;
        self.length = Some(value);
    }

    fn put_codings(&mut self, value: &[u8]) {
        self.is_encoded = true;
        for coding in elements(value).filter(|coding| !coding.is_empty()) {
            // A second one would be chunks in chunks.
            self.is_unclear |= self.ends_chunked;
            self.ends_chunked = coding.eq_ignore_ascii_case(b"chunked");
            self.is_encoded_otherwise |= !self.ends_chunked;
        }
    }

    /// Whether it is encoded as nobody here can read it, though it can be told where it ends.
    pub(super) fn has_unknown_coding(&self) -> bool {
        self.is_encoded_otherwise
    }

    /// Whether there is one, or might be.
    pub(super) fn is_announced(&self) -> bool {
        self.is_encoded || self.is_unclear || self.length.is_some_and(|length| length != b"0")
    }

    /// Whether all recipients agree on where it ends: those who speak HTTP/1.0 know no encoding.
    pub(super) fn has_clear_end(&self, minor_version: u8) -> bool {
        let is_at_odds = self.length.is_some() || minor_version == 0 || !self.ends_chunked;
        !(self.is_unclear || self.is_encoded && is_at_odds)
    }
}

/// A head that is well formed; whether it is acceptable is decided elsewhere.
#[derive(Debug)]
pub(super) struct Request<'a> {
    pub(super) line: RequestLine<'a>,
    /// All fields, as they came.
    pub(super) fields: &'a [u8],
    pub(super) host: Once<'a>,
    pub(super) body: Body<'a>,
    pub(super) upgrades_to_websocket: bool,
    pub(super) connection_upgrades: bool,
    /// There is something that only WebSocket clients send, be the upgrade in order or not.
    pub(super) mentions_websocket: bool,
    pub(super) websocket_version: Once<'a>,
    pub(super) key: Once<'a>,
    /// The first offered that the server knows, unless they are not offered as they must be.
    pub(super) subprotocol: Result<Option<&'a str>, Malformed>,
    /// The first offer of permessage-deflate that can be met, with the same exception.
    pub(super) deflate: Result<Option<Deflate>, Malformed>,
}

impl<'a> Request<'a> {
    /// Reads a whole head.
    pub(super) fn parse(head: &'a [u8], policy: &Policy) -> Result<Self, Refusal> {
        let (line, fields) = match line::read(head) {
            Progress::Whole(line, fields) => (line, fields),
            Progress::Fault(place) => return Err(Refusal::of_line(&head[..=place])),
            Progress::Partial => return Err(Refusal::Malformed),
        };
        let mut request = Request {
            line,
            fields,
            host: Once::Missing,
            body: Body::default(),
            mentions_websocket: false,
            upgrades_to_websocket: false,
            connection_upgrades: false,
            websocket_version: Once::Missing,
            key: Once::Missing,
            subprotocol: Ok(None),
            deflate: Ok(None),
        };
        let mut headers = [EMPTY_HEADER; HEADERS_MAX];
        match httparse::parse_headers(fields, &mut headers) {
            Ok(Status::Complete((_, headers))) => {
                for header in headers.iter() {
                    request.take(header.name, header.value, policy);
                }
                request.mentions_websocket = request.upgrades_to_websocket
                    || !matches!(request.key, Once::Missing)
                    || headers.iter().any(|header| is_websocket_field(header.name));
                Ok(request)
            }
            Err(httparse::Error::TooManyHeaders) => Err(Refusal::TooManyHeaders),
            Ok(Status::Partial) | Err(_) => Err(Refusal::Malformed),
        }
    }

    fn take(&mut self, name: &str, value: &'a [u8], policy: &Policy) {
        let is = |known: &str| name.eq_ignore_ascii_case(known);
        if is("host") {
            self.host.put(value);
        } else if is("upgrade") {
            self.upgrades_to_websocket |= lists(value, b"websocket");
        } else if is("connection") {
            self.connection_upgrades |= lists(value, b"upgrade");
        } else if is("sec-websocket-version") {
            self.websocket_version.put(value);
        } else if is("sec-websocket-key") {
            self.key.put(value);
        } else if is("sec-websocket-protocol") {
            let chosen = choose(value, policy);
            self.subprotocol = self.subprotocol.and_then(|it| Ok(it.or(chosen?)));
        } else if is("sec-websocket-extensions") {
            let chosen = extensions::choose(value);
            self.deflate = self.deflate.and_then(|it| Ok(it.or(chosen?)));
        } else if is("content-length") {
            self.body.put_length(value);
        } else if is("transfer-encoding") {
            self.body.put_codings(value);
        }
    }
}

/// Whether it is a field of the opening handshake (RFC 6455, section 11.3).
fn is_websocket_field(name: &str) -> bool {
    const PREFIX: &str = "sec-websocket-";
    let start = name.get(..PREFIX.len());
    start.is_some_and(|start| start.eq_ignore_ascii_case(PREFIX))
}

/// The elements of a list (RFC 9110, section 5.6.1).
pub(crate) fn elements(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|&byte| byte == b',').map(<[u8]>::trim_ascii)
}

fn lists(value: &[u8], wanted: &[u8]) -> bool {
    elements(value).any(|element| element.eq_ignore_ascii_case(wanted))
}

/// The first subprotocol offered in `value` that the policy knows, and that is no secret. Empty elements are passed over,
/// and there may be no others: Python's websockets sends that where it is given an empty list.
///
/// # Errors
/// Where an element is no token.
fn choose<'a>(value: &'a [u8], policy: &Policy) -> Result<Option<&'a str>, Malformed> {
    let known = &policy.subprotocols;
    let is_known = |name: &str| known.iter().any(|it| it == ANY_SUBPROTOCOL || it == name);
    let has_secrets = || {
        policy
            .guests
            .as_ref()
            .is_some_and(|it| it.secrets.is_some())
    };
    let is_secret = |name: &str| name.starts_with(BEARER_SUBPROTOCOL) && has_secrets();
    let mut chosen = None;
    for offered in elements(value).filter(|element| !element.is_empty()) {
        let name = std::str::from_utf8(offered).ok();
        let name = name.filter(|_| is_token(offered)).ok_or(Malformed)?;
        chosen = chosen.or_else(|| (is_known(name) && !is_secret(name)).then_some(name));
    }
    Ok(chosen)
}

/// Whether `bytes` are a token (RFC 9110, section 5.6.2).
fn is_token(bytes: &[u8]) -> bool {
    !bytes.is_empty() && bytes.iter().copied().all(is_token_byte)
}

/// Whether `value` may be a host and a port (RFC 9110, section 7.2; RFC 3986, section 3.2): what stands in brackets
/// may have colons, and a port is digits. Both may be empty.
pub(super) fn is_host(value: &[u8]) -> bool {
    let (literal, host, port) = if let [b'[', rest @ ..] = value {
        let Some(end) = rest.iter().position(|&byte| byte == b']') else {
            return false;
        };
        (true, &rest[..end], &rest[end + 1..])
    } else {
        let end = value.iter().position(|&byte| byte == b':');
        let (host, port) = value.split_at(end.unwrap_or(value.len()));
        (false, host, port)
    };
    let is_in_host = |&byte: &u8| {
        byte.is_ascii_alphanumeric()
            || b"-._~%!$&'()*+,;=".contains(&byte)
            || (literal && byte == b':')
    };
    let is_port = match port {
        [] => true,
        [b':', digits @ ..] => digits.iter().all(u8::is_ascii_digit),
        _ => false,
    };
    is_port && host.iter().all(is_in_host)
}
