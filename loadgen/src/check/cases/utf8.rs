//! Cases of utf8.

use crate::check::case::Case;

/// The cases.
pub(super) fn cases() -> Vec<Case> {
    Vec::new()
}
