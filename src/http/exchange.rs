//! One request and its response, by hyper.

use std::convert::Infallible;
use std::future::poll_fn;
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use axum::http::header::{CACHE_CONTROL, CONNECTION, HOST, X_CONTENT_TYPE_OPTIONS};
use axum::http::{HeaderValue, Request, StatusCode};
use axum::response::Response;
use bytes::{Bytes, BytesMut};
use hyper::body::{Body, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use tokio::time::{Instant, timeout, timeout_at};
use tower_service::Service;

use crate::behaviour;
use crate::link::Facts;
use crate::protocol::guests::{Asker, Peer};
use crate::protocol::handshake::{HEAD_BYTES_MAX, Refusal};

use super::access;
use super::connection::Shared;
use super::places::{Held, Places};
use super::routes;
use super::wire::{self, Wire};

/// The longest body, in bytes, where nobody asked for longer ones. It is read also where no route takes one, so
/// that the connection can be kept.
const BODY_BYTES_MAX: u64 = 64 * 1024;

/// What hyper reads ahead at most, in bytes: more than a head, for it takes no head that fills it.
const BUFFER_BYTES_MAX: usize = 2 * HEAD_BYTES_MAX;

/// What came of a request.
pub(super) enum Outcome {
    Kept,
    Ended,
    /// hyper is stricter than whoever judged the head. Nothing was said yet.
    NotUnderstood,
    /// There is no place among those that it is to be served with.
    NoPlace,
}

/// How long the response to a request takes beyond what others are allowed: an extension of a response that goes
/// on for a while.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lasts(pub(super) Duration);

/// How a request came: an extension of it.
#[derive(Clone, Debug)]
pub(super) struct Came {
    /// Its head, byte for byte.
    pub(super) head: Bytes,
    /// From whom, where that is known.
    pub(super) peer: Option<Peer>,
    /// What was agreed on by TLS, where it is spoken.
    pub(super) tls: Option<Facts>,
    /// Whether the client has TLS, as far as a trusted proxy says so.
    is_told_secure: bool,
    /// Who asks, and has its place as long as this is kept; none: nobody is counted.
    asker: Option<Asker>,
}

impl Came {
    /// Whether the client has TLS, here or with a proxy in front.
    pub(super) fn is_secure(&self) -> bool {
        self.tls.is_some() || self.is_told_secure
    }

    /// Who asks, where places are counted.
    pub(super) fn asker(&self) -> Option<&Asker> {
        self.asker.as_ref()
    }
}

/// Has the request answered whose head is the next so many bytes.
pub(super) async fn exchange(
    mut wire: Wire,
    len: usize,
    shared: &Arc<Shared>,
) -> io::Result<(Wire, Outcome)> {
    let socket_io = shared.socket_io_of(wire.unread());
    let behaviours = shared.behaviours.places_for(wire.unread());
    let places = socket_io.map(|host| &host.places).or(behaviours);
    let places = places.unwrap_or(&shared.places).clone();
    if !wire.move_to(&places) {
        return Ok((wire, Outcome::NoPlace));
    }
    let body_bytes_max = socket_io.map_or(BODY_BYTES_MAX, |host| host.body_bytes_max());
    let head = Bytes::copy_from_slice(&wire.unread()[..len]);
    let told = shared.hear(&mut wire, &head);
    let asker = shared.asker(&wire, &head);
    let refusal = asker.as_ref().err().copied();
    let came = Came {
        head,
        peer: wire.peer(),
        tls: wire.tls(),
        is_told_secure: told.is_secure == Some(true),
        asker: asker.ok().flatten(),
    };
    speak_1_1(&mut wire.unread()[..len]);
    let request = wire::Request::of_head(len);
    request.allow(shared.settings.body_timeout + shared.policy.stall_timeout);
    if let Some(host) = socket_io {
        request.allow(host.poll_timeout());
    } else if behaviours.is_some() {
        request.allow(behaviour::WAIT_MAX);
    }
    wire.request = request.clone();
    let service = service_fn(|mut incoming: Request<Incoming>| {
        incoming.extensions_mut().insert(came.clone());
        prefer_the_host_of_the_target(&mut incoming);
        let size = SizeOfBody::of(incoming.body(), body_bytes_max, refusal);
        request.grant(match size {
            SizeOfBody::Known(bytes) => bytes,
            SizeOfBody::Unknown => u64::MAX,
            SizeOfBody::Refused(_) => 0,
        });
        // Where a chunked body ends hyper knows only once it has read behind it.
        if !matches!(size, SizeOfBody::Known(_)) {
            request.make_last();
        }
        let (places, request, shared) = (places.clone(), request.clone(), shared.clone());
        async move {
            let answer = answer(incoming, size, body_bytes_max, &places, &request, &shared).await;
            Ok::<_, Infallible>(answer)
        }
    });
    let mut connection = Box::new(
        http1::Builder::new()
            .half_close(true)
            .header_read_timeout(None)
            .max_buf_size(BUFFER_BYTES_MAX)
            .serve_connection(wire, service),
    );
    let began = Instant::now();
    let tell = |status| access::tell(came.peer, &came.head, status, Some(began.into_std()));
    loop {
        let allowed = request.allowed();
        let served = poll_fn(|context| Pin::new(&mut *connection).poll(context));
        match timeout_at(began + allowed, served).await {
            // Where it failed, the socket did, and will again.
            Ok(_) => break,
            Err(_) if request.allowed() > allowed => {}
            Err(elapsed) => {
                tell(request.status());
                connection.into_parts().io.reset();
                return Err(elapsed.into());
            }
        }
    }
    let mut wire = connection.into_parts().io;
    if !request.is_understood() {
        tell(Some(Refusal::Malformed.status()));
        return Ok((wire, Outcome::NotUnderstood));
    }
    tell(request.status());
    let is_kept = request.is_kept() && wire.move_to(&shared.places);
    let outcome = if is_kept {
        Outcome::Kept
    } else {
        Outcome::Ended
    };
    Ok((wire, outcome))
}

/// Where the target is a whole URI, the server was called by the name in there, whatever `Host` says (RFC 9112,
/// section 3.2.2).
fn prefer_the_host_of_the_target(request: &mut Request<Incoming>) {
    let authority = request.uri().authority().map(|it| it.as_str());
    if let Some(Ok(host)) = authority.map(HeaderValue::from_str) {
        request.headers_mut().insert(HOST, host);
    }
}

/// Makes a later minor version of HTTP the one that hyper knows (RFC 9110, section 2.5).
fn speak_1_1(head: &mut [u8]) {
    let line_end = head.iter().skip(2).position(|&byte| byte == b'\r');
    if let Some(minor) = line_end.and_then(|place| head.get_mut(place + 1)) {
        *minor = (*minor).min(b'1');
    }
}

/// How much of a body there is to come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum SizeOfBody {
    Known(u64),
    Unknown,
    /// None is taken, and the request is answered with this status.
    Refused(StatusCode),
}

