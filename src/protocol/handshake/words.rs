//! What is said of a refusal: to whoever asked, and in the log.

use std::borrow::Cow;

use super::invitation::{WHAT_THIS_IS, host_of, invitation};
use super::refusal::{HTTP_1_1_NEEDED, Refusal};
use super::{HEAD_BYTES_MAX, HEADERS_MAX, is_token_byte};

impl Refusal {
    /// Why, in a few words, for the log.
    pub const fn reason(self) -> &'static str {
        match self {
            Refusal::Malformed => "no HTTP request",
            Refusal::Foreign(_) => "another protocol",
            Refusal::BareLineFeed => "line feed alone",
            Refusal::Target | Refusal::Unescaped(_) => "no target",
            Refusal::Host => "no Host",
            Refusal::Body => "has a body",
            Refusal::BodyEnd => "body without a clear end",
            Refusal::Connection => "Connection without Upgrade",
            Refusal::Key => "no key",
            Refusal::Subprotocol => "no subprotocols",
            Refusal::Extensions => "no extensions",
            Refusal::Unauthorized => "no secret",
            Refusal::Origin => "origin not allowed",
            Refusal::Path => "nothing at this path",
            Refusal::Method => "method not allowed",
            Refusal::Timeout => "head too slow",
            Refusal::UpgradeRequired => "no upgrade",
            Refusal::SocketIo | Refusal::SocketIoPath => "Socket.IO",
            Refusal::WebSocketVersion => "WebSocket version",
            Refusal::TargetTooLong => "target too long",
            Refusal::Misdirected => "host not allowed",
            Refusal::TooMany => "too many from one address",
            Refusal::HeadTooLarge => "head too large",
            Refusal::TooManyHeaders => "too many header fields",
            Refusal::UnknownMethod => "unknown method",
            Refusal::Connect => "wants a proxy",
            Refusal::TransferCoding => "unknown transfer coding",
            Refusal::Unavailable => "no place",
            Refusal::HttpVersion => "HTTP version",
        }
    }

    /// What was wrong, and what would be right.
    pub(super) fn text(self, head: &[u8], over_tls: bool) -> Cow<'static, str> {
        match self {
            Refusal::Malformed => "This is not the head of an HTTP/1.1 request: a request line, then \
                header fields of the form `Name: value`, unfolded, each line ended by CR LF.\n"
                .into(),
            Refusal::Foreign(foreign) => foreign.text().into(),
            Refusal::Target => "The request needs a path, such as / or /chat, or a whole URI with a host, \
                without a fragment (#) and without a user's name (@).\n"
                .into(),
            Refusal::Unescaped(byte) => format!(
                "The path of the request has the byte {byte:02X}, which no URI has as it is. It must be \
                escaped, as %{byte:02X}.\n"
            )
            .into(),
            Refusal::BareLineFeed => "A line of the request ended in LF alone. Each line of the \
                head must end in CR LF.\n"
                .into(),
            Refusal::Host => "The request needs exactly one Host field, with a host and at most a \
                port.\n"
                .into(),
            Refusal::Body => "The request announced a body. A WebSocket upgrade has neither a \
                Transfer-Encoding nor a Content-Length other than 0.\n"
                .into(),
            Refusal::BodyEnd => "It cannot be told where the body of the request ends. One Content-Length \
                in digits, below 2^64, says it, or in HTTP/1.1 a Transfer-Encoding that ends with one \
                `chunked`; not both.\n"
                .into(),
            Refusal::TransferCoding => "The body of the request has a Transfer-Encoding that is not known \
                here. The only one is `chunked`.\n"
                .into(),
            Refusal::Connection => "The request asked for a WebSocket without `Connection: Upgrade`. \
                If a proxy on the way removed it: it must pass on both Upgrade and Connection.\n"
                .into(),
            Refusal::Key => "The request needs exactly one Sec-WebSocket-Key field, with sixteen \
                random bytes in base64 (24 characters).\n"
                .into(),
            Refusal::Subprotocol => "Sec-WebSocket-Protocol is no list of subprotocols. It has names, separated \
                by commas, of letters, digits and any of !#$%&'*+-.^_`|~.\n"
                .into(),
            Refusal::Extensions => "Sec-WebSocket-Extensions is not of the form `name; parameter; \
                parameter=value, name`, in which each is a token and a value may stand in double quotes.\n"
                .into(),
            Refusal::Unauthorized => "This server is private. Send `Authorization: Basic` with a name and its \
                secret, or `Authorization: Bearer` with the secret alone; a WebSocket of a browser may offer \
                the subprotocol `bearer.` and the secret, beside the one that it wants.\n"
                .into(),
            Refusal::Origin => "The page that asks is of an origin that is not allowed here: its operator names \
                those that are (--allow-origin).\n"
                .into(),
            Refusal::Path => "No WebSocket is echoed at this path: the operator names those where it is \
                (--path).\n"
                .into(),
            Refusal::Misdirected => "The request is for a host that is not served here: the operator names \
                those that are (--allow-host).\n"
                .into(),
            Refusal::TooMany => "There are too many connections from your address, or they come too fast. Try \
                again in a second, or once others of yours have ended.\n"
                .into(),
            Refusal::Method => "A WebSocket upgrade is a GET; no other method is allowed.\n".into(),
            Refusal::UnknownMethod => "This is no method of HTTP. A WebSocket upgrade is a GET, in \
                capital letters.\n"
                .into(),
            Refusal::Connect => "CONNECT asks for a proxy, and this is none. A WebSocket upgrade is a GET.\n".into(),
            Refusal::Timeout => "The head of the request did not arrive in time. Send it whole, \
                directly after connecting.\n"
                .into(),
            Refusal::UpgradeRequired => format!(
                "{WHAT_THIS_IS}\n{}",
                invitation(host_of(head), over_tls)
            )
            .into(),
            Refusal::SocketIo => format!(
                "This endpoint speaks plain WebSocket, not Socket.IO, which is a protocol of its own: \
                its clients need a Socket.IO server.\n{}",
                invitation(host_of(head), over_tls)
            )
            .into(),
            Refusal::SocketIoPath => format!(
                "This path speaks plain WebSocket, not Socket.IO, which is a protocol of its own. \
                Socket.IO is spoken on this port at a path of its own. It is /socket.io/, where its clients \
                look if they are given no `path` option, or else what the operator chose and GET / names: \
                then the `path` option has to be that.\n{}",
                invitation(host_of(head), over_tls)
            )
            .into(),
            Refusal::WebSocketVersion => "Only version 13 of the WebSocket protocol (RFC 6455) is \
                spoken here. Send exactly one `Sec-WebSocket-Version: 13`.\n"
                .into(),
            Refusal::TargetTooLong => format!(
                "The request line is too long. At most {HEAD_BYTES_MAX} bytes of head are read.\n"
            )
            .into(),
            Refusal::HeadTooLarge => {
                let culprit = longest_field(head)
                    .map(|name| format!(" Most of it is the field {name}."))
                    .unwrap_or_default();
                format!(
                    "The head of the request is too large. At most {HEAD_BYTES_MAX} bytes are read.{culprit}\n"
                )
                .into()
            }
            Refusal::TooManyHeaders => format!(
                "The request has too many header fields. At most {HEADERS_MAX} are read.\n"
            )
            .into(),
            Refusal::Unavailable => "The server takes no new connections at the moment. Try again \
                in a second.\n"
                .into(),
            Refusal::HttpVersion => {
                format!("This version of HTTP is not spoken here. {HTTP_1_1_NEEDED}\n").into()
            }
        }
    }
}

/// The name of the field that takes more than half of what is read of a head, if there is one (RFC 6585, section 5).
fn longest_field(head: &[u8]) -> Option<&str> {
    let mut lines = head.split(|&byte| byte == b'\n').skip(1);
    let longest = lines.find(|line| line.len() > HEAD_BYTES_MAX / 2)?;
    let name = longest.split(|&byte| byte == b':').next()?;
    let is_short_token =
        (1..=FIELD_NAME_BYTES_MAX).contains(&name.len()) && name.iter().copied().all(is_token_byte);
    std::str::from_utf8(name).ok().filter(|_| is_short_token)
}

/// The longest name of a field that is repeated to whoever sent it, in bytes.
const FIELD_NAME_BYTES_MAX: usize = 64;
