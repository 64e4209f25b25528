//! What a proxy says of the client behind it, in `Forwarded` (RFC 7239) or `X-Forwarded-For`.
//!
//! Each proxy appends what it knows to what came, so only the end is worth something, as far back as those are trusted
//! who wrote it: what is in front of that the client may have made up.

use core::net::{IpAddr, SocketAddr};

use httparse::{EMPTY_HEADER, Status};

use crate::protocol::handshake::HEADERS_MAX;

/// What is said of the client.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Told {
    /// The nearest address that is no trusted proxy's. None: it is not told, or told in two ways.
    pub address: Option<IpAddr>,
    /// Whether it came by TLS; none: it is not told.
    pub is_secure: Option<bool>,
}

/// What the fields of a head say of the client behind a trusted proxy.
pub(super) fn read(fields: &[u8], is_trusted: impl Fn(IpAddr) -> bool) -> Told {
    let mut headers = [EMPTY_HEADER; HEADERS_MAX];
    let Ok(Status::Complete((_, headers))) = httparse::parse_headers(fields, &mut headers) else {
        return Told::default();
    };
    let values = |name: &'static str| {
        let is_named = move |header: &&httparse::Header<'_>| header.name.eq_ignore_ascii_case(name);
        headers.iter().filter(is_named).map(|header| header.value)
    };
    let standard: Vec<_> = values("forwarded")
        .flat_map(|value| split(value, b','))
        .collect();
    let usual: Vec<_> = values("x-forwarded-for")
        .flat_map(|value| split(value, b','))
        .collect();
    let nearest = |nodes: &mut dyn Iterator<Item = Option<IpAddr>>| {
        let mut found = None;
        for (place, address) in nodes.enumerate() {
            let Some(address) = address else { break };
            found = Some((place, address));
            if !is_trusted(address) {
                break;
            }
        }
        found
    };
    let by_standard = nearest(&mut standard.iter().rev().map(|it| node(parameter(it, "for")?)));
    let by_use = nearest(&mut usual.iter().rev().map(|it| node(it)));
    let address = match (by_standard, by_use) {
        // A proxy that knows only one of the two passes on the other as it came: from the client.
        (Some((_, one)), Some((_, other))) if one != other => None,
        (found, other) => found.or(other).map(|(_, address)| address),
    };
    let element = by_standard.and_then(|(place, _)| standard.iter().rev().nth(place));
    let proto = element.and_then(|it| parameter(it, "proto"));
    let proto = proto.or_else(|| {
        values("x-forwarded-proto")
            .flat_map(|it| split(it, b','))
            .last()
    });
    let is = |proto: &[u8], names: [&str; 2]| {
        names
            .iter()
            .any(|name| proto.eq_ignore_ascii_case(name.as_bytes()))
    };
    Told {
        address,
        is_secure: match proto {
            Some(proto) if is(proto, ["https", "wss"]) => Some(true),
            Some(proto) if is(proto, ["http", "ws"]) => Some(false),
            _ => None,
        },
    }
}

/// The parts of `value` between separators that stand in no string.
fn split(value: &[u8], separator: u8) -> Vec<&[u8]> {
    let (mut parts, mut start) = (Vec::new(), 0);
    let (mut in_string, mut is_escaped) = (false, false);
    for (place, &byte) in value.iter().enumerate() {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' if in_string => is_escaped = true,
            b'"' => in_string = !in_string,
            _ if byte == separator && !in_string => {
                parts.push(value[start..place].trim_ascii());
                start = place + 1;
            }
            _ => {}
        }
    }
    parts.push(value[start..].trim_ascii());
    parts
}

/// What an element of `Forwarded` has for `name`, without the quotes around it.
fn parameter<'a>(element: &'a [u8], name: &str) -> Option<&'a [u8]> {
    split(element, b';').into_iter().find_map(|pair| {
        let equals = pair.iter().position(|&byte| byte == b'=')?;
        let (found, value) = (pair[..equals].trim_ascii(), pair[equals + 1..].trim_ascii());
        let unquoted = value
            .strip_prefix(b"\"")
            .and_then(|it| it.strip_suffix(b"\""));
        found
            .eq_ignore_ascii_case(name.as_bytes())
            .then(|| unquoted.unwrap_or(value))
    })
}

