//! Values as people write them, and their bounds: what is right is told and checked by the same.

use std::fmt;
use std::time::Duration;

use super::super::ask::{After, Bad, Credentials};
use crate::protocol::CloseCode;
use crate::protocol::handshake::is_token_byte;

/// What may be written for a parameter. Shown, it says so: "a time from 10ms to 60s".
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    /// Nothing: it is there, or it is not.
    Flag,
    /// A time, such as `200ms` or `3s`; a bare `0` is one.
    Time {
        /// The shortest.
        min: Duration,
        /// The longest.
        max: Duration,
    },
    /// A size in bytes, such as `64`, `64KiB` or `1GiB`.
    Size {
        /// The smallest.
        min: u64,
        /// The largest.
        max: u64,
    },
    /// A number.
    Number {
        /// The smallest.
        min: u32,
        /// The largest.
        max: u32,
    },
    /// A number of messages, or a time with its unit.
    After {
        /// The most messages.
        messages_max: u32,
        /// The longest time.
        time_max: Duration,
    },
    /// A text, empty or not, in UTF-8.
    Text {
        /// Its longest, in bytes.
        bytes_max: usize,
    },
    /// A name that may stand in a header field (a token: RFC 9110, section 5.6.2).
    Token {
        /// Its longest, in characters.
        chars_max: usize,
    },
    /// A code that may stand in a Close, or `none`.
    CloseCode,
    /// One of [`MISTAKES`].
    Mistake,
    /// `basic`, or `bearer/` and a token (RFC 6750, section 2.1).
    Credentials {
        /// The longest token, in characters.
        token_chars_max: usize,
    },
    /// Where a redirect may lead: a path of this server, or a `ws:` or `wss:` address. Another site's pages it
    /// cannot be, or links to here could be made to deceive.
    Target {
        /// Its longest, in bytes.
        bytes_max: usize,
    },
}

/// What can be written for [`Kind::Mistake`].
#[derive(Clone, Copy, Debug)]
pub struct Mistake {
    /// How it is written.
    pub name: &'static str,
    /// What it is read as.
    pub bad: Bad,
    /// What is sent.
    pub does: &'static str,
}

/// What no server should send.
pub const MISTAKES: [Mistake; 10] = {
    const fn mistake(name: &'static str, bad: Bad, does: &'static str) -> Mistake {
        Mistake { name, bad, does }
    }
    [
        mistake(
            "accept",
            Bad::Accept,
            "a wrong Sec-WebSocket-Accept in the 101",
        ),
        mistake(
            "rsv",
            Bad::Rsv,
            "a frame with a reserved bit set that no extension gave a meaning",
        ),
        mistake(
            "opcode",
            Bad::Opcode,
            "a frame with an opcode that is not defined",
        ),
        mistake("utf8", Bad::Utf8, "a text message that is no UTF-8"),
        mistake(
            "length",
            Bad::Length,
            "a frame with a length of 64 bits whose highest is set",
        ),
        mistake("mask", Bad::Mask, "a masked frame"),
        mistake(
            "control-fragment",
            Bad::ControlFragment,
            "a Ping without FIN",
        ),
        mistake(
            "unfinished",
            Bad::Unfinished,
            "a new message within a fragmented one that was not finished",
        ),
        mistake(
            "close-code",
            Bad::CloseCode,
            "a Close with a code that must not be sent",
        ),
        mistake(
            "close-reason",
            Bad::CloseReason,
            "a Close whose reason is no UTF-8",
        ),
    ]
};

/// How a Close without a payload is asked for.
const NO_CODE: &str = "none";

const BASIC: &str = "basic";

const BEARER: &str = "bearer/";

/// The schemes of a WebSocket's address.
const SCHEMES: [&str; 2] = ["ws://", "wss://"];

/// What `text` says, where it is of this kind and within its bounds.
impl Kind {
    pub(in super::super) fn flag(&self, text: &str) -> Option<bool> {
        (matches!(self, Kind::Flag) && text.is_empty()).then_some(true)
    }

