//! The memory that connections share: slabs, chains of them, and the budget that all draw on.
//!
//! It knows nothing of who uses it, and imports nothing of this crate.

pub mod budget;
pub mod slab;

pub use budget::{Budget, Level};
pub use slab::{Counted, Slab, SlabChain, SlabPool};
