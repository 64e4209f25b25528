//! What is answered.

use std::sync::Arc;

use axum::extract::State;
use axum::http::header::{ACCESS_CONTROL_ALLOW_ORIGIN, ALLOW, RETRY_AFTER};
use axum::http::{Method, StatusCode, Uri};
use axum::middleware::from_fn;
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, any, get};
use axum::{Extension, Router};
use tokio::sync::watch;

use crate::protocol::handshake::Refusal;

use super::behaviours::listing;
use super::cors::for_all_origins;
use super::exchange::Came;
use super::welcome::Welcome;
use super::{Phase, inspect, page, sse};

/// What may be asked for, everywhere.
const METHODS: &str = "GET, HEAD, OPTIONS";

type Phases = watch::Receiver<Phase>;

/// The routes there are, with those for tests of other things than a WebSocket if `has_behaviours`.
pub(super) fn router(phase: Phases, has_behaviours: bool, welcome: Welcome) -> Router {
    let welcome = Arc::new(welcome);
    let front = welcome.clone();
    let routes = Router::new()
        .route(
            "/",
            readable(get(move |version, headers, came: Extension<Came>| {
                page::front(front, version, headers, came.is_secure())
            })),
        )
        .route("/healthz", readable(get(|| async { "ok\n" })))
        .route("/readyz", readable(get(ready)));
    let routes = if has_behaviours {
        routes.merge(for_tests())
    } else {
        routes
    };
    routes
        .fallback(move |method, uri| not_found(method, uri, welcome))
        .with_state(phase)
}

/// What is there to try other things with, for pages of anywhere.
fn for_tests() -> Router<Phases> {
    Router::new()
        .route("/x", readable(get(listing::list)))
        .route("/x/", readable(get(listing::list)))
        .route("/x/{*rest}", readable(get(listing::behave)))
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

/// Whether newcomers are welcome, which they are until the server is told to stop.
async fn ready(State(phase): State<Phases>) -> Response {
    if *phase.borrow() == Phase::Serving {
        "ready\n".into_response()
    } else {
        let text = "The server is going down and takes no new connections.\n";
        unavailable(text)
    }
}

async fn not_found(method: Method, uri: Uri, welcome: Arc<Welcome>) -> Response {
    // The server as a whole (RFC 9110, section 9.3.7).
    if method == Method::OPTIONS && uri.path() == "*" {
        return options().await;
    }
    let text = format!(
        "There is nothing at this path for ordinary HTTP. There is:\n  /                  what this is\n{}A plain \
        WebSocket may be opened at any path where no Socket.IO is spoken.\n",
        welcome.beside
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

/// Says why a body was not taken, and its request not answered. Pages of anywhere may read it: some of what they may ask
/// takes one.
pub(super) fn refuse_body(status: StatusCode) -> Response {
    let text = match status {
        StatusCode::TOO_MANY_REQUESTS => {
            let text = "There are too many requests from your address at once. Try again once others of yours are \
                answered.\n";
            let fields = [(ACCESS_CONTROL_ALLOW_ORIGIN, "*"), (RETRY_AFTER, "1")];
            return (status, fields, Extension(Refusal::TooMany), text).into_response();
        }
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
