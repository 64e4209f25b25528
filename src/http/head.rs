//! Whose a request is, by its head: as strict as for the first request of a connection, by the same judge.

use crate::protocol::Policy;
use crate::protocol::handshake::{self, Answer, HEAD_BYTES_MAX, Refusal, path_and_query};

/// Whose it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The head is not whole yet.
    More,
    /// Ordinary HTTP, with a head of this many bytes.
    Http(usize),
    /// A WebSocket is asked for.
    Upgrade,
    /// A WebSocket is asked for at a path of ours, with a head of this many bytes.
    Ours(usize),
}

/// Judges the request that `bytes` begin with, of which the first `scanned` were looked at before in vain.
///
/// # Errors
/// What is wrong with it.
pub(super) fn judge(bytes: &[u8], scanned: usize, policy: &Policy) -> Result<Verdict, Refusal> {
    let head = &bytes[..bytes.len().min(HEAD_BYTES_MAX)];
    let Some(len) = handshake::find_end(head, scanned)? else {
        return Ok(Verdict::More);
    };
    Ok(match handshake::answer(&head[..len], policy)? {
        Answer::Http => Verdict::Http(len),
        Answer::Upgrade(_) => Verdict::Upgrade,
        Answer::Elsewhere(_) => Verdict::Ours(len),
    })
}

/// The path that the whole head asks for that `unread` begins with.
pub(super) fn path(unread: &[u8]) -> Option<&str> {
    path_and_query(unread)?.split('?').next()
}

/// What follows `owner` in `path`, if it is that path or one below it, by whole segments.
pub(super) fn below<'a>(path: &'a str, owner: &str) -> Option<&'a str> {
    let rest = path.strip_prefix(owner)?;
    (rest.is_empty() || rest.starts_with('/')).then_some(rest)
}
