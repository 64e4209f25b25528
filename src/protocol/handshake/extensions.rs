//! permessage-deflate, negotiated (RFC 7692, section 7.1; RFC 6455, section 9.1).
//!
//! What is agreed on is such that a client's own compressed message is right for its inflater. So it never keeps a
//! window from one message to the next, and never has a larger one than the server's messages may have.

use super::is_token_byte;

/// The extension that there is.
const NAME: &[u8] = b"permessage-deflate";

/// The smallest window that can be agreed on, as the power of two of its bytes. 8 may be offered, but zlib makes no
/// raw stream with it: old versions wrote one with 9, which whoever inflates with 8 cannot read.
const WINDOW_BITS_MIN: u8 = 9;

/// What was agreed on of permessage-deflate. A client takes over no context in any case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deflate {
    /// The client asked that the server takes over no context.
    pub server_no_context_takeover: bool,
    /// The windows of the server and of the client, as powers of two in bytes, where the client limits the server's.
    pub window_bits: Option<(u8, u8)>,
}

/// A value that is no list of what it should list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Malformed;

/// The first offer in `value`, that of a `Sec-WebSocket-Extensions` field, that can be agreed to.
///
/// An offer with a parameter that is unknown, repeated, or has a value that it cannot have, is declined; so is
/// another extension. Elements of the list may be empty (RFC 9110, section 5.6.1).
///
/// # Errors
/// Where the value does not meet the grammar, be it behind an offer that can be agreed to.
pub(super) fn choose(value: &[u8]) -> Result<Option<Deflate>, Malformed> {
    let mut input = Input(value);
    let mut chosen = None;
    loop {
        input.skip_spaces();
        if !matches!(input.0, [] | [b',', ..]) {
            let offer = read_offer(&mut input)?;
            chosen = chosen.or(offer.and_then(Offer::agree));
        }
        if input.0.is_empty() {
            return Ok(chosen);
        }
        if !input.takes(b',') {
            return Err(Malformed);
        }
    }
}

/// What a client offers of permessage-deflate.
#[derive(Clone, Copy, Debug, Default)]
struct Offer {
    server_no_context_takeover: bool,
    client_no_context_takeover: bool,
    server_max_window_bits: Option<u8>,
    /// None: not offered; the largest there is where it is offered without a value.
    client_max_window_bits: Option<u8>,
}

impl Offer {
    /// Takes a parameter; none if it makes the offer one that has to be declined (RFC 7692, section 7.1).
    fn with(mut self, parameter: &Parameter<'_>) -> Option<Self> {
        let (has_value, bits) = (parameter.has_value, parameter.window_bits());
        let is_new = match parameter.name {
            b"server_no_context_takeover" => {
                !has_value && !std::mem::replace(&mut self.server_no_context_takeover, true)
            }
            b"client_no_context_takeover" => {
                !has_value && !std::mem::replace(&mut self.client_no_context_takeover, true)
            }
            b"server_max_window_bits" => self.server_max_window_bits.replace(bits?).is_none(),
            b"client_max_window_bits" => {
                let bits = if has_value { bits? } else { 15 };
                self.client_max_window_bits.replace(bits).is_none()
            }
            _ => false,
        };
        is_new.then_some(self)
    }

    /// What is answered to it; none: it is declined.
    fn agree(self) -> Option<Deflate> {
        let window_bits = match (self.server_max_window_bits, self.client_max_window_bits) {
            (None, _) => None,
            (Some(server), Some(client)) if server >= WINDOW_BITS_MIN => {
                Some((server, client.min(server)))
            }
            // What cannot be asked of the client cannot be promised for the server.
            (Some(_), _) => return None,
        };
        Some(Deflate {
            server_no_context_takeover: self.server_no_context_takeover,
            window_bits,
        })
    }
}

/// A parameter of an extension.
struct Parameter<'a> {
    name: &'a [u8],
    has_value: bool,
    /// The value, quotes and escapes undone, if it has two bytes at most.
    value: [u8; 2],
    value_len: usize,
}

impl Parameter<'_> {
    /// From 8 to 15, without a zero in front (RFC 7692, section 7.1.2).
    fn window_bits(&self) -> Option<u8> {
        match (self.value_len, self.value) {
            (1, [digit @ b'8'..=b'9', _]) => Some(digit - b'0'),
            (2, [b'1', digit @ b'0'..=b'5']) => Some(10 + digit - b'0'),
            _ => None,
        }
    }
}

