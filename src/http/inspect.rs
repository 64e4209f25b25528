//! `/http`: tells what was received, whatever it was.

use axum::Extension;
use axum::body::Bytes;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

use crate::behaviour::whoami;

use super::exchange::Came;

/// Tells the request and its body, as JSON.
pub(super) async fn received(Extension(came): Extension<Came>, body: Bytes) -> Response {
    let told = serde_json::from_str(&whoami(&came.head, came.peer, came.tls.as_ref()));
    let mut told: Map<String, Value> = told.unwrap_or_default();
    let length = body.len();
    let content = match std::str::from_utf8(&body) {
        Ok(text) => json!({ "length": length, "text": text }),
        Err(_) => json!({ "length": length, "base64": STANDARD.encode(&body) }),
    };
    told.insert("body".to_owned(), content);
    let fields = [(CONTENT_TYPE, "application/json")];
    (fields, format!("{}\n", Value::Object(told))).into_response()
}
