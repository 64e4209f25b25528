//! Bytes in, bytes out.
//!
//! Everything here is pure: no socket, no clock, no runtime, no owner of buffers. Bytes come as an
//! argument, and so does the time. It may import `core`, `alloc`, and pure parsers; it must never know
//! an engine, a shard, a file descriptor or the configuration's flags.

pub mod carried;
pub mod close;
pub mod frame;
pub mod guests;
pub mod handshake;
pub mod inflate;
pub mod moment;
pub mod policy;
pub mod reply;
pub mod session;
pub mod tally;
pub mod tcp_echo;
pub mod utf8;

pub use close::{Cause, CloseCode, Ending, Violation};
pub use inflate::Inflaters;
pub use moment::{Moment, WallClock};
pub use policy::Policy;
pub use reply::{Piece, Reply};
pub use session::{Next, Session, Step, Timer, Turn, Wake};
pub use tally::Tally;
