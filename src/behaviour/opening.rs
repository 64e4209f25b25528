//! How the request is answered: with a 101, or with what was asked for instead.

use std::fmt::Write as _;
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

use crate::protocol::handshake::{self, Accepted, response_head};

use super::framing::Writing;
use super::head::Head;
use super::{Answer, Ask, Bad, Credentials, End, Message};

/// The password that `auth/basic` wants of any user.
const PASSWORD: &[u8] = b"password";

/// A response other than a 101, before it is written down.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// The status code.
    pub status: u16,
    /// The fields that not every response has.
    pub fields: Vec<(&'static str, String)>,
    /// Why it is so, in a line that ends; empty where the status allows no body.
    pub text: String,
}

impl Refused {
    /// The answer to a request with this whole `head`, if `ask` wants another than a 101, or wants credentials
    /// that are not shown.
    pub fn of(ask: &Ask, head: &[u8]) -> Option<Refused> {
        if let Some(wanted) = &ask.credentials
            && !is_shown(wanted, &Head::read(head))
        {
            return Some(unauthorized(wanted));
        }
        match &ask.answer {
            Answer::Switch => None,
            Answer::Status(status) => Some(Refused {
                status: *status,
                fields: fields_of(*status),
                text: match status {
                    // RFC 9110, sections 15.3.5, 15.3.6 and 15.4.5.
                    204 | 205 | 304 => String::new(),
                    _ => format!(
                        "This path was asked to answer with {status} instead of a 101. A browser shows its page \
                         an error, and a close with 1006.\n"
                    ),
                },
            }),
            Answer::Redirect(to) => Some(Refused {
                status: 302,
                fields: vec![("Location", as_uri(to))],
                text: format!(
                    "This path was asked to redirect to {to}. Browsers do not follow when they open a WebSocket: \
                     they show an error, and a close with 1006.\n"
                ),
            }),
        }
    }

    /// The whole HTTP/1.1 response. `now` is the time since 1970, where there is a clock.
    pub fn render(&self, now: Option<Duration>) -> Vec<u8> {
        let connection = if self.status == 426 {
            "close, Upgrade"
        } else {
            "close"
        };
        let mut fields = format!("Connection: {connection}\r\n");
        for (name, value) in &self.fields {
            fields += &format!("{name}: {value}\r\n");
        }
        let mut response = response_head(self.status, &self.text, &fields, now);
        response.push_str(&self.text);
        response.into_bytes()
    }
}

/// The 101, and what leaves in one write with it.
pub(super) fn switching(ask: &Ask, accepted: Accepted<'_>) -> Vec<u8> {
    let mut accept = accepted.accept;
    if matches!(&ask.end, Some((End::Bad(Bad::Accept), _))) {
        accept[0] = if accept[0] == b'A' { b'B' } else { b'A' };
    }
    let accepted = Accepted {
        accept,
        subprotocol: ask.subprotocol.as_deref().or(accepted.subprotocol),
        deflate: None,
    };
    let mut bytes = vec![0; accepted.switching_len()];
    handshake::write_switching(&accepted, &mut bytes);
    if let Some(greeting) = ask.greeting.as_ref().filter(|greeting| greeting.glued) {
        let mut writing = Writing::message(Message::text(greeting.text.clone()), ask.fragment);
        while !writing.write(&mut bytes, usize::MAX) {}
    }
    bytes
}

/// Whether the request shows what is wanted.
fn is_shown(wanted: &Credentials, head: &Head<'_>) -> bool {
    let scheme = match wanted {
        Credentials::Basic => "basic",
        Credentials::Bearer(_) => "bearer",
    };
    let mut shown = head.values("authorization").filter_map(|value| {
        let (held, value) = value.split_at_checked(scheme.len())?;
        let value = value.strip_prefix(b" ")?.trim_ascii();
        held.eq_ignore_ascii_case(scheme.as_bytes())
            .then_some(value)
    });
    shown.any(|shown| match wanted {
        Credentials::Bearer(token) => shown == token.as_bytes(),
        Credentials::Basic => {
            let decoded = BASE64_STANDARD.decode(shown).unwrap_or_default();
            let mut parts = decoded.splitn(2, |byte| *byte == b':');
            parts.nth(1) == Some(PASSWORD)
        }
    })
}

fn unauthorized(wanted: &Credentials) -> Refused {
    let (challenge, text) = match wanted {
        Credentials::Basic => (
            "Basic realm=\"ringback\", charset=\"UTF-8\"",
            "This path wants a user and a password (RFC 7617): any user, and `password`. Send them in \
             `Authorization: Basic`.\n",
        ),
        Credentials::Bearer(_) => (
            "Bearer realm=\"ringback\"",
            "This path wants a token (RFC 6750): the one at its end. Send it in `Authorization: Bearer`. \
             A browser cannot do that when it opens a WebSocket.\n",
        ),
    };
    Refused {
        status: 401,
        fields: vec![("WWW-Authenticate", challenge.to_owned())],
        text: text.to_owned(),
    }
}

/// What RFC 9110 wants beside a status code, or what makes sense of it.
fn fields_of(status: u16) -> Vec<(&'static str, String)> {
    let field = match status {
        401 => ("WWW-Authenticate", "Basic realm=\"ringback\""),
        405 => ("Allow", "GET"),
        407 => ("Proxy-Authenticate", "Basic realm=\"ringback\""),
        426 => ("Upgrade", "websocket"),
        429 | 503 => ("Retry-After", "1"),
        _ => return Vec::new(),
    };
    vec![(field.0, field.1.to_owned())]
}

/// What cannot stand in a URI, and above all not in a field's value, as percent signs.
fn as_uri(text: &str) -> String {
    text.bytes().fold(String::new(), |mut uri, byte| {
        if byte.is_ascii_graphic() {
            uri.push(char::from(byte));
        } else {
            let _ = write!(uri, "%{byte:02X}");
        }
        uri
    })
}
