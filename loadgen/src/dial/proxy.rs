//! The way through an HTTP proxy: CONNECT (RFC 9110 section 9.3.6), without a socket.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use percent_encoding::percent_decode_str;

use crate::target::parse_authority;
use crate::wire::failure::Failure;
use crate::wire::handshake::{not_http, refusal};

/// Longest head of an answer.
const HEAD_BYTES_MAX: usize = 16 * 1024;

/// Most headers of an answer.
const HEADERS_MAX: usize = 64;

/// A proxy of `--proxy`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Proxy {
    pub(super) host: String,
    pub(super) port: u16,
    /// `USER:PASSWORD`, if it is to be told who asks.
    credentials: Option<String>,
}

impl Proxy {
    /// Reads `http://[USER:PASSWORD@]HOST:PORT`. The error says what would be right.
    pub(crate) fn parse(text: &str) -> Result<Proxy, String> {
        let Some(rest) = text.strip_prefix("http://") else {
            return Err("expected http://HOST:PORT: other proxies are not spoken to".to_owned());
        };
        let rest = rest.trim_end_matches('/');
        let (credentials, authority) = match rest.rsplit_once('@') {
            Some((credentials, authority)) => (Some(decode(credentials)?), authority),
            None => (None, rest),
        };
        let (host, port) = parse_authority(authority, Some(80))?;
        Ok(Proxy {
            host,
            port,
            credentials,
        })
    }

    /// What asks it for a connection.
    pub(super) fn request(&self, host: &str, port: u16) -> Vec<u8> {
        let target = match host.contains(':') {
            true => format!("[{host}]:{port}"),
            false => format!("{host}:{port}"),
        };
        let mut request = format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n");
        if let Some(credentials) = &self.credentials {
            let basic = STANDARD.encode(credentials);
            request += &format!("Proxy-Authorization: Basic {basic}\r\n");
        }
        (request + "\r\n").into_bytes()
    }
}

/// Credentials as they stand in a URL, where some characters are written as `%` and two hexadecimal digits.
fn decode(text: &str) -> Result<String, String> {
    match percent_decode_str(text).decode_utf8() {
        Ok(decoded) if decoded.contains(':') && !decoded.contains(char::is_control) => {
            Ok(decoded.into_owned())
        }
        _ => Err("its credentials are none; write http://USER:PASSWORD@HOST:PORT".to_owned()),
    }
}

/// A proxy's answer, as far as it has come.
pub(super) struct Tunnel {
    /// What is to be sent first.
    pub(super) request: Vec<u8>,
    received: Vec<u8>,
}

impl Tunnel {
    /// One that `request` asks for.
    pub(super) fn new(request: Vec<u8>) -> Tunnel {
        let received = Vec::new();
        Tunnel { request, received }
    }

    /// Takes bytes from the proxy. Hands back what stands behind its answer, once that is a yes.
    pub(super) fn receive(&mut self, bytes: &[u8]) -> Result<Option<Vec<u8>>, Failure> {
        self.received.extend_from_slice(bytes);
        let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
        let mut response = httparse::Response::new(&mut headers);
        let head_bytes = match response.parse(&self.received) {
            Ok(httparse::Status::Complete(head_bytes)) => head_bytes,
            Ok(httparse::Status::Partial) if self.received.len() < HEAD_BYTES_MAX => {
                return Ok(None);
            }
            Ok(httparse::Status::Partial) => return Err(self.missing("its answer has no end")),
            Err(error) => return Err(not_http("the proxy's answer", &self.received, error)),
        };
        let behind = &self.received[head_bytes..];
        if let Some(200..=299) = response.code {
            return Ok(Some(behind.to_vec()));
        }
        let refusal = refusal("the proxy", "200", &response, behind);
        Err(Failure::Refused(refusal))
    }

    /// It said no more.
    pub(super) fn missing(&self, why: &str) -> Failure {
        let said = self.received.len();
        Failure::Refused(format!(
            "the proxy did not connect: {why} ({said} bytes had come)"
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn proxies_are_read_with_their_credentials() {
        let proxy = Proxy::parse("http://a%40b:p%3a@[::1]:3128/").unwrap();
        assert_eq!((proxy.host.as_str(), proxy.port), ("::1", 3128));
        let request = String::from_utf8(proxy.request("::1", 1)).unwrap();
        let basic = STANDARD.encode("a@b:p:");
        assert!(request.starts_with("CONNECT [::1]:1 HTTP/1.1\r\nHost: [::1]:1\r\n"));
        assert!(
            request.ends_with(&format!("Basic {basic}\r\n\r\n")),
            "{request}"
        );
        for wrong in [
            "h:1",
            "https://h:1",
            "http://",
            "http://u@h:1",
            "http://a:%0d@h:1",
        ] {
            assert!(Proxy::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn its_answer_ends_where_it_ends_and_a_no_is_told_in_words() {
        let mut tunnel = Tunnel::new(Vec::new());
        assert_eq!(tunnel.receive(b"HTTP/1.1 200 OK\r\n").unwrap(), None);
        assert_eq!(
            tunnel.receive(b"\r\nx").unwrap().as_deref(),
            Some(&b"x"[..])
        );
        let mut tunnel = Tunnel::new(Vec::new());
        let no = b"HTTP/1.1 407 Who?\r\nProxy-Authenticate: Basic realm=\"r\"\r\n\r\n";
        let told = tunnel.receive(no).unwrap_err().to_string();
        assert!(
            told.contains("the proxy answered \"407 Who?\" instead of 200"),
            "{told}"
        );
        assert!(told.contains("Basic realm"), "{told}");
    }
}
