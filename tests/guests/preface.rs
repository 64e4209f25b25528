//! Connections by a load balancer, which says whom it has behind it (PROXY protocol).

use std::io::Read;

use rustix::process::Signal;

use crate::server::{Server, until};
use crate::support::request;
use crate::wire::Wire;
use crate::{ask_from, connect_from, get, upgrade};

/// The balancer is 127.0.0.2.
const BEHIND: [&str; 2] = ["--proxy-protocol-from", "127.0.0.2"];

/// Version 1 for a client.
fn text(client: &str) -> Vec<u8> {
    format!("PROXY TCP4 {client} 192.0.2.100 4711 80\r\n").into_bytes()
}

/// Version 2 for the client 192.0.2.7, with something more to be told.
fn binary() -> Vec<u8> {
    let start = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x11";
    let addresses = [192, 0, 2, 7, 192, 0, 2, 100, 0x12, 0x67, 0, 80];
    [&start[..], &addresses, b"\x01\0\x02h2"].concat()
}

/// The answer to a request that comes behind `header`, in pieces of so many bytes.
fn ask_behind(server: &Server, header: &[u8], request: &str, piece: usize) -> request::Response {
    let mut wire = connect_from(server, 2);
    for piece in [header, request.as_bytes()].concat().chunks(piece) {
        wire.send(piece);
    }
    wire.read_answer("GET")
}

pub(crate) fn a_balancer_says_who_is_behind_it(engine: &'static str) {
    let server = Server::start(engine, &BEHIND);
    for piece in [usize::MAX, 1] {
        for header in [text("192.0.2.7"), binary()] {
            let told = ask_behind(&server, &header, &get("/x/whoami", ""), piece);
            assert!(told.body().contains("\"192.0.2.7:4711\""), "{told:?}");
        }
        for header in [&b"PROXY UNKNOWN\r\n"[..], b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0"] {
            let told = ask_behind(&server, header, &get("/x/whoami", ""), piece);
            assert!(told.body().contains("\"127.0.0.2:"), "{told:?}");
        }
    }
    let bad = upgrade("/", "").replace("Version: 13", "Version: 8");
    ask_behind(&server, &text("192.0.2.77"), &bad, usize::MAX).assert_refused(426);
    until("the log tells it", || {
        let log = server.log().join("\n");
        log.contains("peer=192.0.2.77:4711 ").then_some(())
    });
    let mut wire = connect_from(&server, 2);
    wire.send(&[binary(), request::upgrade()].concat());
    wire.read_response().assert_switched();
    wire.assert_echoes("ring");
    // It goes to the HTTP side and comes back, and all that came is accounted for: a drain waits for nothing.
    let mut kept = connect_from(&server, 2);
    kept.send(&text("192.0.2.7"));
    assert_eq!(kept.ask("GET", "/").status, 200);
    kept.send(upgrade("/", "").as_bytes());
    kept.read_response().assert_switched();
    kept.assert_echoes("back");
    server.signal(Signal::TERM);
    for wire in [wire, kept] {
        assert!(wire.replies_to_end().outcome.close.is_some());
    }
}

pub(crate) fn a_balancer_that_says_nothing_is_closed(engine: &'static str) {
    let options = [&BEHIND[..], &["--handshake-timeout", "500ms"]].concat();
    let server = Server::start(engine, &options);
    let ends = |wire: Wire| {
        let mut wire = wire;
        // By FIN, or by RST where something was not read.
        assert_eq!(
            wire.stream.read(&mut [0; 64]).unwrap_or(0),
            0,
            "without a word"
        );
    };
    for bytes in [
        &get("/", "").into_bytes()[..],
        b"PROXY TCP4 nobody\r\n",
        b"PROXY TCP4 192.0.2.7 ",
        b"",
    ] {
        let mut wire = connect_from(&server, 2);
        wire.send(bytes);
        ends(wire);
    }
    for why in [
        "does not begin with a PROXY header",
        "sends no PROXY header in time",
    ] {
        until("the log names it", || {
            let log = server.log().join("\n");
            log.contains("127.0.0.2:").then_some(())?;
            log.contains(&format!("PROXY protocol: {why}"))
                .then_some(())
        });
    }
    // From others it is no header, and no request.
    let answer = ask_from(&server, 3, text("192.0.2.7"));
    answer.assert_refused(400);
    assert!(
        answer.body().contains("--proxy-protocol-from"),
        "{answer:?}"
    );
    assert_eq!(ask_from(&server, 3, get("/", "")).status, 200);
}

pub(crate) fn who_is_behind_a_balancer_has_places_of_its_own(engine: &'static str) {
    let options = [&BEHIND[..], &["--max-connections-per-source", "2"]].concat();
    let server = Server::start(engine, &options);
    let open = |client: &str| {
        let mut wire = connect_from(&server, 2);
        wire.send(&[text(client), request::upgrade()].concat());
        let answer = wire.read_response();
        assert!(matches!(answer.status, 101 | 429), "{answer:?}");
        (answer.status == 101).then_some(wire)
    };
    let ours: [Wire; 2] = [(); 2].map(|()| open("192.0.2.1").expect("a place"));
    assert!(open("192.0.2.1").is_none());
    let _others: [Wire; 2] = [(); 2].map(|()| open("192.0.2.2").expect("places of its own"));
    drop(ours);
    until("places are free", || open("192.0.2.1"));
}