    pub(crate) fn time(&self, text: &str) -> Option<Duration> {
        let Kind::Time { min, max } = self else {
            return None;
        };
        let time = humantime::parse_duration(text).ok()?;
        (*min..=*max).contains(&time).then_some(time)
    }

    pub(in super::super) fn size(&self, text: &str) -> Option<u64> {
        let Kind::Size { min, max } = self else {
            return None;
        };
        // `64K` is 65,536 to some and 64,000 to others.
        let is_clear = text.ends_with(|c: char| c.is_ascii_digit() || matches!(c, 'B' | 'b'));
        let bytes = text.parse::<bytesize::ByteSize>().ok()?.as_u64();
        (is_clear && (*min..=*max).contains(&bytes)).then_some(bytes)
    }

    /// The same where it is a matter of memory.
    pub(in super::super) fn length(&self, text: &str) -> Option<usize> {
        self.size(text)?.try_into().ok()
    }

    pub(crate) fn number(&self, text: &str) -> Option<u32> {
        let Kind::Number { min, max } = self else {
            return None;
        };
        let number = digits(text)?;
        (*min..=*max).contains(&number).then_some(number)
    }

    pub(in super::super) fn status(&self, text: &str) -> Option<u16> {
        self.number(text)?.try_into().ok()
    }

    pub(in super::super) fn after(&self, text: &str) -> Option<After> {
        let Kind::After {
            messages_max,
            time_max,
        } = self
        else {
            return None;
        };
        if let Some(messages) = digits(text) {
            return (messages <= *messages_max).then_some(After::Messages(messages));
        }
        let time = humantime::parse_duration(text).ok()?;
        (time <= *time_max).then_some(After::Time(time))
    }

    pub(in super::super) fn text(&self, text: &str) -> Option<String> {
        let fits = match self {
            Kind::Text { bytes_max } => text.len() <= *bytes_max,
            Kind::Token { chars_max } => {
                (1..=*chars_max).contains(&text.len()) && text.bytes().all(is_token_byte)
            }
            Kind::Target { bytes_max } => text.len() <= *bytes_max && is_target(text),
            _ => false,
        };
        fits.then(|| text.to_owned())
    }

    pub(in super::super) fn close_code(&self, text: &str) -> Option<Option<CloseCode>> {
        match self {
            Kind::CloseCode if text == NO_CODE => Some(None),
            Kind::CloseCode => CloseCode::from_wire(digits(text)?.try_into().ok()?).map(Some),
            _ => None,
        }
    }

    pub(in super::super) fn bad(&self, text: &str) -> Option<Bad> {
        let known = MISTAKES.iter().find(|mistake| mistake.name == text);
        known
            .filter(|_| matches!(self, Kind::Mistake))
            .map(|mistake| mistake.bad)
    }

    pub(in super::super) fn credentials(&self, text: &str) -> Option<Credentials> {
        let Kind::Credentials { token_chars_max } = self else {
            return None;
        };
        if text == BASIC {
            return Some(Credentials::Basic);
        }
        let token = text.strip_prefix(BEARER)?;
        let is_token_68 = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~+/".contains(&byte);
        let body = token.trim_end_matches('=');
        let fits = !body.is_empty() && token.len() <= *token_chars_max;
        (fits && body.bytes().all(is_token_68)).then(|| Credentials::Bearer(token.to_owned()))
    }
}

/// Digits and nothing else: no sign, which `parse` would take.
fn digits(text: &str) -> Option<u32> {
    let is_plain = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| is_plain)
}

/// Whether a `Location` may say `text`. Browsers take a backslash for a slash and leave out a tab, so that
/// `/\host` leads as far as `//host`.
fn is_target(text: &str) -> bool {
    let is_of_an_address =
        |byte: u8| byte.is_ascii_alphanumeric() || b"-._~:/?#[]@!$&'()*+,;=%".contains(&byte);
    let host = SCHEMES.iter().find_map(|scheme| text.strip_prefix(scheme));
    let leads_here = text.starts_with('/') && !text.starts_with("//");
    let leads_to_a_host =
        host.is_some_and(|host| !host.starts_with(['/', '?', '#']) && !host.is_empty());
    (leads_here || leads_to_a_host) && text.bytes().all(is_of_an_address)
}

