//! What ringload wrote before `ringload/3`: only `ringbench` still reads it.

#![expect(missing_docs, reason = "it goes with its last reader")]

pub mod idle;
pub mod knee;
pub mod run;
pub mod storm;
pub mod verdict;

pub use crate::result::{Environment, Status, gate, latency};
