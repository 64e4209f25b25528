//! By which way connections come to a server: other places, other sources, proxies.

mod relay;
mod support;

use std::net::IpAddr;

use relay::Relay;
use support::client::{engines, ringload, run, stderr};
use support::{Habit, Server};

const BRIEFLY: &str = "--connections 3 --warmup 50ms --duration 200ms";

/// A URL that leads nowhere by itself.
const NOWHERE: &str = "ws://nowhere.invalid:9/";

#[test]
fn a_connection_goes_where_it_is_sent_and_asks_for_what_the_url_says() {
    let server = Server::websocket(Habit::Right);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("socket");
    relay::listen_at(&path, server.address);
    for engine in engines() {
        for place in [
            server.address.to_string(),
            format!("unix:{}", path.display()),
        ] {
            let outcome = run(NOWHERE, engine, &format!("{BRIEFLY} --connect-to {place}"));
            outcome.expect_ok();
            assert_eq!(outcome.document["load"]["addresses"][0], place.as_str());
        }
    }
    let log = server.log_without_complaints();
    assert!(
        log.requests
            .iter()
            .all(|it| it.contains("Host: nowhere.invalid:9\r\n"))
    );
}

#[test]
fn sources_are_used_in_turn() {
    let server = Server::websocket(Habit::Right);
    let relay = Relay::start(server.address, None);
    let url = format!("ws://{}", relay.address);
    let sources = "--source 127.0.0.5,::1,127.0.0.6";
    run(&url, "epoll", &format!("{BRIEFLY} --threads 1 {sources}")).expect_ok();
    let mut seen = relay.sources.lock().unwrap().clone();
    seen.sort_unstable();
    assert_eq!(
        seen,
        ["127.0.0.5", "127.0.0.5", "127.0.0.6"].map(|it| it.parse::<IpAddr>().unwrap())
    );

    let output = ringload(&format!("run {url} --source 192.0.2.1"));
    assert_eq!(output.status.code(), Some(1));
    assert!(
        stderr(&output).contains("no address of this machine"),
        "{}",
        stderr(&output)
    );
}

#[test]
fn a_proxy_is_asked_first_and_its_refusal_is_told() {
    let server = Server::websocket(Habit::Right);
    let relay = Relay::start(server.address, Some("HTTP/1.1 200 Connected\r\n\r\n"));
    for engine in engines() {
        let way = format!("--proxy http://me:se%63ret@{}", relay.address);
        run(NOWHERE, engine, &format!("{BRIEFLY} {way}")).expect_ok();
    }
    let request = relay.requests.lock().unwrap()[0].clone();
    assert!(
        request.starts_with("CONNECT nowhere.invalid:9 HTTP/1.1\r\n"),
        "{request}"
    );
    // me:secret
    assert!(
        request.contains("\r\nProxy-Authorization: Basic bWU6c2VjcmV0\r\n"),
        "{request}"
    );
    server.log_without_complaints();

    let answer = "HTTP/1.1 407 Who are you?\r\nProxy-Authenticate: Basic realm=\"x\"\r\n\r\n";
    let relay = Relay::start(server.address, Some(answer));
    let way = format!("--proxy http://{}", relay.address);
    for command in ["run", "storm"] {
        let output = ringload(&format!("{command} {NOWHERE} {way}"));
        let told = stderr(&output);
        assert_eq!(output.status.code(), Some(1), "{told}");
        assert!(
            told.contains("the proxy answered \"407 Who are you?\" instead of 200"),
            "{told}"
        );
        assert!(told.contains("Proxy-Authenticate: \"Basic realm"), "{told}");
    }
}

#[test]
fn ways_that_cannot_be_are_refused() {
    for (words, phrase) in [
        ("run ws://h --connect-to h", "has no port"),
        (
            "run ws://h --connect-to unix:/a --source 127.0.0.1",
            "a unix socket",
        ),
        (
            "run ws://h --proxy https://h:1",
            "expected http://HOST:PORT",
        ),
        ("run ws://127.0.0.1 --source ::1", "no address of that kind"),
        ("run ws://h --connecting 0", "--connecting"),
        ("storm ws://h --connecting 3", "have no effect here"),
        ("run wss://h --tls-cert /a", "--tls-key"),
    ] {
        let output = ringload(words);
        let told = stderr(&output);
        assert_eq!(output.status.code(), Some(2), "{words}: {told}");
        assert!(told.contains(phrase), "{words}: {told}");
    }
}