/// What would be right, as the end of a sentence.
impl fmt::Display for Kind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Kind::Flag => write!(formatter, "nothing: a flag is there or is not"),
            Kind::Time { min, max } => {
                let (min, max) = (Time(*min), Time(*max));
                write!(
                    formatter,
                    "a time from {min} to {max}, with its unit (ms or s)"
                )
            }
            Kind::Size { min, max } => {
                let (min, max) = (Size(*min), Size(*max));
                write!(formatter, "a size from {min} to {max}")
            }
            Kind::Number { min, max } => write!(formatter, "a number from {min} to {max}"),
            Kind::After {
                messages_max,
                time_max,
            } => {
                let time_max = Time(*time_max);
                write!(
                    formatter,
                    "a number of messages up to {messages_max}, or a time up to {time_max}, with its unit (ms or s)"
                )
            }
            Kind::Text { bytes_max } => {
                write!(formatter, "a text of at most {bytes_max} bytes of UTF-8")
            }
            Kind::Token { chars_max } => write!(
                formatter,
                "a name of 1 to {chars_max} characters, such as may stand in a header: letters, digits, - . _ and the like"
            ),
            Kind::CloseCode => {
                write!(
                    formatter,
                    "{NO_CODE}, or a code that may stand in a Close: "
                )?;
                write_list(formatter, close_codes())
            }
            Kind::Mistake => {
                formatter.write_str("one of ")?;
                write_list(formatter, MISTAKES.iter().map(|mistake| mistake.name))
            }
            Kind::Credentials { token_chars_max } => write!(
                formatter,
                "{BASIC}, or {BEARER}TOKEN with a TOKEN of 1 to {token_chars_max} letters, digits and - . _ ~ + /"
            ),
            Kind::Target { bytes_max } => write!(
                formatter,
                "a path of this server, or an address that begins with {} or {}, in at most {bytes_max} characters that may stand in an address",
                SCHEMES[0], SCHEMES[1]
            ),
        }
    }
}

fn write_list(
    formatter: &mut fmt::Formatter<'_>,
    items: impl IntoIterator<Item = impl fmt::Display>,
) -> fmt::Result {
    for (index, item) in items.into_iter().enumerate() {
        let comma = if index == 0 { "" } else { ", " };
        write!(formatter, "{comma}{item}")?;
    }
    Ok(())
}

/// The ranges of codes that may stand in a Close, as `1000-1003`.
fn close_codes() -> Vec<String> {
    let may_stand = |code: &u16| CloseCode::from_wire(*code).is_some();
    let ends = |code: &u16| !may_stand(&code.saturating_add(1)) || *code == u16::MAX;
    let begins = |code: &u16| !may_stand(&code.saturating_sub(1)) || *code == 0;
    let codes = || (0..=u16::MAX).filter(may_stand);
    let ranges = codes().filter(begins).zip(codes().filter(ends));
    ranges
        .map(|(first, last)| format!("{first}-{last}"))
        .collect()
}

/// A time, as one would write it.
struct Time(Duration);

impl fmt::Display for Time {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_zero() {
            formatter.write_str("0")
        } else if self.0.subsec_nanos() == 0 {
            write!(formatter, "{}s", self.0.as_secs())
        } else {
            write!(formatter, "{}ms", self.0.as_millis())
        }
    }
}

/// A size, as one would write it.
struct Size(u64);

impl fmt::Display for Size {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let units = [("GiB", 30), ("MiB", 20), ("KiB", 10)];
        let whole = |shift: u32| self.0 != 0 && self.0.trailing_zeros() >= shift;
        match units.into_iter().find(|(_, shift)| whole(*shift)) {
            Some((unit, shift)) => write!(formatter, "{}{unit}", self.0 >> shift),
            None => write!(formatter, "{}", self.0),
        }
    }
}
