//! Clients from PyPI, as they are, and the cases of the Autobahn test suite, run by `kosoku`.

#[path = "../support/mod.rs"]
mod support;

mod autobahn;
mod clients;
mod table;
mod venv;
