//! What is answered.

use axum::Router;
use axum::extract::State;
use axum::http::header::{ALLOW, CONTENT_SECURITY_POLICY, HOST, RETRY_AFTER, VARY};
use axum::http::{HeaderMap, Method, StatusCode, Uri, Version};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::{MethodRouter, get};
use tokio::sync::watch;

use crate::protocol::handshake::{HTTP_1_1_NEEDED, WHAT_THIS_IS, invitation};

use super::Phase;
use super::accept::prefers_html;

/// What may be asked for, everywhere.
const METHODS: &str = "GET, HEAD, OPTIONS";

/// The page runs nothing, loads nothing, and stands in no other's frame.
const POLICY: &str = "default-src 'none'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// The page, with places to fill in.
const PAGE: &str = include_str!("page.html");

type Phases = watch::Receiver<Phase>;

/// The routes there are.
pub(super) fn router(phase: Phases) -> Router {
    Router::new()
        .route("/", readable(get(front)))
        .route("/healthz", readable(get(|| async { "ok\n" })))
        .route("/readyz", readable(get(ready)))
        .fallback(not_found)
        .with_state(phase)
}

/// A route that is there to be read.
fn readable(route: MethodRouter<Phases>) -> MethodRouter<Phases> {
    route.options(options).fallback(method_not_allowed)
}

async fn options() -> Response {
    (StatusCode::NO_CONTENT, [(ALLOW, METHODS)]).into_response()
}

/// What this is and how to reach it, for people and for programs.
async fn front(version: Version, headers: HeaderMap) -> Response {
    let invitation = invitation(headers.get(HOST).map(|host| host.as_bytes()));
    let is_too_old = version < Version::HTTP_11;
    let fields = [(VARY, "Accept"), (CONTENT_SECURITY_POLICY, POLICY)];
    if prefers_html(&headers) {
        let note = format!("<p>{HTTP_1_1_NEEDED}</p>\n");
        let page = PAGE
            .replace("{what}", WHAT_THIS_IS)
            .replace("{invitation}", &invitation)
            .replace("{note}\n", if is_too_old { &note } else { "" });
        (fields, Html(page)).into_response()
    } else {
        let note = format!("{HTTP_1_1_NEEDED}\n");
        let note = if is_too_old { &note } else { "" };
        (fields, format!("{WHAT_THIS_IS}\n{invitation}{note}")).into_response()
    }
}

/// Whether newcomers are welcome, which they are until the server is told to stop.
async fn ready(State(phase): State<Phases>) -> Response {
    if *phase.borrow() == Phase::Serving {
        "ready\n".into_response()
    } else {
        let text = "The server is going down and takes no new connections.\n";
        unavailable(text)
    }
}

async fn not_found(method: Method, uri: Uri) -> Response {
    // The server as a whole (RFC 9110, section 9.3.7).
    if method == Method::OPTIONS && uri.path() == "*" {
        return options().await;
    }
    let text = "There is nothing at this path. There is / (what this is), /healthz (whether it lives) and \
        /readyz (whether it takes connections); a WebSocket may be opened at any path.\n";
    (StatusCode::NOT_FOUND, text).into_response()
}

async fn method_not_allowed() -> Response {
    let text = format!("This is here to be read: it answers to {METHODS}.\n");
    (StatusCode::METHOD_NOT_ALLOWED, [(ALLOW, METHODS)], text).into_response()
}

fn unavailable(text: &'static str) -> Response {
    (StatusCode::SERVICE_UNAVAILABLE, [(RETRY_AFTER, "1")], text).into_response()
}

/// Says what was wrong with a body.
pub(super) fn refuse_body(status: StatusCode) -> Response {
    let text = match status {
        StatusCode::PAYLOAD_TOO_LARGE => {
            "The body is too large. Nothing here takes one; at most 64 KiB are read.\n"
        }
        StatusCode::REQUEST_TIMEOUT => {
            "The body did not arrive in time. Nothing here takes one: send none.\n"
        }
        StatusCode::SERVICE_UNAVAILABLE => {
            return unavailable(
                "The server has no time for a body at the moment. Nothing here takes one: send none.\n",
            );
        }
        _ => "The body is not as the head of the request announces it.\n",
    };
    (status, text).into_response()
}
