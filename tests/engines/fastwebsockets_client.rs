//! A client written by others: that of fastwebsockets, which writes a message to its end before it reads.

use fastwebsockets::{FragmentCollector, Frame, OpCode, Payload, handshake};
use hyper::upgrade::Upgraded;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::libraries::run;
use crate::server::{PATIENCE, Server};
use crate::support::{frames, streams};

type Client = FragmentCollector<TokioIo<Upgraded>>;

async fn connect(server: &Server, subprotocols: &str) -> (Client, Option<String>) {
    let host = server.address.to_string();
    let request = http::Request::get(format!("http://{host}/"))
        .header("Host", host)
        .header("Upgrade", "websocket")
        .header("Connection", "upgrade")
        .header("Sec-WebSocket-Key", handshake::generate_key())
        .header("Sec-WebSocket-Version", "13")
        .header("Sec-WebSocket-Protocol", subprotocols)
        .body(String::new());
    let stream = TcpStream::connect(server.address)
        .await
        .expect("a connection");
    let executor = TokioExecutor::new();
    let connecting = handshake::client(&executor, request.expect("a request"), stream);
    let (mut client, response) = timeout(PATIENCE, connecting)
        .await
        .expect("in time")
        .expect("an upgrade");
    client.set_max_message_size(usize::MAX);
    let agreed = response.headers().get("Sec-WebSocket-Protocol");
    let agreed = agreed.map(|name| name.to_str().expect("a token").to_owned());
    (FragmentCollector::new(client), agreed)
}

async fn send(client: &mut Client, opcode: OpCode, fin: bool, payload: &[u8]) {
    // It masks in place: what is borrowed is copied first.
    let frame = Frame::new(fin, opcode, None, Payload::Owned(payload.to_vec()));
    timeout(PATIENCE, client.write_frame(frame))
        .await
        .expect("in time")
        .expect("the server takes it");
}

async fn next(client: &mut Client) -> (OpCode, Vec<u8>) {
    let frame = timeout(PATIENCE, client.read_frame())
        .await
        .expect("in time");
    let frame = frame.expect("a valid frame");
    (frame.opcode, frame.payload.to_vec())
}

async fn comes_back(client: &mut Client, opcode: OpCode, payload: Vec<u8>) {
    send(client, opcode, true, &payload).await;
    assert!(next(client).await == (opcode, payload), "another echo");
}

pub(crate) fn everything_comes_back(engine: &'static str) {
    let server = Server::start(engine, &[]);
    run(async {
        let (mut client, agreed) = connect(&server, "chat, superchat").await;
        assert_eq!(agreed.as_deref(), Some("chat"));
        for size in streams::EDGES.into_iter().chain([16 << 20]) {
            comes_back(&mut client, OpCode::Text, frames::prose(size, 1)).await;
            comes_back(&mut client, OpCode::Binary, frames::noise(size, 2)).await;
        }
        send(&mut client, OpCode::Text, false, b"one ").await;
        send(&mut client, OpCode::Ping, true, b"between").await;
        send(&mut client, OpCode::Continuation, true, b"two").await;
        assert_eq!(next(&mut client).await, (OpCode::Pong, b"between".to_vec()));
        assert_eq!(next(&mut client).await, (OpCode::Text, b"one two".to_vec()));
    });
}

pub(crate) fn closes_are_completed(engine: &'static str) {
    let server = Server::start(engine, &[]);
    run(async {
        for code in [1000_u16, 1001, 3000, 4999] {
            let (mut client, _) = connect(&server, "chat").await;
            let close = Frame::close(code, b"bye");
            client
                .write_frame(close)
                .await
                .expect("the server takes it");
            let answer = (OpCode::Close, code.to_be_bytes().to_vec());
            assert_eq!(next(&mut client).await, answer);
        }
    });
}
