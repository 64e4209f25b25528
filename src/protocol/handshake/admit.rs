//! Whether a request is one of those that the operator lets in.

use httparse::{EMPTY_HEADER, Status};

use crate::protocol::guests::Guests;

use super::request::{Once, Request, elements, is_host};
use super::{HEADERS_MAX, Refusal};

/// What those ask who look after the server: they come by its address, have no secret, and learn nothing that is one.
const PROBES: [&[u8]; 2] = [b"/healthz", b"/readyz"];

/// What a request says of whoever sent it.
struct Claims<'a> {
    origin: Once<'a>,
    authorization: Once<'a>,
    subprotocols: Vec<&'a [u8]>,
    /// A browser asks whether a page may ask, before it sends any secret (Fetch, section 4.8).
    is_preflight: bool,
}

impl<'a> Claims<'a> {
    fn read(request: &Request<'a>) -> Self {
        let mut claims = Claims {
            origin: Once::Missing,
            authorization: Once::Missing,
            subprotocols: Vec::new(),
            is_preflight: false,
        };
        let mut headers = [EMPTY_HEADER; HEADERS_MAX];
        // They have been read before.
        if let Ok(Status::Complete((_, headers))) =
            httparse::parse_headers(request.fields, &mut headers)
        {
            for header in headers.iter() {
                claims.take(header.name, header.value);
            }
        }
        claims.is_preflight &= request.line.method == b"OPTIONS";
        claims
    }

    fn take(&mut self, name: &str, value: &'a [u8]) {
        let is = |known: &str| name.eq_ignore_ascii_case(known);
        if is("origin") {
            self.origin.put(value);
        } else if is("authorization") {
            self.authorization.put(value);
        } else if is("sec-websocket-protocol") {
            self.subprotocols.extend(elements(value));
        } else if is("access-control-request-method") {
            self.is_preflight = true;
        }
    }
}

/// Lets a request in, or not. `has_http`: whether there is somebody who answers probes.
///
/// # Errors
/// The first of the operator's rules that it does not keep: by what name it calls the server, from which origin it comes,
/// whether it shows a secret.
pub(super) fn admit(request: &Request<'_>, guests: &Guests, has_http: bool) -> Result<(), Refusal> {
    if has_http && is_probe(request) {
        return Ok(());
    }
    if !guests.hosts.is_empty() && !is_called_rightly(request, guests) {
        return Err(Refusal::Misdirected);
    }
    let claims = Claims::read(request);
    let is_allowed = match claims.origin {
        _ if guests.origins.is_empty() => true,
        // Programs have none; pages of other origins cannot leave it out where they could read the answer.
        Once::Missing => true,
        Once::Value(origin) => guests.origins.iter().any(|rule| rule.allows(origin)),
        Once::Repeated => false,
    };
    if !is_allowed {
        return Err(Refusal::Origin);
    }
    let Some(secrets) = guests.secrets.as_ref().filter(|_| !claims.is_preflight) else {
        return Ok(());
    };
    let authorization = match claims.authorization {
        Once::Missing => None,
        Once::Value(value) => Some(value),
        Once::Repeated => return Err(Refusal::Unauthorized),
    };
    if secrets.are_shown(authorization, claims.subprotocols.into_iter()) {
        Ok(())
    } else {
        Err(Refusal::Unauthorized)
    }
}

/// Whether whoever looks after the server asks how it is.
pub(super) fn is_probe(request: &Request<'_>) -> bool {
    let reads = matches!(request.line.method, b"GET" | b"HEAD");
    reads && !request.mentions_websocket && PROBES.contains(&path(request))
}

/// Finds a place where WebSockets are echoed.
///
/// # Errors
/// Where the path is none.
pub(super) fn find(request: &Request<'_>, guests: &Guests) -> Result<(), Refusal> {
    let path = path(request);
    let path = path.strip_suffix(b"/").unwrap_or(path);
    let mut paths = guests.paths.iter();
    if guests.paths.is_empty() || paths.any(|it| it.as_bytes() == path) {
        Ok(())
    } else {
        Err(Refusal::Path)
    }
}

/// Whether the name is one of the server's: that of a target which is a whole URI, or else that in `Host` (RFC 9112,
/// section 3.2.2).
fn is_called_rightly(request: &Request<'_>, guests: &Guests) -> bool {
    let called = match (request.line.authority(), request.host) {
        (Some(authority), _) => authority,
        (None, Once::Value(host)) if is_host(host) => host,
        // Which is refused as such.
        (None, Once::Value(_) | Once::Repeated) => return true,
        (None, Once::Missing) => return request.line.version >= (1, 1),
    };
    guests.hosts.iter().any(|rule| rule.allows(called))
}

/// The path, without a query.
fn path<'a>(request: &Request<'a>) -> &'a [u8] {
    let target = request.line.path_and_query();
    let end = target.iter().position(|&byte| byte == b'?');
    &target[..end.unwrap_or(target.len())]
}
