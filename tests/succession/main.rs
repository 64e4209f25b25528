//! A server that hands over to its successors: the real binary, over loopback, on all engines.
//!
//! | file | what is in it |
//! |---|---|
//! | `dynasty.rs` | a server and those that come after it |
//! | `peers.rs` | who must not notice |
//! | `unnoticed.rs` | that nobody does |
//! | `failing.rs` | successors that are no good |
//! | `predecessor.rs` | successors that are told to stop, or give up, when they are nearly done |
//! | `changed.rs` | successors that are to serve in another way |
//! | `seen.rs` | where the operator looks |
//! | `over_tls.rs` | who cannot be handed over |
//! | `ending.rs` | how a server goes down that nobody succeeds |
//! | `whole.rs` | the whole proof, with figures |
//! | `managed.rs` | what a service manager sees, and the sockets that it opens |

#[allow(dead_code, reason = "these tests use a part of it")]
#[path = "../tls/authority.rs"]
mod authority;
mod changed;
#[allow(dead_code, reason = "these tests use a part of it")]
#[path = "../tls/client.rs"]
mod client;
mod dynasty;
mod ending;
mod failing;
mod managed;
mod over_tls;
mod peers;
mod predecessor;
mod seen;
#[path = "../support/mod.rs"]
mod support;
#[path = "../workers/talk.rs"]
mod talk;
mod unnoticed;
mod whole;
#[allow(dead_code, reason = "these tests use a part of it")]
#[path = "../engines/wire.rs"]
mod wire;

use support::server;
