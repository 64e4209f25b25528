//! How the server goes down.

use std::time::Duration;

use crate::engine::Goodbye;
use crate::protocol::CloseCode;

use super::ConfigError;
use super::meaning::{Said, choice};
use super::units::{Refusal, duration};

const CODES: [(&str, CloseCode); 2] = [
    ("1001", CloseCode::GOING_AWAY),
    ("1012", CloseCode::SERVICE_RESTART),
];

/// Reads how peers are told, which takes a part of `timeout`.
pub(super) fn goodbye(say: &Said<'_>, timeout: Duration) -> Result<Goodbye, ConfigError> {
    Ok(Goodbye {
        code: say
            .required("drain-code")
            .read(|text| choice(text, &CODES))?,
        spread: say
            .required("drain-spread")
            .read(|text| match duration(text)? {
                spread if spread > timeout => Err(Refusal::new(
                    "is longer than --drain-timeout",
                    "write a shorter time: whoever is told last needs some to finish",
                )),
                spread => Ok(spread),
            })?,
    })
}
