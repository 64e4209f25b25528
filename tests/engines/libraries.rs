//! A client written by others: tokio-tungstenite. It knows no compression.

use futures_util::{SinkExt, StreamExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::protocol::frame::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::Frame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{CloseCode, Data, OpCode};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async_with_config};

use crate::server::{PATIENCE, Server};
use crate::support::{frames, streams};

type Client = WebSocketStream<MaybeTlsStream<TcpStream>>;

async fn connect(server: &Server) -> Client {
    let config = WebSocketConfig::default()
        .max_message_size(None)
        .max_frame_size(None);
    let connecting = connect_async_with_config(server.url(), Some(config), true);
    timeout(PATIENCE, connecting)
        .await
        .expect("in time")
        .expect("a connection")
        .0
}

async fn next(client: &mut Client) -> Option<Message> {
    let message = timeout(PATIENCE, client.next()).await.expect("in time")?;
    Some(message.expect("a valid frame"))
}

/// Sends while receiving, so that neither side waits for the other.
async fn echo(client: Client, message: Message) -> (Client, Message) {
    let (mut sink, mut stream) = client.split();
    let both = async { tokio::join!(sink.send(message), stream.next()) };
    let (sent, received) = timeout(PATIENCE, both).await.expect("in time");
    sent.expect("the server takes it");
    let received = received.expect("an echo").expect("a valid frame");
    (sink.reunite(stream).expect("two halves"), received)
}

pub(crate) fn run(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    runtime.expect("a runtime").block_on(test);
}

fn text(size: usize) -> Message {
    let bytes = frames::prose(size, size as u64);
    Message::text(String::from_utf8(bytes).expect("prose is UTF-8"))
}

pub(crate) fn every_size_comes_back(engine: &'static str) {
    let server = Server::start(engine, &[]);
    let spread = (0..300)
        .chain((300..=70_000).step_by(1499))
        .chain(streams::EDGES);
    run(async {
        let mut client = connect(&server).await;
        for size in spread {
            for message in [text(size), Message::binary(frames::noise(size, 9))] {
                let (same_client, received) = echo(client, message.clone()).await;
                client = same_client;
                assert!(received == message, "{size} bytes differ");
            }
        }
        client.close(None).await.expect("a close");
    });
}

/// A text and a binary message of so many bytes come back.
fn large_messages_come_back(engine: &'static str, bytes: usize) {
    let server = Server::start(engine, &[]);
    run(async {
        let mut client = connect(&server).await;
        for message in [text(bytes), Message::binary(frames::noise(bytes, 10))] {
            let (same_client, received) = echo(client, message.clone()).await;
            client = same_client;
            assert!(received == message, "the echo differs");
        }
    });
}

pub(crate) fn sixteen_mebibytes_come_back(engine: &'static str) {
    large_messages_come_back(engine, 16 << 20);
}

pub(crate) fn a_hundred_mebibytes_come_back(engine: &'static str) {
    large_messages_come_back(engine, 100 << 20);
}

pub(crate) fn fragments_are_joined(engine: &'static str) {
    let server = Server::start(engine, &[]);
    run(async {
        let mut client = connect(&server).await;
        let fragments = [
            (OpCode::Data(Data::Text), "one ", false),
            (OpCode::Data(Data::Continue), "", false),
            (OpCode::Data(Data::Continue), "two", true),
        ];
        for (opcode, part, is_last) in fragments {
            let frame = Message::Frame(Frame::message(part, opcode, is_last));
            client.send(frame).await.expect("the server takes it");
        }
        assert_eq!(next(&mut client).await, Some(Message::text("one two")));
    });
}

pub(crate) fn the_first_subprotocol_is_taken(engine: &'static str) {
    let server = Server::start(engine, &[]);
    run(async {
        let mut request = server.url().into_client_request().expect("a request");
        let offered = HeaderValue::from_static("chat, superchat");
        request
            .headers_mut()
            .insert("Sec-WebSocket-Protocol", offered);
        // It fails the connection if the answer is none that was offered.
        let (_, response) = connect_async_with_config(request, None, true)
            .await
            .expect("a connection");
        assert_eq!(response.headers()["Sec-WebSocket-Protocol"], "chat");
    });
}

pub(crate) fn pings_are_answered(engine: &'static str) {
    let server = Server::start(engine, &[]);
    run(async {
        let mut client = connect(&server).await;
        for size in [0, 1, 124, 125] {
            let payload = frames::noise(size, 11);
            client
                .send(Message::Ping(payload.clone().into()))
                .await
                .expect("the server takes it");
            assert_eq!(next(&mut client).await, Some(Message::Pong(payload.into())));
        }
    });
}

pub(crate) fn a_close_is_completed(engine: &'static str) {
    let server = Server::start(engine, &[]);
    run(async {
        let mut client = connect(&server).await;
        client.close(None).await.expect("a close");
        assert_eq!(next(&mut client).await, Some(Message::Close(None)));
        assert_eq!(next(&mut client).await, None, "the connection ends cleanly");
    });
}

pub(crate) fn a_close_with_a_reason_is_completed(engine: &'static str) {
    let server = Server::start(engine, &[]);
    run(async {
        for code in [1000, 1001, 1011, 3000, 4999] {
            let mut client = connect(&server).await;
            let code = CloseCode::from(code);
            let close = CloseFrame {
                code,
                reason: "bye".into(),
            };
            client.close(Some(close)).await.expect("a close");
            let Some(Message::Close(Some(answer))) = next(&mut client).await else {
                panic!("no Close with a code");
            };
            assert_eq!(answer.code, code);
            assert_eq!(next(&mut client).await, None, "the connection ends cleanly");
        }
    });
}

pub(crate) fn many_clients_at_once(engine: &'static str) {
    let server = Server::start(engine, &["--workers", "2"]);
    run(async {
        let mut clients = Vec::new();
        for _ in 0..64 {
            clients.push(connect(&server).await);
        }
        for round in 0..20 {
            for (number, client) in clients.iter_mut().enumerate() {
                let message = Message::text(format!("{number} in round {round}"));
                client.send(message).await.expect("the server takes it");
            }
            for (number, client) in clients.iter_mut().enumerate() {
                let expected = Message::text(format!("{number} in round {round}"));
                assert_eq!(next(client).await, Some(expected));
            }
        }
    });
}
