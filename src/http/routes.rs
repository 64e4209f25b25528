//! What is answered.

use axum::Router;
use axum::extract::State;
use axum::http::header::{
    ACCESS_CONTROL_ALLOW_ORIGIN, ALLOW, CONTENT_SECURITY_POLICY, HOST, RETRY_AFTER, VARY,
};
use axum::http::{HeaderMap, Method, StatusCode, Uri, Version};
use axum::middleware::from_fn;
use axum::response::{Html, IntoResponse, Response};
use axum::routing::{MethodRouter, any, get};
use tokio::sync::watch;

use crate::protocol::handshake::{HTTP_1_1_NEEDED, WHAT_THIS_IS, invitation};

use super::accept::prefers_html;
use super::behaviours::listing;
use super::cors::for_all_origins;
use super::{Phase, inspect, sse};

/// What may be asked for, everywhere.
const METHODS: &str = "GET, HEAD, OPTIONS";

/// The page runs nothing, loads nothing, and stands in no other's frame.
const POLICY: &str = "default-src 'none'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// The page, with places to fill in.
const PAGE: &str = include_str!("page.html");

type Phases = watch::Receiver<Phase>;

/// The routes there are, with those for tests of other things than a WebSocket if `has_behaviours`.
pub(super) fn router(phase: Phases, has_behaviours: bool) -> Router {
    let routes = Router::new()
        .route("/", readable(get(front)))
        .route("/healthz", readable(get(|| async { "ok\n" })))
        .route("/readyz", readable(get(ready)));
    let routes = if has_behaviours {
        routes.merge(for_tests())
    } else {
        routes
    };
    routes
        .fallback(move |method, uri| not_found(method, uri, has_behaviours))
        .with_state(phase)
}

/// What is there to try other things with, for pages of anywhere.
fn for_tests() -> Router<Phases> {
    Router::new()
        .route("/x", readable(get(listing::list)))
        .route("/x/", readable(get(listing::list)))
        .route("/x/{*rest}", readable(get(listing::behave)))
        .route("/x.css", readable(get(listing::style)))
        .route("/http", any(inspect::received))
        .route("/http/", any(inspect::received))
        .route("/http/{*rest}", any(inspect::received))
        .route("/sse", readable(get(sse::events)))
        .layer(from_fn(for_all_origins))
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

async fn not_found(method: Method, uri: Uri, has_behaviours: bool) -> Response {
    // The server as a whole (RFC 9110, section 9.3.7).
    if method == Method::OPTIONS && uri.path() == "*" {
        return options().await;
    }
    let for_tests = if has_behaviours {
        ", /x (WebSockets that behave in other ways than an echo), /http (what was received) and /sse (server-sent \
        events)"
    } else {
        ""
    };
    let text = format!(
        "There is nothing at this path. There is / (what this is), /healthz (whether it lives) and /readyz (whether it \
        takes connections){for_tests}; a WebSocket may be opened at any path.\n"
    );
    (StatusCode::NOT_FOUND, text).into_response()
}

async fn method_not_allowed() -> Response {
    let text = format!("This is here to be read: it answers to {METHODS}.\n");
    (StatusCode::METHOD_NOT_ALLOWED, [(ALLOW, METHODS)], text).into_response()
}

fn unavailable(text: &'static str) -> Response {
    (StatusCode::SERVICE_UNAVAILABLE, [(RETRY_AFTER, "1")], text).into_response()
}

/// Says what was wrong with a body. Pages of anywhere may read it: some of what they may ask takes one.
pub(super) fn refuse_body(status: StatusCode) -> Response {
    let text = match status {
        StatusCode::PAYLOAD_TOO_LARGE => "The body is too large: at most 64 KiB are read here.\n",
        StatusCode::REQUEST_TIMEOUT => "The body did not arrive in time.\n",
        StatusCode::SERVICE_UNAVAILABLE => {
            return unavailable(
                "The server has no time for a body at the moment. Try again, or send none.\n",
            );
        }
        _ => "The body is not as the head of the request announces it.\n",
    };
    (status, [(ACCESS_CONTROL_ALLOW_ORIGIN, "*")], text).into_response()
}
