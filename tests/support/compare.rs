//! Whether what a server sent is what the oracle expects, whatever freedom the design leaves it.

use super::event::{Event, Message, Outcome};
use super::replies::Replies;

/// The largest payload a server holds until its frame is whole, in bytes.
const HELD_BYTES_MAX: usize = 16 * 1024;

/// What the server was free to do.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Freedom {
    /// It had memory to hold frames in, so small ones must come back as they were.
    pub(crate) holds: bool,
    /// It rewrites messages, so the client's fragments say nothing.
    pub(crate) rewrites: bool,
}

/// Checks that `seen` is `expected`.
///
/// # Errors
/// The first difference.
pub(crate) fn same(seen: &Replies, expected: &Outcome, freedom: Freedom) -> Result<(), String> {
    let outcome = &seen.outcome;
    for (number, pair) in outcome.events.iter().zip(&expected.events).enumerate() {
        same_event(pair.0, pair.1, freedom).map_err(|why| format!("event {number}: {why}"))?;
    }
    if outcome.events.len() != expected.events.len() {
        let at = outcome.events.len().min(expected.events.len());
        return Err(format!(
            "{} events instead of {}; first extra {:?}, first missing {:?}",
            outcome.events.len(),
            expected.events.len(),
            outcome.events.get(at),
            expected.events.get(at),
        ));
    }
    if outcome.close != expected.close {
        return Err(format!(
            "closed with {:?} instead of {:?}",
            outcome.close, expected.close
        ));
    }
    let wrong = |reason| !expected.reasons.contains(reason);
    if let Some(reason) = outcome.reasons.iter().find(|reason| wrong(reason)) {
        return Err(format!(
            "closed for {reason:?} instead of {:?}",
            expected.reasons
        ));
    }
    match (&outcome.partial, &expected.partial) {
        (None, _) => Ok(()),
        (Some(seen), Some(whole)) if whole.bytes.starts_with(&seen.bytes) => Ok(()),
        (seen, whole) => Err(format!("began {seen:?} where {whole:?} was received")),
    }
}

/// Removes the greeting, if it is the first message, and says whether it is.
pub(crate) fn take_greeting(outcome: &mut Outcome, greeting: &str) -> bool {
    let first = outcome
        .events
        .iter()
        .position(|event| matches!(event, Event::Message(_)));
    let Some(first) = first else {
        return false;
    };
    let is_greeting = matches!(
        &outcome.events[first],
        Event::Message(message) if message.text && message.bytes == greeting.as_bytes()
    );
    if is_greeting {
        outcome.events.remove(first);
    }
    is_greeting
}

fn same_event(seen: &Event, expected: &Event, freedom: Freedom) -> Result<(), String> {
    match (seen, expected) {
        (Event::Message(seen), Event::Message(expected)) => {
            let kind = |message: &Message| (message.text, message.compressed);
            if kind(seen) != kind(expected) || seen.bytes != expected.bytes {
                return Err(format!("{seen:?} instead of {expected:?}"));
            }
            if freedom.rewrites {
                Ok(())
            } else {
                same_frames(seen, expected, freedom.holds)
            }
        }
        (
            Event::Pong {
                payload: seen,
                inside: seen_inside,
            },
            Event::Pong {
                payload: expected,
                inside: expected_inside,
            },
        ) if seen == expected => {
            if freedom.rewrites || seen_inside == expected_inside {
                return Ok(());
            }
            Err(format!(
                "a pong after {seen_inside:?} bytes instead of {expected_inside:?}"
            ))
        }
        _ => Err(format!("{seen:?} instead of {expected:?}")),
    }
}

/// Fragment in, fragment out. A binary frame stays the one it was, however large; a text frame does if
/// it could be held, and falls into few pieces if it could not.
fn same_frames(seen: &Message, expected: &Message, holds: bool) -> Result<(), String> {
    let wrong = || format!("{seen:?} has frames that {expected:?} has not");
    let mut ends = seen.frame_ends.iter();
    let mut start = 0;
    for end in &expected.frame_ends {
        let pieces = 1 + ends
            .by_ref()
            .position(|seen_end| seen_end == end)
            .ok_or_else(wrong)?;
        let bytes = end - start;
        let pieces_max = if !seen.text || (holds && bytes <= HELD_BYTES_MAX) {
            1
        } else if holds {
            2 * bytes.div_ceil(HELD_BYTES_MAX) + 1
        } else {
            bytes.max(1)
        };
        if pieces > pieces_max {
            return Err(format!(
                "{pieces} pieces for a frame of {bytes} bytes in {expected:?}"
            ));
        }
        start = *end;
    }
    if ends.next().is_some() {
        Err(wrong())
    } else {
        Ok(())
    }
}
