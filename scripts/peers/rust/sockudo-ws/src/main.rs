//! A plain echo on sockudo-ws, in the form that its README gives for an echo loop: replies are fed, and leave
//! together before the next read.

use std::process::ExitCode;

use futures_util::{SinkExt, StreamExt};
use ringback_peer_common::{Echo, MESSAGE_BYTES_MAX, Transport, serve};
use sockudo_ws::server::WebSocketServer;
use sockudo_ws::{Config, Http1, Message, Result, init_clock};

#[derive(Clone)]
struct Sockudo {
    server: WebSocketServer<Http1>,
}

impl Echo for Sockudo {
    async fn meet(self, stream: impl Transport) {
        // A client that goes away in the middle is its own affair.
        let _ = self.echo(stream).await;
    }
}

impl Sockudo {
    async fn echo(self, stream: impl Transport) -> Result<()> {
        // Without type erasure, as the documentation says of single-threaded runtimes.
        let (mut socket, _) = self.server.accept_raw(stream).await?;
        while let Some(message) = socket.next().await {
            match message? {
                message @ (Message::Text(_) | Message::Binary(_)) => socket.feed(message).await?,
                Message::Close(_) => return Ok(()),
                Message::Ping(_) | Message::Pong(_) => {}
            }
        }
        Ok(())
    }
}

fn main() -> ExitCode {
    // Before the runtime, as the README says: the first look at the clock takes up to 200 ms.
    init_clock();
    // No pings of its own and no end to silent connections: no peer here has them.
    let config = Config::builder()
        .max_message_size(MESSAGE_BYTES_MAX)
        .max_frame_size(MESSAGE_BYTES_MAX)
        .auto_ping(false)
        .idle_timeout(0)
        .build();
    let server = WebSocketServer::<Http1>::new(config);
    serve("sockudo-ws", Sockudo { server })
}