/// An address, perhaps with a port (RFC 7239, section 6). What hides or is unknown has none.
fn node(text: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(text).ok()?;
    let bare = text.strip_prefix('[').and_then(|it| it.strip_suffix(']'));
    let address = bare.unwrap_or(text).parse::<IpAddr>().ok();
    let with_port = || Some(text.parse::<SocketAddr>().ok()?.ip());
    address.or_else(with_port).map(|it| it.to_canonical())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Trusted are the addresses of network 10.
    fn told(fields: &[&str]) -> Told {
        let head = fields.iter().map(|field| format!("{field}\r\n"));
        let head = head.collect::<String>() + "\r\n";
        read(
            head.as_bytes(),
            |address| matches!(address, IpAddr::V4(it) if it.octets()[0] == 10),
        )
    }

    fn address(fields: &[&str]) -> Option<String> {
        told(fields).address.map(|address| address.to_string())
    }

    #[test]
    fn the_nearest_address_is_told_that_is_not_trusted() {
        for (fields, expected) in [
            (&["X-Forwarded-For: 192.0.2.1"][..], Some("192.0.2.1")),
            (&["x-forwarded-for: 6.6.6.6, 192.0.2.1"], Some("192.0.2.1")),
            (
                &["X-Forwarded-For: 6.6.6.6", "X-Forwarded-For: 192.0.2.1"],
                Some("192.0.2.1"),
            ),
            (
                &["X-Forwarded-For: 6.6.6.6, 192.0.2.1, 10.0.0.1, 10.0.0.2"],
                Some("192.0.2.1"),
            ),
            (&["X-Forwarded-For: 10.0.0.3,10.0.0.1"], Some("10.0.0.3")),
            (&["X-Forwarded-For: 192.0.2.1:4711"], Some("192.0.2.1")),
            (&["X-Forwarded-For: ::ffff:192.0.2.1"], Some("192.0.2.1")),
            (&["X-Forwarded-For: 2001:db8::1"], Some("2001:db8::1")),
            (&["X-Forwarded-For: 192.0.2.1, unknown"], None),
            (
                &["X-Forwarded-For: 192.0.2.1, unknown, 10.0.0.1"],
                Some("10.0.0.1"),
            ),
            (&["X-Forwarded-For: 192.0.2.1,"], None),
            (&["X-Forwarded-For:"], None),
            (&[], None),
            (&["Forwarded: for=192.0.2.1"], Some("192.0.2.1")),
            (
                &["Forwarded: by=10.0.0.1; For=\"[2001:db8::1]:4711\";proto=https"],
                Some("2001:db8::1"),
            ),
            (
                &["Forwarded: for=6.6.6.6, for=\"[2001:db8::1]\", for=10.0.0.1"],
                Some("2001:db8::1"),
            ),
            (&["Forwarded: for=192.0.2.1, for=_hidden"], None),
            (&["Forwarded: for=192.0.2.1, for=unknown"], None),
            (&["Forwarded: for=\"192.0.2.9, for=192.0.2.1"], None),
            (
                &["Forwarded: for=192.0.2.1", "X-Forwarded-For: 192.0.2.1"],
                Some("192.0.2.1"),
            ),
            (
                &["Forwarded: for=6.6.6.6", "X-Forwarded-For: 192.0.2.1"],
                None,
            ),
        ] {
            assert_eq!(address(fields).as_deref(), expected, "{fields:?}");
        }
    }

    #[test]
    fn it_is_told_whether_it_came_by_tls() {
        for (fields, expected) in [
            (&["X-Forwarded-Proto: https"][..], Some(true)),
            (&["X-Forwarded-Proto: HTTP"], Some(false)),
            (&["X-Forwarded-Proto: http, wss"], Some(true)),
            (&["X-Forwarded-Proto: gopher"], None),
            (
                &["Forwarded: for=192.0.2.1;proto=https, for=10.0.0.1;proto=http"],
                Some(true),
            ),
            (&["Forwarded: proto=https"], None),
            (&[], None),
        ] {
            assert_eq!(told(fields).is_secure, expected, "{fields:?}");
        }
    }

    proptest! {
        /// Whatever the client sends: the proxy appends to it, in a field of its own or in the same.
        #[test]
        fn no_client_can_say_who_it_is(mine in "[ -~]{0,40}", its_own: bool) {
            let quotes = mine.matches('"').count();
            prop_assume!(its_own || !mine.contains('\\') && quotes % 2 == 0);
            for (name, appended) in [("X-Forwarded-For", "192.0.2.1"), ("Forwarded", "for=192.0.2.1")] {
                let fields = if its_own {
                    vec![format!("{name}: {mine}"), format!("{name}: {appended}")]
                } else {
                    vec![format!("{name}: {mine}, {appended}")]
                };
                let fields: Vec<_> = fields.iter().map(String::as_str).collect();
                let told = address(&fields);
                prop_assert_eq!(told.as_deref(), Some("192.0.2.1"));
            }
        }
    }
}
