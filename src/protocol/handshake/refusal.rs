//! Why an upgrade is refused, and how that is said.

use std::fmt::Write as _;
use std::time::{Duration, UNIX_EPOCH};

use http::StatusCode;

use super::foreign::Foreign;

/// What whoever speaks HTTP/1.0 has to know.
pub const HTTP_1_1_NEEDED: &str = "A WebSocket upgrade is an HTTP/1.1 request. If a proxy on the way \
    speaks HTTP/1.0, as nginx does by itself, it needs `proxy_http_version 1.1`, and must pass on \
    Upgrade and Connection.";

/// Why an upgrade is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The head is not that of an HTTP/1 request (RFC 9112): 400.
    Malformed,
    /// It begins like another protocol: 400.
    Foreign(Foreign),
    /// A line feed without its carriage return (RFC 9112, section 2.2): 400.
    BareLineFeed,
    /// The target is neither a path nor a URI (RFC 9112, section 3.2): 400.
    Target,
    /// The target has this byte, which no URI has as it is (RFC 3986, section 2.1): 400.
    Unescaped(u8),
    /// `Host` is missing, repeated, or not a host (RFC 9112, section 3.2): 400.
    Host,
    /// The request has a body, which would be taken for frames: 400.
    Body,
    /// It cannot be told where the body of an ordinary request ends (RFC 9112, section 6.3): 400.
    BodyEnd,
    /// `Connection` does not name `Upgrade` (RFC 6455, section 4.2.1): 400.
    Connection,
    /// `Sec-WebSocket-Key` is missing, repeated, or not sixteen bytes in base64 (section 4.2.1): 400.
    Key,
    /// `Sec-WebSocket-Protocol` is no list of tokens (section 4.3): 400.
    Subprotocol,
    /// `Sec-WebSocket-Extensions` is no list of extensions (RFC 6455, section 9.1): 400.
    Extensions,
    /// No secret of a private instance is shown (RFC 9110, section 15.5.2): 401.
    Unauthorized,
    /// It comes from a page of an origin that is not allowed (RFC 6455, section 10.2): 403.
    Origin,
    /// No WebSocket is echoed at its path: 404.
    Path,
    /// A method other than GET and HEAD: 405.
    Method,
    /// The head did not come in time: 408.
    Timeout,
    /// The request does not ask for a WebSocket, and is told how to (RFC 9110, section 15.5.22): 426.
    UpgradeRequired,
    /// The same, from a Socket.IO client: 426.
    SocketIo,
    /// The same, where Socket.IO is spoken at another path: 426.
    SocketIoPath,
    /// A version of the WebSocket protocol other than 13 (RFC 6455, section 4.4): 426.
    WebSocketVersion,
    /// The request line alone is longer than [`HEAD_BYTES_MAX`](super::HEAD_BYTES_MAX) (RFC 9112, section 3): 414.
    TargetTooLong,
    /// The server is called by a name that is not one of its own (RFC 9110, section 15.5.20): 421.
    Misdirected,
    /// There are as many connections from its address as may be, or they come too fast (RFC 6585, section 4): 429.
    TooMany,
    /// The head is longer than [`HEAD_BYTES_MAX`](super::HEAD_BYTES_MAX) (RFC 6585, section 5): 431.
    HeadTooLarge,
    /// The head has more than [`HEADERS_MAX`](super::HEADERS_MAX) fields (RFC 6585, section 5): 431.
    TooManyHeaders,
    /// A method that is none of HTTP's (RFC 9110, section 9.1): 501.
    UnknownMethod,
    /// The method of those who want a proxy (RFC 9110, section 9.3.6): 501.
    Connect,
    /// The body of an ordinary request is encoded as nobody here can read it (RFC 9112, section 6.1): 501.
    TransferCoding,
    /// The server is going down, is full, or has no memory left: 503.
    Unavailable,
    /// A version of HTTP other than 1.1 and what may follow it in 1: 505.
    HttpVersion,
}

