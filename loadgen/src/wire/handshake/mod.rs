//! The opening handshake as a client does it (RFC 6455 section 4.1).
//!
//! `offer` is what the request asks for, `extension` what the server makes of permessage-deflate.

pub(crate) mod extension;
pub(crate) mod offer;

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use httparse::{Response, Status};
use sha1::{Digest, Sha1};

use self::extension::DeflateAgreement;
use self::offer::Offer;
use super::failure::Failure;

/// Appended to the key before hashing (RFC 6455 section 1.3).
const ACCEPT_GUID: &str = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// Longest response head taken, interim responses included.
const HEAD_BYTES_MAX: usize = 16 * 1024;

/// Most response headers taken.
const HEADERS_MAX: usize = 64;

/// Most bytes shown of a refusal's body, or of a header's value.
const EXCERPT_BYTES_MAX: usize = 200;

/// Headers of a refusal that say what would be right, and for which status (0: any).
const TELLING_HEADERS: [(u16, &str); 7] = [
    (0, "Location"),
    (0, "Retry-After"),
    (401, "WWW-Authenticate"),
    (407, "Proxy-Authenticate"),
    (426, "Upgrade"),
    (426, "Sec-WebSocket-Version"),
    (400, "Sec-WebSocket-Version"),
];

/// One handshake under way.
pub(crate) struct Handshake {
    offer: Arc<Offer>,
    accept: String,
    received: Vec<u8>,
    accepted: Accepted,
}

/// What a 101 agreed to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Accepted {
    /// The subprotocol chosen, where some were offered.
    pub(crate) subprotocol: Option<String>,
    /// How messages may be compressed, where that was offered.
    pub(crate) deflate: Option<DeflateAgreement>,
}

/// How far a handshake has come.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Progress {
    /// More bytes are needed.
    More,
    /// Accepted; these bytes came after the response and belong to the first frames.
    Open(Vec<u8>),
}

impl Handshake {
    /// The request to send, and the handshake that waits for its answer.
    pub(crate) fn begin(
        authority: &str,
        path: &str,
        offer: &Arc<Offer>,
        nonce: [u8; 16],
    ) -> (Vec<u8>, Handshake) {
        let key = STANDARD.encode(nonce);
        let accept = STANDARD.encode(Sha1::digest(format!("{key}{ACCEPT_GUID}")));
        (
            offer.request(authority, path, &key),
            Handshake {
                offer: Arc::clone(offer),
                accept,
                received: Vec::new(),
                accepted: Accepted::default(),
            },
        )
    }

    /// Takes bytes from the server.
    pub(crate) fn receive(&mut self, bytes: &[u8]) -> Result<Progress, Failure> {
        self.received.extend_from_slice(bytes);
        self.judge(false)
    }

    /// What the answer agreed to, once it was [`Progress::Open`].
    pub(crate) fn accepted(&self) -> &Accepted {
        &self.accepted
    }

    /// The server ended the stream before the handshake was done.
    pub(crate) fn end_of_stream(&mut self) -> Failure {
        self.unfinished(
            "closed the connection without answering",
            "closed the connection in the middle of its answer",
        )
    }

    /// The server has said nothing more for `seconds`.
    pub(crate) fn out_of_time(&mut self, seconds: u64) -> Failure {
        self.unfinished(
            &format!("did not answer within {seconds} seconds"),
            &format!("did not finish its answer within {seconds} seconds"),
        )
    }

    /// Why this cannot go on: what the answer says as far as it has come, or else that there is none or only a part.
    fn unfinished(&mut self, none: &str, part: &str) -> Failure {
        if let Err(failure) = self.judge(true) {
            return failure;
        }
        Failure::Refused(if self.received.is_empty() {
            format!("the server {none}")
        } else {
            format!("the server {part} ({})", excerpt(&self.received))
        })
    }

    fn judge(&mut self, ended: bool) -> Result<Progress, Failure> {
        let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
        let mut from = 0;
        loop {
            let mut response = Response::new(&mut headers);
            let head_bytes = match response.parse(&self.received[from..]) {
                Ok(Status::Complete(head_bytes)) => head_bytes,
                Ok(Status::Partial) if self.received.len() < HEAD_BYTES_MAX => {
                    return Ok(Progress::More);
                }
                Ok(Status::Partial) => {
                    let why = format!("the answer's head is longer than {HEAD_BYTES_MAX} bytes");
                    return Err(Failure::Refused(why));
                }
                Err(error) => return Err(not_http("the answer", &self.received[from..], error)),
            };
            let body = &self.received[from + head_bytes..];
            match response.code {
                Some(101) => {
                    self.accepted = self.check_headers(&response).map_err(Failure::Refused)?;
                    return Ok(Progress::Open(body.to_vec()));
                }
                // An interim response says nothing yet (RFC 9110 section 15.2).
                Some(100..=199) if from < HEAD_BYTES_MAX => from += head_bytes,
                _ => {
                    let wanted = content_length(&response).unwrap_or(EXCERPT_BYTES_MAX);
                    if !ended && body.len() < wanted.min(EXCERPT_BYTES_MAX) {
                        return Ok(Progress::More);
                    }
                    let why = refusal("the server", "101", &response, body);
                    return Err(Failure::Refused(why));
                }
            }
        }
    }

