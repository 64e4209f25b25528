//! Upgrade requests, and how each library answers one.

use std::cell::Cell;
use std::io;

use fastwebsockets::upgrade::{UpgradeFut, upgrade};
use hyper::Request;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio_tungstenite::tungstenite;
use tokio_websockets::ServerBuilder;

use super::memory::{Memory, ready};

/// The key of both requests, and the answer to it (RFC 6455, section 1.3).
pub(crate) const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

/// No more than a client must send.
pub(crate) const MINIMAL: &[u8] =
    b"GET / HTTP/1.1\r\nHost: localhost:3000\r\nUpgrade: websocket\r\n\
    Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

/// The same with an offer of compressed messages.
pub(crate) const DEFLATING: &[u8] =
    b"GET / HTTP/1.1\r\nHost: localhost:3000\r\nUpgrade: websocket\r\n\
    Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
    Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n";

/// As a browser sends it.
pub(crate) const BROWSER: &[u8] = b"GET /echo HTTP/1.1\r\nHost: echo.example.org\r\n\
    Connection: Upgrade\r\nPragma: no-cache\r\nCache-Control: no-cache\r\n\
    User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) \
    Chrome/141.0.0.0 Safari/537.36\r\nUpgrade: websocket\r\nOrigin: https://example.org\r\n\
    Sec-WebSocket-Version: 13\r\nAccept-Encoding: gzip, deflate, br, zstd\r\n\
    Accept-Language: en-GB,en;q=0.9\r\nCookie: session=0123456789abcdef0123456789abcdef\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
    Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n\r\n";

/// A rival's way from an accepted connection to an upgraded one; the memory comes back with the reply.
pub(crate) type Handshake = fn(Memory) -> Memory;

pub(crate) const RIVALS: [(&str, Handshake); 3] = [
    ("tungstenite", accept_by_tungstenite),
    ("tokio-websockets", accept_by_tokio_websockets),
    ("fastwebsockets on hyper", accept_by_fastwebsockets),
];

/// With the smaller of the two read buffers that its documentation names: they are allocated here.
fn accept_by_tungstenite(peer: Memory) -> Memory {
    let config = tungstenite::protocol::WebSocketConfig::default().read_buffer_size(4 << 10);
    let socket = tungstenite::accept_with_config(peer, Some(config));
    socket.expect("a right request").into_inner()
}

fn accept_by_tokio_websockets(peer: Memory) -> Memory {
    let accepted = ready(ServerBuilder::new().accept(peer));
    accepted.expect("a right request").1.into_inner()
}

/// It leaves HTTP to hyper, so hyper is measured with it.
fn accept_by_fastwebsockets(peer: Memory) -> Memory {
    let pending: Cell<Option<UpgradeFut>> = Cell::new(None);
    let service = service_fn(|mut request: Request<Incoming>| {
        let answer = upgrade(&mut request).map(|(response, future)| {
            pending.set(Some(future));
            response
        });
        std::future::ready(answer)
    });
    ready(async {
        hyper::server::conn::http1::Builder::new()
            .serve_connection(TokioIo::new(peer), service)
            .with_upgrades()
            .await
            .expect("a right request");
        let upgraded = pending.take().expect("an upgrade").await;
        let upgraded = upgraded.expect("an upgrade").into_inner().into_inner();
        let parts = upgraded.downcast::<TokioIo<Memory>>();
        parts.expect("what hyper was given").io.into_inner()
    })
}

/// Whether `reply` is a 101 to the requests above.
///
/// # Errors
/// What is wrong.
pub(crate) fn check(reply: &[u8]) -> io::Result<()> {
    let text = String::from_utf8_lossy(reply);
    let accept = format!("sec-websocket-accept: {}\r\n", ACCEPT.to_ascii_lowercase());
    let whole = text.starts_with("HTTP/1.1 101 ") && text.ends_with("\r\n\r\n");
    if whole && text.contains(ACCEPT) && text.to_ascii_lowercase().contains(&accept) {
        return Ok(());
    }
    Err(io::Error::other(format!("not the right 101: {text}")))
}
