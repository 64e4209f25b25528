//! A client that speaks TLS by rustls and sees every byte above it, with a limit on every wait.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::process::Command;
use std::sync::Arc;

use rustls::client::Resumption;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, StreamOwned, SupportedProtocolVersion};

use crate::authority::{Authority, Issued};
use crate::server::{BINARY, PATIENCE, Server};
use crate::support::replies::{self, Replies};
use crate::support::request::{self, Response};

/// A server that speaks TLS on its first address, with one worker.
pub(crate) fn serve(engine: &str, options: &[String]) -> Server {
    let mut command = Command::new(BINARY);
    command.args(["--listen", "tls://127.0.0.1:0", "--workers", "1"]);
    command.args(["--engine", engine]);
    command.args(options);
    Server::run(command)
}

/// A server with a certificate for `localhost`, and who has issued that.
pub(crate) fn serve_localhost(engine: &str, options: &[&str]) -> (Server, Authority) {
    let authority = Authority::new();
    let mut all = authority.options(&["localhost"]);
    all.extend(options.iter().map(ToString::to_string));
    (serve(engine, &all), authority)
}

/// How clients of an authority speak: these versions, and with this certificate of their own.
pub(crate) fn config(
    authority: &Authority,
    versions: &[&'static SupportedProtocolVersion],
    own: Option<&Issued>,
) -> ClientConfig {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(versions)
        .expect("versions")
        .with_root_certificates(authority.roots());
    let mut config = match own.map(Issued::identity) {
        Some((chain, key)) => builder.with_client_auth_cert(chain, key).expect("a pair"),
        None => builder.with_no_client_auth(),
    };
    config.resumption = Resumption::in_memory_sessions(8);
    config
}

/// A connection.
pub(crate) struct Client {
    pub(crate) stream: StreamOwned<ClientConnection, TcpStream>,
    ahead: Vec<u8>,
}

impl Client {
    /// A connection, with its handshake done.
    pub(crate) fn connect(server: &Server, authority: &Authority) -> Self {
        let config = config(authority, rustls::ALL_VERSIONS, None);
        Self::try_connect(server, "localhost", &Arc::new(config)).expect("a handshake")
    }

    pub(crate) fn try_connect(
        server: &Server,
        name: &str,
        config: &Arc<ClientConfig>,
    ) -> io::Result<Self> {
        let name = ServerName::try_from(name.to_owned()).expect("a name");
        let mut connection = ClientConnection::new(config.clone(), name).expect("a client");
        let mut socket = plain(server);
        while connection.is_handshaking() {
            connection.complete_io(&mut socket)?;
        }
        Ok(Client {
            stream: StreamOwned::new(connection, socket),
            ahead: Vec::new(),
        })
    }

    /// A WebSocket connection.
    pub(crate) fn upgrade(server: &Server, authority: &Authority) -> Self {
        let mut client = Self::connect(server, authority);
        client.handshake();
        client
    }

    /// Asks for a WebSocket.
    pub(crate) fn handshake(&mut self) {
        self.send(&request::upgrade());
        self.read_response().assert_switched();
    }

    pub(crate) fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).expect("the server takes it");
    }

    fn read_more(&mut self) -> io::Result<usize> {
        let mut bytes = [0; 65_536];
        let count = self.stream.read(&mut bytes)?;
        self.ahead.extend_from_slice(&bytes[..count]);
        Ok(count)
    }

    pub(crate) fn read_response(&mut self) -> Response {
        loop {
            if let Some(response) = request::read(&self.ahead) {
                self.ahead.clone_from(&response.rest);
                return response;
            }
            let count = self.read_more().expect("bytes");
            assert!(count > 0, "the end, inside a head: {:?}", self.ahead);
        }
    }

    /// The answer to a request.
    pub(crate) fn ask(&mut self, path: &str) -> Response {
        self.send(format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n").as_bytes());
        let mut response = self.read_response();
        let length = response.header("content-length").expect("a length");
        let length = length.parse().expect("a number");
        response.rest = self.read_exact(length);
        response
    }

    pub(crate) fn read_exact(&mut self, count: usize) -> Vec<u8> {
        while self.ahead.len() < count {
            let read = self.read_more().expect("bytes");
            assert!(read > 0, "the end, after {} of {count}", self.ahead.len());
        }
        self.ahead.drain(..count).collect()
    }

    /// Reads up to the server's close_notify: an end without one is a failure.
    pub(crate) fn replies_to_end(mut self) -> Replies {
        while self.read_more().expect("a close_notify before FIN") > 0 {}
        replies::read(&self.ahead).expect("strict frames")
    }
}

/// A connection on which nothing was said.
pub(crate) fn plain(server: &Server) -> TcpStream {
    let socket = TcpStream::connect(server.address).expect("a connection");
    socket.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    socket.set_write_timeout(Some(PATIENCE)).expect("a timeout");
    socket.set_nodelay(true).expect("no delay");
    socket
}
