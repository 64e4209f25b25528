//! What is fuzzed: a function for each target, which takes any bytes and panics where something does not hold.
//! Coverage-guided, they run in `fuzz/`; over the corpus, in `tests/fuzzed`.

#![allow(unreachable_pub, reason = "the fuzzer is another crate")]

mod behaviours;
mod carried;
mod extensions;
mod handshake;
mod input;
mod rivals;
mod session;
mod shard;

pub use behaviours::check as behaviours;
pub use carried::check as carried;
pub use extensions::check as extensions;
pub use handshake::check as handshake;
pub use rivals::{check_fastwebsockets as fastwebsockets, check_tungstenite as tungstenite};
pub use session::{check as session, check_deflate as deflate};
pub use shard::check as shard;

pub(crate) use rivals::differences;
