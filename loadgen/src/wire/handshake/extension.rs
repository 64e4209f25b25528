//! The server's answer to an offer of permessage-deflate (RFC 7692 section 7.1).

use std::fmt;

use super::offer::is_token;

/// The extension's registered name.
const NAME: &str = "permessage-deflate";

/// Smallest and largest window: 256 bytes and 32 KiB (RFC 7692 section 7.1.2).
const WINDOW_BITS: std::ops::RangeInclusive<u8> = 8..=15;

/// What both sides hold to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct DeflateAgreement {
    /// Base-2 logarithm of the window that our messages are compressed with.
    pub(crate) client_max_window_bits: u8,
    /// The same of the server's messages.
    pub(crate) server_max_window_bits: u8,
    /// We start each message with an empty window.
    pub(crate) client_no_context_takeover: bool,
    /// The server starts each message with an empty window.
    pub(crate) server_no_context_takeover: bool,
}

impl Default for DeflateAgreement {
    /// What holds where the answer has no parameters.
    fn default() -> DeflateAgreement {
        DeflateAgreement {
            client_max_window_bits: *WINDOW_BITS.end(),
            server_max_window_bits: *WINDOW_BITS.end(),
            client_no_context_takeover: false,
            server_no_context_takeover: false,
        }
    }
}

/// As an answer would say it, without what holds anyway.
impl fmt::Display for DeflateAgreement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(NAME)?;
        if self.server_no_context_takeover {
            f.write_str("; server_no_context_takeover")?;
        }
        if self.client_no_context_takeover {
            f.write_str("; client_no_context_takeover")?;
        }
        for (name, bits) in [
            ("server_max_window_bits", self.server_max_window_bits),
            ("client_max_window_bits", self.client_max_window_bits),
        ] {
            if bits != *WINDOW_BITS.end() {
                write!(f, "; {name}={bits}")?;
            }
        }
        Ok(())
    }
}

impl DeflateAgreement {
    /// Reads the value of Sec-WebSocket-Extensions in an answer to
    /// `permessage-deflate; client_max_window_bits`, several such headers joined by commas.
    ///
    /// Strict: an answer that is not wholly understood is no agreement (RFC 7692 section 7.1). The
    /// error is a phrase that says what is wrong with it.
    pub(super) fn parse(answer: &str) -> Result<DeflateAgreement, String> {
        let elements = split_outside_quotes(answer, ',')?;
        let [element] = elements[..] else {
            return Err(format!(
                "accepts {} extensions where one was offered",
                elements.len()
            ));
        };
        let parts = split_outside_quotes(element, ';')?;
        let name = trim(parts[0]);
        if !name.eq_ignore_ascii_case(NAME) {
            return Err(format!("accepts {name:?}, which was not offered"));
        }
        let mut agreement = DeflateAgreement::default();
        let mut seen = Vec::new();
        for part in &parts[1..] {
            let (name, value) = parameter(part)?;
            let name = name.to_ascii_lowercase();
            if seen.contains(&name) {
                return Err(format!("has the parameter {name} twice"));
            }
            match name.as_str() {
                "server_no_context_takeover" => {
                    no_value(&name, value.as_deref())?;
                    agreement.server_no_context_takeover = true;
                }
                "client_no_context_takeover" => {
                    no_value(&name, value.as_deref())?;
                    agreement.client_no_context_takeover = true;
                }
                "server_max_window_bits" => {
                    agreement.server_max_window_bits = window_bits(&name, value.as_deref())?;
                }
                "client_max_window_bits" => {
                    agreement.client_max_window_bits = window_bits(&name, value.as_deref())?;
                }
                _ => return Err(format!("has the unknown parameter {name:?}")),
            }
            seen.push(name);
        }
        Ok(agreement)
    }
}

fn trim(text: &str) -> &str {
    text.trim_matches([' ', '\t'])
}

