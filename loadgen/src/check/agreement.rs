//! What is offered of permessage-deflate, and what may be answered (RFC 7692, sections 7 and 7.1).

use super::head::Response;
use super::verdict::Finding;

/// The extension.
const NAME: &str = "permessage-deflate";

/// An offer, or the answer to one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Terms {
    pub(crate) server_no_context_takeover: bool,
    pub(crate) client_no_context_takeover: bool,
    pub(crate) server_max_window_bits: Option<u8>,
    /// `Some(None)`: without a value.
    pub(crate) client_max_window_bits: Option<Option<u8>>,
}

/// Whether `element` of a list of extensions is about permessage-deflate.
pub(crate) fn is_deflate(element: &str) -> bool {
    element.split(';').next().map(str::trim) == Some(NAME)
}

impl Terms {
    /// Reads an element of a list; what is wrong with it. A value may be quoted (RFC 6455, section 9.1).
    pub(crate) fn parse(element: &str) -> Result<Terms, String> {
        let mut parts = element.split(';').map(str::trim);
        if parts.next() != Some(NAME) {
            return Err(format!("{element:?} is not {NAME}"));
        }
        let mut terms = Terms::default();
        let mut seen = Vec::new();
        for part in parts {
            let (name, value) = match part.split_once('=') {
                None => (part, None),
                Some((name, value)) => (name.trim(), Some(unquoted(value.trim()))),
            };
            if seen.contains(&name) {
                return Err(format!("{name} is there twice"));
            }
            seen.push(name);
            let invalid = || format!("{part:?} is not valid");
            match (name, value) {
                ("server_no_context_takeover", None) => terms.server_no_context_takeover = true,
                ("client_no_context_takeover", None) => terms.client_no_context_takeover = true,
                ("server_max_window_bits", Some(value)) => {
                    terms.server_max_window_bits = Some(window_bits(value).ok_or_else(invalid)?);
                }
                ("client_max_window_bits", None) => terms.client_max_window_bits = Some(None),
                ("client_max_window_bits", Some(value)) => {
                    let bits = window_bits(value).ok_or_else(invalid)?;
                    terms.client_max_window_bits = Some(Some(bits));
                }
                _ => return Err(invalid()),
            }
        }
        Ok(terms)
    }

    /// Whether this may be the answer to `offer`.
    fn answers(&self, offer: &Terms) -> Result<(), Finding> {
        let illegal = |what: &str| Err(Finding::Illegal(format!("the answer {what}")));
        if offer.server_no_context_takeover && !self.server_no_context_takeover {
            return illegal(
                "lacks server_no_context_takeover, which was offered (RFC 7692, 7.1.1.1)",
            );
        }
        if let Some(offered) = offer.server_max_window_bits
            && self
                .server_max_window_bits
                .is_none_or(|bits| bits > offered)
        {
            return illegal(
                "lacks server_max_window_bits as offered or smaller (RFC 7692, 7.1.2.1)",
            );
        }
        match (offer.client_max_window_bits, self.client_max_window_bits) {
            (_, None) => Ok(()),
            (None, Some(_)) => {
                illegal("has client_max_window_bits, which was not offered (RFC 7692, 7.1.2.2)")
            }
            (Some(_), Some(None)) => {
                illegal("has client_max_window_bits without a value (RFC 7692, 7.1.2.2)")
            }
            (Some(offered), Some(Some(bits))) if offered.is_some_and(|offered| bits > offered) => {
                Err(Finding::Lax(
                    "the answer has larger client_max_window_bits than offered (RFC 7692, 7.1.2.2)"
                        .to_owned(),
                ))
            }
            (Some(_), Some(_)) => Ok(()),
        }
    }
}

/// What a response agrees to: nothing, or the terms. Fails where that is no answer to any of the elements
/// that the request offered; of these, those that must be declined count for nothing.
pub(crate) fn agreed<'a>(
    response: &Response,
    offered: impl IntoIterator<Item = &'a str>,
) -> Result<Option<Terms>, Finding> {
    let mut elements = response.list("sec-websocket-extensions");
    let Some(element) = elements.next() else {
        return Ok(None);
    };
    let illegal = |what: &str| {
        Finding::Illegal(format!(
            "the server answers Sec-WebSocket-Extensions: {element}: {what}"
        ))
    };
    if let Some(other) = elements.next() {
        return Err(illegal(&format!(
            "and besides {other}, although both use RSV1 (RFC 7692, 5)"
        )));
    }
    let terms = Terms::parse(element).map_err(|what| illegal(&format!("{what} (RFC 7692, 7)")))?;
    let offers = offered
        .into_iter()
        .filter_map(|offer| Terms::parse(offer).ok());
    // The answer does not say which offer it is for.
    let best = offers
        .map(|offer| terms.answers(&offer))
        .reduce(|one, other| match (&one, &other) {
            (Ok(()), _) | (Err(Finding::Lax(_)), Err(_)) => one,
            _ => other,
        });
    match best {
        None => Err(illegal("an offer that must be declined (RFC 7692, 7)")),
        Some(Ok(())) => Ok(Some(terms)),
        Some(Err(Finding::Lax(what))) => Err(Finding::Lax(format!("{element}: {what}"))),
        Some(Err(finding)) => Err(illegal(finding.words())),
    }
}

