//! Who may be hurt by it: nobody.

use std::io::Read;
use std::net::TcpStream;

use crate::server::{Server, until};
use crate::support::frames::{self, Frame};
use crate::support::request;
use crate::wire::Wire;
use crate::{asking, kernel, on_every_engine, open};

/// Who takes nothing of what it is owed is given up, and until then others are served as ever, be it by a behaviour
/// or by a worker.
#[test]
fn who_does_not_read_takes_nothing_from_others() {
    on_every_engine(&["--stall-timeout", "2s"], |server| {
        let mut plain = Wire::upgrade(server);
        let hostile: Vec<_> = [
            "/x/huge/16GiB",
            "/x/echo",
            "/x/broadcast/a",
            "/x/drip?bytes=64KiB&every=10ms",
        ]
        .iter()
        .cycle()
        .take(40)
        .map(|path| {
            let mut wire = Wire::connect_narrow(server, 4096);
            wire.send(&asking(path));
            wire.read_response().assert_switched();
            let flood = Frame::binary(&frames::noise(1 << 20, 5)).encode().repeat(8);
            let sending = wire.send_aside(flood);
            (wire, sending)
        })
        .collect();
        for round in 0..20 {
            plain.assert_echoes_binary(&frames::noise(10_000 + round, 6));
            open(server, "/x/upper?drip=100").assert_echoes("OTHERS");
            assert_eq!(Wire::connect(server).ask("GET", "/healthz").status, 200);
        }
        until("they are given up", || {
            (kernel::accepted_count(server) <= 1).then_some(())
        });
        for (wire, sending) in hostile {
            drop(wire);
            sending.join().expect("the end is seen");
        }
        plain.assert_echoes("as ever");
    });
}

#[test]
fn who_breaks_the_protocol_is_told_so() {
    on_every_engine(&[], |server| {
        let mut wire = open(server, "/x/delay/50ms");
        wire.send(
            &Frame {
                key: None,
                ..Frame::text("unmasked")
            }
            .encode(),
        );
        let seen = wire.replies_to_end().outcome;
        assert_eq!(
            seen.close,
            Some(crate::support::event::CloseSeen::Code(1002))
        );
    });
}

/// What there is to know of them goes with them, and no place is lost.
#[test]
fn clients_come_and_go() {
    on_every_engine(&[], |server| {
        Wire::upgrade(server).assert_echoes("the first");
        until("it is quiet", || {
            kernel::sockets(server).is_empty().then_some(())
        });
        let before = server.descriptors();
        for round in 0..1500 {
            let path = [
                "/x/echo",
                "/x/broadcast/a",
                "/x/slow-handshake/1s",
                "/x/reset",
            ][round % 4];
            let mut stream = TcpStream::connect(server.address).expect("a connection");
            std::io::Write::write_all(&mut stream, &asking(path)).expect("it is taken");
            if round % 8 == 0 {
                let _ = stream.read(&mut [0; 64]);
            }
        }
        until("all are gone", || {
            (server.descriptors() == before).then_some(())
        });
        open(server, "/x/echo").assert_echoes("there is a place");
    });
}

/// Without behaviours their paths are like any other.
#[test]
fn they_can_be_left_out() {
    on_every_engine(&["--no-behaviours"], |server| {
        for path in ["/x", "/x/close/1001", "/http", "/sse"] {
            assert_eq!(Wire::connect(server).ask("GET", path).status, 404, "{path}");
        }
        for path in ["/x", "/x/close", "/x/no-such-thing"] {
            open(server, path).assert_echoes("plain");
        }
        let mut wire = Wire::connect(server);
        wire.send(&request::upgrade());
        wire.read_response().assert_switched();
    });
}

/// Beside them a plain echo is what it was, also where one path begins like the other.
#[test]
fn other_paths_are_echoes() {
    on_every_engine(&[], |server| {
        for path in ["/", "/xy", "/close/1001", "/http", "/sse"] {
            open(server, path).assert_echoes("plain");
        }
        let _ = Server::url(server);
    });
}
