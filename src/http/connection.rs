//! One connection, from the descriptor to its end.

use std::convert::Infallible;
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use axum::Router;
use axum::http::header::{CACHE_CONTROL, CONNECTION, X_CONTENT_TYPE_OPTIONS};
use axum::http::{HeaderValue, Request, StatusCode};
use axum::response::Response;
use bytes::{Bytes, BytesMut};
use hyper::body::{Body, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use tokio::sync::watch;
use tokio::task::yield_now;
use tokio::time::{Instant, timeout, timeout_at};
use tower_service::Service;

use crate::behaviour::{self, Ask};
use crate::protocol::Policy;
use crate::protocol::handshake::{HEAD_BYTES_MAX, Refusal, path_and_query};

use super::head::{Verdict, judge};
use super::places::{Held, Place, Places};
use super::routes;
use super::turns::Turns;
use super::wire::{self, Wire};
use super::{Caller, Counters, Phase, Settings, drained};
use super::{behaviours, socket_io};

/// The longest body, in bytes, where nobody asked for longer ones. It is read also where no route takes one, so
/// that the connection can be kept.
const BODY_BYTES_MAX: u64 = 64 * 1024;

/// What hyper reads ahead at most, in bytes: more than a head, for it takes no head that fills it.
const BUFFER_BYTES_MAX: usize = 2 * HEAD_BYTES_MAX;

/// What all connections share.
pub(super) struct Shared {
    pub(super) settings: Settings,
    pub(super) policy: Policy,
    pub(super) counters: Arc<Counters>,
    pub(super) places: Arc<Places>,
    pub(super) phase: watch::Receiver<Phase>,
    pub(super) router: Router,
    pub(super) turns: Turns,
    pub(super) behaviours: behaviours::Host,
    pub(super) socket_io: Option<socket_io::Host>,
    pub(super) upgrade: Box<dyn Fn(Caller) + Send + Sync>,
}

impl Shared {
    /// Whether a connection ends once it is answered.
    fn keeps_none(&self) -> bool {
        *self.phase.borrow() != Phase::Serving || self.places.are_scarce()
    }

    /// Socket.IO, if the head that `unread` begins with asks for a path of its own.
    fn socket_io_of(&self, unread: &[u8]) -> Option<&socket_io::Host> {
        let path = path_and_query(unread)?.split('?').next()?;
        self.socket_io.as_ref().filter(|host| host.owns(path))
    }

    /// Whether the upgrade that is to be read next, one at a path of ours, asks for what is not to be had, which is told
    /// as to an ordinary request. Otherwise Socket.IO has a place for it, if it is the one that was asked.
    fn is_amiss(&self, wire: &mut Wire) -> bool {
        if let Some(host) = self.socket_io_of(wire.unread()) {
            return !host.upgrades(wire.unread()) || !wire.move_to(&host.places);
        }
        let asked = path_and_query(wire.unread()).map(Ask::read);
        !matches!(asked, Some(Ok(_)))
    }
}

/// What comes next on a connection.
enum Coming {
    Request(usize),
    Upgrade,
    Ours(usize),
    Refused(Refusal),
    /// Nothing.
    End,
}

/// Serves a connection. Its errors are its own: whoever is gone cannot be told.
pub(super) async fn serve(caller: Caller, place: Place, shared: Arc<Shared>) {
    let Ok(wire) = Wire::new(caller, place) else {
        return;
    };
    if let Ok(Some(wire)) = talk(wire, &shared).await
        && let Ok(caller) = wire.into_caller()
    {
        (shared.upgrade)(caller);
    }
}

/// Answers request after request. Returns the connection where it asks for a WebSocket.
async fn talk(mut wire: Wire, shared: &Arc<Shared>) -> io::Result<Option<Wire>> {
    loop {
        let coming = coming(&mut wire, shared).await?;
        let asks_for_head = wire.unread().starts_with(b"HEAD ");
        let refusal = match coming {
            Coming::Request(len) => {
                let (after, outcome) = exchange(wire, len, shared).await?;
                wire = after;
                match outcome {
                    Outcome::Kept => {
                        shared.counters.requests.fetch_add(1, Relaxed);
                        // Who sends many at once is one of many.
                        yield_now().await;
                        continue;
                    }
                    Outcome::Ended => None,
                    Outcome::NotUnderstood => Some(Refusal::Malformed),
                    Outcome::NoPlace => Some(Refusal::Unavailable),
                }
            }
            Coming::Refused(refusal) => Some(refusal),
            // The workers may have ended by now.
            Coming::Upgrade if *shared.phase.borrow() != Phase::Serving => {
                Some(Refusal::Unavailable)
            }
            Coming::Ours(_) if *shared.phase.borrow() != Phase::Serving => {
                Some(Refusal::Unavailable)
            }
            Coming::Upgrade => return Ok(Some(wire)),
            Coming::Ours(len) => {
                let is_socket_io = shared.socket_io_of(wire.unread()).is_some();
                shared.counters.requests.fetch_add(1, Relaxed);
                if is_socket_io {
                    socket_io::serve(wire, len, shared).await;
                } else {
                    behaviours::serve(wire, len, shared).await;
                }
                return Ok(None);
            }
            Coming::End => return Ok(None),
        };
        shared.counters.requests.fetch_add(1, Relaxed);
        let response = refusal.map(|refusal| {
            let now = shared.policy.wall_clock.map(|clock| clock.0());
            // The head may be used up by now, and the response to HEAD has no body.
            let head = if asks_for_head {
                b"HEAD "
            } else {
                &*wire.unread()
            };
            refusal.render(head, now)
        });
        end_with(wire, &response.unwrap_or_default(), shared).await?;
        return Ok(None);
    }
}

/// Ends a connection, with `response` as the last that is said on it.
pub(super) async fn end_with(wire: Wire, response: &[u8], shared: &Shared) -> io::Result<()> {
    match timeout(shared.policy.stall_timeout, wire.write(response)).await {
        Ok(written) => written?,
        Err(_) => {
            wire.reset();
            return Ok(());
        }
    }
    if !shared.places.are_scarce() {
        // It is closed either way.
        let _ = timeout(shared.policy.linger_timeout, wire.linger()).await;
    }
    Ok(())
}

/// Waits for the head of a request.
async fn coming(wire: &mut Wire, shared: &Shared) -> io::Result<Coming> {
    let mut phase = shared.phase.clone();
    let mut deadline = Instant::now() + shared.settings.idle_timeout;
    let mut scanned = 0;
    loop {
        if !wire.unread().is_empty() {
            if scanned == 0 {
                deadline = Instant::now() + shared.policy.handshake_timeout;
            }
            match judge(wire.unread(), scanned, &shared.policy) {
                Ok(Verdict::More) => scanned = wire.unread().len(),
                Ok(Verdict::Http(len)) => return Ok(Coming::Request(len)),
                Ok(Verdict::Upgrade) => return Ok(Coming::Upgrade),
                Ok(Verdict::Ours(len)) if shared.is_amiss(wire) => {
                    return Ok(Coming::Request(len));
                }
                Ok(Verdict::Ours(len)) => return Ok(Coming::Ours(len)),
                Err(refusal) => return Ok(Coming::Refused(refusal)),
            }
        }
        // The first request of a connection is here with it; this is not one that was just taken.
        let drained = drained(&mut phase);
        let read = timeout_at(deadline, wire.read_more());
        tokio::select! {
            biased;
            read = read => match read {
                Ok(Ok(0)) => return Ok(Coming::End),
                Ok(read) => { read?; }
                Err(_) if scanned > 0 => return Ok(Coming::Refused(Refusal::Timeout)),
                Err(_) => return Ok(Coming::End),
            },
            () = drained, if scanned == 0 => return Ok(Coming::End),
        }
    }
}

/// What came of a request.
enum Outcome {
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
    pub(super) peer: Option<SocketAddr>,
}

/// Has the request answered whose head is the next so many bytes.
async fn exchange(mut wire: Wire, len: usize, shared: &Arc<Shared>) -> io::Result<(Wire, Outcome)> {
    let socket_io = shared.socket_io_of(wire.unread());
    let behaviours = shared.behaviours.places_for(wire.unread());
    let places = socket_io.map(|host| &host.places).or(behaviours);
    let places = places.unwrap_or(&shared.places).clone();
    if !wire.move_to(&places) {
        return Ok((wire, Outcome::NoPlace));
    }
    let body_bytes_max = socket_io.map_or(BODY_BYTES_MAX, |host| host.body_bytes_max());
    let came = Came {
        head: Bytes::copy_from_slice(&wire.unread()[..len]),
        peer: wire.peer(),
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
        let size = SizeOfBody::of(incoming.body(), body_bytes_max);
        request.grant(match size {
            SizeOfBody::Known(bytes) => bytes,
            SizeOfBody::Unknown => u64::MAX,
            SizeOfBody::TooLarge => 0,
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
    loop {
        let allowed = request.allowed();
        let served = poll_fn(|context| Pin::new(&mut *connection).poll(context));
        match timeout_at(began + allowed, served).await {
            // Where it failed, the socket did, and will again.
            Ok(_) => break,
            Err(_) if request.allowed() > allowed => {}
            Err(elapsed) => {
                connection.into_parts().io.reset();
                return Err(elapsed.into());
            }
        }
    }
    let mut wire = connection.into_parts().io;
    let outcome = if !request.is_understood() {
        Outcome::NotUnderstood
    } else if request.is_kept() && wire.move_to(&shared.places) {
        Outcome::Kept
    } else {
        Outcome::Ended
    };
    Ok((wire, outcome))
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
    TooLarge,
}

impl SizeOfBody {
    fn of(body: &Incoming, max: u64) -> Self {
        match body.size_hint().exact() {
            Some(bytes) if bytes > max => SizeOfBody::TooLarge,
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
    // Those of the connection: bodies for Socket.IO take no memory from what is brought to others.
    let mut held = Held::nothing(places);
    let is_moved = !Arc::ptr_eq(places, &shared.places);
    let read = match size {
        SizeOfBody::Known(0) => Ok(Bytes::new()),
        SizeOfBody::TooLarge => Err(StatusCode::PAYLOAD_TOO_LARGE),
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
    if shared.keeps_none() {
        request.make_last();
    }
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
