//! A peer of `scripts/bench`: a plain echo on fastwebsockets, in its usual form: hyper for the
//! handshake, one task per connection, tokio's current-thread runtime.
//!
//! `ringback-peer-fastwebsockets [PORT]`; 0, the default, lets the kernel choose one.

use std::convert::Infallible;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};

use fastwebsockets::upgrade::{UpgradeFut, is_upgrade_request, upgrade};
use fastwebsockets::{FragmentCollector, OpCode, WebSocketError};
use http_body_util::Empty;
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpSocket, TcpStream};

/// The same as Ringback's, so that a storm of connections meets equal conditions.
const BACKLOG: u32 = 4096;

fn main() -> io::Result<()> {
    let port = std::env::args().nth(1).unwrap_or_else(|| "0".to_owned());
    let port: u16 = port
        .parse()
        .map_err(|_| io::Error::other(format!("{port:?} is no port from 0 to 65535")))?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .build()?;
    runtime.block_on(serve(port))
}

async fn serve(port: u16) -> io::Result<()> {
    let socket = TcpSocket::new_v4()?;
    socket.bind(SocketAddr::from((Ipv4Addr::LOCALHOST, port)))?;
    let listener = socket.listen(BACKLOG)?;
    println!("listening on ws://{}", listener.local_addr()?);
    loop {
        let (stream, _) = listener.accept().await?;
        tokio::spawn(meet(stream));
    }
}

/// Speaks HTTP with a new client until it upgrades or leaves.
async fn meet(stream: TcpStream) {
    // Without it, a reply waits for the acknowledgement of the one before.
    if stream.set_nodelay(true).is_err() {
        return;
    }
    let connection = http1::Builder::new()
        .serve_connection(TokioIo::new(stream), service_fn(answer))
        .with_upgrades();
    // A client that goes away in the middle is its own affair.
    let _ = connection.await;
}

async fn answer(mut request: Request<Incoming>) -> Result<Response<Empty<Bytes>>, Infallible> {
    if is_upgrade_request(&request)
        && let Ok((response, upgraded)) = upgrade(&mut request)
    {
        tokio::spawn(async move {
            let _ = echo(upgraded).await;
        });
        return Ok(response);
    }
    let mut response = Response::new(Empty::new());
    *response.status_mut() = StatusCode::UPGRADE_REQUIRED;
    Ok(response)
}

/// Sends every message back; pings and closes are answered by the library.
async fn echo(upgraded: UpgradeFut) -> Result<(), WebSocketError> {
    let mut socket = FragmentCollector::new(upgraded.await?);
    loop {
        let frame = socket.read_frame().await?;
        match frame.opcode {
            OpCode::Close => return Ok(()),
            OpCode::Text | OpCode::Binary => socket.write_frame(frame).await?,
            _ => {}
        }
    }
}