impl SizeOfBody {
    /// Of `body`, where no more than `max` bytes are taken, and none where there is a `refusal`.
    fn of(body: &Incoming, max: u64, refusal: Option<Refusal>) -> Self {
        if let Some(refusal) = refusal {
            let status = StatusCode::from_u16(refusal.status());
            return SizeOfBody::Refused(status.unwrap_or(StatusCode::BAD_REQUEST));
        }
        match body.size_hint().exact() {
            Some(bytes) if bytes > max => SizeOfBody::Refused(StatusCode::PAYLOAD_TOO_LARGE),
            Some(bytes) => SizeOfBody::Known(bytes),
            None => SizeOfBody::Unknown,
        }
    }
}

/// Answers a request of a connection that is among `places`, once its body has been read.
async fn answer(
    incoming: Request<Incoming>,
    size: SizeOfBody,
    body_bytes_max: u64,
    places: &Arc<Places>,
    request: &wire::Request,
    shared: &Shared,
) -> Response {
    let (parts, body) = incoming.into_parts();
    let peer = parts.extensions.get::<Came>().and_then(|came| came.peer);
    // Those of the connection: bodies for Socket.IO take no memory from what is brought to others.
    let mut held = Held::nothing(places);
    let is_moved = !Arc::ptr_eq(places, &shared.places);
    let read = match size {
        SizeOfBody::Known(0) => Ok(Bytes::new()),
        SizeOfBody::Refused(status) => Err(status),
        _ if !is_moved && places.are_scarce() => Err(StatusCode::SERVICE_UNAVAILABLE),
        _ => timeout(
            shared.settings.body_timeout,
            read_body(body, body_bytes_max, &mut held),
        )
        .await
        .unwrap_or(Err(StatusCode::REQUEST_TIMEOUT)),
    };
    if is_moved {
        shared.turns.clone().take().await;
    }
    let socket_io = shared.socket_io.as_ref();
    let socket_io = socket_io.filter(|host| host.owns(parts.uri.path()));
    let mut response = match read {
        Ok(body) => {
            let request = Request::from_parts(parts, axum::body::Body::from(body));
            match socket_io {
                Some(host) => host.answer(request).await,
                None => {
                    let Ok(response) = shared.router.clone().call(request).await;
                    response
                }
            }
        }
        Err(status) => {
            request.make_last();
            match socket_io {
                Some(host) => host.refuse_body(status),
                None => routes::refuse_body(status),
            }
        }
    };
    if let Some(Lasts(time)) = response.extensions().get() {
        request.allow(*time);
    }
    if let Some(refusal) = response.extensions().get::<Refusal>() {
        shared.tell_refused(peer, *refusal);
    }
    if shared.keeps_none() {
        request.make_last();
    }
    request.answer_with(response.status().as_u16());
    let headers = response.headers_mut();
    if request.is_last() {
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
    }
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

/// Reads a body to its end.
async fn read_body(body: Incoming, bytes_max: u64, held: &mut Held) -> Result<Bytes, StatusCode> {
    let mut body = pin!(body);
    let mut read = BytesMut::new();
    while let Some(frame) = poll_fn(|context| body.as_mut().poll_frame(context)).await {
        let frame = frame.map_err(|_| StatusCode::BAD_REQUEST)?;
        let Some(data) = frame.data_ref() else {
            continue;
        };
        if (read.len() + data.len()) as u64 > bytes_max {
            return Err(StatusCode::PAYLOAD_TOO_LARGE);
        }
        if !held.grow(data.len()) {
            return Err(StatusCode::SERVICE_UNAVAILABLE);
        }
        read.extend_from_slice(data);
    }
    Ok(read.freeze())
}
