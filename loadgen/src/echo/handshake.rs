//! The opening handshake as a client does it (RFC 6455 section 4.1).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha1::{Digest, Sha1};

use super::failure::Failure;

/// Appended to the key before hashing (RFC 6455 section 1.3).
const ACCEPT_GUID: &str = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// Longest response head taken.
const HEAD_BYTES_MAX: usize = 16 * 1024;

/// Most response headers taken.
const HEADERS_MAX: usize = 64;

/// Most bytes of a refusal's body shown.
const BODY_EXCERPT_BYTES: usize = 200;

/// One handshake under way.
pub(crate) struct Handshake {
    accept: String,
    received: Vec<u8>,
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
    pub(crate) fn begin(authority: &str, path: &str, nonce: [u8; 16]) -> (Vec<u8>, Handshake) {
        let key = STANDARD.encode(nonce);
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: {authority}\r\nUpgrade: websocket\r\n\
             Connection: Upgrade\r\nSec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n"
        );
        let accept = STANDARD.encode(Sha1::digest(format!("{key}{ACCEPT_GUID}")));
        (
            request.into_bytes(),
            Handshake {
                accept,
                received: Vec::new(),
            },
        )
    }

    /// Takes bytes from the server.
    pub(crate) fn receive(&mut self, bytes: &[u8]) -> Result<Progress, Failure> {
        self.received.extend_from_slice(bytes);
        self.judge(false)
    }

    /// The server ended the stream before the handshake was done.
    pub(crate) fn end_of_stream(&mut self) -> Failure {
        match self.judge(true) {
            Err(failure) => failure,
            Ok(_) if self.received.is_empty() => {
                Failure::Refused("the server closed the connection without answering".to_owned())
            }
            Ok(_) => Failure::Refused(format!(
                "the server closed the connection in the middle of its answer ({})",
                excerpt(&self.received)
            )),
        }
    }

    fn judge(&self, ended: bool) -> Result<Progress, Failure> {
        let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
        let mut response = httparse::Response::new(&mut headers);
        let head_bytes = match response.parse(&self.received) {
            Ok(httparse::Status::Complete(head_bytes)) => head_bytes,
            Ok(httparse::Status::Partial) if self.received.len() < HEAD_BYTES_MAX => {
                return Ok(Progress::More);
            }
            Ok(httparse::Status::Partial) => {
                return Err(Failure::Refused(format!(
                    "the answer's head is longer than {HEAD_BYTES_MAX} bytes"
                )));
            }
            Err(error) => {
                return Err(Failure::Refused(format!(
                    "the answer is not HTTP: {error} ({})",
                    excerpt(&self.received)
                )));
            }
        };
        let body = &self.received[head_bytes..];
        if response.code != Some(101) {
            let wanted = content_length(&response).unwrap_or(BODY_EXCERPT_BYTES);
            if !ended && body.len() < wanted.min(BODY_EXCERPT_BYTES) {
                return Ok(Progress::More);
            }
            return Err(Failure::Refused(describe_refusal(&response, body)));
        }
        self.check_headers(&response).map_err(Failure::Refused)?;
        Ok(Progress::Open(body.to_vec()))
    }

    fn check_headers(&self, response: &httparse::Response<'_, '_>) -> Result<(), String> {
        let values = |name: &'static str| {
            response
                .headers
                .iter()
                .filter(move |header| header.name.eq_ignore_ascii_case(name))
                .map(|header| String::from_utf8_lossy(header.value).into_owned())
        };
        let has_token = |name, token: &str| {
            values(name).any(|value| {
                value
                    .split(',')
                    .any(|t| t.trim().eq_ignore_ascii_case(token))
            })
        };
        if !has_token("Upgrade", "websocket") {
            return Err("the 101 lacks \"Upgrade: websocket\"".to_owned());
        }
        if !has_token("Connection", "upgrade") {
            return Err("the 101 lacks \"Connection: Upgrade\"".to_owned());
        }
        let accepts: Vec<String> = values("Sec-WebSocket-Accept").collect();
        if accepts != [self.accept.as_str()] {
            return Err(format!(
                "wrong Sec-WebSocket-Accept: expected {:?}, received {accepts:?}",
                self.accept
            ));
        }
        for unasked in ["Sec-WebSocket-Extensions", "Sec-WebSocket-Protocol"] {
            if let Some(value) = values(unasked).next() {
                return Err(format!(
                    "the 101 has {unasked}: {value}, which was not offered"
                ));
            }
        }
        Ok(())
    }
}

