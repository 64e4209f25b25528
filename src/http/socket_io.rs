//! Socket.IO and Engine.IO, as `socketioxide` and `engineioxide` speak them.
//!
//! ```text
//! request ──> ask ──> opened, polled, posted ──> the library's service ──> echo
//! upgrade ──> ask ──> 101 ──> a connection that the library keeps ───────> echo
//! ```
//!
//! The library is given no more than its answers find room for: an [`account`] is kept for each session, and it is
//! read from no further where that is overdrawn.
//!
//! | file | what it is |
//! |---|---|
//! | `ask` | what a request asks for, and what is said to one that is not in order |
//! | `sessions` | how many there may be, and which there are |
//! | `account` | what a session has caused and not paid for yet |
//! | `paced` | a WebSocket's connection, read from as its account allows |
//! | `upgrade` | serves an upgrade |
//! | `echo` | what is answered |
//! | `arguments` | the arguments of an event |

mod account;
mod arguments;
mod ask;
mod echo;
mod paced;
mod sessions;
mod upgrade;

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_REQUEST_HEADERS, UPGRADE, VARY,
};
use axum::http::response;
use axum::http::{HeaderValue, Method, Request, StatusCode};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use engineioxide::config::EngineIoConfig;
use engineioxide::service::{EngineIoService, NotFoundService};
use socketioxide::service::SocketIoService;
use socketioxide::{ParserConfig, SocketIo};
use tokio::task::yield_now;
use tower_service::Service;

use crate::protocol::Policy;
use crate::protocol::guests::Asker;
use crate::protocol::handshake;

use super::Settings;
use super::exchange::Came;
use super::head::below;
use super::places::Places;
use super::turns::Turns;

use ask::{Ask, Fault};
use echo::EngineEcho;
use sessions::{Leg, Sessions};

pub(super) use upgrade::serve;

/// Where bare Engine.IO is echoed.
pub(super) const ENGINE_IO_PATH: &str = "/engine.io";

/// What stands between packets in a body (Engine.IO 4).
const SEPARATOR: u8 = 0x1e;

/// The packet that ends a session.
const CLOSE_PACKET: &str = "1";

/// How many packets of a body are taken in before others have their turn.
const PACKETS_AT_ONCE: usize = 64;

/// How long a WebSocket may take to become a session's, once it is open.
const UPGRADE_TIMEOUT: Duration = Duration::from_secs(10);

/// Packets that wait for their client.
const WAITING_MAX: usize = 8192;

/// Attachments of one packet.
const ATTACHMENTS_MAX: usize = 256;

/// How many payloads of the largest size the attachments of one packet may be together.
const ATTACHED_PAYLOADS_MAX: usize = 4;

/// The services of the two, and what they share.
pub(super) struct Host {
    settings: super::SocketIo,
    /// The places of its connections, long polls included.
    pub(super) places: Arc<Places>,
    socket_io: SocketIoService<NotFoundService>,
    engine_io: EngineIoService<EngineEcho>,
    sessions: Arc<Sessions>,
    turns: Turns,
}

impl Host {
    /// None where it is not to be had.
    pub(super) fn new(settings: &Settings, policy: &Policy, turns: &Turns) -> Option<Host> {
        let held_bytes_max = settings.held_bytes_max;
        let settings = settings.socket_io.clone()?;
        let engine_config = EngineIoConfig {
            req_path: ENGINE_IO_PATH.into(),
            ping_interval: settings.ping_interval,
            ping_timeout: settings.ping_timeout,
            upgrade_timeout: UPGRADE_TIMEOUT,
            max_buffer_size: WAITING_MAX,
            max_payload: settings.max_payload,
            ws_max_message_size: settings.payload_bytes_max(),
            ws_max_frame_size: settings.payload_bytes_max(),
            ..EngineIoConfig::default()
        };
        let attached_bytes_max = settings.payload_bytes_max() * ATTACHED_PAYLOADS_MAX;
        let parser = ParserConfig::common()
            .max_incoming_binaries(ATTACHMENTS_MAX)
            .max_incoming_binary_buf_size(attached_bytes_max);
        let (socket_io, io) = SocketIo::builder()
            .req_path(settings.path.clone())
            .ping_interval(engine_config.ping_interval)
            .ping_timeout(engine_config.ping_timeout)
            .upgrade_timeout(engine_config.upgrade_timeout)
            .max_buffer_size(engine_config.max_buffer_size)
            .max_payload(engine_config.max_payload)
            .ws_max_message_size(engine_config.ws_max_message_size)
            .ws_max_frame_size(engine_config.ws_max_frame_size)
            .connect_timeout(settings.connect_timeout)
            .with_parser(parser)
            .build_svc();
        echo::install(&io, policy);
        let names = ["connections of Socket.IO", "bytes for Socket.IO"];
        let places = Arc::new(Places::new(names, settings.sessions_max, held_bytes_max));
        Some(Host {
            sessions: Sessions::new(
                settings.sessions_max,
                attached_bytes_max,
                places.clone(),
                policy.guests.clone(),
            ),
            places,
            engine_io: EngineIoService::with_config(Arc::new(EngineEcho), engine_config),
            socket_io,
            settings,
            turns: turns.clone(),
        })
    }

