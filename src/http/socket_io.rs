//! Socket.IO and Engine.IO, as `socketioxide` and `engineioxide` speak them.
//!
//! ```text
//! request ──> ask ──> opened, polled, posted ──> the library's service ──> echo
//! upgrade ──> ask ──> 101 ──> a connection that the library keeps ───────> echo
//! ```
//!
//! | file | what it is |
//! |---|---|
//! | `ask` | what a request asks for, and what is said to one that is not in order |
//! | `sessions` | how many there may be, and which there are |
//! | `echo` | what is answered |
//! | `arguments` | the arguments of an event |

mod arguments;
mod ask;
mod echo;
mod sessions;

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_REQUEST_HEADERS, VARY,
};
use axum::http::{HeaderValue, Method, Request, StatusCode};
use axum::response::{IntoResponse, Response};
use engineioxide::config::EngineIoConfig;
use engineioxide::service::{EngineIoService, NotFoundService};
use socketioxide::service::SocketIoService;
use socketioxide::{ParserConfig, SocketIo};
use tower_service::Service;

use crate::protocol::Policy;
use crate::protocol::handshake;

use super::Settings;
use super::connection::Shared;
use super::places::Places;
use super::wire::Wire;

use ask::{Ask, Fault};
use echo::EngineEcho;
use sessions::Sessions;

/// Where bare Engine.IO is echoed.
pub(super) const ENGINE_IO_PATH: &str = "/engine.io";

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
}

impl Host {
    /// None where it is not to be had.
    pub(super) fn new(settings: &Settings, policy: &Policy) -> Option<Host> {
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
        let parser = ParserConfig::common()
            .max_incoming_binaries(ATTACHMENTS_MAX)
            .max_incoming_binary_buf_size(settings.payload_bytes_max() * ATTACHED_PAYLOADS_MAX);
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
        Some(Host {
            places: Arc::new(Places::new(settings.sessions_max, held_bytes_max)),
            sessions: Sessions::new(settings.sessions_max),
            engine_io: EngineIoService::with_config(Arc::new(EngineEcho), engine_config),
            socket_io,
            settings,
        })
    }

    /// What follows the path of `owner` in `path`, if it is one of its.
    fn rest<'a>(path: &'a str, owner: &str) -> Option<&'a str> {
        let rest = path.strip_prefix(owner)?;
        (rest.is_empty() || rest.starts_with('/')).then_some(rest)
    }

    /// Whether a request for `path` is answered here.
    pub(super) fn owns(&self, path: &str) -> bool {
        [&self.settings.path, ENGINE_IO_PATH]
            .iter()
            .any(|own| Self::rest(path, own).is_some())
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
        let rest = Self::rest(path, &self.settings.path).unwrap_or_default();
        let ask = ask::read(method, rest, query, is_upgrade)?;
        match ask {
            Ask::Open if self.sessions.are_full() => Err(Fault::Full),
            Ask::Open => Ok(ask),
            Ask::Poll(sid) | Ask::Post(sid) | Ask::Upgrade(sid) => {
                let session = self.sessions.find(sid);
                session.map(|_| ask).ok_or(Fault::UnknownSession)
            }
        }
    }

    /// The request that the library is given: what it was given by the client, it would keep.
    fn request<B>(&self, path: &str, transport: &str, sid: Option<&str>, body: B) -> Request<B> {
        let owner = if Self::rest(path, &self.settings.path).is_some() {
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
        let is_socket_io = Self::rest(request.uri().path(), &self.settings.path).is_some();
        let answer = if is_socket_io {
            let Ok(answer) = self.socket_io.clone().call(request).await;
            answer.map(Body::new)
        } else {
            let Ok(answer) = self.engine_io.clone().call(request).await;
            answer.map(Body::new)
        };
        answer
    }

    /// Answers a request of long polling, or one that is none.
    pub(super) async fn answer(&self, request: Request<Body>) -> Response {
        let (parts, body) = request.into_parts();
        let (path, query) = (parts.uri.path(), parts.uri.query().unwrap_or_default());
        let is_upgrade = parts.headers.contains_key(axum::http::header::UPGRADE);
        let mut response = if parts.method == Method::OPTIONS {
            preflight(parts.headers.get(ACCESS_CONTROL_REQUEST_HEADERS))
        } else {
            match self.ask(&parts.method, path, query, is_upgrade) {
                Ok(Ask::Open) => self.open(path).await,
                Ok(Ask::Poll(sid)) => {
                    let request = self.request(path, "polling", Some(sid), Body::empty());
                    self.serve(request).await
                }
                Ok(Ask::Post(sid)) => {
                    let mut request = self.request(path, "polling", Some(sid), body);
                    *request.method_mut() = Method::POST;
                    self.serve(request).await
                }
                Ok(Ask::Upgrade(_)) => Fault::BadRequest.response(&parts.headers, true),
                Err(fault) => {
                    let is_socket_io = Self::rest(path, &self.settings.path).is_some();
                    fault.response(&parts.headers, is_socket_io)
                }
            }
        };
        let anyone = HeaderValue::from_static("*");
        response
            .headers_mut()
            .insert(ACCESS_CONTROL_ALLOW_ORIGIN, anyone);
        response
    }

    /// Opens a session that begins with polling.
    async fn open(&self, path: &str) -> Response {
        let Some(session) = Sessions::open(&self.sessions) else {
            return StatusCode::SERVICE_UNAVAILABLE.into_response();
        };
        let mut request = self.request(path, "polling", None, Body::empty());
        request.extensions_mut().insert(session.clone());
        let (parts, body) = self.serve(request).await.into_parts();
        let Ok(body) = axum::body::to_bytes(body, usize::MAX).await else {
            return StatusCode::INTERNAL_SERVER_ERROR.into_response();
        };
        if let Some(sid) = sid(&body) {
            session.name(sid);
        }
        Response::from_parts(parts, body.into())
    }
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

/// Serves a connection whose unread bytes begin with an upgrade request for one of its paths, to its end.
pub(super) async fn serve(mut wire: Wire, head_len: usize, shared: &Shared) {
    let Some(host) = &shared.socket_io else {
        return;
    };
    if !wire.move_to(&host.places) {
        wire.reset();
        return;
    }
    let head = wire.take(head_len);
    let Ok(handshake::Answer::Elsewhere(accepted)) = handshake::answer(&head, &shared.policy)
    else {
        return;
    };
    let target = handshake::path_and_query(&head).unwrap_or_default();
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let request = match host.ask(&Method::GET, path, query, true) {
        Ok(Ask::Upgrade(sid)) => host.request(path, "websocket", Some(sid), ()),
        Ok(Ask::Open) => {
            let Some(session) = Sessions::open(&host.sessions) else {
                return;
            };
            let mut request = host.request(path, "websocket", None, ());
            request.extensions_mut().insert(session);
            request
        }
        Ok(Ask::Poll(_) | Ask::Post(_)) | Err(_) => return,
    };
    let mut switching = vec![0; accepted.switching_len()];
    handshake::write_switching(&accepted, &mut switching);
    if wire.write(&switching).await.is_err() {
        return;
    }
    let is_socket_io = Host::rest(path, &host.settings.path).is_some();
    let _ = if is_socket_io {
        host.socket_io.clone().call((wire, request)).await
    } else {
        host.engine_io.clone().call((wire, request)).await
    };
}
