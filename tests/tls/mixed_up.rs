//! TLS where it is not spoken, and plain words where it is.

use std::io::{Read, Write};
use std::sync::Arc;

use crate::client::{Client, config, plain, serve_localhost};
use crate::server::{Server, until};
use crate::support::request;

pub(crate) fn is_logged(server: &Server, words: &str) {
    until(words, || {
        let log = server.log();
        log.iter().any(|line| line.contains(words)).then_some(())
    });
}

pub(crate) fn plain_http_is_told_in_words(engine: &'static str) {
    let (server, _) = serve_localhost(engine, &[]);
    for request in [
        "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
        // At once, from the first byte.
        "G",
    ] {
        let mut socket = plain(&server);
        socket
            .write_all(request.as_bytes())
            .expect("the server reads");
        let mut answer = Vec::new();
        socket.read_to_end(&mut answer).expect("an answer and FIN");
        let answer = request::read(&answer).expect("a response");
        assert_eq!(answer.status, 400);
        for words in ["TLS", "https://", "wss://"] {
            assert!(answer.body().contains(words), "{answer:?}");
        }
    }
    is_logged(&server, "plain HTTP where this server speaks TLS");
}

pub(crate) fn tls_is_told_where_it_is_not_spoken(engine: &'static str) {
    let server = Server::start(engine, &[]);
    let (_, authority) = serve_localhost(engine, &[]);
    let config = Arc::new(config(&authority, rustls::ALL_VERSIONS, None));
    let refused = Client::try_connect(&server, "localhost", &config);
    assert!(refused.is_err());
    let mut socket = plain(&server);
    socket
        .write_all(&[22, 3, 1, 0, 100])
        .expect("the server reads");
    let mut answer = Vec::new();
    socket.read_to_end(&mut answer).expect("an answer and FIN");
    let answer = request::read(&answer).expect("the letters HTTP/, which clients know");
    assert!(answer.body().contains("looks like TLS"), "{answer:?}");
    is_logged(&server, "TLS: is spoken where this server speaks none");
}
