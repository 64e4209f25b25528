//! The server's answer to an offer of permessage-deflate (RFC 7692 section 7.1).

use std::fmt;

use super::offer::is_token;

/// The extension's registered name.
const NAME: &str = "permessage-deflate";

/// Smallest and largest window: 256 bytes and 32 KiB (RFC 7692 section 7.1.2).
const WINDOW_BITS: std::ops::RangeInclusive<u8> = 8..=15;

/// What both sides hold to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct DeflateAgreement {
    /// How our messages are compressed.
    pub(crate) client: Terms,
    /// How the server's are.
    pub(crate) server: Terms,
}

/// How one side compresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Terms {
    /// Base-2 logarithm of the window.
    pub(crate) max_window_bits: u8,
    /// Each message starts with an empty window.
    pub(crate) no_context_takeover: bool,
}

impl Default for Terms {
    /// What holds where the answer has no parameters.
    fn default() -> Terms {
        Terms {
            max_window_bits: *WINDOW_BITS.end(),
            no_context_takeover: false,
        }
    }
}

/// As an answer would say it, without what holds anyway.
impl fmt::Display for DeflateAgreement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(NAME)?;
        let sides = [("server", self.server), ("client", self.client)];
        for (side, _) in sides.iter().filter(|(_, it)| it.no_context_takeover) {
            write!(f, "; {side}_no_context_takeover")?;
        }
        for (side, terms) in sides {
            if terms.max_window_bits != *WINDOW_BITS.end() {
                write!(f, "; {side}_max_window_bits={}", terms.max_window_bits)?;
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
        let answer = unquoted(answer)?;
        let elements: Vec<&str> = answer.split(',').collect();
        let [element] = elements[..] else {
            return Err(format!(
                "accepts {} extensions where one was offered",
                elements.len()
            ));
        };
        let mut parts = element.split(';').map(trim);
        let name = parts.next().unwrap_or_default();
        if !name.eq_ignore_ascii_case(NAME) {
            return Err(format!("accepts {name:?}, which was not offered"));
        }
        let mut agreement = DeflateAgreement::default();
        let mut seen = Vec::new();
        for part in parts {
            let (name, value) = match part.split_once('=') {
                Some((name, value)) => (trim(name), Some(trim(value))),
                None => (part, None),
            };
            if !is_token(name) || value.is_some_and(|value| !is_token(value)) {
                return Err(format!("has the malformed parameter {part:?}"));
            }
            let name = name.to_ascii_lowercase();
            if seen.contains(&name) {
                return Err(format!("has the parameter {name} twice"));
            }
            agreement.set(&name, value)?;
            seen.push(name);
        }
        Ok(agreement)
    }

    fn set(&mut self, name: &str, value: Option<&str>) -> Result<(), String> {
        let unknown = || format!("has the unknown parameter {name:?}");
        let (terms, term) = match name.split_once('_') {
            Some(("client", term)) => (&mut self.client, term),
            Some(("server", term)) => (&mut self.server, term),
            _ => return Err(unknown()),
        };
        let wrong = |right| match value {
            Some(value) => format!("gives {name} the value {value:?}; it {right}"),
            None => format!("gives {name} no value"),
        };
        match term {
            "no_context_takeover" if value.is_some() => return Err(wrong("has none")),
            "no_context_takeover" => terms.no_context_takeover = true,
            "max_window_bits" => {
                let bits = value.and_then(window_bits);
                terms.max_window_bits = bits.ok_or_else(|| wrong("is 8 to 15"))?;
            }
            _ => return Err(unknown()),
        }
        Ok(())
    }
}

fn trim(text: &str) -> &str {
    text.trim_matches([' ', '\t'])
}

/// The same with values in quotes as what they stand for. That must be a token too (RFC 6455 section 9.1), so no
/// separator is in there.
fn unquoted(text: &str) -> Result<String, String> {
    let mut plain = String::new();
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        if character != '"' || !trim(&plain).ends_with('=') {
            plain.push(character);
            continue;
        }
        let mut value = String::new();
        loop {
            match characters.next() {
                Some('"') => break,
                Some('\\') => value.extend(characters.next()),
                Some(character) => value.push(character),
                None => return Err("has a quoted string without its end".to_owned()),
            }
        }
        if !is_token(&value) {
            return Err(format!("has a malformed parameter of the value {value:?}"));
        }
        // Kept apart from what stands right behind it, which does not belong to it.
        plain += &value;
        plain.push(' ');
    }
    Ok(plain)
}

fn window_bits(value: &str) -> Option<u8> {
    // Decimal without leading zeros (RFC 7692 section 7.1.2.1), so at most two digits.
    let is_canonical = !value.starts_with('0') && value.bytes().all(|byte| byte.is_ascii_digit());
    let bits = value.parse().ok()?;
    (is_canonical && WINDOW_BITS.contains(&bits)).then_some(bits)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn every_form_of_an_agreement_is_understood() {
        let plain = DeflateAgreement::default();
        let terms = |max_window_bits, no_context_takeover| Terms {
            max_window_bits,
            no_context_takeover,
        };
        for (answer, agreed) in [
            ("permessage-deflate", plain),
            (
                " Permessage-Deflate ; Server_No_Context_Takeover\t",
                DeflateAgreement {
                    server: terms(15, true),
                    ..plain
                },
            ),
            (
                "permessage-deflate; client_no_context_takeover; client_max_window_bits=9",
                DeflateAgreement {
                    client: terms(9, true),
                    ..plain
                },
            ),
            (
                "permessage-deflate;server_max_window_bits=\"1\\0\";client_max_window_bits = 8",
                DeflateAgreement {
                    server: terms(10, false),
                    client: terms(8, false),
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
                "permessage-deflate; client_max_window_bits=\"1\"0",
                "malformed",
            ),
            ("\"permessage-deflate\"", "not offered"),
            (
                "permessage-deflate; \"client_max_window_bits\"=9",
                "malformed",
            ),
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
