//! Whose a request is, by its head: as strict as for the first request of a connection, by the same judge.

use crate::protocol::Policy;
use crate::protocol::handshake::{self, HEAD_BYTES_MAX, Refusal, Scan};

/// Whose it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The head is not whole yet.
    More,
    /// Ordinary HTTP, with a head of this many bytes.
    Http(usize),
    /// A WebSocket is asked for.
    Upgrade,
    /// Neither.
    Refused(Refusal),
}

/// Judges the request that `bytes` begin with, of which the first `scanned` were looked at before in vain.
pub(super) fn judge(bytes: &[u8], scanned: usize, policy: &Policy) -> Verdict {
    let head = &bytes[..bytes.len().min(HEAD_BYTES_MAX)];
    let scan = handshake::scan(head, scanned);
    let judged = match scan {
        Scan::Complete(len) => return whole(&head[..len], policy),
        Scan::Incomplete | Scan::BareLineFeed => handshake::check_line(head),
    };
    match (judged, scan) {
        (Err(refusal), _) => Verdict::Refused(refusal),
        (Ok(()), Scan::BareLineFeed) => Verdict::Refused(Refusal::BareLineFeed),
        (Ok(()), _) if head.len() == HEAD_BYTES_MAX => Verdict::Refused(Refusal::too_large(head)),
        (Ok(()), _) => Verdict::More,
    }
}

/// What the judge refuses for no other reason than that it is no upgrade is ordinary HTTP.
fn whole(head: &[u8], policy: &Policy) -> Verdict {
    let line = head
        .split(|&byte| byte == b'\r')
        .find(|line| !line.is_empty());
    let is_1_0 = line.is_some_and(|line| line.ends_with(b"HTTP/1.0"));
    match handshake::answer(head, policy) {
        Ok(_) => Verdict::Upgrade,
        Err(Refusal::UpgradeRequired | Refusal::Method | Refusal::Body) => {
            Verdict::Http(head.len())
        }
        Err(Refusal::HttpVersion) if is_1_0 => Verdict::Http(head.len()),
        Err(refusal) => Verdict::Refused(refusal),
    }
}
