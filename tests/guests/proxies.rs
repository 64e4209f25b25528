//! Who is behind a proxy.

use serde_json::Value;

use crate::server::{Server, until};
use crate::support::request::Response;
use crate::wire::Wire;
use crate::{ask_from, connect_from, get, upgrade};

const TRUSTING: [&str; 2] = ["--trusted-proxy", "127.0.0.2,127.0.1.0/24"];

fn address(answer: &Response) -> String {
    let told: Value = serde_json::from_str(answer.body()).expect("JSON");
    told["address"].as_str().expect("an address").to_owned()
}

pub(crate) fn a_trusted_proxy_says_who_is_behind_it(engine: &'static str) {
    let server = Server::start(engine, &TRUSTING);
    let lines = "X-Forwarded-For: 6.6.6.6, 192.0.2.7, 127.0.1.9\r\nX-Forwarded-Proto: https\r\n";
    for target in ["/x/whoami", "/http"] {
        let told = ask_from(&server, 2, get(target, lines));
        assert_eq!(address(&told), "192.0.2.7");
        let told = ask_from(&server, 3, get(target, lines));
        assert!(address(&told).starts_with("127.0.0.3:"), "{told:?}");
    }
    let forwarded = "Forwarded: for=\"[2001:db8::7]:4711\";proto=https\r\n";
    assert_eq!(
        address(&ask_from(&server, 2, get("/http", forwarded))),
        "2001:db8::7"
    );
    // Each request of a kept connection has its own.
    let mut kept = connect_from(&server, 2);
    for (line, expected) in [
        ("X-Forwarded-For: 192.0.2.1\r\n", "192.0.2.1"),
        ("X-Forwarded-For: 192.0.2.2\r\n", "192.0.2.2"),
        ("", "127.0.0.2:"),
    ] {
        kept.send(get("/http", line).as_bytes());
        let told = kept.read_answer("GET");
        assert!(address(&told).starts_with(expected), "{told:?}");
    }
    for lines in [lines, forwarded] {
        let page = |source| ask_from(&server, source, get("/", lines));
        assert!(page(2).body().contains("wss://localhost"));
        assert!(page(3).body().contains("ws://localhost"));
    }
    let bad = upgrade("/", "X-Forwarded-For: 192.0.2.77\r\n").replace("Version: 13", "Version: 8");
    ask_from(&server, 2, bad).assert_refused(426);
    until("the log tells it", || {
        let log = server.log().join("\n");
        log.contains("192.0.2.77 by 127.0.0.2:").then_some(())
    });
}

pub(crate) fn who_is_behind_a_proxy_has_places_of_its_own(engine: &'static str) {
    let options = [&TRUSTING[..], &["--max-connections-per-source", "2"]].concat();
    let server = Server::start(engine, &options);
    let open = |source, client: &str, target: &str| {
        let mut wire = connect_from(&server, source);
        let line = match client {
            "" => String::new(),
            client => format!("X-Forwarded-For: {client}\r\n"),
        };
        wire.send(upgrade(target, &line).as_bytes());
        let answer = wire.read_response();
        assert!(matches!(answer.status, 101 | 429), "{answer:?}");
        (answer.status == 101).then_some(wire)
    };
    let ours: Vec<_> = ["/", "/x/echo"]
        .iter()
        .map(|it| open(2, "192.0.2.1", it).expect("a place"))
        .collect();
    assert!(open(2, "192.0.2.1", "/").is_none());
    assert!(open(2, "192.0.2.1", "/x/echo").is_none());
    assert!(
        open(2, "6.6.6.6, 192.0.2.1", "/").is_none(),
        "it cannot say that it is another"
    );
    let _other = open(2, "192.0.2.2", "/").expect("places of its own");
    // A kept connection is the proxy's: it is counted once it is somebody's alone.
    let mut kept: Vec<_> = (0..4).map(|_| connect_from(&server, 2)).collect();
    for wire in &mut kept {
        assert_eq!(wire.ask("GET", "/").status, 200);
    }
    kept[0].send(upgrade("/", "X-Forwarded-For: 192.0.2.1\r\n").as_bytes());
    assert_eq!(kept[0].read_answer("GET").status, 429);
    drop(ours);
    until("places are free", || open(2, "192.0.2.1", "/"));
    // Of whom nothing is said, the proxy counts.
    let _nameless: [Wire; 2] = [(); 2].map(|()| open(2, "", "/").expect("a place"));
    assert!(open(2, "", "/").is_none());
    // One who asks for a WebSocket that is not to be had takes no place: the proxy keeps the connection.
    let line = "X-Forwarded-For: 192.0.2.4\r\n";
    for wire in &mut kept[1..] {
        wire.send(upgrade("/x/nothing", line).as_bytes());
        assert_eq!(wire.read_answer("GET").status, 404);
    }
    let _both = [(); 2].map(|()| open(2, "192.0.2.4", "/x/echo").expect("a place"));
    // Nobody else is believed.
    let _strangers: [Wire; 2] = [(); 2].map(|()| open(3, "192.0.2.9", "/").expect("a place"));
    assert!(open(3, "192.0.2.10", "/").is_none());
}
