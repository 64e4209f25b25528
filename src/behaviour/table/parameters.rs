//! Bounds, and what parameters have in common.

use std::time::Duration;

use super::super::WAIT_MAX;
use super::{Kind, Parameter};
use crate::protocol::frame::CONTROL_BYTES_MAX;

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;

/// The most of what can be counted.
pub(super) const COUNT_MAX: u32 = 100_000;

/// The most answers that are kept to leave in one write.
pub(super) const COALESCED_MAX: u32 = 256;

/// The most bytes that leave at once where they drip.
pub(super) const DRIP_BYTES_MAX: u64 = 64 * KIB;

/// The longest payload of a frame that can be asked for.
pub(super) const FRAGMENT_BYTES_MAX: u64 = MIB;

/// The longest message that the server makes.
pub(super) const HUGE_BYTES_MAX: u64 = 16 * GIB;

/// The longest reason of a Close, behind its code.
pub(super) const REASON_BYTES_MAX: usize = CONTROL_BYTES_MAX - 2;

/// A time that something takes.
pub(super) const WAIT: Kind = Kind::Time {
    min: Duration::ZERO,
    max: WAIT_MAX,
};

/// A status that is final.
pub(super) const STATUS: Kind = Kind::Number { min: 200, max: 599 };

/// The name of a room or a subprotocol.
pub(super) const NAME: Kind = Kind::Token { chars_max: 64 };

/// What a client has to show.
pub(super) const CREDENTIALS: Kind = Kind::Credentials {
    token_chars_max: 256,
};

/// Where a client is redirected to.
pub(super) const TARGET: Kind = Kind::Target { bytes_max: 1024 };

/// When it ends.
pub(super) const AFTER: Parameter = optional(
    "after",
    Kind::After {
        messages_max: COUNT_MAX,
        time_max: WAIT_MAX,
    },
    "0",
    "after how many answered messages, or how long after the 101; with 0 at once",
);

/// The time from one to the next, which is never so short that it keeps the server busy.
pub(super) const fn every(default: &'static str) -> Parameter {
    let kind = Kind::Time {
        min: Duration::from_millis(10),
        max: WAIT_MAX,
    };
    optional("every", kind, default, "the time from one to the next")
}

pub(super) const fn number(max: u32) -> Kind {
    Kind::Number { min: 1, max }
}

pub(super) const fn size(max: u64) -> Kind {
    Kind::Size { min: 1, max }
}

pub(super) const fn text(bytes_max: usize) -> Kind {
    Kind::Text { bytes_max }
}

/// A parameter that may be left out.
pub(super) const fn optional(
    name: &'static str,
    kind: Kind,
    default: &'static str,
    does: &'static str,
) -> Parameter {
    Parameter {
        name,
        kind,
        default: Some(default),
        does,
    }
}

/// A parameter that has to be written.
pub(super) const fn required(name: &'static str, kind: Kind, does: &'static str) -> Parameter {
    Parameter {
        name,
        kind,
        default: None,
        does,
    }
}

/// A parameter that is there or is not.
pub(super) const fn flag(name: &'static str, does: &'static str) -> Parameter {
    required(name, Kind::Flag, does)
}
