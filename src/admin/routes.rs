//! What is answered on the admin listener.

use std::net::IpAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State as Shared};
use axum::http::header::{ACCEPT, CACHE_CONTROL, CONTENT_TYPE, HOST};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri};
use axum::middleware::{Next, from_fn, map_response};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use prometheus_client::encoding::{prometheus_text, text};
use prometheus_client::registry::Registry;
use serde::Serialize;
use tokio::sync::Mutex;
use tokio::time::timeout;

use super::connections::{Asked, PATIENCE};
use super::metrics::registry;
use super::sources::{Sources, State};

/// The media type of OpenMetrics.
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

const NOT_FOUND: &str = "There is nothing at this path. There is:\n  \
     /metrics      counters and levels, for Prometheus\n  \
     /healthz      200 as long as this process answers\n  \
     /readyz       200 while newcomers are welcome, else 503\n  \
     /config       every option, its value, and where that came from\n  \
     /connections  who keeps most; ?by=slow who is slowest, ?by=age who came first, ?top=20 how many\n";

const MISDIRECTED: &str = "This page is not called by that name, lest a page of the web asks for it under a name of its \
     own. Ask by an address, such as 127.0.0.1 or [::1], or for localhost.\n";

const BUSY: &str = "Others ask for connections, and one is answered at a time. Ask again.\n";

/// What all requests share.
struct Page {
    sources: Arc<Sources>,
    registry: Registry,
    /// Whoever has it may ask the workers.
    survey: Mutex<()>,
}

/// The routes. `has_port`: pages of the web reach it, by a name of theirs that they have resolve to an address of this
/// machine. They are told no more than whether it is there.
pub(super) fn router(sources: Arc<Sources>, has_port: bool) -> Router {
    let page = Arc::new(Page {
        registry: registry(&sources),
        sources,
        survey: Mutex::new(()),
    });
    let mut told = Router::new()
        .route("/metrics", get(metrics))
        .route("/config", get(config))
        .route("/connections", get(connections));
    if has_port {
        told = told.route_layer(from_fn(unless_misdirected));
    }
    told.route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .fallback(|| async { (StatusCode::NOT_FOUND, NOT_FOUND) })
        .layer(map_response(uncached))
        .with_state(page)
}

/// Answers who calls the server by an address or as `localhost`, or does not say by what.
async fn unless_misdirected(request: Request, next: Next) -> Response {
    // A target that names a host is what counts (RFC 9112, section 3.2.2), and no browser sends one.
    let target = request.uri().authority().map(|it| it.as_str().as_bytes());
    let hosts = request.headers().get_all(HOST);
    let mut names = target
        .into_iter()
        .chain(hosts.iter().map(HeaderValue::as_bytes));
    if names.all(is_address) {
        next.run(request).await
    } else {
        (StatusCode::MISDIRECTED_REQUEST, MISDIRECTED).into_response()
    }
}

/// Whether this is an address or `localhost`, with a port or without.
fn is_address(authority: &[u8]) -> bool {
    Authority::try_from(authority).is_ok_and(|authority| {
        let host = authority.host();
        let address = host.trim_start_matches('[').trim_end_matches(']');
        host.eq_ignore_ascii_case("localhost") || address.parse::<IpAddr>().is_ok()
    })
}

/// What is told holds now.
async fn uncached(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

async fn metrics(Shared(page): Shared<Arc<Page>>, headers: HeaderMap) -> Response {
    let mut body = String::new();
    let (media_type, written) = if wants_open_metrics(&headers) {
        (OPEN_METRICS, text::encode(&mut body, &page.registry))
    } else {
        let written = prometheus_text::encode(&mut body, &page.registry);
        (prometheus_text::CONTENT_TYPE, written)
    };
    match written {
        Ok(()) => ([(CONTENT_TYPE, media_type)], body).into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

/// Whether whoever asks names OpenMetrics 1, and does not refuse it. Who names it reads both formats.
fn wants_open_metrics(headers: &HeaderMap) -> bool {
    let accepted = headers.get_all(ACCEPT).iter();
    let mut ranges = accepted
        .filter_map(|it| it.to_str().ok())
        .flat_map(|it| it.split(','));
    ranges.any(|range| {
        let mut parts = range.split(';').map(str::trim);
        let is_named = parts.next() == Some("application/openmetrics-text");
        is_named
            && parts.all(|part| match part.split_once('=') {
                Some(("q", quality)) => quality.parse().is_ok_and(|it: f32| it > 0.0),
                Some(("version", version)) => matches!(version, "1.0.0" | "0.0.1"),
                _ => true,
            })
    })
}

/// Whether newcomers are welcome: the same as `/readyz` on the port of the service says.
async fn ready(Shared(page): Shared<Arc<Page>>) -> (StatusCode, &'static str) {
    match page.sources.state() {
        State::Serving => (StatusCode::OK, "ready\n"),
        State::Starting => (
            StatusCode::SERVICE_UNAVAILABLE,
            "The server starts: not all workers serve yet.\n",
        ),
        State::Leaving => (
            StatusCode::SERVICE_UNAVAILABLE,
            "The server is going down and takes no new connections.\n",
        ),
    }
}

async fn config(Shared(page): Shared<Arc<Page>>) -> Response {
    json(&page.sources.config)
}

async fn connections(Shared(page): Shared<Arc<Page>>, uri: Uri) -> Response {
    let asked = match Asked::read(uri.query().unwrap_or_default()) {
        Ok(asked) => asked,
        Err(wrong) => return (StatusCode::BAD_REQUEST, wrong).into_response(),
    };
    match timeout(PATIENCE, page.survey.lock()).await {
        Ok(_turn) => json(&asked.of(&page.sources).await),
        Err(_) => (StatusCode::SERVICE_UNAVAILABLE, BUSY).into_response(),
    }
}

fn json(told: &impl Serialize) -> Response {
    match serde_json::to_string_pretty(told) {
        Ok(text) => ([(CONTENT_TYPE, "application/json")], text + "\n").into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_of_somebody_else_is_no_address() {
        for ours in [
            "127.0.0.1",
            "10.1.2.3:9100",
            "[::1]",
            "[fe80::1]:9100",
            "localhost",
            "LocalHost:1",
        ] {
            assert!(is_address(ours.as_bytes()), "{ours}");
        }
        for other in [
            "",
            "example.com",
            "127.0.0.1.example.com:9100",
            "localhost.example.com",
            "a b",
            "[::1",
        ] {
            assert!(!is_address(other.as_bytes()), "{other}");
        }
    }

    #[test]
    fn open_metrics_is_for_whoever_names_it() {
        let wants = |accept: &'static str| {
            let headers = HeaderMap::from_iter([(ACCEPT, HeaderValue::from_static(accept))]);
            wants_open_metrics(&headers)
        };
        // As Prometheus 2.42 and 3 ask.
        assert!(wants(
            "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,\
             text/plain;version=0.0.4;q=0.5,*/*;q=0.1"
        ));
        assert!(wants(
            "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,text/plain;version=0.0.4;q=0.4"
        ));
        for other in [
            "*/*",
            "text/plain",
            "application/openmetrics-text;q=0",
            "application/openmetrics-text;version=2.0.0",
            "",
        ] {
            assert!(!wants(other), "{other}");
        }
        assert!(!wants_open_metrics(&HeaderMap::new()));
    }
}
