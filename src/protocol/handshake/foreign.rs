//! Who is not HTTP: protocols that are told by how they begin.

/// A protocol that is spoken to this port by mistake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Foreign {
    /// A handshake record (RFC 8446, section 5.1).
    Tls,
    /// An identification string (RFC 4253, section 4.2).
    Ssh,
    /// A greeting (RFC 5321, section 4.1.1.1).
    Smtp,
    /// An array of the protocol that Redis speaks, or its inline PING.
    Redis,
    /// A CONNECT (MQTT 5.0, section 3.1).
    Mqtt,
    /// The header that a load balancer puts in front of a connection, as text.
    ProxyV1,
    /// The same in binary. It begins with empty lines, as a request must not.
    ProxyV2,
}

impl Foreign {
    /// Who begins like `seen`, which is no request up to its last byte and not before. To look no further
    /// makes the answer independent of how the bytes are cut.
    pub(super) fn of(seen: &[u8]) -> Option<Foreign> {
        let begins = |text: &str| {
            seen.get(..text.len())
                .is_some_and(|start| start.eq_ignore_ascii_case(text.as_bytes()))
        };
        match seen {
            [0x16] => Some(Foreign::Tls),
            [0x10] => Some(Foreign::Mqtt),
            b"\r\n\r" => Some(Foreign::ProxyV2),
            b"PING\r" => Some(Foreign::Redis),
            [b'*', digits @ .., b'\r'] if digits.iter().all(u8::is_ascii_digit) => {
                Some(Foreign::Redis)
            }
            _ if begins("SSH-") => Some(Foreign::Ssh),
            _ if begins("EHLO") || begins("HELO") => Some(Foreign::Smtp),
            _ if begins("PROXY ") => Some(Foreign::ProxyV1),
            _ => None,
        }
    }

    /// What it looks like, and what would help.
    ///
    /// TLS too is told in plain text rather than by an alert record. Clients have no alert for "there is
    /// no TLS here" and show any of them as a fault of versions or certificates, while they know the
    /// letters `HTTP/` where a record should be: Go says "server gave HTTP response to HTTPS client", and
    /// whoever looks at the bytes can read the rest.
    pub(super) const fn text(self) -> &'static str {
        match self {
            Foreign::Tls => {
                "This is no HTTP: it looks like TLS. There is no TLS on this port: use ws:// and \
                http://, or a port where this server speaks TLS (--listen tls://...).\n"
            }
            Foreign::Ssh => {
                "This is no HTTP: it looks like SSH. This port speaks WebSocket, over HTTP/1.1.\n"
            }
            Foreign::Smtp => {
                "This is no HTTP: it looks like SMTP. This port speaks WebSocket, over HTTP/1.1.\n"
            }
            Foreign::Redis => {
                "This is no HTTP: it looks like the protocol of Redis. This port speaks WebSocket, \
                over HTTP/1.1.\n"
            }
            Foreign::Mqtt => {
                "This is no HTTP: it looks like MQTT. This port speaks WebSocket, over HTTP/1.1, and \
                is no MQTT broker.\n"
            }
            Foreign::ProxyV1 => {
                "This is no HTTP: it looks like the PROXY protocol, version 1, which is taken from \
                load balancers alone that the operator names (--proxy-protocol-from).\n"
            }
            Foreign::ProxyV2 => {
                "Two empty lines stand where the request line should be. If a load balancer sent \
                them, it looks like the PROXY protocol, version 2, which is taken from those \
                alone that the operator names (--proxy-protocol-from).\n"
            }
        }
    }
}
