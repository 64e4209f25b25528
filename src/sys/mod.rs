//! Small skins over the operating system: what no crate offers in the form the rest needs.
//!
//! It imports neither the protocol's state nor the engines.

pub mod clock;
pub mod cpu;
pub mod limits;
pub mod listen;
pub mod memory;
pub mod wake;