/// Cuts at each `separator` that is not inside a quoted string.
fn split_outside_quotes(text: &str, separator: char) -> Result<Vec<&str>, String> {
    let mut parts = Vec::new();
    let mut start = 0;
    let mut is_quoted = false;
    let mut is_escaped = false;
    for (at, character) in text.char_indices() {
        match character {
            _ if is_escaped => is_escaped = false,
            '\\' if is_quoted => is_escaped = true,
            '"' => is_quoted = !is_quoted,
            _ if character == separator && !is_quoted => {
                parts.push(&text[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    if is_quoted {
        return Err("has a quoted string without its end".to_owned());
    }
    parts.push(&text[start..]);
    Ok(parts)
}

/// Reads `name`, `name=value` or `name="value"` (RFC 6455 section 9.1).
fn parameter(text: &str) -> Result<(&str, Option<String>), String> {
    let malformed = || format!("has the malformed parameter {:?}", trim(text));
    let (name, value) = match text.split_once('=') {
        Some((name, value)) => (trim(name), Some(trim(value))),
        None => (trim(text), None),
    };
    if !is_token(name) {
        return Err(malformed());
    }
    let Some(value) = value else {
        return Ok((name, None));
    };
    let value = match value.strip_prefix('"') {
        None => value.to_owned(),
        Some(quoted) => {
            let quoted = quoted.strip_suffix('"').ok_or_else(malformed)?;
            let mut text = String::new();
            let mut characters = quoted.chars();
            while let Some(character) = characters.next() {
                match character {
                    '"' => return Err(malformed()),
                    '\\' => text.push(characters.next().ok_or_else(malformed)?),
                    character => text.push(character),
                }
            }
            text
        }
    };
    // Section 9.1 of RFC 6455 again: what is in the quotes must be a token too.
    if !is_token(&value) {
        return Err(malformed());
    }
    Ok((name, Some(value)))
}

fn no_value(name: &str, value: Option<&str>) -> Result<(), String> {
    match value {
        None => Ok(()),
        Some(value) => Err(format!("gives {name} the value {value:?}; it has none")),
    }
}

fn window_bits(name: &str, value: Option<&str>) -> Result<u8, String> {
    let value = value.ok_or_else(|| format!("gives {name} no value"))?;
    // Decimal without leading zeros (RFC 7692 section 7.1.2.1), so at most two digits.
    let is_canonical = !value.starts_with('0') && value.bytes().all(|byte| byte.is_ascii_digit());
    value
        .parse()
        .ok()
        .filter(|bits| is_canonical && WINDOW_BITS.contains(bits))
        .ok_or_else(|| format!("gives {name} the value {value:?}; it is 8 to 15"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn every_form_of_an_agreement_is_understood() {
        let plain = DeflateAgreement::default();
        for (answer, agreed) in [
            ("permessage-deflate", plain),
            (
                " Permessage-Deflate ; Server_No_Context_Takeover\t",
                DeflateAgreement {
                    server_no_context_takeover: true,
                    ..plain
                },
            ),
            (
                "permessage-deflate; client_no_context_takeover; client_max_window_bits=9",
                DeflateAgreement {
                    client_no_context_takeover: true,
                    client_max_window_bits: 9,
                    ..plain
                },
            ),
            (
                "permessage-deflate;server_max_window_bits=\"1\\0\";client_max_window_bits = 8",
                DeflateAgreement {
                    server_max_window_bits: 10,
                    client_max_window_bits: 8,
                    ..plain
                },
            ),
        ] {
            assert_eq!(DeflateAgreement::parse(answer), Ok(agreed), "{answer}");
            assert_eq!(DeflateAgreement::parse(&agreed.to_string()), Ok(agreed));
        }
    }

    #[test]
    fn what_is_not_understood_is_no_agreement() {
        for (answer, phrase) in [
            ("", "not offered"),
            ("permessage-bzip2", "not offered"),
            ("x-webkit-deflate-frame", "not offered"),
            ("permessage-deflate, permessage-deflate", "2 extensions"),
            ("permessage-deflate,", "2 extensions"),
            ("permessage-deflate;", "malformed"),
            (
                "permessage-deflate; ; client_no_context_takeover",
                "malformed",
            ),
            ("permessage-deflate; =9", "malformed"),
            ("permessage-deflate; x y", "malformed"),
            ("permessage-deflate; mystery", "unknown"),
            ("permessage-deflate; mystery=\"a,b;c\"", "malformed"),
            (
                "permessage-deflate; server_no_context_takeover; server_no_context_takeover",
                "twice",
            ),
            (
                "permessage-deflate; server_max_window_bits=9; SERVER_max_window_bits=9",
                "twice",
            ),
            (
                "permessage-deflate; client_no_context_takeover=1",
                "it has none",
            ),
            (
                "permessage-deflate; client_no_context_takeover=",
                "malformed",
            ),
            ("permessage-deflate; client_max_window_bits", "no value"),
            ("permessage-deflate; server_max_window_bits", "no value"),
            ("permessage-deflate; client_max_window_bits=7", "8 to 15"),
            ("permessage-deflate; client_max_window_bits=16", "8 to 15"),
            ("permessage-deflate; client_max_window_bits=09", "8 to 15"),
            ("permessage-deflate; client_max_window_bits=+9", "8 to 15"),
            (
                "permessage-deflate; client_max_window_bits=999999999999",
                "8 to 15",
            ),
            (
                "permessage-deflate; client_max_window_bits=\"10",
                "quoted string",
            ),
            (
                "permessage-deflate; client_max_window_bits=1\"0\"",
                "malformed",
            ),
            (
                "permessage-deflate; client_max_window_bits=\"\"",
                "malformed",
            ),
        ] {
            let error = DeflateAgreement::parse(answer).unwrap_err();
            assert!(error.contains(phrase), "{answer}: {error}");
        }
    }

    proptest! {
        /// Nothing makes it panic, and what it accepts it can say again.
        #[test]
        fn any_answer_is_judged(answer in "(permessage-deflate)?[;,=\"\\\\ a-z_0-9é]{0,40}") {
            if let Ok(agreed) = DeflateAgreement::parse(&answer) {
                prop_assert_eq!(DeflateAgreement::parse(&agreed.to_string()), Ok(agreed));
            }
        }
    }
}
