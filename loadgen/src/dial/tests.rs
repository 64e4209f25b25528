//! The blocking dialer against servers in this process.

use std::net::TcpListener;
use std::thread;

use rustls::{ServerConnection, StreamOwned};

use super::*;
use crate::link::rehearsal::Authority;

fn options(urls: &[String]) -> TargetOptions {
    let mut options = TargetOptions::to(Target::parse(&urls[0]).unwrap());
    options.urls = urls.iter().map(|url| Target::parse(url).unwrap()).collect();
    options
}

/// Accepts connections and gives each to `serve`.
fn listen(serve: impl Fn(TcpStream) + Send + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming() {
            serve(stream.unwrap());
        }
    });
    address
}

/// Why the dialer fails against what `serve` does.
fn failure(
    url: impl Fn(SocketAddr) -> String,
    serve: impl Fn(TcpStream) + Send + 'static,
) -> String {
    let url = url(listen(serve));
    let mut options = options(&[url]);
    options.tls.tls_insecure = options.urls[0].tls;
    let dialer = Dialer::from_options(&options).unwrap();
    let failure = dialer.dial(0, &mut Random::new(1, 1)).err().unwrap();
    failure.to_string()
}

fn wss(address: SocketAddr) -> String {
    format!("wss://{address}")
}

fn ws(address: SocketAddr) -> String {
    format!("ws://{address}")
}

#[test]
fn connections_go_to_the_urls_in_turn() {
    let listeners: Vec<TcpListener> = (0..3)
        .map(|_| TcpListener::bind("127.0.0.1:0").unwrap())
        .collect();
    let addresses: Vec<SocketAddr> = listeners
        .iter()
        .map(|listener| listener.local_addr().unwrap())
        .collect();
    let urls: Vec<String> = addresses
        .iter()
        .map(|address| format!("tcp://{address}"))
        .collect();
    let dialer = Dialer::from_options(&options(&urls)).unwrap();
    assert_eq!((dialer.routes(), dialer.address()), (3, None));
    let mut random = Random::new(1, 1);
    for ordinal in [4, 0, 5, 1] {
        let dialed = dialer.dial(ordinal, &mut random).unwrap();
        assert_eq!(dialed.stream.peer_addr().unwrap(), addresses[ordinal % 3]);
    }
    assert_eq!(dialer.addresses(), addresses);
    let socket = dialer.begin(7).unwrap();
    // Gives the connect time: it is under way.
    listeners[1].accept().unwrap();
    drop(socket);
}

#[test]
fn what_is_behind_the_port_is_told_from_what_was_asked_for() {
    let silent_end = failure(wss, drop);
    assert!(
        silent_end.contains("TLS handshake") || silent_end.contains("reset"),
        "{silent_end}"
    );
    let plain = failure(wss, |mut stream| {
        let _ = stream.read(&mut [0; 64]);
        stream
            .write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            .unwrap();
        let _ = stream.read(&mut [0; 64]);
    });
    assert!(plain.contains("use ws://"), "{plain}");

    let config = Arc::new(Authority::new("authority").issue(&["127.0.0.1"]).server());
    let encrypted = failure(ws, move |stream| {
        let connection = ServerConnection::new(Arc::clone(&config)).unwrap();
        let mut stream = StreamOwned::new(connection, stream);
        let _ = stream.read(&mut [0; 64]);
        let _ = stream.sock.read(&mut [0; 512]);
    });
    assert!(encrypted.contains("use wss://"), "{encrypted}");
}

#[test]
fn options_that_cannot_be_followed_are_usage_errors() {
    let mut options = options(&["wss://127.0.0.1:9".to_owned()]);
    options.tls.tls_ca = Some("/nonexistent".into());
    let error = Dialer::from_options(&options).err().unwrap();
    assert!(error.is::<UsageError>(), "{error}");

    options.tls.tls_ca = None;
    options.tls.tls_insecure = true;
    options.urls[0].host = "a..b".to_owned();
    let error = Dialer::from_options(&options).err().unwrap();
    assert!(error.is::<UsageError>(), "{error}");
}
