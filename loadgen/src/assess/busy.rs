//! How busy one side was.

pub use crate::assess::verdict::Busy;
