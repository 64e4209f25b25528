//! What the server knows of a client.

use serde::Serialize;

use crate::protocol::guests::{BEARER_SUBPROTOCOL, Peer};

use super::head::{Head, text};
use crate::link::Facts;

/// Fields whose values are secrets of the client.
const SECRET: [&str; 3] = ["authorization", "cookie", "proxy-authorization"];

/// The field in which subprotocols are offered.
const SUBPROTOCOLS: &str = "sec-websocket-protocol";

/// What stands for a secret.
const HIDDEN: &str = "(hidden)";

#[derive(Serialize)]
struct Whoami<'a> {
    address: Option<String>,
    tls: Option<Tls<'a>>,
    method: &'a str,
    target: &'a str,
    http: String,
    headers: Vec<(&'a str, String)>,
    subprotocols: Vec<String>,
    extensions: Vec<String>,
    forwarded: Forwarded,
}

/// What was agreed on by TLS, where the server itself speaks it.
#[derive(Serialize)]
struct Tls<'a> {
    version: &'a str,
    cipher: &'a str,
    /// The name that the client asked for (SNI).
    server_name: Option<&'a str>,
    /// The subject of the client's certificate.
    client: Option<&'a str>,
    resumed: bool,
}

/// What proxies said, in `Forwarded` (RFC 7239) or else in the fields that were in use before it.
#[derive(Serialize)]
struct Forwarded {
    r#for: Option<String>,
    proto: Option<String>,
    host: Option<String>,
}

/// What is known of whoever sent the request with this whole `head` from this address, over TLS or not, as JSON. Proxies
/// can say what they like, and so can clients.
pub fn whoami(head: &[u8], peer: Option<Peer>, tls: Option<&Facts>) -> String {
    let head = Head::read(head);
    let whoami = Whoami {
        address: peer.map(|peer| peer.client()),
        tls: tls.map(|facts| Tls {
            version: facts.version,
            cipher: &facts.cipher,
            server_name: facts.server_name.as_deref(),
            client: facts.client.as_deref(),
            resumed: facts.is_resumed,
        }),
        method: head.method,
        target: head.target,
        http: format!("1.{}", head.minor_version),
        headers: head.fields.iter().map(show).collect(),
        subprotocols: head
            .elements(SUBPROTOCOLS)
            .map(|name| subprotocol(&name))
            .collect(),
        extensions: head.elements("sec-websocket-extensions").collect(),
        forwarded: Forwarded {
            r#for: forwarded(&head, "for"),
            proto: forwarded(&head, "proto"),
            host: forwarded(&head, "host"),
        },
    };
    // Nothing in it can fail to be written.
    serde_json::to_string(&whoami).unwrap_or_default()
}

/// A subprotocol, unless it is a secret, which a browser has no other field for.
fn subprotocol(name: &str) -> String {
    if name.starts_with(BEARER_SUBPROTOCOL) {
        format!("{BEARER_SUBPROTOCOL}{HIDDEN}")
    } else {
        name.to_owned()
    }
}

fn show<'a>((name, value): &(&'a str, &[u8])) -> (&'a str, String) {
    let is_secret = SECRET
        .iter()
        .any(|secret| name.eq_ignore_ascii_case(secret));
    let value = if is_secret {
        HIDDEN.to_owned()
    } else if name.eq_ignore_ascii_case(SUBPROTOCOLS) {
        let names: Vec<_> = text(value)
            .split(',')
            .map(|name| subprotocol(name.trim()))
            .collect();
        names.join(", ")
    } else {
        text(value)
    };
    (name, value)
}

/// What the first proxy said of this.
fn forwarded(head: &Head<'_>, what: &str) -> Option<String> {
    let first = head.elements("forwarded").next();
    let standard = first
        .iter()
        .flat_map(|first| first.split(';'))
        .find_map(|pair| {
            let (name, value) = pair.split_once('=')?;
            let value = value.trim().trim_matches('"');
            name.trim()
                .eq_ignore_ascii_case(what)
                .then(|| value.to_owned())
        });
    standard.or_else(|| head.elements(&format!("x-forwarded-{what}")).next())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_secret_comes_back() {
        let head = b"GET / HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer RING\r\nCookie: RING\r\n\
            Sec-WebSocket-Protocol: bearer.RING, chat\r\n\r\n";
        let told = whoami(head, None, None);
        assert!(
            !told.contains("RING") && told.contains("bearer.(hidden), chat"),
            "{told}"
        );
    }
}
