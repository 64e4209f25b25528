//! What starts servers and ends them, with a free port and their last words, for `compare` and for `ringbench`; and a
//! load generator as a process of its own for a suite, which goes on for hours beside servers that stay up: what one
//! measurement leaves behind in its process (memory, threads, CPUs) is gone before the next.

pub mod agenda;
pub mod generator;
pub(crate) mod port;
pub mod process;
pub mod random;
pub mod server;
pub mod version;
pub(crate) mod words;
