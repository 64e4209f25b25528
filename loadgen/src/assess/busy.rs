//! How busy one side was.

pub use crate::measure::verdict::Busy;
