//! A plain echo on tokio-websockets, in the form of its own `examples/echo_server.rs`, which is what its
//! benchmarks run: one `unconstrained` task per connection, replies in one frame.

use std::process::ExitCode;

use futures_util::{SinkExt, StreamExt};
use ringback_peer_common::{Echo, MESSAGE_BYTES_MAX, Transport, serve};
use tokio::task::unconstrained;
use tokio_websockets::{Config, Error, Limits, ServerBuilder};

#[derive(Clone)]
struct TokioWebsockets;

impl Echo for TokioWebsockets {
    async fn meet(self, stream: impl Transport) {
        // A client that goes away in the middle is its own affair.
        let _ = unconstrained(echo(stream)).await;
    }
}

fn main() -> ExitCode {
    serve("tokio-websockets", TokioWebsockets)
}

async fn echo(stream: impl Transport) -> Result<(), Error> {
    let (_, mut socket) = ServerBuilder::new()
        .config(Config::default().frame_size(usize::MAX))
        .limits(Limits::default().max_payload_len(Some(MESSAGE_BYTES_MAX)))
        .accept(stream)
        .await?;
    while let Some(message) = socket.next().await {
        let message = message?;
        if message.is_text() || message.is_binary() {
            socket.send(message).await?;
        }
    }
    Ok(())
}
