//! Clients from PyPI, as they are.

#[path = "../support/mod.rs"]
mod support;

mod clients;
mod venv;
