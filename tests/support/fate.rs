//! What becomes of a connection whose first bytes these are: however they are cut, it must be the same.

use ringback::protocol::Policy;

use super::pretend::{Pretend, State};
use super::streams::Cuts;

/// What becomes of a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fate {
    pub(crate) state: State,
    /// All that another owner gets, if it is handed over.
    pub(crate) handed_over: Vec<u8>,
    pub(crate) sent: Vec<u8>,
}

/// Lets `bytes` come as `cuts` has it. What comes after another owner has the connection goes there, too.
pub(crate) fn of(
    policy: &Policy,
    refusing: bool,
    is_carried: bool,
    bytes: &[u8],
    cuts: &Cuts,
) -> Fate {
    let mut pretend = Pretend::open(policy);
    pretend.refusing = refusing;
    pretend.is_carried = is_carried;
    let mut handed_over = Vec::new();
    for piece in cuts.pieces(bytes.len()) {
        if pretend.state == State::HandedOver {
            handed_over.extend_from_slice(&bytes[piece]);
        } else {
            pretend.feed(&bytes[piece]);
            handed_over.append(&mut pretend.handed_over);
        }
    }
    let state = pretend.state;
    if state == State::HandedOver {
        assert_eq!(handed_over, bytes, "not all, or not in order");
    }
    Fate {
        state,
        handed_over,
        sent: pretend.release(),
    }
}
