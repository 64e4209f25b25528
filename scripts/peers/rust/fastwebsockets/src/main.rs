//! A plain echo on fastwebsockets, in the form of its own `examples/echo_server.rs`: hyper for the handshake,
//! then one `unconstrained` task per connection.

use std::convert::Infallible;
use std::process::ExitCode;

use fastwebsockets::upgrade::{UpgradeFut, is_upgrade_request, upgrade};
use fastwebsockets::{FragmentCollector, OpCode, WebSocketError};
use http_body_util::Empty;
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use ringback_peer_common::{Echo, MESSAGE_BYTES_MAX, Transport, serve};
use tokio::task::unconstrained;

#[derive(Clone)]
struct Fastwebsockets;

impl Echo for Fastwebsockets {
    /// Speaks HTTP with a new client until it upgrades or leaves.
    async fn meet(self, stream: impl Transport) {
        let connection = http1::Builder::new()
            .serve_connection(TokioIo::new(stream), service_fn(answer))
            .with_upgrades();
        // A client that goes away in the middle is its own affair.
        let _ = connection.await;
    }
}

fn main() -> ExitCode {
    serve("fastwebsockets", Fastwebsockets)
}

async fn answer(mut request: Request<Incoming>) -> Result<Response<Empty<Bytes>>, Infallible> {
    if is_upgrade_request(&request)
        && let Ok((response, upgraded)) = upgrade(&mut request)
    {
        tokio::spawn(unconstrained(async move {
            let _ = echo(upgraded).await;
        }));
        return Ok(response);
    }
    let mut response = Response::new(Empty::new());
    *response.status_mut() = StatusCode::UPGRADE_REQUIRED;
    Ok(response)
}

/// Sends every message back; pings and closes are answered by the library.
async fn echo(upgraded: UpgradeFut) -> Result<(), WebSocketError> {
    let mut socket = upgraded.await?;
    socket.set_max_message_size(MESSAGE_BYTES_MAX);
    let mut socket = FragmentCollector::new(socket);
    loop {
        let frame = socket.read_frame().await?;
        match frame.opcode {
            OpCode::Close => return Ok(()),
            OpCode::Text | OpCode::Binary => socket.write_frame(frame).await?,
            _ => {}
        }
    }
}
