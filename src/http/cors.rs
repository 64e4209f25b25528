//! Pages of anywhere may read what is answered: a service for tests is asked by pages of all origins, and holds no
//! secret of anybody's (Fetch, section 3.2).

use axum::extract::Request;
use axum::http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_METHOD,
};
use axum::http::{HeaderName, HeaderValue, Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

/// What may be asked from elsewhere. `Authorization` has to be named beside the star (Fetch, section 4.9).
const PREFLIGHT: [(HeaderName, &str); 4] = [
    (ACCESS_CONTROL_ALLOW_ORIGIN, "*"),
    (
        ACCESS_CONTROL_ALLOW_METHODS,
        "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS",
    ),
    (ACCESS_CONTROL_ALLOW_HEADERS, "*, Authorization"),
    (ACCESS_CONTROL_MAX_AGE, "7200"),
];

/// Answers the question of a browser whether a page may ask, and lets it read the answers to what it asks.
pub(super) async fn for_all_origins(request: Request, next: Next) -> Response {
    let asks_whether = request
        .headers()
        .contains_key(ACCESS_CONTROL_REQUEST_METHOD);
    if request.method() == Method::OPTIONS && asks_whether {
        return (StatusCode::NO_CONTENT, PREFLIGHT).into_response();
    }
    let mut response = next.run(request).await;
    for field in [ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS] {
        let all = HeaderValue::from_static("*");
        response.headers_mut().insert(field, all);
    }
    response
}
