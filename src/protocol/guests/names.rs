//! Which hosts and origins are meant by a rule.
//!
//! Hosts are compared as the DNS and browsers do: without regard to case, with one dot at the end or none, IPv6 literals
//! by what they mean. What is not ASCII is written in punycode by whoever sends it, and so it is in a rule.

use core::net::Ipv6Addr;
use std::str::{FromStr, from_utf8};

/// The longest name in the DNS, in bytes (RFC 1035, section 2.3.4).
const NAME_BYTES_MAX: usize = 253;

/// The ports of a server that is called without one: it does not know by which scheme.
const DEFAULT_PORTS: [u16; 2] = [80, 443];

/// Why a text is no rule, and what would be one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    /// What is wrong with it.
    pub problem: &'static str,
    /// What would be right.
    pub remedy: &'static str,
}

/// A host that is called by its name, without the dot at its end, or by its address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Host<'a> {
    Name(&'a [u8]),
    V6(Ipv6Addr),
}

/// The host and the port of an authority without a user (RFC 3986, section 3.2); an empty port is none.
fn read(authority: &[u8]) -> Option<(Host<'_>, Option<u16>)> {
    let (host, port) = if let Some(rest) = authority.strip_prefix(b"[") {
        let end = rest.iter().position(|&byte| byte == b']')?;
        let literal = from_utf8(&rest[..end]).ok()?.parse().ok()?;
        (Host::V6(literal), &rest[end + 1..])
    } else {
        let end = authority.iter().position(|&byte| byte == b':');
        let (name, port) = authority.split_at(end.unwrap_or(authority.len()));
        (Host::Name(name.strip_suffix(b".").unwrap_or(name)), port)
    };
    let port = match port {
        [] | [b':'] => None,
        [b':', digits @ ..] if digits.iter().all(u8::is_ascii_digit) => {
            Some(from_utf8(digits).ok()?.parse().ok()?)
        }
        _ => return None,
    };
    Some((host, port))
}

/// Whether it is labels with dots between (RFC 1035, section 2.3.1), in which services put underscores, too.
fn is_name(name: &[u8]) -> bool {
    let is_right = |&byte: &u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
    let is_label = |label: &[u8]| !label.is_empty() && label.iter().all(is_right);
    name.len() <= NAME_BYTES_MAX && name.split(|&byte| byte == b'.').all(is_label)
}

/// The hosts that a rule names.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Hosts {
    This(String),
    /// All whose names end with this, which begins with a dot.
    Below(String),
    V6(Ipv6Addr),
}

impl Hosts {
    fn include(&self, host: Host<'_>) -> bool {
        match (self, host) {
            (Hosts::This(own), Host::Name(name)) => own.as_bytes().eq_ignore_ascii_case(name),
            (Hosts::Below(end), Host::Name(name)) => {
                let split = name.len().checked_sub(end.len()).filter(|at| *at > 0);
                split.is_some_and(|at| {
                    name[at..].eq_ignore_ascii_case(end.as_bytes()) && is_name(&name[..at])
                })
            }
            (Hosts::V6(own), Host::V6(address)) => *own == address,
            _ => false,
        }
    }

    /// The hosts and the port that `text` names.
    fn parse(text: &str) -> Result<(Self, Option<u16>), Fault> {
        let fault = |problem| Fault {
            problem,
            remedy: "write one such as app.example.org, *.example.org, 127.0.0.1:3000 or [::1]:3000",
        };
        if !text.is_ascii() {
            return Err(Fault {
                problem: "is not ASCII",
                remedy: "write the name as it is sent, in punycode: xn--bcher-kva.example for bücher.example",
            });
        }
        let (start, is_below) = match text.strip_prefix('*') {
            Some(rest) if rest.starts_with('.') => (&rest[1..], true),
            Some(_) => return Err(fault("has a star that does not stand for whole labels")),
            None => (text, false),
        };
        let (host, port) = read(start.as_bytes()).ok_or(fault("is no host with a port"))?;
        let hosts = match host {
            Host::V6(_) if is_below => return Err(fault("has a star before an address")),
            Host::V6(address) => Hosts::V6(address),
            Host::Name(name) => {
                if !is_name(name) {
                    return Err(fault("is no name of a host"));
                }
                let name = String::from_utf8_lossy(name);
                if is_below {
                    Hosts::Below(format!(".{name}"))
                } else {
                    Hosts::This(name.into_owned())
                }
            }
        };
        Ok((hosts, port))
    }
}

/// By which names the server may be called, as `Host` has them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostRule {
    hosts: Hosts,
    port: Option<u16>,
}

impl HostRule {
    /// Whether it allows this host and port. A rule without a port allows any; where none was sent, it is that of
    /// `http:` or of `https:`.
    pub fn allows(&self, authority: &[u8]) -> bool {
        read(authority).is_some_and(|(host, port)| {
            let is_port = match (self.port, port) {
                (None, _) => true,
                (Some(own), None) => DEFAULT_PORTS.contains(&own),
                (Some(own), Some(port)) => own == port,
            };
            is_port && self.hosts.include(host)
        })
    }
}