impl Refusal {
    /// What is wrong with a request line that its last byte makes none.
    pub(super) fn of_line(seen: &[u8]) -> Refusal {
        match (Foreign::of(seen), seen) {
            (Some(foreign), _) => Refusal::Foreign(foreign),
            (None, [.., b'\n']) => Refusal::BareLineFeed,
            // A token has none of these, nor has what stands behind the target.
            (None, [line @ .., byte @ (b'"' | b'<' | b'>' | 0x80..)]) if line.contains(&b' ') => {
                Refusal::Unescaped(*byte)
            }
            (None, _) => Refusal::Malformed,
        }
    }

    /// What is too long about a head that did not end within [`HEAD_BYTES_MAX`](super::HEAD_BYTES_MAX).
    pub fn too_large(head: &[u8]) -> Refusal {
        let line = head.strip_prefix(b"\r\n").unwrap_or(head);
        if line.contains(&b'\n') {
            Refusal::HeadTooLarge
        } else if line.contains(&b' ') {
            Refusal::TargetTooLong
        } else {
            // RFC 9112, section 3: a method longer than any that there is.
            Refusal::UnknownMethod
        }
    }

    /// The status code.
    pub const fn status(self) -> u16 {
        match self {
            Refusal::Malformed
            | Refusal::Foreign(_)
            | Refusal::BareLineFeed
            | Refusal::Target
            | Refusal::Unescaped(_)
            | Refusal::Host
            | Refusal::Body
            | Refusal::BodyEnd
            | Refusal::Connection
            | Refusal::Key
            | Refusal::Extensions
            | Refusal::Subprotocol => 400,
            Refusal::Unauthorized => 401,
            Refusal::Origin => 403,
            Refusal::Path => 404,
            Refusal::Method => 405,
            Refusal::Timeout => 408,
            Refusal::TargetTooLong => 414,
            Refusal::Misdirected => 421,
            Refusal::UpgradeRequired
            | Refusal::SocketIo
            | Refusal::SocketIoPath
            | Refusal::WebSocketVersion => 426,
            Refusal::TooMany => 429,
            Refusal::HeadTooLarge | Refusal::TooManyHeaders => 431,
            Refusal::UnknownMethod | Refusal::Connect | Refusal::TransferCoding => 501,
            Refusal::Unavailable => 503,
            Refusal::HttpVersion => 505,
        }
    }

    /// The whole HTTP/1.1 response. `head` is the request as far as it came; only its `Host` is
    /// repeated, and only if it is harmless. `now` is the time since 1970, where there is a clock. `over_tls`: so it
    /// came, and so is whoever comes again invited.
    pub fn render(&self, head: &[u8], now: Option<Duration>, over_tls: bool) -> Vec<u8> {
        let text = self.text(head, over_tls);
        let mut response = response_head(self.status(), &text, self.fields(), now);
        // The response to HEAD describes a body and has none (RFC 9110, section 9.3.2).
        let line = head.strip_prefix(b"\r\n").unwrap_or(head);
        if !line.starts_with(b"HEAD ") {
            response.push_str(&text);
        }
        response.into_bytes()
    }

    /// The fields that not every response has, each with the end of its line. A sender of `Upgrade`
    /// names it in `Connection` (RFC 9110, section 7.8).
    const fn fields(self) -> &'static str {
        match self {
            // Either will do (RFC 9110, section 11.6.1).
            Refusal::Unauthorized => {
                "Connection: close\r\nWWW-Authenticate: Basic realm=\"ringback\", charset=\"UTF-8\"\r\n\
                WWW-Authenticate: Bearer realm=\"ringback\"\r\n"
            }
            Refusal::Method => "Connection: close\r\nAllow: GET, HEAD\r\n",
            Refusal::Unavailable | Refusal::TooMany => "Connection: close\r\nRetry-After: 1\r\n",
            Refusal::UpgradeRequired | Refusal::SocketIo | Refusal::SocketIoPath => {
                "Connection: close, Upgrade\r\nUpgrade: websocket\r\n"
            }
            Refusal::WebSocketVersion => {
                "Connection: close, Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
            }
            Refusal::Malformed
            | Refusal::Foreign(_)
            | Refusal::BareLineFeed
            | Refusal::Target
            | Refusal::Unescaped(_)
            | Refusal::Host
            | Refusal::Body
            | Refusal::BodyEnd
            | Refusal::Connection
            | Refusal::Key
            | Refusal::Subprotocol
            | Refusal::Extensions
            | Refusal::Origin
            | Refusal::Path
            | Refusal::Timeout
            | Refusal::TargetTooLong
            | Refusal::Misdirected
            | Refusal::HeadTooLarge
            | Refusal::TooManyHeaders
            | Refusal::UnknownMethod
            | Refusal::Connect
            | Refusal::TransferCoding
            | Refusal::HttpVersion => "Connection: close\r\n",
        }
    }
}

