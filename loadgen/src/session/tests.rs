//! Connections that are opened, against servers in this process.

use crate::control::Clock;
use crate::dial::Dialer;
use crate::echo::workload::Workload;
use crate::payload::Random;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use rustls::{ServerConnection, StreamOwned};

use super::opener::{Gate, Opener};
use super::*;
use crate::dial::options::TargetOptions;
use crate::dial::standing::Standing;
use crate::link::rehearsal::Authority;
use crate::payload::{Kinds, Pool};
use crate::target::Target;

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

/// What comes of opening one connection.
fn open(options: &TargetOptions) -> Result<(Socket, Opened), Failure> {
    let dialer = Arc::new(Dialer::from_options(options).unwrap());
    let mut random = Random::new(1, 1);
    let pool = Arc::new(Pool::new(Kinds::Binary, 1, &mut random));
    let workload = Workload::simple(dialer.protocol(), 1, pool);
    let gate = Gate::new(0..1, dialer.pace(), 1, 0);
    let crew = Crew::new(Clock::new(), dialer, workload, random);
    let standing = Standing::default();
    let mut opener = Opener::new(crew, gate, &standing).unwrap();
    loop {
        let mut through = opener.turn(Duration::from_millis(50)).unwrap();
        if let Some((0, made)) = through.pop() {
            assert!(opener.is_idle());
            return made;
        }
    }
}

/// Why it fails against what `serve` does.
fn failure(scheme: &str, serve: impl Fn(TcpStream) + Send + 'static) -> String {
    let address = listen(serve);
    let mut options = TargetOptions::to(Target::parse(&format!("{scheme}://{address}")).unwrap());
    options.tls.tls_insecure = options.urls[0].tls;
    open(&options).err().unwrap().to_string()
}

#[test]
fn what_is_behind_the_port_is_told_from_what_was_asked_for() {
    let silent_end = failure("wss", drop);
    assert!(
        silent_end.contains("TLS handshake") || silent_end.contains("reset"),
        "{silent_end}"
    );
    let plain = failure("wss", |mut stream| {
        let _ = stream.read(&mut [0; 64]);
        stream
            .write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            .unwrap();
        let _ = stream.read(&mut [0; 64]);
    });
    assert!(plain.contains("use ws://"), "{plain}");

    let config = Arc::new(Authority::new("authority").issue(&["127.0.0.1"]).server());
    let encrypted = failure("ws", move |stream| {
        let connection = ServerConnection::new(Arc::clone(&config)).unwrap();
        let mut stream = StreamOwned::new(connection, stream);
        let _ = stream.read(&mut [0; 64]);
        let _ = stream.sock.read(&mut [0; 512]);
    });
    assert!(encrypted.contains("use wss://"), "{encrypted}");
}

#[test]
fn whoever_is_silent_is_given_up_with_what_was_awaited() {
    let told = failure("ws", |stream| {
        thread::spawn(move || (thread::sleep(Duration::from_secs(60)), drop(stream)));
    });
    assert!(told.contains("did not answer within 5 seconds"), "{told}");
    assert!(
        told.contains("0 of 1 connections stand; 1 wait for the upgrade's answer"),
        "{told}"
    );
}
