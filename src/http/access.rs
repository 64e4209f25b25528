//! A line of the log for every request, where that is wanted.

use std::time::Instant;

use tracing::info;

use crate::log::{ACCESS, plain, tells_access};
use crate::protocol::guests::Peer;

use super::wire::Wire;

/// How much of a method and of a path is told, in bytes: lines wait in memory.
const METHOD_BYTES_MAX: usize = 32;
const PATH_BYTES_MAX: usize = 256;

/// Tells of a request with this `head`, or what has come of one, if all are told of. `status`: what it was answered with,
/// if that is known; `began`: since when, if it was not all at once.
pub(super) fn tell(peer: Option<Peer>, head: &[u8], status: Option<u16>, began: Option<Instant>) {
    if !tells_access() {
        return;
    }
    let (method, path) = method_and_path(head);
    info!(
        target: ACCESS,
        peer = peer.map(display),
        method,
        path,
        status,
        seconds = began.map(|began| began.elapsed().as_secs_f64()),
        "access: request"
    );
}

/// An upgrade to something that is served here, as long as that lasts. What it is answered with is not known.
pub(super) struct Visit(Option<(Option<Peer>, Vec<u8>, Instant)>);

impl Visit {
    /// By the head that is the next so many bytes.
    pub(super) fn begin(wire: &mut Wire, head_len: usize) -> Self {
        Visit(tells_access().then(|| {
            let peer = wire.peer();
            (peer, wire.unread()[..head_len].to_vec(), Instant::now())
        }))
    }

    /// It has ended.
    pub(super) fn end(self) {
        if let Some((peer, head, began)) = self.0 {
            tell(peer, &head, None, Some(began));
        }
    }
}

/// Method and path as they were said, whether or not that is a request. A query is left out: it may be a secret.
fn method_and_path(head: &[u8]) -> (String, String) {
    let line_end = head.windows(2).position(|two| two == b"\r\n");
    let line = &head[..line_end.unwrap_or(head.len())];
    let mut words = line.splitn(2, |byte| *byte == b' ');
    let method = words.next().unwrap_or_default();
    let rest = words.next().unwrap_or_default();
    let path_end = rest.iter().position(|byte| b" ?".contains(byte));
    let path = &rest[..path_end.unwrap_or(rest.len())];
    let said = |bytes: &[u8], most: usize| {
        let bytes = &bytes[..bytes.len().min(most)];
        plain(&String::from_utf8_lossy(bytes))
    };
    (said(method, METHOD_BYTES_MAX), said(path, PATH_BYTES_MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_told_as_it_was_said_and_without_secrets_or_tricks() {
        let of = |head: &[u8]| {
            let (method, path) = method_and_path(head);
            format!("{method}|{path}")
        };
        assert_eq!(of(b"GET /a?token=b HTTP/1.1\r\nHost: c\r\n\r\n"), "GET|/a");
        assert_eq!(
            of(b"GET /a\nb\x1b[2J\xff HTTP/1.1\r\n"),
            "GET|/a\\nb\\u{1b}[2J\u{fffd}"
        );
        assert_eq!(of(b""), "|");
        assert_eq!(
            of(&[b'a'; 9000]),
            format!("{}|", "a".repeat(METHOD_BYTES_MAX))
        );
        let long = [&b"GET /"[..], &[b'a'; 9000]].concat();
        assert_eq!(method_and_path(&long).1.len(), PATH_BYTES_MAX);
    }
}
