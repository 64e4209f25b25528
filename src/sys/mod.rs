//! Small skins over the operating system: what no crate offers in the form the rest needs.
//!
//! It imports neither the protocol's state nor the engines.

#[forbid(unsafe_code)]
pub mod clock;
#[forbid(unsafe_code)]
pub mod cpu;
#[allow(unsafe_code)]
pub mod inherited;
#[forbid(unsafe_code)]
pub mod limits;
#[forbid(unsafe_code)]
pub mod listen;
#[allow(unsafe_code)]
pub mod memory;
#[forbid(unsafe_code)]
pub mod pass;
#[forbid(unsafe_code)]
pub mod wake;