/// Reads an extension; none: it is no offer that is understood.
fn read_offer(input: &mut Input<'_>) -> Result<Option<Offer>, Malformed> {
    let is_known = input.token()? == NAME;
    let mut offer = is_known.then(Offer::default);
    input.skip_spaces();
    while input.takes(b';') {
        let parameter = input.parameter()?;
        offer = offer.and_then(|offer| offer.with(&parameter));
        input.skip_spaces();
    }
    Ok(offer)
}

/// What is left of a value.
struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    fn skip_spaces(&mut self) {
        while let [b' ' | b'\t', rest @ ..] = self.0 {
            self.0 = rest;
        }
    }

    /// Takes `byte` if it comes next.
    fn takes(&mut self, byte: u8) -> bool {
        let rest = self.0.strip_prefix(&[byte]);
        self.0 = rest.unwrap_or(self.0);
        rest.is_some()
    }

    fn token(&mut self) -> Result<&'a [u8], Malformed> {
        let end = self.0.iter().position(|&byte| !is_token_byte(byte));
        let (token, rest) = self.0.split_at(end.unwrap_or(self.0.len()));
        self.0 = rest;
        if token.is_empty() {
            Err(Malformed)
        } else {
            Ok(token)
        }
    }

    /// `name`, `name=token` or `name="token"`, spaces around each part.
    fn parameter(&mut self) -> Result<Parameter<'a>, Malformed> {
        self.skip_spaces();
        let name = self.token()?;
        self.skip_spaces();
        let mut parameter = Parameter {
            name,
            has_value: self.takes(b'='),
            value: [0; 2],
            value_len: 0,
        };
        if !parameter.has_value {
            return Ok(parameter);
        }
        self.skip_spaces();
        let mut put = |byte| {
            if let Some(place) = parameter.value.get_mut(parameter.value_len) {
                *place = byte;
            }
            parameter.value_len += 1;
        };
        if self.takes(b'"') {
            self.quoted(put)?;
        } else {
            self.token()?.iter().copied().for_each(&mut put);
        }
        if parameter.value_len == 0 {
            Err(Malformed)
        } else {
            Ok(parameter)
        }
    }

    /// The rest of a quoted string, which is a token once the escapes are undone (RFC 6455, section 9.1).
    fn quoted(&mut self, mut put: impl FnMut(u8)) -> Result<(), Malformed> {
        loop {
            let (byte, rest) = match self.0 {
                [b'"', rest @ ..] => {
                    self.0 = rest;
                    return Ok(());
                }
                [b'\\', byte, rest @ ..] | [byte, rest @ ..] => (*byte, rest),
                [] => return Err(Malformed),
            };
            if !is_token_byte(byte) {
                return Err(Malformed);
            }
            put(byte);
            self.0 = rest;
        }
    }
}

const FIELD: &[u8] =
    b"\r\nSec-WebSocket-Extensions: permessage-deflate; client_no_context_takeover";
const SERVER_NO_CONTEXT_TAKEOVER: &[u8] = b"; server_no_context_takeover";
const SERVER_MAX_WINDOW_BITS: &[u8] = b"; server_max_window_bits=";
const CLIENT_MAX_WINDOW_BITS: &[u8] = b"; client_max_window_bits=";

impl Deflate {
    /// Gives the field that says what was agreed on to `put`, piece by piece, the end of the line before it first.
    pub(super) fn write(&self, mut put: impl FnMut(&[u8])) {
        put(FIELD);
        if self.server_no_context_takeover {
            put(SERVER_NO_CONTEXT_TAKEOVER);
        }
        if let Some((server, client)) = self.window_bits {
            for (name, bits) in [
                (SERVER_MAX_WINDOW_BITS, server),
                (CLIENT_MAX_WINDOW_BITS, client),
            ] {
                put(name);
                let digits = [b'0' + bits / 10, b'0' + bits % 10];
                put(if bits < 10 { &digits[1..] } else { &digits });
            }
        }
    }

    /// How many bytes that is.
    pub(super) fn written_len(&self) -> usize {
        let mut len = 0;
        self.write(|piece| len += piece.len());
        len
    }
}