    /// Whether `path` is one of Socket.IO, rather than one of bare Engine.IO.
    fn is_socket_io(&self, path: &str) -> bool {
        below(path, &self.settings.path).is_some()
    }

    /// Whether a request for `path` is answered here.
    pub(super) fn owns(&self, path: &str) -> bool {
        self.is_socket_io(path) || below(path, ENGINE_IO_PATH).is_some()
    }

    /// How long a request may take that waits for something to tell.
    pub(super) fn poll_timeout(&self) -> Duration {
        self.settings.ping_interval + self.settings.ping_timeout
    }

    /// The longest body, in bytes.
    pub(super) fn body_bytes_max(&self) -> u64 {
        self.settings.max_payload
    }

    /// Whether the upgrade with this head is in order, as a request of Engine.IO. One that is not is answered as
    /// an ordinary request.
    pub(super) fn upgrades(&self, head: &[u8]) -> bool {
        let target = handshake::path_and_query(head).unwrap_or_default();
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        self.ask(&Method::GET, path, query, true).is_ok()
    }

    /// What is asked for, and whether it can be had.
    fn ask<'a>(
        &self,
        method: &Method,
        path: &str,
        query: &'a str,
        is_upgrade: bool,
    ) -> Result<Ask<'a>, Fault> {
        let rest = below(path, &self.settings.path).unwrap_or_default();
        let ask = ask::read(method, rest, query, is_upgrade)?;
        match ask {
            Ask::Open if self.sessions.are_going_down() => Err(Fault::GoingDown),
            Ask::Open if self.sessions.are_full() => Err(Fault::Full),
            Ask::Open => Ok(ask),
            Ask::Poll(sid) | Ask::Post(sid) | Ask::Upgrade(sid) => {
                let session = self.sessions.find(sid);
                session.map(|_| ask).ok_or(Fault::UnknownSession)
            }
        }
    }

    /// Ends all sessions: their clients come again, and find another server.
    pub(super) fn drain(&self) {
        self.sessions.end();
    }

    /// The request that the library is given: what it was given by the client, it would keep.
    fn request<B>(&self, path: &str, transport: &str, sid: Option<&str>, body: B) -> Request<B> {
        let owner = if self.is_socket_io(path) {
            &self.settings.path
        } else {
            ENGINE_IO_PATH
        };
        let mut target = format!("{owner}/?EIO=4&transport={transport}");
        if let Some(sid) = sid {
            target.push_str("&sid=");
            target.push_str(sid);
        }
        let mut request = Request::new(body);
        // Who has a session has an identifier of letters and digits.
        *request.uri_mut() = target.parse().unwrap_or_default();
        request
    }

    /// Has the library answer.
    async fn serve(&self, request: Request<Body>) -> Response {
        if self.is_socket_io(request.uri().path()) {
            let Ok(answer) = self.socket_io.clone().call(request).await;
            answer.map(Body::new)
        } else {
            let Ok(answer) = self.engine_io.clone().call(request).await;
            answer.map(Body::new)
        }
    }

    /// Answers a request of long polling, or one that is none.
    pub(super) async fn answer(&self, request: Request<Body>) -> Response {
        let (parts, body) = request.into_parts();
        let (path, query) = (parts.uri.path(), parts.uri.query().unwrap_or_default());
        let is_upgrade = parts.headers.contains_key(UPGRADE);
        let mut response = if parts.method == Method::OPTIONS {
            preflight(parts.headers.get(ACCESS_CONTROL_REQUEST_HEADERS))
        } else {
            let came = parts.extensions.get::<Came>();
            let ask = self.ask(&parts.method, path, query, is_upgrade);
            let answered = match ask {
                Ok(Ask::Open) => self.open(path, came.and_then(Came::asker)).await,
                Ok(Ask::Poll(sid)) => self.poll(path, sid).await,
                Ok(Ask::Post(sid)) => self.post(path, sid, body).await,
                Ok(Ask::Upgrade(_)) => Err(Fault::BadRequest),
                Err(fault) => Err(fault),
            };
            answered.unwrap_or_else(|fault| {
                let path = self
                    .is_socket_io(path)
                    .then_some(self.settings.path.as_str());
                let over_tls = came.is_some_and(Came::is_secure);
                fault.response(&parts.headers, path, over_tls)
            })
        };
        allow_anyone(&mut response);
        response
    }

    /// Says why a body was not taken.
    pub(super) fn refuse_body(&self, status: StatusCode) -> Response {
        let mut response = ask::refuse_body(status, self.settings.max_payload);
        allow_anyone(&mut response);
        response
    }

    /// Opens a session that begins with polling.
    async fn open(&self, path: &str, asker: Option<&Asker>) -> Result<Response, Fault> {
        let seat = asker.map(|asker| asker.open().ok_or(Fault::TooMany));
        let session = Sessions::open(&self.sessions, seat.transpose()?).ok_or(Fault::Full)?;
        let mut request = self.request(path, "polling", None, Body::empty());
        request.extensions_mut().insert(session.clone());
        let (parts, body) = whole(self.serve(request).await).await;
        if let Some(sid) = sid(&body) {
            session.name(sid);
        }
        Ok(Response::from_parts(parts, body.into()))
    }

    /// Waits for what a session has to tell.
    async fn poll(&self, path: &str, sid: &str) -> Result<Response, Fault> {
        let session = self.sessions.find(sid).ok_or(Fault::UnknownSession)?;
        let request = self.request(path, "polling", Some(sid), Body::empty());
        let mut answer = pin!(self.serve(request));
        let waiting = session.waiting();
        let answer = poll_fn(|context| {
            let answer = answer.as_mut().poll(context);
            if answer.is_pending() {
                waiting.begin();
            }
            answer
        });
        tokio::select! {
            biased;
            answer = answer => {
                let (parts, body) = whole(answer).await;
                session.pay(body.len());
                Ok(Response::from_parts(parts, body.into()))
            }
            () = session.clone().ended() => {
                self.close(path, sid).await;
                Ok(CLOSE_PACKET.into_response())
            }
        }
    }

    /// Takes the packets of a session, some at a time and as its account allows.
    async fn post(&self, path: &str, sid: &str, body: Body) -> Result<Response, Fault> {
        let session = self.sessions.find(sid).ok_or(Fault::UnknownSession)?;
        let body = axum::body::to_bytes(body, usize::MAX).await;
        let mut left = body.map_err(|_| Fault::BadRequest)?;
        loop {
            session.clone().passes(Leg::Post).await;
            self.turns.clone().take().await;
            let mut ends = memchr::memchr_iter(SEPARATOR, &left);
            let (piece, rest) = match ends.nth(PACKETS_AT_ONCE - 1) {
                Some(end) => (left.slice(..end), Some(left.slice(end + 1..))),
                None => (left.clone(), None),
            };
            let is_covered = session.charge(|account| {
                account.arrive(piece.len());
                for packet in piece.split(|byte| *byte == SEPARATOR) {
                    account.begin_packet();
                    account.take_part(packet.len());
                    account.end_message(packet.starts_with(b"b"));
                }
                account.is_covered()
            });
            if session.is_ended() || !is_covered {
                self.close(path, sid).await;
                return Err(if is_covered {
                    Fault::GoingDown
                } else {
                    Fault::NoRoom
                });
            }
            let mut request = self.request(path, "polling", Some(sid), Body::from(piece));
            *request.method_mut() = Method::POST;
            let answer = self.serve(request).await;
            match rest {
                Some(rest) if answer.status() == StatusCode::OK => left = rest,
                _ => return Ok(answer),
            }
            yield_now().await;
            session.pay_if_waiting();
        }
    }

    /// Closes a session that is not a WebSocket's, as if its client had said so: the library has no other way.
    async fn close(&self, path: &str, sid: &str) {
        let mut request = self.request(path, "polling", Some(sid), Body::from(CLOSE_PACKET));
        *request.method_mut() = Method::POST;
        self.serve(request).await;
    }
}

