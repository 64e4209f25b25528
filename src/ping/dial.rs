//! From a URL to an open WebSocket.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use http::header::{
    CONNECTION, CONTENT_TYPE, HOST, LOCATION, RETRY_AFTER, SEC_WEBSOCKET_KEY,
    SEC_WEBSOCKET_PROTOCOL, SEC_WEBSOCKET_VERSION, SERVER, UPGRADE, WWW_AUTHENTICATE,
};
use http::{HeaderMap, HeaderName, Request, Response, StatusCode};
use hyper::body::{Body as _, Incoming};
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use serde_json::json;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout_at;
use tokio_tungstenite::tungstenite::handshake::client::generate_key;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use super::fault::{Fault, Step, explain, within, words};
use super::report::Told;
use super::{Plan, tls};

/// Of the body of a refusal, what may be its words, in bytes.
const BODY_BYTES_MAX: usize = 4096;

/// How long it is waited for.
const BODY_PATIENCE: Duration = Duration::from_secs(1);

/// Where bytes go and come.
trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// Opens a WebSocket, and says with which address, and what there is to tell of it.
pub(super) async fn open(plan: &Plan) -> Result<(TokioIo<Upgraded>, SocketAddr, Told), Fault> {
    let addresses = within(plan.timeout, Step::Resolve, resolve(plan)).await?;
    let mut told = Told::default();
    let begun = Instant::now();
    let (address, stream) = connect(plan, &addresses).await?;
    let time = begun.elapsed();
    told.line("connect", time, "");
    told.by = json!({"address": address, "connect_seconds": time.as_secs_f64(), "tls": null});
    // Else a message in two pieces would wait for an acknowledgement. Where it is not to be had, it works without.
    let _ = stream.set_nodelay(true);
    let stream: Box<dyn Stream> = if plan.target.secure {
        let connecting = tls::connect(plan, stream, &mut told);
        Box::new(within(plan.timeout, Step::Tls, connecting).await?)
    } else {
        Box::new(stream)
    };
    let upgrading = upgrade(plan, stream, &mut told);
    let socket = within(plan.timeout, Step::Upgrade, upgrading).await?;
    Ok((socket, address, told))
}

async fn resolve(plan: &Plan) -> Result<Vec<SocketAddr>, Fault> {
    let target = (plan.target.host.clone(), plan.target.port);
    let (host, port) = plan.connect_to.as_ref().unwrap_or(&target);
    let found = lookup_host((host.as_str(), *port)).await;
    let why = match found.map(Vec::from_iter) {
        Ok(addresses) if addresses.is_empty() => format!("`{host}` has no address"),
        Ok(addresses) => return Ok(addresses),
        Err(error) => format!("`{host}` cannot be resolved: {error}"),
    };
    Err(Step::Resolve.fault(why))
}

/// Connects to the first address that lets it, each in its share of the time that is left.
async fn connect(plan: &Plan, addresses: &[SocketAddr]) -> Result<(SocketAddr, TcpStream), Fault> {
    let begun = Instant::now();
    let mut faults = Vec::new();
    for (address, others) in addresses.iter().zip((1..=addresses.len() as u32).rev()) {
        let left = plan.timeout.saturating_sub(begun.elapsed());
        let connecting = async {
            let connected = TcpStream::connect(address).await;
            connected.map_err(|error| {
                Step::Connect.fault(match error.kind() {
                    ErrorKind::ConnectionRefused => "refused: nobody listens there".to_owned(),
                    _ => error.to_string(),
                })
            })
        };
        match within(left / others, Step::Connect, connecting).await {
            Ok(stream) => return Ok((*address, stream)),
            Err(Fault { why, .. }) => faults.push(format!("{address}: {why}")),
        }
    }
    Err(Step::Connect.fault(faults.join("; ")))
}