impl FromStr for HostRule {
    type Err = Fault;

    fn from_str(text: &str) -> Result<Self, Fault> {
        if text.contains('/') {
            return Err(Fault {
                problem: "is no host alone",
                remedy: "write it without a scheme and without a path, such as echo.example.org",
            });
        }
        let (hosts, port) = Hosts::parse(text)?;
        Ok(HostRule { hosts, port })
    }
}

/// Whose pages may ask: an origin (RFC 6454), or those of all hosts below one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OriginRule {
    /// That of pages that have none which they could name: from a file, or in a sandbox.
    Null,
    /// This one.
    Of(OriginTriple),
}

/// Scheme, hosts and port, by which two origins are told apart (RFC 6454, section 5).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OriginTriple {
    scheme: String,
    hosts: Hosts,
    port: Option<u16>,
}

impl OriginRule {
    /// Whether it allows the origin that a field `Origin` has as its value. Several of them are none.
    pub fn allows(&self, origin: &[u8]) -> bool {
        let OriginRule::Of(own) = self else {
            return origin == b"null";
        };
        let Some((scheme, authority)) = split_scheme(origin) else {
            return false;
        };
        own.scheme.as_bytes().eq_ignore_ascii_case(scheme)
            && read(authority).is_some_and(|(host, port)| {
                port.or(default_port(scheme)) == own.port && own.hosts.include(host)
            })
    }
}

fn split_scheme(origin: &[u8]) -> Option<(&[u8], &[u8])> {
    let colon = origin.iter().position(|&byte| byte == b':')?;
    let (scheme, rest) = origin.split_at(colon);
    Some((scheme, rest.strip_prefix(b"://")?))
}

fn default_port(scheme: &[u8]) -> Option<u16> {
    if scheme.eq_ignore_ascii_case(b"http") {
        Some(80)
    } else if scheme.eq_ignore_ascii_case(b"https") {
        Some(443)
    } else {
        None
    }
}

impl FromStr for OriginRule {
    type Err = Fault;

