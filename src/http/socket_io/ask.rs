//! What a request asks for, by its method and query, and what is said to one that is not in order.

use axum::http::header::{CONTENT_TYPE, HOST, RETRY_AFTER};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode};
use axum::response::{IntoResponse, Response};

use crate::protocol::handshake::Refusal;

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ask<'a> {
    /// A new session.
    Open,
    /// What a session has to tell.
    Poll(&'a str),
    /// To take what a session is told.
    Post(&'a str),
    /// To go on with a session over a WebSocket.
    Upgrade(&'a str),
}

/// Why a request is not served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// Nothing shows that Engine.IO is spoken.
    NoEngineIo {
        is_upgrade: bool,
    },
    /// The client's script is asked for, which other servers bring along.
    Script,
    UnknownTransport,
    UnknownSession,
    BadMethod,
    BadRequest,
    UnsupportedVersion,
    /// There are as many sessions as there may be.
    Full,
    /// There are as many of its source as there may be, or they come too fast.
    TooMany,
    /// What is kept of all sessions is as much as may be kept.
    NoRoom,
    GoingDown,
}

/// Reads what is asked for at a path of Engine.IO; `rest` is what follows the path itself.
///
/// # Errors
/// What is wrong with it.
pub(super) fn read<'a>(
    method: &Method,
    rest: &str,
    query: &'a str,
    is_upgrade: bool,
) -> Result<Ask<'a>, Fault> {
    let value = |name: &str| {
        let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
        pairs.find_map(|(found, value)| (found == name).then_some(value))
    };
    let Some(version) = value("EIO") else {
        let is_script = !is_upgrade && rest.ends_with(".js");
        return Err(if is_script {
            Fault::Script
        } else {
            Fault::NoEngineIo { is_upgrade }
        });
    };
    if version != "4" {
        return Err(Fault::UnsupportedVersion);
    }
    let is_websocket = match value("transport") {
        Some("websocket") => true,
        Some("polling") => false,
        _ => return Err(Fault::UnknownTransport),
    };
    if is_websocket != is_upgrade {
        return Err(Fault::BadRequest);
    }
    match (value("sid"), method.as_str()) {
        (None, "GET") => Ok(Ask::Open),
        (None, _) => Err(Fault::BadMethod),
        (Some(sid), _) if is_websocket => Ok(Ask::Upgrade(sid)),
        (Some(sid), "GET") => Ok(Ask::Poll(sid)),
        (Some(sid), "POST") => Ok(Ask::Post(sid)),
        (Some(_), _) => Err(Fault::BadRequest),
    }
}

impl Fault {
    /// What is said about it. Those that a client of Engine.IO can bring about have the code of its protocol's own
    /// server, as JSON.
    ///
    /// `socket_io_path` is that of Socket.IO, if it was Socket.IO that was asked for.
    pub(super) fn response(
        self,
        headers: &HeaderMap,
        socket_io_path: Option<&str>,
        over_tls: bool,
    ) -> Response {
        let s = if over_tls { "s" } else { "" };
        let host = headers.get(HOST).and_then(|host| host.to_str().ok());
        let host = host.unwrap_or("localhost:3000");
        match self {
            Fault::NoEngineIo { is_upgrade } => {
                let seen = if is_upgrade {
                    "a plain WebSocket asks"
                } else {
                    "an ordinary request asks"
                };
                let protocol = match socket_io_path {
                    // Where its clients look by themselves.
                    Some("/socket.io") => format!(
                        "Socket.IO: use a client of Socket.IO here, such as io(\"http{s}://{host}\") in JavaScript"
                    ),
                    Some(path) => format!(
                        "Socket.IO: use a client of Socket.IO here, such as \
                        io(\"http{s}://{host}\", {{ path: \"{path}/\" }}) in JavaScript"
                    ),
                    None => "Engine.IO, version 4: use a client of Engine.IO here".to_owned(),
                };
                let text = format!(
                    "This path speaks {protocol}. It is another protocol than WebSocket, and here {seen} \
                    (there is no EIO=4 in the query). A plain WebSocket may be opened at any other path: \
                    new WebSocket(\"ws{s}://{host}/\").\n"
                );
                (StatusCode::BAD_REQUEST, text).into_response()
            }
            Fault::Script => {
                let text = "This server brings no script of a client. Use the package socket.io-client, or \
                    https://cdn.socket.io/ in a page.\n";
                (StatusCode::NOT_FOUND, text).into_response()
            }
            Fault::UnknownTransport => coded(0, "Transport unknown"),
            Fault::UnknownSession => coded(1, "Session ID unknown"),
            Fault::BadMethod => coded(2, "Bad handshake method"),
            Fault::BadRequest => coded(3, "Bad request"),
            Fault::UnsupportedVersion => coded(
                5,
                "Unsupported protocol version: here it is EIO=4, which socket.io-client speaks since version 3",
            ),
            Fault::Full => unavailable(
                "There are as many sessions as there may be. Come again later, or to another server.\n",
            ),
            Fault::TooMany => too_many(),
            Fault::NoRoom => unavailable(
                "The server keeps as much of what sessions sent as it may, and has ended this one. Come again \
                later, or read what was answered before sending more.\n",
            ),
            Fault::GoingDown => {
                unavailable("The server is going down and takes no new sessions.\n")
            }
        }
    }
}

