//! The addresses to listen on.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::error::quote;
use super::units::Refusal;

/// An address to listen on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Listen {
    /// The address. Port 0 lets the kernel choose; the start line tells which.
    pub address: SocketAddr,
    /// Whether a host without this address may go without it: the `::1` half of `localhost`.
    pub optional: bool,
    /// Whether an IPv6 address is reached over IPv6 alone. Of `[::]` that is so only beside an IPv4 address
    /// with the same port; alone it stands for both, as it does by default on Linux (RFC 3493, section
    /// 5.3).
    pub only_v6: bool,
    /// Whether TLS is spoken there.
    pub tls: bool,
}

impl Listen {
    fn new(address: SocketAddr) -> Self {
        Listen {
            address,
            optional: false,
            only_v6: address.ip() != Ipv6Addr::UNSPECIFIED,
            tls: false,
        }
    }
}

/// What stands in front of an address where TLS is spoken.
const TLS_SCHEME: &str = "tls://";

/// Reads a list of addresses. What is named twice is listened on once; port 0 is a port of its own
/// each time.
pub(super) fn listen(texts: &[String]) -> Result<Vec<Listen>, (String, Refusal)> {
    let mut all: Vec<Listen> = Vec::new();
    for text in texts {
        for new in one(text).map_err(|refusal| (text.clone(), refusal))? {
            match all
                .iter_mut()
                .find(|old| old.address == new.address && new.address.port() != 0)
            {
                Some(old) if old.tls != new.tls => {
                    let problem = "is named both with TLS and without";
                    let remedy = "name it once, or two ports";
                    return Err((text.clone(), Refusal::new(problem, remedy)));
                }
                Some(old) => old.optional &= new.optional,
                None => all.push(new),
            }
        }
    }
    let v4_ports: Vec<u16> = all
        .iter()
        .filter(|listen| listen.address.is_ipv4())
        .map(|listen| listen.address.port())
        .collect();
    for listen in &mut all {
        let port = listen.address.port();
        listen.only_v6 |= port != 0 && v4_ports.contains(&port);
    }
    match covered(&all) {
        Some((wide, narrow)) => Err((
            narrow.to_string(),
            Refusal::new(
                format!("is already covered by {wide}"),
                "name only one of the two",
            ),
        )),
        None => Ok(all),
    }
}

/// A wildcard and an address that it includes: the second could not be bound, and the kernel would
/// blame another process.
fn covered(all: &[Listen]) -> Option<(SocketAddr, SocketAddr)> {
    let addresses = || all.iter().map(|listen| listen.address);
    addresses()
        .filter(|wide| wide.ip().is_unspecified() && wide.port() != 0)
        .find_map(|wide| {
            addresses()
                .find(|narrow| {
                    *narrow != wide
                        && narrow.is_ipv4() == wide.is_ipv4()
                        && narrow.port() == wide.port()
                })
                .map(|narrow| (wide, narrow))
        })
}

/// One entry, with or without TLS.
fn one(text: &str) -> Result<Vec<Listen>, Refusal> {
    let (address, tls) = match text.split_at_checked(TLS_SCHEME.len()) {
        Some((scheme, address)) if scheme.eq_ignore_ascii_case(TLS_SCHEME) => (address, true),
        _ => (text, false),
    };
    let mut all = addresses(address).map_err(|refusal| {
        if !tls {
            return refusal;
        }
        Refusal::new(
            refusal.problem,
            format!("{}, with {TLS_SCHEME} in front", refusal.remedy),
        )
    })?;
    all.iter_mut().for_each(|listen| listen.tls = tls);
    Ok(all)
}

/// An address with its port, or `localhost` with a port, which is the loopback address
/// of both families (RFC 6761, section 6.3). Other names are not looked up: what they mean may
/// change between two starts.
fn addresses(text: &str) -> Result<Vec<Listen>, Refusal> {
    if let Ok(address) = text.parse::<SocketAddr>() {
        return usable(address).map(|address| vec![Listen::new(address)]);
    }
    if let Some(port) = localhost_port(text) {
        return Ok(vec![
            Listen::new((Ipv4Addr::LOCALHOST, port).into()),
            Listen {
                optional: true,
                ..Listen::new((Ipv6Addr::LOCALHOST, port).into())
            },
        ]);
    }
    Err(unreadable(text))
}

fn localhost_port(text: &str) -> Option<u16> {
    let (host, port) = text.split_once(':')?;
    if host.eq_ignore_ascii_case("localhost") {
        number(port)
    } else {
        None
    }
}