/// Lets a page from anywhere read it, as the protocol's own server does with `cors: {origin: "*"}`.
fn allow_anyone(response: &mut Response) {
    let anyone = HeaderValue::from_static("*");
    let headers = response.headers_mut();
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, anyone);
}

/// The whole of a response of the library, which has all of its bodies in memory.
async fn whole(response: Response) -> (response::Parts, Bytes) {
    let (parts, body) = response.into_parts();
    let body = axum::body::to_bytes(body, usize::MAX).await;
    (parts, body.unwrap_or_default())
}

/// The identifier in an open packet.
fn sid(packet: &[u8]) -> Option<String> {
    let open: serde_json::Value = serde_json::from_slice(packet.strip_prefix(b"0")?).ok()?;
    Some(open.get("sid")?.as_str()?.to_owned())
}

/// Allows a page from anywhere what its browser asks about.
fn preflight(asked: Option<&HeaderValue>) -> Response {
    const METHODS: &str = "GET,HEAD,PUT,PATCH,POST,DELETE";
    let mut response = (
        StatusCode::NO_CONTENT,
        [
            (ACCESS_CONTROL_ALLOW_METHODS, METHODS),
            (VARY, "Access-Control-Request-Headers"),
        ],
    )
        .into_response();
    if let Some(asked) = asked {
        let headers = response.headers_mut();
        headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, asked.clone());
    }
    response
}