    fn check_headers(&self, response: &Response<'_, '_>) -> Result<Accepted, String> {
        let all = |name| values(response, name);
        // Nothing but that: a second protocol would lie on top of it (RFC 9110 section 7.8).
        let upgrades = all("Upgrade");
        let is_it = |value: &String| value.eq_ignore_ascii_case("websocket");
        if upgrades.is_empty() || !upgrades.iter().all(is_it) {
            return Err("the 101 lacks \"Upgrade: websocket\", or names more than that".to_owned());
        }
        let options = all("Connection").join(",");
        let mut options = options.split(',').map(str::trim);
        if !options.any(|option| option.eq_ignore_ascii_case("upgrade")) {
            return Err("the 101 lacks \"Connection: Upgrade\"".to_owned());
        }
        let accepts = all("Sec-WebSocket-Accept");
        if accepts != [self.accept.as_str()] {
            return Err(format!(
                "wrong Sec-WebSocket-Accept: expected {:?}, received {accepts:?}",
                self.accept
            ));
        }
        Ok(Accepted {
            subprotocol: self.check_subprotocol(&all("Sec-WebSocket-Protocol"))?,
            deflate: self.check_deflate(&all("Sec-WebSocket-Extensions"))?,
        })
    }

    fn check_subprotocol(&self, chosen: &[String]) -> Result<Option<String>, String> {
        let offered = &self.offer.subprotocols;
        let list = offered.join(", ");
        match chosen {
            [] if offered.is_empty() => Ok(None),
            [name, ..] if offered.is_empty() => Err(not_offered("Sec-WebSocket-Protocol", name)),
            [] => Err(format!(
                "the server chose none of the subprotocols offered ({list})"
            )),
            [name] if offered.contains(name) => Ok(Some(name.clone())),
            names => Err(format!(
                "the server chose the subprotocol {:?}; it must choose one of {list}",
                names.join(", ")
            )),
        }
    }

    fn check_deflate(&self, extensions: &[String]) -> Result<Option<DeflateAgreement>, String> {
        match (self.offer.deflate, extensions) {
            (false, []) => Ok(None),
            (false, [value, ..]) => Err(not_offered("Sec-WebSocket-Extensions", value)),
            (true, []) => Err(
                "the server does not accept permessage-deflate; leave --deflate out, or enable it \
                 there"
                    .to_owned(),
            ),
            (true, values) => {
                let answer = values.join(",");
                let wrong = |what| {
                    let answer = excerpt(answer.as_bytes());
                    format!("the 101's Sec-WebSocket-Extensions {what} ({answer})")
                };
                DeflateAgreement::parse(&answer).map(Some).map_err(wrong)
            }
        }
    }
}

fn not_offered(name: &str, value: &str) -> String {
    format!("the 101 has {name}: {value}, which was not offered")
}

/// The values of all headers `name`, lossily decoded.
fn values(response: &Response<'_, '_>, name: &str) -> Vec<String> {
    let headers = response.headers.iter();
    let named = headers.filter(|header| header.name.eq_ignore_ascii_case(name));
    let decoded = named.map(|header| String::from_utf8_lossy(header.value).into_owned());
    decoded.collect()
}

fn content_length(response: &Response<'_, '_>) -> Option<usize> {
    let lengths = values(response, "Content-Length");
    lengths.first()?.trim().parse().ok()
}

/// `what` cannot be read as HTTP.
pub(crate) fn not_http(what: &str, bytes: &[u8], error: httparse::Error) -> Failure {
    // A server of TLS answers plain bytes by an alert record (RFC 8446 section 5.1).
    if bytes.starts_with(&[0x15, 0x03]) {
        return Failure::Refused(
            "the server speaks TLS on this port; use wss:// instead of ws://".to_owned(),
        );
    }
    Failure::Refused(format!("{what} is not HTTP: {error} ({})", excerpt(bytes)))
}

/// What `who` answered instead of the status `wanted`, and what it said to that.
pub(crate) fn refusal(who: &str, wanted: &str, response: &Response<'_, '_>, body: &[u8]) -> String {
    let code = response.code.unwrap_or_default();
    let reason = response.reason.unwrap_or_default();
    let mut text = format!("{who} answered \"{code} {reason}\" instead of {wanted}");
    for (status, name) in TELLING_HEADERS {
        if (status == 0 || status == code)
            && let Some(value) = values(response, name).first()
        {
            text += &format!("; {name}: {}", excerpt(value.as_bytes()));
        }
    }
    if (300..400).contains(&code) {
        text += "; redirects are not followed, so give the URL it leads to";
    }
    if !body.is_empty() {
        text += &format!(" ({})", excerpt(body));
    }
    text
}

/// The first bytes as one printable line.
fn excerpt(bytes: &[u8]) -> String {
    let shown = &bytes[..bytes.len().min(EXCERPT_BYTES_MAX)];
    let dots = if shown.len() < bytes.len() { "..." } else { "" };
    format!("{:?}{dots}", String::from_utf8_lossy(shown).trim())
}

#[cfg(test)]
mod tests;
