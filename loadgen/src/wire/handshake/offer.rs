//! What the upgrade request says beyond what every request says.

use std::fmt;

/// Headers that are the handshake's own.
const RESERVED_HEADERS: [&str; 2] = ["upgrade", "connection"];

/// Start of the names of headers that are the handshake's own.
const RESERVED_PREFIX: &str = "sec-websocket-";

/// What is asked of the server, the same for all connections.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Offer {
    /// Further headers; a `Host` takes the place of the URL's.
    pub(crate) headers: Vec<Header>,
    /// Subprotocols, the one preferred most first.
    pub(crate) subprotocols: Vec<String>,
    /// Whether to offer permessage-deflate.
    pub(crate) deflate: bool,
}

/// A header of the request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    name: String,
    value: String,
}

impl Header {
    /// Reads `Name: value`. The error is a phrase that says what would be right.
    pub(crate) fn parse(text: &str) -> Result<Header, String> {
        let (name, value) = text
            .split_once(':')
            .ok_or("a header is written \"Name: value\"")?;
        if !is_token(name) {
            return Err(format!(
                "{name:?} is no header name: those have letters, digits and any of !#$%&'*+-.^_`|~"
            ));
        }
        let lower = name.to_ascii_lowercase();
        if RESERVED_HEADERS.contains(&lower.as_str()) || lower.starts_with(RESERVED_PREFIX) {
            return Err(format!(
                "{name} is set by the handshake itself; for Sec-WebSocket-Protocol use --subprotocol, \
                 for Sec-WebSocket-Extensions --deflate"
            ));
        }
        // RFC 9110 section 5.5: the white space around a value is not part of it.
        let value = value.trim_matches([' ', '\t']);
        if let Some(control) = value.chars().find(|&c| c.is_ascii_control() && c != '\t') {
            return Err(format!(
                "the value of {name} has the control character {control:?}, which would end or \
                 corrupt the request"
            ));
        }
        Ok(Header {
            name: name.to_owned(),
            value: value.to_owned(),
        })
    }

    /// Whether this is the header `name`.
    pub(crate) fn is(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name)
    }
}

impl fmt::Display for Header {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.name, self.value)
    }
}

/// Reads the name of a subprotocol (RFC 6455 section 1.9). The error is a phrase that says what would be right.
pub(crate) fn parse_subprotocol(text: &str) -> Result<String, String> {
    let name = Some(text).filter(|text| is_token(text));
    name.map(str::to_owned).ok_or_else(|| {
        format!("{text:?} is no subprotocol: one has letters, digits and any of !#$%&'*+-.^_`|~")
    })
}

impl Offer {
    /// Refuses what contradicts itself.
    pub(crate) fn check(&self) -> Result<(), String> {
        let hosts = self.headers.iter().filter(|header| header.is("Host"));
        if hosts.count() > 1 {
            return Err("--header gives Host more than once; a request has one".to_owned());
        }
        for (index, name) in self.subprotocols.iter().enumerate() {
            // RFC 6455 section 4.1: all of them must be different.
            if self.subprotocols[..index].contains(name) {
                return Err(format!("--subprotocol {name} is given twice"));
            }
        }
        Ok(())
    }

    /// The request with the value `key` of Sec-WebSocket-Key.
    pub(super) fn request(&self, authority: &str, path: &str, key: &str) -> Vec<u8> {
        let has_host = self.headers.iter().any(|header| header.is("Host"));
        let host = if has_host {
            ""
        } else {
            &format!("Host: {authority}\r\n")
        };
        let mut request = format!(
            "GET {path} HTTP/1.1\r\n{host}Upgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n"
        );
        if !self.subprotocols.is_empty() {
            let names = self.subprotocols.join(", ");
            request += &format!("Sec-WebSocket-Protocol: {names}\r\n");
        }
        if self.deflate {
            // Without a value: the server may choose any window (RFC 7692 section 7.1.2.2).
            request += "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n";
        }
        for header in &self.headers {
            request += &format!("{header}\r\n");
        }
        (request + "\r\n").into_bytes()
    }
}

/// Whether `text` is a token (RFC 9110 section 5.6.2).
pub(super) fn is_token(text: &str) -> bool {
    !text.is_empty()
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_read_as_they_will_be_sent() {
        for (text, sent) in [
            ("Authorization: Bearer a:b", "Authorization: Bearer a:b"),
            ("X-Empty:", "X-Empty: "),
            ("x-tab: \ta\tb ", "x-tab: a\tb"),
            ("host: example.org", "host: example.org"),
            ("X-Name: Zoë", "X-Name: Zoë"),
        ] {
            assert_eq!(Header::parse(text).unwrap().to_string(), sent);
        }
    }

    #[test]
    fn what_would_break_the_request_is_refused() {
        for text in [
            "",
            "no colon",
            ": value",
            "Two words: x",
            "X\r\nY: x",
            "X: a\r\nY: b",
            "X: a\nb",
            "X: a\0b",
            "X: a\u{7f}",
            "upgrade: h2c",
            "Connection: close",
            "Sec-WebSocket-Key: x",
            "sec-websocket-anything: x",
        ] {
            assert!(Header::parse(text).is_err(), "{text:?}");
        }
        for text in ["", "a b", "a,b", "a\r\n", "é", "a;b", "\"a\""] {
            assert!(parse_subprotocol(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn an_offer_contradicts_itself_at_most_once() {
        let header = |text| Header::parse(text).unwrap();
        let subprotocol = |text| parse_subprotocol(text).unwrap();
        let mut offer = Offer {
            headers: vec![header("Host: a"), header("X: 1"), header("X: 2")],
            subprotocols: vec![subprotocol("chat"), subprotocol("Chat")],
            deflate: false,
        };
        assert_eq!(offer.check(), Ok(()));
        offer.headers.push(header("hOST: b"));
        assert!(offer.check().unwrap_err().contains("Host"));
        offer.headers.pop();
        offer.subprotocols.push(subprotocol("chat"));
        assert!(offer.check().unwrap_err().contains("chat is given twice"));
    }

    #[test]
    fn the_request_has_all_that_was_asked_for() {
        let offer = Offer {
            headers: vec![
                Header::parse("Host: other.example").unwrap(),
                Header::parse("Origin: http://a").unwrap(),
            ],
            subprotocols: vec![
                parse_subprotocol("v2.chat").unwrap(),
                parse_subprotocol("chat").unwrap(),
            ],
            deflate: true,
        };
        let request = String::from_utf8(offer.request("h:1", "/x", "KEY")).unwrap();
        let (head, rest) = request.split_once("\r\n\r\n").unwrap();
        assert_eq!(rest, "");
        let mut lines: Vec<&str> = head.split("\r\n").collect();
        assert_eq!(lines.remove(0), "GET /x HTTP/1.1");
        lines.sort_unstable();
        assert_eq!(
            lines,
            [
                "Connection: Upgrade",
                "Host: other.example",
                "Origin: http://a",
                "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits",
                "Sec-WebSocket-Key: KEY",
                "Sec-WebSocket-Protocol: v2.chat, chat",
                "Sec-WebSocket-Version: 13",
                "Upgrade: websocket",
            ]
        );
    }
}
