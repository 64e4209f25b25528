//! The limits and manners of every session: the half of the options that a session sees.

use std::sync::Arc;
use std::time::Duration;

use crate::protocol::Policy;
use crate::protocol::policy::{GreetingAfter, Inflate, TEXT_BYTES_MAX};

use super::ConfigError;
use super::layers::Given;
use super::meaning::{ON_OR_OFF, Said, choice};
use super::units::{Refusal, duration, size, timeout};

/// What the tutorial's server sends on connect.
const TUTORIAL_GREETING: &str = "Hi there";

/// What it puts in front of every message.
const TUTORIAL_PREFIX: &str = "Received: ";

/// Reads the options of [`Policy`].
pub(super) fn policy(say: &Said<'_>) -> Result<Policy, ConfigError> {
    Ok(Policy {
        message_bytes_max: say.required("max-message-size").read(message_size)?,
        handshake_timeout: say.required("handshake-timeout").read(handshake_timeout)?,
        idle_timeout: say.required("idle-timeout").read(idle_timeout)?,
        stall_timeout: say.required("stall-timeout").read(stall_timeout)?,
        close_reasons: say
            .required("close-reasons")
            .read(|text| choice(text, &ON_OR_OFF))?,
        deflate: deflate(say)?,
        greeting: tutorial_text(say, "greeting", TUTORIAL_GREETING)?,
        greeting_after: say.required("greeting-after").read(greeting_after)?,
        prefix: tutorial_text(say, "prefix", TUTORIAL_PREFIX)?.map(Arc::from),
        subprotocols: subprotocols(say.required("subprotocol"))?,
        ..Policy::default()
    })
}

fn deflate(say: &Said<'_>) -> Result<Option<Inflate>, ConfigError> {
    let is_on = say
        .required("deflate")
        .read(|text| choice(text, &ON_OR_OFF))?;
    let inflate = say
        .required("deflate-validate")
        .read(|text| choice(text, &[("text", Inflate::Text), ("never", Inflate::Never)]))?;
    Ok(is_on.then_some(inflate))
}

fn message_size(text: &str) -> Result<Option<u64>, Refusal> {
    match text {
        "unlimited" => Ok(None),
        _ => match size(text)? {
            0 => Err(Refusal::new(
                "leaves no message",
                "write a size such as 1MiB, or unlimited",
            )),
            bytes => Ok(Some(bytes)),
        },
    }
}

fn handshake_timeout(text: &str) -> Result<Duration, Refusal> {
    match timeout(text)? {
        Duration::ZERO => Err(Refusal::new(
            "leaves no time to connect",
            "write one such as 10s",
        )),
        time => Ok(time),
    }
}

fn idle_timeout(text: &str) -> Result<Option<Duration>, Refusal> {
    match text {
        "off" => Ok(None),
        _ => timeout(text).map(|time| Some(time).filter(|time| !time.is_zero())),
    }
}

fn stall_timeout(text: &str) -> Result<Duration, Refusal> {
    match timeout(text)? {
        Duration::ZERO => Err(Refusal::new(
            "leaves no time to read",
            "write one such as 30s",
        )),
        time => Ok(time),
    }
}

fn greeting_after(text: &str) -> Result<GreetingAfter, Refusal> {
    match text {
        "101" => Ok(GreetingAfter::Handshake),
        "turn" => Ok(GreetingAfter::Turn),
        _ => match duration(text) {
            Ok(Duration::ZERO) => Ok(GreetingAfter::Turn),
            Ok(time) => Ok(GreetingAfter::Delay(time)),
            Err(Refusal { problem, remedy }) => {
                Err(Refusal::new(problem, format!("{remedy}, or 101, or turn")))
            }
        },
    }
}

/// `--tutorial` says the tutorial's text at its own level: a text said at the same level or a
/// higher one overrides it.
fn tutorial_text(
    say: &Said<'_>,
    option: &str,
    tutorial: &str,
) -> Result<Option<String>, ConfigError> {
    let own = say.get(option);
    let taught = match say.switch("tutorial")? {
        Some(true) => say.get("tutorial").map(|given| given.level),
        _ => None,
    };
    match own {
        Some(given) if taught.is_none_or(|level| given.level >= level) => text(given),
        _ => Ok(taught.map(|_| tutorial.to_owned())),
    }
}

fn text(given: &Given) -> Result<Option<String>, ConfigError> {
    let text = given.text();
    if text.len() > TEXT_BYTES_MAX {
        return Err(ConfigError::new(
            given.source.as_str(),
            format!("has a text of {} bytes", text.len()),
            format!("write at most {TEXT_BYTES_MAX}"),
        ));
    }
    Ok(Some(text.to_owned()).filter(|text| !text.is_empty()))
}

/// Each a token of HTTP (RFC 6455, section 4.1; RFC 9110, section 5.6.2), or `*`, once. An empty text
/// alone is none at all.
fn subprotocols(given: &Given) -> Result<Vec<String>, ConfigError> {
    if matches!(given.values.as_slice(), [only] if only.is_empty()) {
        return Ok(Vec::new());
    }
    let token = |name: &str| {
        name.bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
    };
    let mut names: Vec<String> = Vec::new();
    for name in given.words()? {
        if !token(name) {
            let remedy = "write a token without spaces such as chat.v1, or * for any";
            return Err(given.refuse(name, Refusal::new("is no subprotocol", remedy)));
        }
        if !names.contains(name) {
            names.push(name.clone());
        }
    }
    Ok(names)
}
