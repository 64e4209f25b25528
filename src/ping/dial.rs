//! From a URL to an open WebSocket.

use std::io;
use std::net::SocketAddr;
use std::time::Instant;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use fastwebsockets::handshake::generate_key;
use http::header::{
    CONNECTION, CONTENT_TYPE, HOST, LOCATION, RETRY_AFTER, SEC_WEBSOCKET_ACCEPT,
    SEC_WEBSOCKET_EXTENSIONS, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL, SEC_WEBSOCKET_VERSION,
    SERVER, UPGRADE, WWW_AUTHENTICATE,
};
use http::{HeaderMap, HeaderName, Request, Response, StatusCode};
use hyper::body::{Body as _, Incoming};
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use serde::Serialize;
use sha1::{Digest, Sha1};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

use super::fault::{Fault, Step, chain, within, words};
use super::{Plan, Target, tls};

/// Of the body of a refusal, what may be its words, in bytes.
const BODY_BYTES_MAX: usize = 4096;

/// What there is to tell of a WebSocket that has been opened.
#[derive(Serialize)]
pub(super) struct Details {
    pub(super) address: SocketAddr,
    pub(super) connect_seconds: f64,
    pub(super) tls: Option<tls::Details>,
    pub(super) upgrade_seconds: f64,
    pub(super) subprotocol: Option<String>,
    pub(super) extensions: Option<String>,
    pub(super) server: Option<String>,
}

/// Where bytes go and come.
trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

pub(super) async fn open(plan: &Plan) -> Result<(Details, TokioIo<Upgraded>), Fault> {
    let target = &plan.target;
    let addresses = within(plan.timeout, Step::Resolve, resolve(plan)).await?;
    let begun = Instant::now();
    let stream = connect(plan, &addresses).await?;
    let connect_seconds = begun.elapsed().as_secs_f64();
    let unconnected = |error: io::Error| Fault::new(Step::Connect, chain(&error));
    let address = stream.peer_addr().map_err(unconnected)?;
    // Else a message in two pieces would wait for an acknowledgement.
    stream.set_nodelay(true).map_err(unconnected)?;
    let (stream, tls): (Box<dyn Stream>, _) = if target.secure {
        let connecting = tls::connect(&target.host, &plan.trust, stream);
        let (stream, details) = within(plan.timeout, Step::Tls, connecting).await?;
        (Box::new(stream), Some(details))
    } else {
        (Box::new(stream), None)
    };
    let begun = Instant::now();
    let upgrading = upgrade(target, &plan.headers, stream);
    let (response, socket) = within(plan.timeout, Step::Upgrade, upgrading).await?;
    let said = |name| said(&response, name);
    let details = Details {
        address,
        connect_seconds,
        tls,
        upgrade_seconds: begun.elapsed().as_secs_f64(),
        subprotocol: said(SEC_WEBSOCKET_PROTOCOL),
        extensions: said(SEC_WEBSOCKET_EXTENSIONS),
        server: said(SERVER),
    };
    Ok((details, socket))
}

async fn resolve(plan: &Plan) -> Result<Vec<SocketAddr>, Fault> {
    let fault = |why| Err(Fault::new(Step::Resolve, why));
    let (host, port) = match &plan.connect_to {
        Some((host, port)) => (host, *port),
        None => (&plan.target.host, plan.target.port),
    };
    match tokio::net::lookup_host((host.as_str(), port)).await {
        Err(error) => fault(format!("`{host}` cannot be resolved: {error}")),
        Ok(addresses) => {
            let addresses: Vec<SocketAddr> = addresses.collect();
            if addresses.is_empty() {
                return fault(format!("`{host}` has no address"));
            }
            Ok(addresses)
        }
    }
}

/// Connects to the first address that lets it, each in its share of the time that is left.
async fn connect(plan: &Plan, addresses: &[SocketAddr]) -> Result<TcpStream, Fault> {
    let begun = Instant::now();
    let mut faults = Vec::new();
    for (number, address) in addresses.iter().enumerate() {
        let left = plan.timeout.saturating_sub(begun.elapsed());
        let share = left / u32::try_from(addresses.len() - number).unwrap_or(u32::MAX);
        let connecting = async {
            let connected = TcpStream::connect(address).await;
            connected.map_err(|error| {
                let why = match error.kind() {
                    io::ErrorKind::ConnectionRefused => "refused: nobody listens there".to_owned(),
                    _ => error.to_string(),
                };
                Fault::new(Step::Connect, why)
            })
        };
        match within(share, Step::Connect, connecting).await {
            Ok(stream) => return Ok(stream),
            Err(fault) => faults.push(format!("{address}: {fault}")),
        }
    }
    Err(Fault::new(Step::Connect, faults.join("; ")))
}

