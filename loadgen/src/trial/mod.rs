//! What starts servers and other programs and ends them, with a free port and their last words, for `compare` and for
//! `ringbench`.

pub mod agenda;
pub(crate) mod port;
pub mod process;
pub mod server;
pub mod version;
pub(crate) mod words;