/// More than the status line and the fields that every response has, in bytes.
const HEAD_BYTES: usize = 256;

/// The head of a response that says `text`: the status line, the fields that every response of the server's own has,
/// further `fields`, each with the end of its line, and the empty line. `now` is the time since 1970, where there is a
/// clock.
pub(crate) fn response_head(
    status: u16,
    text: &str,
    fields: &str,
    now: Option<Duration>,
) -> String {
    // Its words mean nothing to a program, and may be missing.
    let status_code = StatusCode::from_u16(status).ok();
    let reason = status_code.and_then(|code| code.canonical_reason());
    let reason = reason.unwrap_or_default();
    let mut head = String::with_capacity(HEAD_BYTES + fields.len() + text.len());
    // Nothing can fail to be written into a String.
    let _ = write!(head, "HTTP/1.1 {status} ");
    head += reason;
    if let Some(now) = now {
        let _ = write!(
            head,
            "\r\nDate: {}",
            httpdate::fmt_http_date(UNIX_EPOCH + now)
        );
    }
    if !text.is_empty() {
        head += "\r\nContent-Type: text/plain; charset=utf-8";
    }
    // RFC 9110, section 8.6.
    if !matches!(status, 204 | 304) {
        let _ = write!(head, "\r\nContent-Length: {}", text.len());
    }
    head += "\r\nCache-Control: no-store\r\n";
    head += fields;
    head += "\r\n";
    head
}

#[cfg(test)]
mod tests {
    use super::super::HEAD_BYTES_MAX;
    use super::super::tests::{head_of, read_response};
    use super::*;

    /// The example of RFC 9110, section 5.6.7.
    const NOW: Duration = Duration::from_secs(784_111_777);

    /// Every refusal. The match makes a new one fail here until it is listed.
    fn refusals() -> Vec<Refusal> {
        let mut all = vec![Refusal::Malformed];
        while let Some(last) = all.last() {
            all.push(match last {
                Refusal::Malformed => Refusal::Foreign(Foreign::Tls),
                Refusal::Foreign(foreign) => match foreign {
                    Foreign::Tls => Refusal::Foreign(Foreign::Ssh),
                    Foreign::Ssh => Refusal::Foreign(Foreign::Smtp),
                    Foreign::Smtp => Refusal::Foreign(Foreign::Redis),
                    Foreign::Redis => Refusal::Foreign(Foreign::Mqtt),
                    Foreign::Mqtt => Refusal::Foreign(Foreign::ProxyV1),
                    Foreign::ProxyV1 => Refusal::Foreign(Foreign::ProxyV2),
                    Foreign::ProxyV2 => Refusal::BareLineFeed,
                },
                Refusal::BareLineFeed => Refusal::Target,
                Refusal::Target => Refusal::Unescaped(0xE9),
                Refusal::Unescaped(_) => Refusal::Host,
                Refusal::Host => Refusal::Body,
                Refusal::Body => Refusal::BodyEnd,
                Refusal::BodyEnd => Refusal::Connection,
                Refusal::Connection => Refusal::Key,
                Refusal::Key => Refusal::Subprotocol,
                Refusal::Subprotocol => Refusal::Extensions,
                Refusal::Extensions => Refusal::Unauthorized,
                Refusal::Unauthorized => Refusal::Origin,
                Refusal::Origin => Refusal::Path,
                Refusal::Path => Refusal::Method,
                Refusal::Method => Refusal::Timeout,
                Refusal::Timeout => Refusal::UpgradeRequired,
                Refusal::UpgradeRequired => Refusal::SocketIo,
                Refusal::SocketIo => Refusal::SocketIoPath,
                Refusal::SocketIoPath => Refusal::WebSocketVersion,
                Refusal::WebSocketVersion => Refusal::TargetTooLong,
                Refusal::TargetTooLong => Refusal::Misdirected,
                Refusal::Misdirected => Refusal::TooMany,
                Refusal::TooMany => Refusal::HeadTooLarge,
                Refusal::HeadTooLarge => Refusal::TooManyHeaders,
                Refusal::TooManyHeaders => Refusal::UnknownMethod,
                Refusal::UnknownMethod => Refusal::Connect,
                Refusal::Connect => Refusal::TransferCoding,
                Refusal::TransferCoding => Refusal::Unavailable,
                Refusal::Unavailable => Refusal::HttpVersion,
                Refusal::HttpVersion => return all,
            });
        }
        all
    }