/// Says why a body was not taken, of which `bytes_max` may be taken.
pub(super) fn refuse_body(status: StatusCode, bytes_max: u64) -> Response {
    let text = match status {
        StatusCode::TOO_MANY_REQUESTS => return too_many(),
        StatusCode::PAYLOAD_TOO_LARGE => {
            format!("The payload is too large: at most {bytes_max} bytes are taken at once.\n")
        }
        StatusCode::REQUEST_TIMEOUT => "The payload did not arrive in time.\n".to_owned(),
        StatusCode::SERVICE_UNAVAILABLE => {
            "The server has no room for a payload at the moment. Come again later.\n".to_owned()
        }
        _ => "The body is not as the head of the request announces it.\n".to_owned(),
    };
    (status, text).into_response()
}

/// An error in the form of its protocol's own server.
fn coded(code: u8, message: &str) -> Response {
    let json = format!("{{\"code\":{code},\"message\":\"{message}\"}}");
    let content_type = [(CONTENT_TYPE, "application/json")];
    (StatusCode::BAD_REQUEST, content_type, json).into_response()
}

/// Says that the client's source has as much as it may have. The code is the protocol's for whoever a rule of the
/// operator's keeps out.
fn too_many() -> Response {
    let message =
        "Forbidden: too many connections and sessions from your address, or they come too fast";
    let mut response = coded(4, message);
    *response.status_mut() = StatusCode::TOO_MANY_REQUESTS;
    let again = HeaderValue::from_static("1");
    response.headers_mut().insert(RETRY_AFTER, again);
    response.extensions_mut().insert(Refusal::TooMany);
    response
}

fn unavailable(text: &'static str) -> Response {
    (StatusCode::SERVICE_UNAVAILABLE, [(RETRY_AFTER, "1")], text).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_told_by_its_method_and_query() {
        let post = Method::POST;
        for (method, query, is_upgrade, expected) in [
            (Method::GET, "EIO=4&transport=polling", false, Ok(Ask::Open)),
            (
                Method::GET,
                "EIO=4&transport=polling&sid=a",
                false,
                Ok(Ask::Poll("a")),
            ),
            (
                post.clone(),
                "transport=polling&sid=a&EIO=4",
                false,
                Ok(Ask::Post("a")),
            ),
            (
                Method::GET,
                "EIO=4&transport=websocket",
                true,
                Ok(Ask::Open),
            ),
            (
                Method::GET,
                "EIO=4&transport=websocket&sid=a",
                true,
                Ok(Ask::Upgrade("a")),
            ),
            (
                Method::GET,
                "",
                true,
                Err(Fault::NoEngineIo { is_upgrade: true }),
            ),
            (
                Method::GET,
                "xEIO=4",
                false,
                Err(Fault::NoEngineIo { is_upgrade: false }),
            ),
            (
                Method::GET,
                "EIO=3&transport=polling",
                false,
                Err(Fault::UnsupportedVersion),
            ),
            (Method::GET, "EIO=4", false, Err(Fault::UnknownTransport)),
            (
                Method::GET,
                "EIO=4&transport=flash",
                false,
                Err(Fault::UnknownTransport),
            ),
            (
                Method::GET,
                "EIO=4&transport=websocket",
                false,
                Err(Fault::BadRequest),
            ),
            (
                Method::GET,
                "EIO=4&transport=polling",
                true,
                Err(Fault::BadRequest),
            ),
            (
                post,
                "EIO=4&transport=polling",
                false,
                Err(Fault::BadMethod),
            ),
            (
                Method::PUT,
                "EIO=4&transport=polling&sid=a",
                false,
                Err(Fault::BadRequest),
            ),
        ] {
            assert_eq!(
                read(&method, "/", query, is_upgrade),
                expected,
                "{method} {query}"
            );
        }
        let script = read(&Method::GET, "/socket.io.js", "", false);
        assert_eq!(script, Err(Fault::Script));
    }
}
