//! Behaviours on request, without sockets and in virtual time: what each must say, when, and how it ends; that it
//! is the same however the client's bytes are cut; and that no client makes it keep more than it may.

mod alike;
mod bounds;
mod each;
mod endings;
mod opening;
mod rig;
mod slicing;
#[path = "../support/mod.rs"]
mod support;
