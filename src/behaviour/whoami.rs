//! What the server knows of a client.

use serde::Serialize;

use crate::protocol::guests::Peer;

use super::head::{Head, text};
use crate::link::Facts;

/// Fields whose values are secrets of the client.
const SECRET: [&str; 3] = ["authorization", "cookie", "proxy-authorization"];

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
        subprotocols: head.elements("sec-websocket-protocol").collect(),
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

fn show<'a>((name, value): &(&'a str, &[u8])) -> (&'a str, String) {
    let is_secret = SECRET
        .iter()
        .any(|secret| name.eq_ignore_ascii_case(secret));
    let value = if is_secret {
        "(hidden)".to_owned()
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
