//! Socket.IO and Engine.IO, as `socketioxide` speaks them.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::{Request, StatusCode};
use axum::response::{IntoResponse, Response};

use crate::protocol::Policy;

use super::Settings;
use super::connection::Shared;
use super::places::Places;
use super::wire::Wire;

/// Where bare Engine.IO is echoed.
pub(super) const ENGINE_IO_PATH: &str = "/engine.io";

/// What is needed to speak it.
pub(super) struct Host {
    settings: super::SocketIo,
    /// The places of its connections, long polls included.
    pub(super) places: Arc<Places>,
}

impl Host {
    /// None where it is not to be had.
    pub(super) fn new(settings: &Settings, policy: &Policy) -> Option<Host> {
        let _ = policy;
        settings.socket_io.as_ref().map(|socket_io| Host {
            settings: socket_io.clone(),
            places: Arc::new(Places::new(socket_io.sessions_max, settings.held_bytes_max)),
        })
    }

    /// Whether a request for `path` is answered here.
    pub(super) fn owns(&self, path: &str) -> bool {
        [&self.settings.path, ENGINE_IO_PATH].iter().any(|own| {
            let rest = path.strip_prefix(own);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        })
    }

    /// How long a request may take that waits for something to tell.
    pub(super) fn poll_timeout(&self) -> Duration {
        self.settings.ping_interval + self.settings.ping_timeout
    }

    /// The longest body, in bytes.
    pub(super) fn body_bytes_max(&self) -> u64 {
        self.settings.max_payload
    }

    /// Answers a request of long polling, or one that is none.
    pub(super) async fn answer(&self, request: Request<Body>) -> Response {
        let _ = request;
        StatusCode::NOT_IMPLEMENTED.into_response()
    }
}

/// Serves a connection whose unread bytes begin with an upgrade request for one of its paths, to its end.
pub(super) async fn serve(wire: Wire, head_len: usize, shared: &Shared) {
    let _ = (head_len, shared);
    wire.reset();
}
