//! A plain echo on tokio-tungstenite, in the form of its own `examples/echo-server.rs`: what is read is
//! forwarded to what writes, so replies to messages that came together leave together.

use std::future::ready;
use std::process::ExitCode;

use futures_util::{StreamExt, TryStreamExt};
use ringback_peer_common::{Echo, MESSAGE_BYTES_MAX, Transport, serve};
use tokio_tungstenite::accept_async_with_config;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;

#[derive(Clone)]
struct Tungstenite;

impl Echo for Tungstenite {
    async fn meet(self, stream: impl Transport) {
        // The buffers stay at 128 KiB, which the documentation recommends for high loads.
        let config = WebSocketConfig::default()
            .max_message_size(Some(MESSAGE_BYTES_MAX))
            .max_frame_size(Some(MESSAGE_BYTES_MAX));
        if let Ok(socket) = accept_async_with_config(stream, Some(config)).await {
            let (replies, messages) = socket.split();
            let echoed = messages
                .try_filter(|message| ready(message.is_text() || message.is_binary()))
                .forward(replies);
            // A client that goes away in the middle is its own affair.
            let _ = echoed.await;
        }
    }
}

fn main() -> ExitCode {
    serve("tokio-tungstenite", Tungstenite)
}
