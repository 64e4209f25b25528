//! permessage-deflate (RFC 7692): what is agreed on, and what becomes of compressed messages.

mod bounds;
mod client;
mod messages;
mod negotiation;
#[path = "../support/mod.rs"]
mod support;