    #[test]
    fn every_refusal_is_a_complete_response() {
        for refusal in refusals() {
            for head in [
                &b""[..],
                b"GET / HT",
                &head_of("GET / HTTP/1.1", &["Host: a"]),
            ] {
                let (status, fields, body) = read_response(&refusal.render(head, Some(NOW), false));
                let field = |name: &str| {
                    let mut values = fields.iter().filter(|field| field.0 == name);
                    let value = values.next().map(|field| field.1.as_str());
                    assert!(values.next().is_none(), "{refusal:?} repeats {name}");
                    value
                };
                assert_eq!(status, refusal.status(), "{refusal:?}");
                assert!(
                    body.len() > 20 && body.ends_with('\n'),
                    "{refusal:?} says {body:?}"
                );
                assert_eq!(
                    field("content-length"),
                    Some(body.len().to_string().as_str())
                );
                assert_eq!(field("content-type"), Some("text/plain; charset=utf-8"));
                assert_eq!(field("cache-control"), Some("no-store"));
                assert_eq!(field("date"), Some("Sun, 06 Nov 1994 08:49:37 GMT"));
                let upgrade = (status == 426).then_some("websocket");
                assert_eq!(field("upgrade"), upgrade, "{refusal:?}");
                let connection = if status == 426 {
                    "close, Upgrade"
                } else {
                    "close"
                };
                assert_eq!(field("connection"), Some(connection), "{refusal:?}");
                let version = (refusal == Refusal::WebSocketVersion).then_some("13");
                assert_eq!(field("sec-websocket-version"), version, "{refusal:?}");
                assert_eq!(
                    field("allow"),
                    (status == 405).then_some("GET, HEAD"),
                    "{refusal:?}"
                );
                assert_eq!(
                    field("retry-after"),
                    matches!(status, 429 | 503).then_some("1"),
                    "{refusal:?}"
                );
                let challenges = fields.iter().filter(|it| it.0 == "www-authenticate");
                let expected = if status == 401 { 2 } else { 0 };
                assert_eq!(challenges.count(), expected, "{refusal:?}");
            }
        }
    }

    #[test]
    fn the_response_to_head_has_no_body() {
        let head = head_of("HEAD / HTTP/1.1", &["Host: a"]);
        let response = Refusal::UpgradeRequired.render(&head, None, false);
        let (status, fields, body) = read_response(&response);
        assert_eq!((status, body.as_str()), (426, ""));
        assert!(
            fields
                .iter()
                .any(|(name, value)| name == "content-length" && value != "0")
        );
    }

    #[test]
    fn tells_what_is_too_long() {
        let long = "a".repeat(HEAD_BYTES_MAX);
        for (head, expected) in [
            (long.clone(), Refusal::UnknownMethod),
            (format!("GET /{long}"), Refusal::TargetTooLong),
            (format!("\r\nGET /{long}"), Refusal::TargetTooLong),
            (format!("GET / HTTP/1.1\r\n{long}"), Refusal::HeadTooLarge),
        ] {
            assert_eq!(Refusal::too_large(head.as_bytes()), expected);
        }
    }
}
