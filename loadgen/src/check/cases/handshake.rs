//! The opening handshake.

use crate::check::case::Case;
use crate::target::Target;

/// The cases.
pub(super) fn cases(_target: &Target) -> Vec<Case> {
    Vec::new()
}