fn content_length(response: &httparse::Response<'_, '_>) -> Option<usize> {
    let header = response
        .headers
        .iter()
        .find(|header| header.name.eq_ignore_ascii_case("Content-Length"))?;
    std::str::from_utf8(header.value).ok()?.trim().parse().ok()
}

fn describe_refusal(response: &httparse::Response<'_, '_>, body: &[u8]) -> String {
    let code = response.code.unwrap_or_default();
    let reason = response.reason.unwrap_or_default();
    let mut text = format!("the server answered \"{code} {reason}\" instead of 101");
    if !body.is_empty() {
        text += &format!(" ({})", excerpt(body));
    }
    text
}

/// The first bytes as one printable line.
fn excerpt(bytes: &[u8]) -> String {
    let shown = &bytes[..bytes.len().min(BODY_EXCERPT_BYTES)];
    let dots = if shown.len() < bytes.len() { "..." } else { "" };
    format!("{:?}{dots}", String::from_utf8_lossy(shown).trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The nonce of RFC 6455 section 1.3, whose answer is printed there.
    const NONCE: &[u8; 16] = b"the sample nonce";
    const ANSWER: &str = "HTTP/1.1 101 Switching Protocols\r\nupgrade: WebSocket\r\n\
        CONNECTION: keep-alive, upgrade\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";

    fn answered(answer: &[u8]) -> Result<Progress, Failure> {
        Handshake::begin("h:1", "/", *NONCE).1.receive(answer)
    }

    #[test]
    fn accepts_the_sample_of_the_rfc_however_cut() {
        let (request, _) = Handshake::begin("h:1", "/x", *NONCE);
        let request = String::from_utf8(request).unwrap();
        assert!(request.starts_with("GET /x HTTP/1.1\r\nHost: h:1\r\n"));
        assert!(request.contains("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"));

        let answer = [ANSWER.as_bytes(), b"\x81\x00"].concat();
        assert_eq!(
            answered(&answer).unwrap(),
            Progress::Open(b"\x81\x00".to_vec())
        );
        for cut in 0..ANSWER.len() {
            let (_, mut handshake) = Handshake::begin("h:1", "/", *NONCE);
            assert_eq!(handshake.receive(&answer[..cut]).unwrap(), Progress::More);
            assert_eq!(
                handshake.receive(&answer[cut..]).unwrap(),
                Progress::Open(b"\x81\x00".to_vec())
            );
        }
    }

    #[test]
    fn refuses_a_wrong_101() {
        for (good, bad) in [
            ("upgrade: WebSocket", "upgrade: h2c"),
            ("keep-alive, upgrade", "keep-alive"),
            ("s3pP", "t3pP"),
            (
                "\r\n\r\n",
                "\r\nSec-WebSocket-Extensions: permessage-deflate\r\n\r\n",
            ),
            ("\r\n\r\n", "\r\nSec-WebSocket-Protocol: chat\r\n\r\n"),
        ] {
            let answer = ANSWER.replacen(good, bad, 1);
            assert!(
                matches!(answered(answer.as_bytes()), Err(Failure::Refused(_))),
                "{bad}"
            );
        }
    }

    #[test]
    fn a_refusal_is_told_with_status_and_body() {
        let answer = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 8\r\n\r\ngo away\n";
        let failure = answered(answer).unwrap_err().to_string();
        assert!(failure.contains("503 Service Unavailable"), "{failure}");
        assert!(failure.contains("go away"), "{failure}");

        let (_, mut handshake) = Handshake::begin("h:1", "/", *NONCE);
        assert_eq!(
            handshake.receive(b"HTTP/1.1 400 Bad\r\n\r\nwh").unwrap(),
            Progress::More
        );
        assert!(handshake.end_of_stream().to_string().contains("\"wh\""));
        assert!(answered(b"SSH-2.0-x\r\n").is_err());
    }
}
