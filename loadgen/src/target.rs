//! The address under load: `ws://host:port/path`, `wss://host:port/path` or `tcp://host:port`.

use std::fmt;
use std::io;
use std::net::{SocketAddr, ToSocketAddrs};

/// What is spoken over the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Protocol {
    /// RFC 6455 messages.
    Websocket,
    /// RFC 862: bytes come back as they went.
    Tcp,
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Protocol::Websocket => "websocket",
            Protocol::Tcp => "tcp",
        })
    }
}

/// A parsed target URL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// The URL as written.
    pub(crate) url: String,
    /// What its scheme asks for.
    pub(crate) protocol: Protocol,
    /// Whether TLS lies below it.
    pub(crate) tls: bool,
    /// Host without brackets.
    pub(crate) host: String,
    /// TCP port.
    pub(crate) port: u16,
    /// `host:port` for the `Host` header (brackets kept).
    pub(crate) authority: String,
    /// Request target: path and query.
    pub(crate) path: String,
}

impl Target {
    /// Reads a URL. The error is a phrase that says what would be right.
    pub fn parse(url: &str) -> Result<Target, String> {
        let (scheme, rest) = url
            .split_once("://")
            .ok_or("expected ws://HOST:PORT/PATH, wss://HOST:PORT/PATH or tcp://HOST:PORT")?;
        let (protocol, tls, default_port) = match scheme.to_ascii_lowercase().as_str() {
            "ws" => (Protocol::Websocket, false, Some(80)),
            "wss" => (Protocol::Websocket, true, Some(443)),
            "tcp" => (Protocol::Tcp, false, None),
            other => {
                return Err(format!(
                    "unsupported scheme {other:?}; use ws://, wss:// or tcp://"
                ));
            }
        };
        // RFC 6455 section 3: "Fragment identifiers [...] MUST NOT be used on these URIs".
        if rest.contains('#') {
            return Err("a fragment (#...) means nothing here; a # of the path is %23".to_owned());
        }
        let path_start = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(path_start);
        let (host, port) = parse_authority(authority, default_port)?;
        if path.bytes().any(|byte| byte <= b' ' || byte >= 0x7f) {
            return Err("the path has characters that must be percent-encoded".to_owned());
        }
        let slash = if path.starts_with('/') { "" } else { "/" };
        Ok(Target {
            url: url.to_owned(),
            protocol,
            tls,
            host,
            port,
            authority: authority.to_owned(),
            path: format!("{slash}{path}"),
        })
    }
}

/// Every address that `host` resolves to, in the resolver's order.
pub(crate) fn resolve(host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
    Ok((host, port).to_socket_addrs()?.collect())
}

/// Reads `HOST:PORT`, where the port may be missing if there is a default. The error is a phrase that says
/// what would be right.
pub(crate) fn parse_authority(
    authority: &str,
    default_port: Option<u16>,
) -> Result<(String, u16), String> {
    if authority.contains('@') {
        return Err("credentials in the URL are not supported".to_owned());
    }
    let (host, port) = match authority.strip_prefix('[') {
        Some(bracketed) => {
            let (host, rest) = bracketed
                .split_once(']')
                .ok_or("the IPv6 address lacks its ]")?;
            let port = rest.strip_prefix(':');
            if port.is_none() && !rest.is_empty() {
                return Err(format!("{rest:?} behind the IPv6 address is not a port"));
            }
            (host, port)
        }
        None => match authority.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (authority, None),
        },
    };
    if host.is_empty() {
        return Err("the URL has no host".to_owned());
    }
    // The host is sent as a header: a line end in it would be a header of its own.
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._:%".contains(&byte);
    if !host.bytes().all(is_plain) {
        return Err(format!(
            "{host:?} is not a host: names have letters, digits, dots and hyphens (others in \
             their xn-- form)"
        ));
    }
    let port = match (port, default_port) {
        // No sign: `parse` would take one.
        (Some(text), _) => match text.parse() {
            Ok(port @ 1..) if !text.starts_with('+') => port,
            _ => return Err(format!("{text:?} is not a port between 1 and 65535")),
        },
        (None, Some(port)) => port,
        (None, None) => return Err(format!("{authority:?} has no port; write HOST:PORT")),
    };
    Ok((host.to_owned(), port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_hosts_ports_and_paths() {
        let target = Target::parse("ws://127.0.0.1:3000/echo?x=1").unwrap();
        assert_eq!((target.host.as_str(), target.port), ("127.0.0.1", 3000));
        assert_eq!(
            (target.path.as_str(), target.authority.as_str()),
            ("/echo?x=1", "127.0.0.1:3000")
        );

        let target = Target::parse("ws://[::1]:9/").unwrap();
        assert_eq!((target.host.as_str(), target.port), ("::1", 9));
        assert_eq!(target.authority, "[::1]:9");

        let target = Target::parse("ws://localhost").unwrap();
        assert_eq!((target.port, target.path.as_str()), (80, "/"));

        let target = Target::parse("ws://h?q").unwrap();
        assert_eq!(target.path, "/?q");

        let target = Target::parse("WSS://example.org").unwrap();
        assert_eq!((target.port, target.tls), (443, true));
        assert_eq!(target.protocol, Protocol::Websocket);
        assert_eq!(Target::parse("wss://h:1").unwrap().port, 1);

        let target = Target::parse("tcp://h:7").unwrap();
        assert_eq!((target.protocol, target.tls), (Protocol::Tcp, false));
    }

    #[test]
    fn refuses_what_it_cannot_reach() {
        for wrong in [
            "127.0.0.1:3000",
            "https://h:1",
            "ws://",
            "ws://:80",
            "ws://h:0",
            "ws://h:x",
            "ws://[::1:80",
            "tcp://h",
            "ws://u:p@h:1",
            "ws://h/a b",
            "ws://h\r\nX: y/",
            "ws://h:+80",
            "ws://[::1]80",
            "ws://zoë.example",
            "ws://h h/",
            "wss://:443",
            "ws://h/#part",
            "ws://h#",
            "ws://h/?q#part",
        ] {
            assert!(Target::parse(wrong).is_err(), "{wrong:?}");
        }
    }
}
