//! The cases: tables, each in a file of its group.

mod close;
mod fragments;
mod frames;
mod handshake;
mod utf8;

use super::case::Case;
use crate::target::Target;

/// Every case, in the order of the report. Requests are for the path of `target`.
pub(crate) fn all(target: &Target) -> Vec<Case> {
    [
        handshake::cases(target),
        frames::cases(),
        fragments::cases(),
        utf8::cases(),
        close::cases(),
    ]
    .into_iter()
    .flatten()
    .collect()
}