/// A port as digits only: `u16` would take `+80`.
fn number(port: &str) -> Option<u16> {
    if port.bytes().all(|byte| byte.is_ascii_digit()) {
        port.parse().ok()
    } else {
        None
    }
}

fn usable(address: SocketAddr) -> Result<SocketAddr, Refusal> {
    let ip = address.ip().to_canonical();
    if ip.is_multicast() || ip == IpAddr::V4(Ipv4Addr::BROADCAST) {
        return Err(Refusal::new(
            "is no address of one host",
            "write an address of this machine, such as 127.0.0.1:3000",
        ));
    }
    // An IPv4 address as IPv6 writes it (RFC 4291, section 2.5.5.2) is bound as what it is.
    match ip {
        IpAddr::V4(_) => Ok(SocketAddr::new(ip, address.port())),
        IpAddr::V6(_) => Ok(address),
    }
}

/// Says what is missing rather than that something is.
fn unreadable(text: &str) -> Refusal {
    if let Some((scheme, rest)) = text.split_once("://") {
        let of_tls = ["wss", "https"];
        if of_tls.iter().any(|it| scheme.eq_ignore_ascii_case(it)) {
            let address = rest.split('/').next().unwrap_or_default();
            return Refusal::new(
                "is the URL of a client",
                format!("write tls://{address}: wss:// and https:// are both answered there"),
            );
        }
        return Refusal::new(
            "is a URL",
            "write the address alone, such as 127.0.0.1:3000",
        );
    }
    if text.contains('/') {
        return Refusal::new("is a path", "write an address, such as 127.0.0.1:3000");
    }
    if let Ok(ip) = text.trim_matches(['[', ']']).parse::<IpAddr>() {
        let (problem, remedy) = match ip {
            IpAddr::V4(ip) => ("has no port", format!("write {ip}:3000")),
            IpAddr::V6(_) if !text.starts_with('[') => (
                "is an IPv6 address without brackets or port",
                "write one such as [::1]:3000".to_owned(),
            ),
            IpAddr::V6(ip) => ("has no port", format!("write [{ip}]:3000")),
        };
        return Refusal::new(problem, remedy);
    }
    if number(text).is_some() {
        let remedy = format!("write 127.0.0.1:{text} for this machine or 0.0.0.0:{text} for all");
        return Refusal::new("is a port without an address", remedy);
    }
    match text.rsplit_once(':') {
        Some((host, port)) => named(host, port),
        None if text.eq_ignore_ascii_case("localhost") => {
            Refusal::new("has no port", "write localhost:3000")
        }
        None => Refusal::new(
            "is not an address",
            "write one such as 127.0.0.1:3000 or [::1]:3000",
        ),
    }
}

