//! What a source takes without connections of its own: sessions of Socket.IO, and requests by way of a proxy.

use serde_json::Value;

use crate::server::{Server, until};
use crate::support::frames::Frame;
use crate::support::request::Response;
use crate::wire::Wire;
use crate::{connect_from, get, upgrade};

const POLLING: &str = "/engine.io/?EIO=4&transport=polling";
const SOCKET_IO: &str = "/socket.io/?EIO=4&transport=polling";
const WEB: &str = "/engine.io/?EIO=4&transport=websocket";

/// The proxy is 127.0.0.2.
const TRUSTING: [&str; 2] = ["--trusted-proxy", "127.0.0.2"];

/// Opens a session by a request with these header lines.
pub(crate) fn open(wire: &mut Wire, path: &str, lines: &str) -> Result<String, Response> {
    wire.send(get(path, lines).as_bytes());
    let answer = wire.read_answer("GET");
    if answer.status != 200 {
        return Err(answer);
    }
    let packet = answer.body().strip_prefix('0').expect("an open packet");
    let packet: Value = serde_json::from_str(packet).expect("JSON");
    Ok(packet["sid"].as_str().expect("an identifier").to_owned())
}

/// It is told as Engine.IO tells that somebody is not let in, and so that a page can read it.
fn is_too_many(answer: &Response) {
    assert_eq!(answer.status, 429, "{answer:?}");
    assert_eq!(answer.header("retry-after"), Some("1"));
    assert_eq!(answer.header("access-control-allow-origin"), Some("*"));
    let told: Value = serde_json::from_str(answer.body()).expect("JSON");
    assert_eq!(told["code"], 4);
    assert!(answer.body().contains("from your address"), "{answer:?}");
}

/// Sends packets to a session.
pub(crate) fn post(wire: &mut Wire, path: &str, sid: &str, packets: &str) -> Response {
    let length = packets.len();
    let request = format!(
        "POST {path}&sid={sid} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\n\r\n{packets}"
    );
    wire.send(request.as_bytes());
    wire.read_answer("POST")
}

pub(crate) fn sessions_take_places(engine: &'static str) {
    let server = Server::start(engine, &["--max-connections-per-source", "4"]);
    let mut wire = connect_from(&server, 2);
    let open_one = |wire: &mut Wire| open(wire, POLLING, "");
    let sids: [String; 3] = [(); 3].map(|()| open_one(&mut wire).expect("a place"));
    is_too_many(&open_one(&mut wire).expect_err("one connection and three sessions"));
    is_too_many(&open(&mut wire, SOCKET_IO, "").expect_err("nor one of Socket.IO"));
    let mut newcomer = connect_from(&server, 2);
    newcomer.send(get("/", "").as_bytes());
    newcomer.read_answer("GET").assert_refused(429);
    open_one(&mut connect_from(&server, 3)).expect("places of its own");
    // It ends, whoever says so.
    let [first, second, _] = sids;
    assert_eq!(
        post(&mut connect_from(&server, 3), POLLING, &first, "1").status,
        200
    );
    let _again = until("its place is free", || open_one(&mut wire).ok());
    is_too_many(&open_one(&mut wire).expect_err("all are taken again"));
    assert_eq!(post(&mut wire, POLLING, &second, "1").status, 200);
    // One that begins as a WebSocket is its connection, and counts once.
    let mut web = until("its place is free", || {
        let mut web = connect_from(&server, 2);
        web.send(upgrade(WEB, "").as_bytes());
        (web.read_response().status == 101).then_some(web)
    });
    is_too_many(&open_one(&mut wire).expect_err("all are taken again"));
    web.read_until(|replies| replies.outcome.messages().count() >= 1);
    drop(web);
    until("its place is free", || open_one(&mut wire).ok());
}

pub(crate) fn a_session_that_goes_on_as_a_websocket_counts_once(engine: &'static str) {
    let server = Server::start(engine, &["--max-connections-per-source", "3"]);
    let mut wire = connect_from(&server, 2);
    let sid = open(&mut wire, POLLING, "").expect("a place");
    // The first ping comes at once.
    assert_eq!(wire.ask("GET", &format!("{POLLING}&sid={sid}")).body(), "2");
    assert_eq!(post(&mut wire, POLLING, &sid, "3").status, 200);
    let mut web = connect_from(&server, 2);
    web.send(upgrade(&format!("{WEB}&sid={sid}"), "").as_bytes());
    web.read_response().assert_switched();
    web.send(&Frame::text("2probe").encode());
    assert_eq!(web.read_exact(8), b"\x81\x063probe");
    web.send(&Frame::text("5").encode());
    web.assert_echoes("4ring");
    let _other = open(&mut wire, POLLING, "").expect("a place");
    is_too_many(&open(&mut wire, POLLING, "").expect_err("two connections and a session"));
    drop(web);
    until("its place is free", || open(&mut wire, POLLING, "").ok());
    is_too_many(&open(&mut wire, POLLING, "").expect_err("one place was free"));
}

