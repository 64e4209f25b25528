//! What the tests share. Nothing here is written from the server's source: the oracle, the builder of
//! client frames and the reader of server bytes each know RFC 6455 by themselves.
#![allow(dead_code, reason = "each test file uses its own part of this")]

pub(crate) mod compare;
pub(crate) mod deflated;
pub(crate) mod event;
pub(crate) mod frames;
pub(crate) mod inflate;
pub(crate) mod npm;
pub(crate) mod oracle;
pub(crate) mod pretend;
pub(crate) mod random;
pub(crate) mod replies;
pub(crate) mod request;
pub(crate) mod server;
pub(crate) mod streams;
