//! What is carried of a connection that was put down.

use super::admission::Permit;

/// A connection that was put down: all that it is but its socket.
#[derive(Debug)]
pub struct Carried {
    pub(super) permit: Option<Permit>,
}