pub(crate) fn sessions_have_the_rate_of_newcomers(engine: &'static str) {
    let options = [&TRUSTING[..], &["--handshakes-per-source", "3/h"]].concat();
    let server = Server::start(engine, &options);
    let mut wire = connect_from(&server, 3);
    for _ in 0..2 {
        open(&mut wire, SOCKET_IO, "").expect("the connection was the first of three");
    }
    is_too_many(&open(&mut wire, SOCKET_IO, "").expect_err("a fourth"));
    assert_eq!(wire.ask("GET", "/").status, 200, "it is kept");
    let client = "X-Forwarded-For: 192.0.2.1\r\n";
    let mut proxy = connect_from(&server, 2);
    for _ in 0..3 {
        for _ in 0..3 {
            proxy.send(get("/", client).as_bytes());
            assert_eq!(proxy.read_answer("GET").status, 200, "no newcomer");
        }
        open(&mut proxy, SOCKET_IO, client).expect("one of three");
    }
    is_too_many(&open(&mut proxy, SOCKET_IO, client).expect_err("a fourth"));
}

pub(crate) fn requests_by_way_of_a_proxy_take_places_while_they_last(engine: &'static str) {
    let options = [&TRUSTING[..], &["--max-connections-per-source", "2"]].concat();
    let server = Server::start(engine, &options);
    let client = "X-Forwarded-For: 192.0.2.1\r\n";
    let status = |target: &str, lines: &str| {
        let mut wire = connect_from(&server, 2);
        wire.send(get(target, lines).as_bytes());
        let answer = wire.read_answer("GET");
        assert!(matches!(answer.status, 200 | 429), "{answer:?}");
        if answer.status == 429 {
            answer.assert_refused(429);
            assert_eq!(answer.header("retry-after"), Some("1"));
        }
        answer.status
    };
    let hoarding = |target: &str, lines: &str, status: u16| {
        let mut wire = connect_from(&server, 2);
        wire.send(get(target, &format!("{client}{lines}")).as_bytes());
        (wire.read_response().status == status).then_some(wire)
    };
    let stream = || hoarding("/sse?every=50ms&n=1000", "", 200);
    // It is told that its body is waited for.
    let slow = || {
        hoarding(
            "/http",
            "Content-Length: 9\r\nExpect: 100-continue\r\n",
            100,
        )
    };
    for hoard in [&stream as &dyn Fn() -> Option<Wire>, &slow] {
        let both: [Wire; 2] = [(); 2].map(|()| until("a place is free", hoard));
        assert_eq!(status("/", client), 429);
        assert_eq!(status("/http", client), 429);
        assert_eq!(
            status("/healthz", client),
            200,
            "whoever looks after it is no client"
        );
        assert_eq!(status("/", "X-Forwarded-For: 192.0.2.2\r\n"), 200);
        let mut web = connect_from(&server, 2);
        web.send(upgrade("/", client).as_bytes());
        assert_eq!(web.read_response().status, 429);
        drop(both);
    }
    // Sessions stay behind, and what opened them does not count beside them.
    let mut proxy = connect_from(&server, 2);
    for _ in 0..2 {
        until("a place is free", || {
            proxy = connect_from(&server, 2);
            open(&mut proxy, SOCKET_IO, client).ok()
        });
    }
    is_too_many(&open(&mut proxy, SOCKET_IO, client).expect_err("two sessions"));
    let log = until("the log names it", || {
        let log = server.log().join("\n");
        log.contains("192.0.2.1 by 127.0.0.2:").then_some(log)
    });
    assert!(
        log.contains("refused with 429: too many from one address"),
        "{log}"
    );
    // A client that is not by way of the proxy has its connection's place for all of its requests.
    let mut direct = connect_from(&server, 3);
    for _ in 0..3 {
        assert_eq!(direct.ask("GET", "/http").status, 200);
    }
}
