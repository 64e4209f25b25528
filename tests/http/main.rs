//! The HTTP side alone: real sockets on one side, its interface on the other.

mod behaviours;
mod bounds;
mod drain;
mod kept;
mod requirements;
mod rig;
mod routes;
mod socket_io;
