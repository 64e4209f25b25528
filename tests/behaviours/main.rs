//! Behaviours on request, at a real server, over loopback: what a client sees of each. What is decided, and when, is
//! tested without sockets in `tests/behaviour.rs`; here it is what only a socket shows.
//!
//! | file | what is in it |
//! |---|---|
//! | `opening.rs` | how a WebSocket is opened, or is not |
//! | `talking.rs` | what is answered, in which pieces |
//! | `ending.rs` | how it ends, the end of the server included |
//! | `rooms.rs` | who hears whom |
//! | `bounds.rs` | who may be hurt by it: nobody |

mod bounds;
mod ending;
mod opening;
mod rooms;
mod talking;

#[path = "../engines/kernel.rs"]
#[allow(dead_code, reason = "the engines' own tests use the rest")]
mod kernel;
#[path = "../support/mod.rs"]
mod support;
#[path = "../engines/wire.rs"]
#[allow(dead_code, reason = "the engines' own tests use the rest")]
mod wire;

use support::replies::Replies;
use support::request;
use support::server::{self, Server, usable_engines};
use wire::Wire;

/// Checks `case` against a server on each engine of this machine: who answers is the same, who hands over is not.
fn on_every_engine(options: &[&str], case: impl Fn(&Server)) {
    for engine in usable_engines() {
        println!("{engine}");
        case(&Server::start(engine, options));
    }
}

/// The head that asks for a WebSocket at `path`.
fn asking(path: &str) -> Vec<u8> {
    let request = String::from_utf8(request::upgrade()).expect("ASCII");
    request.replacen("/chat", path, 1).into_bytes()
}

/// A WebSocket at `path`.
fn open(server: &Server, path: &str) -> Wire {
    let mut wire = Wire::connect(server);
    wire.send(&asking(path));
    wire.read_response().assert_switched();
    wire
}

/// The texts among what came.
fn texts(replies: &Replies) -> Vec<&str> {
    let text = |bytes| std::str::from_utf8(bytes).expect("UTF-8");
    let messages = replies.outcome.messages();
    messages.map(|message| text(&message.bytes)).collect()
}