async fn upgrade(
    plan: &Plan,
    stream: Box<dyn Stream>,
    told: &mut Told,
) -> Result<TokioIo<Upgraded>, Fault> {
    let fault = |why| Step::Upgrade.fault(why);
    let broken = |error: hyper::Error| fault(unanswered(&error, plan.target.secure));
    let begun = Instant::now();
    let key = generate_key();
    let request = Request::get(&plan.target.path)
        .header(HOST, &plan.target.authority)
        .header(UPGRADE, "websocket")
        .header(CONNECTION, "Upgrade")
        .header(SEC_WEBSOCKET_VERSION, "13")
        .header(SEC_WEBSOCKET_KEY, &key)
        .body(String::new());
    let mut request = request.map_err(|error| fault(explain(&error)))?;
    // A Host of one's own replaces that of the URL.
    request.headers_mut().extend(plan.headers.clone());
    let connecting = hyper::client::conn::http1::handshake(TokioIo::new(stream));
    let (mut sender, connection) = connecting.await.map_err(broken)?;
    tokio::spawn(connection.with_upgrades());
    let response = sender.send_request(request).await.map_err(broken)?;
    if response.status() != StatusCode::SWITCHING_PROTOCOLS {
        return Err(fault(refusal(response).await));
    }
    check(response.headers(), &key, &plan.headers).map_err(fault)?;
    let names = [SEC_WEBSOCKET_PROTOCOL, SERVER];
    let [subprotocol, server] = names.map(|name| said(&response, name));
    let socket = hyper::upgrade::on(response).await.map_err(broken)?;
    let time = begun.elapsed();
    let [first, second] = [&subprotocol, &server].map(|it| it.as_deref().unwrap_or("none"));
    let agreed = format!(", subprotocol {first}, server {second}");
    told.line("upgrade", time, &agreed);
    told.by["upgrade_seconds"] = time.as_secs_f64().into();
    told.by["subprotocol"] = subprotocol.into();
    told.by["server"] = server.into();
    Ok(TokioIo::new(socket))
}

/// Whether a 101 answers the request (RFC 6455, section 4.1): for this key, with nothing that was not asked for.
fn check(answer: &HeaderMap, key: &str, asked: &HeaderMap) -> Result<(), String> {
    let has = |name, wanted: &str| {
        let said = list(answer, name);
        let fits = said.iter().any(|it| it.eq_ignore_ascii_case(wanted));
        (name, fits)
    };
    let accept = "Sec-WebSocket-Accept";
    let accepts = list(answer, accept).contains(&derive_accept_key(key.as_bytes()));
    let fields = [
        has("Upgrade", "websocket"),
        has("Connection", "upgrade"),
        (accept, accepts),
    ];
    if let Some((name, _)) = fields.iter().find(|(_, fits)| !fits) {
        return Err(format!(
            "what answers is no WebSocket server: its 101 does not fit the request ({name})"
        ));
    }
    for name in ["Sec-WebSocket-Extensions", "Sec-WebSocket-Protocol"] {
        let asked = list(asked, name);
        if let Some(other) = list(answer, name).iter().find(|it| !asked.contains(it)) {
            return Err(format!(
                "the server took what was not offered, `{other}` ({name}); it may take only what was (RFC 6455, section 4.1)"
            ));
        }
    }
    Ok(())
}

/// What the fields of that name list.
fn list(headers: &HeaderMap, name: &str) -> Vec<String> {
    let fields = headers.get_all(name).iter();
    let items = fields.flat_map(|field| field.as_bytes().split(|byte| *byte == b','));
    items.map(words).filter(|it| !it.is_empty()).collect()
}

fn said<T>(response: &Response<T>, name: HeaderName) -> Option<String> {
    let value = response.headers().get(name)?;
    Some(words(value.as_bytes()))
}

/// Why there is no answer that could be read.
fn unanswered(error: &hyper::Error, secure: bool) -> String {
    let closed = error.is_incomplete_message() || error.is_canceled();
    let why = match (error.is_parse(), secure) {
        _ if closed => "the connection was closed instead of an answer",
        (true, true) => "what answers does not speak HTTP",
        (true, false) => "what answers does not speak HTTP; a server with TLS is wss://",
        (false, _) => return explain(error),
    };
    why.to_owned()
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
    if said(&response, CONTENT_TYPE).is_some_and(|it| it.starts_with("text/html")) {
        return out + ", with a page";
    }
    let (mut body, mut start) = (response.into_body(), Vec::new());
    let ends = Instant::now() + BODY_PATIENCE;
    while start.len() < BODY_BYTES_MAX {
        let next = std::future::poll_fn(|cx| std::pin::Pin::new(&mut body).poll_frame(cx));
        let Ok(Some(Ok(frame))) = timeout_at(ends.into(), next).await else {
            break;
        };
        start.extend(frame.into_data().unwrap_or_default());
    }
    match words(&start) {
        body if body.is_empty() => out,
        body => format!("{out}: {body}"),
    }
}
