//! What the benches share: the bytes, the memory that stands for a socket, and one way to drive each
//! implementation.
#![allow(dead_code, reason = "each bench uses its own part of this")]

pub(crate) mod handshakes;
pub(crate) mod memory;
pub(crate) mod ours;
pub(crate) mod rivals;
pub(crate) mod streams;

use std::time::Duration;

use criterion::Criterion;

/// Short runs: what is compared differs by far more than they scatter. Command line options override.
pub(crate) fn settings() -> Criterion {
    Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_millis(150))
        .measurement_time(Duration::from_millis(450))
        .nresamples(5_000)
}

/// A length as a person writes it.
pub(crate) fn shown(bytes: usize) -> String {
    match bytes {
        bytes if bytes >= 1 << 20 && bytes.is_multiple_of(1 << 20) => {
            format!("{} MiB", bytes >> 20)
        }
        bytes if bytes >= 1 << 10 && bytes.is_multiple_of(1 << 10) => {
            format!("{} KiB", bytes >> 10)
        }
        bytes => format!("{bytes} B"),
    }
}
