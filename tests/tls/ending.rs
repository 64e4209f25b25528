//! How connections end.

use std::io::{Read, Write};
use std::net::Shutdown;

use rustix::process::Signal;

use crate::client::{Client, serve_localhost};
use crate::server::until;
use crate::support::frames::Frame;

pub(crate) fn each_side_says_that_nothing_follows(engine: &'static str) {
    let (server, authority) = serve_localhost(engine, &[]);
    // A Close is answered, and behind it the server's close_notify comes before FIN.
    let mut client = Client::upgrade(&server, &authority);
    client.send(&Frame::close(1000, "bye").encode());
    let replies = client.replies_to_end();
    assert!(format!("{replies:?}").contains("1000"), "{replies:?}");
    // A close_notify is as good as FIN: what came before it is answered.
    let mut client = Client::upgrade(&server, &authority);
    client.send(&Frame::text("last").encode());
    client.stream.conn.send_close_notify();
    client.stream.flush().expect("the server reads");
    let replies = client.replies_to_end();
    assert!(format!("{replies:?}").contains("last"), "{replies:?}");
}

pub(crate) fn who_goes_without_a_word_is_let_go(engine: &'static str) {
    let (server, authority) = serve_localhost(engine, &[]);
    let mut client = Client::upgrade(&server, &authority);
    client.send(&Frame::text("last").encode());
    let socket = client.stream.sock.try_clone().expect("a descriptor");
    socket.shutdown(Shutdown::Write).expect("a connection");
    let replies = client.replies_to_end();
    assert!(format!("{replies:?}").contains("last"), "{replies:?}");
    let descriptors = server.descriptors();
    for _ in 0..20 {
        let client = Client::upgrade(&server, &authority);
        drop(client);
    }
    until("all are gone", || {
        (server.descriptors() <= descriptors).then_some(())
    });
}

pub(crate) fn a_drain_says_goodbye_over_tls(engine: &'static str) {
    let (server, authority) = serve_localhost(engine, &[]);
    let mut idle = Client::upgrade(&server, &authority);
    let mut busy = Client::upgrade(&server, &authority);
    busy.send(&Frame::text("in time").encode());
    let silent = Client::connect(&server, &authority);
    server.signal(Signal::TERM);
    let replies = format!("{:?}", busy.replies_to_end());
    assert!(
        replies.contains("in time") && replies.contains("1001"),
        "{replies}"
    );
    let mut bytes = Vec::new();
    idle.stream.read_to_end(&mut bytes).expect("a close_notify");
    assert!(bytes.starts_with(&[0x88]), "{bytes:?}");
    drop(silent);
    drop(idle);
    assert!(server.wait().success());
}