/// From 8 to 15, without a zero in front (RFC 7692, section 7.1.2).
fn window_bits(value: &str) -> Option<u8> {
    let bits: u8 = value.parse().ok().filter(|bits| (8..=15).contains(bits))?;
    (value == bits.to_string()).then_some(bits)
}

fn unquoted(value: &str) -> &str {
    let inner = value.strip_prefix('"');
    inner
        .and_then(|inner| inner.strip_suffix('"'))
        .unwrap_or(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judge(answer: &str, offers: &[&str]) -> Result<Option<Terms>, Finding> {
        let fields = match answer {
            "" => String::new(),
            _ => format!("Sec-WebSocket-Extensions: {answer}\r\n"),
        };
        let head = format!("HTTP/1.1 101 Switching Protocols\r\n{fields}\r\n");
        let (response, _) = Response::parse(head.as_bytes()).unwrap().unwrap();
        agreed(&response, offers.iter().copied())
    }

    #[test]
    fn what_may_be_answered_passes() {
        for (answer, offers) in [
            ("", &["permessage-deflate"][..]),
            ("permessage-deflate", &["permessage-deflate"]),
            // Unasked, a server may bind itself, and ask the client for no takeover.
            (
                "permessage-deflate; server_no_context_takeover; client_no_context_takeover; server_max_window_bits=9",
                &["permessage-deflate"],
            ),
            (
                "permessage-deflate; server_max_window_bits=\"9\"; client_max_window_bits=10",
                &["permessage-deflate; server_max_window_bits=10; client_max_window_bits"],
            ),
            (
                "permessage-deflate",
                &[
                    "permessage-deflate; server_max_window_bits=10",
                    "permessage-deflate",
                ],
            ),
            (
                "permessage-deflate",
                &["permessage-deflate; client_max_window_bits=9; client_no_context_takeover"],
            ),
        ] {
            assert!(judge(answer, offers).is_ok(), "{answer} to {offers:?}");
        }
    }

    #[test]
    fn what_may_not_be_answered_is_illegal() {
        for (answer, offers) in [
            (
                "permessage-deflate; client_max_window_bits=15",
                &["permessage-deflate"][..],
            ),
            (
                "permessage-deflate; client_max_window_bits",
                &["permessage-deflate; client_max_window_bits"],
            ),
            (
                "permessage-deflate",
                &["permessage-deflate; server_no_context_takeover"],
            ),
            (
                "permessage-deflate; server_max_window_bits=11",
                &["permessage-deflate; server_max_window_bits=10"],
            ),
            ("permessage-deflate", &["permessage-deflate; foo"]),
            ("permessage-deflate; foo", &["permessage-deflate"]),
            (
                "permessage-deflate, permessage-deflate",
                &["permessage-deflate"],
            ),
            ("x-webkit-deflate-frame", &["permessage-deflate"]),
            (
                "permessage-deflate; server_max_window_bits=08",
                &["permessage-deflate"],
            ),
        ] {
            let finding = judge(answer, offers).unwrap_err();
            assert!(matches!(finding, Finding::Illegal(_)), "{answer}");
        }
        let larger = judge(
            "permessage-deflate; client_max_window_bits=12",
            &["permessage-deflate; client_max_window_bits=10"],
        );
        assert!(matches!(larger, Err(Finding::Lax(_))), "{larger:?}");
    }

    #[test]
    fn offers_that_must_be_declined_are_none() {
        for offer in [
            "permessage-deflate; server_max_window_bits",
            "permessage-deflate; server_max_window_bits=16",
            "permessage-deflate; server_max_window_bits=7",
            "permessage-deflate; server_max_window_bits=010",
            "permessage-deflate; server_max_window_bits=+9",
            "permessage-deflate; server_no_context_takeover=1",
            "permessage-deflate; client_max_window_bits; client_max_window_bits",
            "permessage-deflate; foo=1",
        ] {
            assert!(Terms::parse(offer).is_err(), "{offer}");
        }
    }
}