fn named(host: &str, port: &str) -> Refusal {
    if number(port).is_none() {
        let problem = format!("has {} for a port", quote(port));
        return Refusal::new(
            problem,
            "write a number from 0 to 65535 behind the last colon",
        );
    }
    match host {
        "" | "*" => Refusal::new(
            "does not say which addresses",
            format!("write 0.0.0.0:{port} for all of IPv4, [::]:{port} for IPv6 and IPv4"),
        ),
        _ if host.contains(':') => {
            Refusal::new("is not an IPv6 address", "write one such as [::1]:3000")
        }
        _ if host
            .bytes()
            .all(|byte| byte.is_ascii_digit() || byte == b'.') =>
        {
            Refusal::new("is not an IPv4 address", "write one such as 127.0.0.1:3000")
        }
        _ => Refusal::new(
            "names a host",
            format!("write its address, such as 127.0.0.1:{port}, or localhost:{port}"),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(texts: &[&str]) -> Result<Vec<Listen>, (String, Refusal)> {
        listen(&texts.iter().map(ToString::to_string).collect::<Vec<_>>())
    }

    fn shown(texts: &[&str]) -> Vec<String> {
        let mark = |listen: &Listen| if listen.optional { "?" } else { "" };
        read(texts)
            .unwrap()
            .iter()
            .map(|one| format!("{}{}", one.address, mark(one)))
            .collect()
    }

    #[test]
    fn addresses_and_localhost() {
        assert_eq!(shown(&["127.0.0.1:3000"]), ["127.0.0.1:3000"]);
        assert_eq!(shown(&["[::ffff:127.0.0.1]:1"]), ["127.0.0.1:1"]);
        assert_eq!(shown(&["[::1]:0", "0.0.0.0:80"]), ["[::1]:0", "0.0.0.0:80"]);
        let all = read(&["TLS://localhost:443", "127.0.0.1:80"]).unwrap();
        let tls: Vec<_> = all.iter().map(|listen| listen.tls).collect();
        assert_eq!(tls, [true, true, false]);
        assert_eq!(
            shown(&["LocalHost:3000"]),
            ["127.0.0.1:3000", "[::1]:3000?"]
        );
    }

    #[test]
    fn twice_is_once_and_the_stricter_wish_wins() {
        assert_eq!(shown(&["127.0.0.1:1", "127.0.0.1:1"]), ["127.0.0.1:1"]);
        assert_eq!(
            shown(&["localhost:1", "[::1]:1"]),
            ["127.0.0.1:1", "[::1]:1"]
        );
        assert_eq!(
            shown(&["[::1]:1", "localhost:1"]),
            ["[::1]:1", "127.0.0.1:1"]
        );
        assert_eq!(
            shown(&["127.0.0.1:0", "127.0.0.1:0"]),
            ["127.0.0.1:0", "127.0.0.1:0"]
        );
    }

    #[test]
    fn a_wildcard_covers_its_family_and_port() {
        let (value, refusal) = read(&["127.0.0.1:80", "0.0.0.0:80"]).unwrap_err();
        assert_eq!(value, "127.0.0.1:80");
        assert_eq!(refusal.problem, "is already covered by 0.0.0.0:80");
        assert!(read(&["[::]:80", "[::1]:80"]).is_err());
        assert_eq!(shown(&["0.0.0.0:80", "127.0.0.1:81"]).len(), 2);
        assert_eq!(shown(&["0.0.0.0:0", "127.0.0.1:0"]).len(), 2);
    }

    #[test]
    fn any_of_ipv6_is_any_of_ipv4_too_unless_that_is_named() {
        for (texts, only_v6) in [
            (&["[::]:80"][..], &[false][..]),
            (&["[::]:80", "0.0.0.0:80"], &[true, true]),
            (&["127.0.0.1:80", "[::]:80"], &[true, true]),
            (&["[::]:80", "0.0.0.0:81"], &[false, true]),
            (&["[::]:0", "0.0.0.0:0"], &[false, true]),
            (&["[::1]:80"], &[true]),
        ] {
            let read: Vec<_> = read(texts).unwrap().iter().map(|it| it.only_v6).collect();
            assert_eq!(read, only_v6, "{texts:?}");
        }
    }

    #[test]
    fn each_mistake_is_named() {
        for (text, problem, remedy) in [
            ("ws://localhost:3000", "is a URL", "127.0.0.1:3000"),
            (
                "wss://localhost:3000/",
                "is the URL of a client",
                "write tls://localhost:3000:",
            ),
            ("tls://localhost", "has no port", "write localhost:3000"),
            (
                "tls://127.0.0.1:1",
                "is named both with TLS and without",
                "two ports",
            ),
            ("/run/ringback.sock", "is a path", "127.0.0.1:3000"),
            ("127.0.0.1", "has no port", "write 127.0.0.1:3000"),
            (
                "::1",
                "is an IPv6 address without brackets or port",
                "[::1]:3000",
            ),
            ("[::1]", "has no port", "write [::1]:3000"),
            ("3000", "is a port without an address", "127.0.0.1:3000"),
            (":3000", "does not say which addresses", "0.0.0.0:3000"),
            ("*:80", "does not say which addresses", "[::]:80"),
            ("127.0.0.1:65536", "has `65536` for a port", "0 to 65535"),
            ("127.0.0.1:+80", "has `+80` for a port", "0 to 65535"),
            ("localhost:http", "has `http` for a port", "0 to 65535"),
            ("localhost:", "has `` for a port", "0 to 65535"),
            ("256.0.0.1:80", "is not an IPv4 address", "127.0.0.1:3000"),
            ("1::2::3:80", "is not an IPv6 address", "[::1]:3000"),
            ("echo.example.org:80", "names a host", "127.0.0.1:80"),
            ("localhost", "has no port", "write localhost:3000"),
            ("here", "is not an address", "127.0.0.1:3000"),
            ("", "is not an address", "127.0.0.1:3000"),
            (
                "224.0.0.1:80",
                "is no address of one host",
                "127.0.0.1:3000",
            ),
            (
                "[ff02::1]:80",
                "is no address of one host",
                "127.0.0.1:3000",
            ),
            (
                "255.255.255.255:80",
                "is no address of one host",
                "127.0.0.1:3000",
            ),
        ] {
            let (value, refusal) = read(&["127.0.0.1:1", text]).unwrap_err();
            assert_eq!((value.as_str(), refusal.problem.as_str()), (text, problem));
            assert!(
                refusal.remedy.contains(remedy),
                "{text}: {}",
                refusal.remedy
            );
        }
    }
}