async fn upgrade(
    target: &Target,
    headers: &HeaderMap,
    stream: Box<dyn Stream>,
) -> Result<(Response<()>, TokioIo<Upgraded>), Fault> {
    let fault = |why: String| Fault::new(Step::Upgrade, why);
    let broken = |error: hyper::Error| fault(unanswered(&error, target.secure));
    let key = generate_key();
    let request = Request::get(&target.path)
        .header(HOST, &target.authority)
        .header(UPGRADE, "websocket")
        .header(CONNECTION, "Upgrade")
        .header(SEC_WEBSOCKET_VERSION, "13")
        .header(SEC_WEBSOCKET_KEY, &key)
        .body(String::new());
    let mut request = request.map_err(|error| fault(chain(&error)))?;
    // A Host of one's own replaces that of the URL.
    request.headers_mut().extend(headers.clone());
    let connecting = hyper::client::conn::http1::handshake(TokioIo::new(stream));
    let (mut sender, connection) = connecting.await.map_err(broken)?;
    tokio::spawn(connection.with_upgrades());
    let response = sender.send_request(request).await.map_err(broken)?;
    if response.status() != StatusCode::SWITCHING_PROTOCOLS {
        return Err(fault(refusal(response).await));
    }
    let accepted = said(&response, SEC_WEBSOCKET_ACCEPT).unwrap_or_default();
    if accepted != accept(&key) {
        let why = "what answers is no WebSocket server: its 101 does not fit the request \
                   (Sec-WebSocket-Accept)";
        return Err(fault(why.to_owned()));
    }
    let (parts, body) = response.into_parts();
    let upgraded = hyper::upgrade::on(Response::from_parts(parts.clone(), body));
    let socket = TokioIo::new(upgraded.await.map_err(broken)?);
    Ok((Response::from_parts(parts, ()), socket))
}

/// What a key is answered with (RFC 6455, section 4.2.2).
fn accept(key: &str) -> String {
    let digest = Sha1::new()
        .chain_update(key)
        .chain_update("258EAFA5-E914-47DA-95CA-C5AB0DC85B11");
    STANDARD.encode(digest.finalize())
}

fn said<T>(response: &Response<T>, name: HeaderName) -> Option<String> {
    let value = response.headers().get(name)?;
    Some(words(value.as_bytes()))
}

/// Why there is no answer that could be read.
fn unanswered(error: &hyper::Error, secure: bool) -> String {
    if error.is_parse() {
        let hint = if secure {
            ""
        } else {
            "; a server with TLS is wss://"
        };
        format!("what answers does not speak HTTP{hint}")
    } else if error.is_incomplete_message() || error.is_canceled() {
        "the connection was closed instead of an answer".to_owned()
    } else {
        chain(error)
    }
}

/// An answer that is no upgrade, in the server's words.
async fn refusal(response: Response<Incoming>) -> String {
    let mut out = format!("the server answered {}", response.status());
    for (name, what) in [
        (LOCATION, "to be found at"),
        (RETRY_AFTER, "again after"),
        (WWW_AUTHENTICATE, "it asks for"),
    ] {
        if let Some(value) = said(&response, name) {
            out += &format!(", {what} {value}");
        }
    }
    let kind = said(&response, CONTENT_TYPE).unwrap_or_default();
    if kind.starts_with("text/html") {
        return out + ", with a page";
    }
    let body = words(&start_of(response.into_body()).await);
    if !body.is_empty() {
        out += &format!(": {body}");
    }
    out
}

/// The first bytes of a body.
async fn start_of(mut body: Incoming) -> Vec<u8> {
    let mut start = Vec::new();
    while start.len() < BODY_BYTES_MAX {
        let next = std::future::poll_fn(|cx| std::pin::Pin::new(&mut body).poll_frame(cx)).await;
        let Some(Ok(frame)) = next else { break };
        if let Ok(data) = frame.into_data() {
            start.extend_from_slice(&data);
        }
    }
    start
}