    fn from_str(text: &str) -> Result<Self, Fault> {
        let fault = |problem| Fault {
            problem,
            remedy: "write scheme and host, such as https://app.example.org, https://*.example.org or \
                     http://localhost:8080, or null",
        };
        if text == "null" {
            return Ok(OriginRule::Null);
        }
        if text == "*" {
            return Err(fault("allows every origin, as does leaving the option out"));
        }
        let (scheme, authority) = split_scheme(text.as_bytes()).ok_or(fault("has no scheme"))?;
        let is_scheme_byte = |byte: &u8| byte.is_ascii_alphanumeric() || b"+-.".contains(byte);
        if !scheme.first().is_some_and(u8::is_ascii_alphabetic)
            || !scheme.iter().all(is_scheme_byte)
        {
            return Err(fault("has no scheme"));
        }
        if scheme.eq_ignore_ascii_case(b"ws") || scheme.eq_ignore_ascii_case(b"wss") {
            return Err(fault(
                "is no origin of a page, which has come by http or https",
            ));
        }
        let authority = from_utf8(authority).map_err(|_| fault("is no origin"))?;
        if authority.contains(['/', '?', '#']) {
            return Err(fault("has something behind its host, as no origin has"));
        }
        let (hosts, port) = Hosts::parse(authority)?;
        Ok(OriginRule::Of(OriginTriple {
            port: port.or(default_port(scheme)),
            scheme: String::from_utf8_lossy(scheme).into_owned(),
            hosts,
        }))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn host(rule: &str) -> HostRule {
        rule.parse().expect(rule)
    }

    fn origin(rule: &str) -> OriginRule {
        rule.parse().expect(rule)
    }

    #[test]
    fn hosts_are_compared_by_the_rules() {
        for (rule, call, expected) in [
            ("echo.example", "echo.example", true),
            ("Echo.Example.", "eCHO.eXAMPLE", true),
            ("echo.example", "echo.example.", true),
            ("echo.example", "echo.example..", false),
            ("echo.example", "echo.example:8080", true),
            ("echo.example", "echo.example:", true),
            ("echo.example", "echo.example:x", false),
            ("echo.example", "echo.example:99999", false),
            ("echo.example", "notecho.example", false),
            ("echo.example", "user@echo.example", false),
            ("echo.example", "", false),
            ("echo.example:80", "echo.example", true),
            ("echo.example:443", "echo.example", true),
            ("echo.example:8080", "echo.example", false),
            ("echo.example:8080", "echo.example:8080", true),
            ("*.example", "echo.example", true),
            ("*.example", "a.b.EXAMPLE.", true),
            ("*.example", "example", false),
            ("*.example", ".example", false),
            ("*.example", "badexample", false),
            ("*.example", "echo.example.evil", false),
            ("[::1]", "[0:0::1]:3000", true),
            ("[::1]:3000", "[::1]:3001", false),
            ("[::1]", "[::2]", false),
            ("[::1]", "::1", false),
            ("127.0.0.1", "127.0.0.1:3000", true),
            ("127.0.0.1", "127.1", false),
        ] {
            let allows = host(rule).allows(call.as_bytes());
            assert_eq!(allows, expected, "{rule} for {call}");
        }
    }

    #[test]
    fn origins_are_compared_by_the_rules() {
        for (rule, call, expected) in [
            ("https://app.example", "https://app.example", true),
            ("https://app.example", "HTTPS://APP.example:443", true),
            ("https://app.example:443", "https://app.example", true),
            ("https://app.example", "http://app.example", false),
            ("https://app.example", "http://app.example:443", false),
            ("https://app.example", "https://app.example:8443", false),
            ("https://app.example", "https://app.example/", false),
            ("https://*.example", "https://evil.com/.example", false),
            ("https://*.example", "https://a@b.example", false),
            ("https://*.example", "https://a..example", false),
            ("https://app.example", "https://app.example.evil", false),
            (
                "https://app.example",
                "https://app.example https://app.example",
                false,
            ),
            ("https://app.example", "https://evil@app.example", false),
            ("https://app.example", "null", false),
            ("https://app.example", "", false),
            ("https://*.example", "https://a.b.example", true),
            ("https://*.example", "https://example", false),
            ("https://*.example:8443", "https://a.example:8443", true),
            ("http://[::1]:3000", "http://[0::1]:3000", true),
            ("null", "null", true),
            ("null", "NULL", false),
            (
                "chrome-extension://abcdef",
                "chrome-extension://abcdef",
                true,
            ),
            (
                "chrome-extension://abcdef",
                "chrome-extension://abcdef:80",
                false,
            ),
        ] {
            let allows = origin(rule).allows(call.as_bytes());
            assert_eq!(allows, expected, "{rule} for {call}");
        }
    }

    #[test]
    fn what_is_no_rule_is_told() {
        for (rule, problem) in [
            ("*", "allows every origin, as does leaving the option out"),
            ("app.example", "has no scheme"),
            ("://app.example", "has no scheme"),
            (
                "wss://app.example",
                "is no origin of a page, which has come by http or https",
            ),
            (
                "https://app.example/",
                "has something behind its host, as no origin has",
            ),
            ("https://b\u{fc}cher.example", "is not ASCII"),
            ("https://", "is no name of a host"),
            (
                "https://*",
                "has a star that does not stand for whole labels",
            ),
            (
                "https://*example",
                "has a star that does not stand for whole labels",
            ),
            ("https://a.*.example", "is no name of a host"),
            ("https://*.[::1]", "has a star before an address"),
            ("https://a:b", "is no host with a port"),
        ] {
            let fault = rule.parse::<OriginRule>().expect_err(rule);
            assert_eq!(fault.problem, problem, "{rule}");
        }
        for rule in ["https://echo.example", "echo.example/", "", "a..b", "::1"] {
            rule.parse::<HostRule>().expect_err(rule);
        }
    }

    /// The same by whole strings, slowly.
    fn oracle(rule: &str, call: &str) -> bool {
        let normal = |text: &str| {
            let text = text.to_ascii_lowercase();
            let (scheme, rest) = text.split_once("://").expect("a scheme");
            let (name, port) = rest.split_once(':').unwrap_or((rest, ""));
            let port = match (scheme, port) {
                ("http", "") => "80",
                ("https", "") => "443",
                (_, port) => port,
            };
            let name = name.strip_suffix('.').unwrap_or(name);
            let labels: Vec<_> = name.split('.').map(str::to_owned).collect();
            (
                scheme.to_owned(),
                labels,
                port.trim_start_matches('0').to_owned(),
            )
        };
        let (rule, call) = (normal(rule), normal(call));
        let is_host = match rule.1.split_first() {
            Some((star, above)) if star == "*" => {
                call.1.len() > above.len() && call.1.ends_with(above) && !call.1[0].is_empty()
            }
            _ => rule.1 == call.1,
        };
        is_host && rule.0 == call.0 && rule.2 == call.2
    }

    proptest! {
        #[test]
        fn a_rule_allows_what_a_simpler_one_allows(
            rule in "(http|https|x)://(\\*\\.)?[abA]{1,2}(\\.[ab]{1,2}){0,2}(:80|:443|:1)?",
            call in "(http|https|HTTPS|x)://[abB]{0,2}(\\.[abB]{1,2}){0,3}\\.?(:80|:443|:1|:)?",
        ) {
            prop_assert_eq!(origin(&rule).allows(call.as_bytes()), oracle(&rule, &call));
        }

        #[test]
        fn anything_may_be_asked(rule in "\\PC{0,20}", call in prop::collection::vec(any::<u8>(), 0..40)) {
            if let Ok(rule) = rule.parse::<OriginRule>() {
                rule.allows(&call);
            }
            if let Ok(rule) = rule.parse::<HostRule>() {
                rule.allows(&call);
            }
            for rule in [host("*.a"), host("[::1]:1")] {
                rule.allows(&call);
            }
        }
    }
}
