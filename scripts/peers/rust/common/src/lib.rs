//! What the Rust peers share, so that they differ in their WebSocket library alone: the arguments, a
//! current-thread runtime, the listening socket, `TCP_NODELAY`, and TLS by rustls.

use std::fmt::Display;
use std::future::Future;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::time::sleep;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

mod arguments;

use arguments::{Arguments, Serve, TlsFiles};

/// The longest message, and the longest frame, that a peer takes, in bytes.
pub const MESSAGE_BYTES_MAX: usize = 64 << 20;

/// The same as Ringback's, so that a storm of connections meets equal conditions.
const BACKLOG: u32 = 4096;

/// Before the next attempt to accept a client.
const PAUSE_AFTER_FAILURE: Duration = Duration::from_millis(10);

/// What holds the versions that were built.
const LOCK: &str = include_str!("../../Cargo.lock");

/// A byte stream to a client, plain or encrypted.
pub trait Transport: AsyncRead + AsyncWrite + Unpin + Send + 'static {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send + 'static> Transport for T {}

/// An echo on one WebSocket library.
pub trait Echo: Clone + Send + Sync + 'static {
    /// Speaks with one client, from its request to its end.
    fn meet(self, stream: impl Transport) -> impl Future<Output = ()> + Send;
}

/// The `main` of a peer: serves `echo`, which is on `library`, as the arguments say, for ever.
pub fn serve(library: &str, echo: impl Echo) -> ExitCode {
    let result = match Arguments::parse(std::env::args().skip(1)) {
        Ok(Arguments::Version) => {
            println!("{}", locked_version(library).unwrap_or("unknown"));
            return ExitCode::SUCCESS;
        }
        Ok(Arguments::Serve(options)) => tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .and_then(|runtime| runtime.block_on(listen(&options, echo))),
        Err(why) => {
            eprintln!("{library}: {why}");
            return ExitCode::from(2);
        }
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{library}: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn listen(options: &Serve, echo: impl Echo) -> io::Result<()> {
    let tls = options.tls.as_ref().map(acceptor).transpose()?;
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, options.port));
    let listener = bind(address).map_err(|error| because("cannot listen on", address, error))?;
    let scheme = if tls.is_some() { "wss" } else { "ws" };
    println!("listening on {scheme}://{}", listener.local_addr()?);
    loop {
        // Fails when the client has already left, or for want of descriptors, of which there will be more.
        let Ok((stream, _)) = listener.accept().await else {
            sleep(PAUSE_AFTER_FAILURE).await;
            continue;
        };
        match &tls {
            None => {
                tokio::spawn(meet_plain(stream, echo.clone()));
            }
            Some(acceptor) => {
                tokio::spawn(meet_encrypted(stream, acceptor.clone(), echo.clone()));
            }
        }
    }
}

fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

async fn meet_plain(stream: TcpStream, echo: impl Echo) {
    // Without it, a reply waits for the acknowledgement of the one before.
    if stream.set_nodelay(true).is_ok() {
        echo.meet(stream).await;
    }
}

async fn meet_encrypted(stream: TcpStream, acceptor: TlsAcceptor, echo: impl Echo) {
    if stream.set_nodelay(true).is_ok()
        && let Ok(stream) = acceptor.accept(stream).await
    {
        echo.meet(stream).await;
    }
}

fn acceptor(files: &TlsFiles) -> io::Result<TlsAcceptor> {
    let (cert, key) = (&files.cert, &files.key);
    let chain = CertificateDer::pem_file_iter(cert)
        .and_then(Iterator::collect)
        .map_err(|error| because("cannot read the certificate", cert, error))?;
    let secret = PrivateKeyDer::from_pem_file(key)
        .map_err(|error| because("cannot read the key", key, error))?;
    let config = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(chain, secret)
        .map_err(|error| because("cannot use the certificate", cert, error))?;
    Ok(TlsAcceptor::from(Arc::new(config)))
}

fn because(what: &str, of: impl Display, why: impl Display) -> io::Error {
    io::Error::other(format!("{what} {of}: {why}"))
}

/// The version of a crate in Cargo.lock.
fn locked_version(name: &str) -> Option<&'static str> {
    let name = format!("name = \"{name}\"");
    let mut lines = LOCK.lines().skip_while(|line| *line != name).skip(1);
    lines
        .next()?
        .strip_prefix("version = \"")?
        .strip_suffix('"')
}
