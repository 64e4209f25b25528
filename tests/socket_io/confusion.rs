//! Who takes one protocol for the other is told.

use crate::client::{ENGINE_IO, SOCKET_IO, Web, ask, server};
use crate::support::server::Server;

#[test]
fn a_plain_websocket_is_told_that_this_is_socket_io() {
    let server = server();
    for target in [
        "/socket.io/",
        "/socket.io",
        "/socket.io/?transport=websocket",
    ] {
        let (_, response) = Web::ask(&server, target);
        assert_eq!(response.status, 400, "{target}");
        for words in [
            "Socket.IO",
            "io(\"http://localhost:3000\")",
            "new WebSocket(\"ws://localhost:3000/\")",
            "plain WebSocket",
        ] {
            assert!(response.body().contains(words), "{response:?}");
        }
        let answer = ask(&server, "GET", target, "", b"");
        assert_eq!(answer.status, 400);
        assert!(answer.body().contains("io(\"http://localhost:3000\")"));
    }
    let (_, response) = Web::ask(&server, ENGINE_IO);
    assert_eq!(response.status, 400);
    assert!(response.body().contains("Engine.IO"), "{response:?}");
}

#[test]
fn an_old_client_is_told_which_version_this_is() {
    let server = server();
    let answer = ask(
        &server,
        "GET",
        "/socket.io/?EIO=3&transport=polling",
        "",
        b"",
    );
    assert_eq!(answer.status, 400);
    assert!(answer.body().contains("EIO=4"), "{answer:?}");
}

#[test]
fn who_wants_the_script_is_told_where_it_is() {
    let server = server();
    let answer = ask(&server, "GET", "/socket.io/socket.io.js", "", b"");
    assert_eq!(answer.status, 404);
    assert!(answer.body().contains("socket.io-client"), "{answer:?}");
}

#[test]
fn a_path_of_the_operators_is_named_with_its_option() {
    let server = Server::start("epoll", &["--socket-io-path", "/live/"]);
    let (_, response) = Web::ask(&server, "/live/");
    let words = "io(\"http://localhost:3000\", { path: \"/live/\" })";
    assert!(response.body().contains(words), "{response:?}");
    let front = ask(&server, "GET", "/", "", b"");
    assert!(front.body().contains("/live/ "), "{front:?}");
}

/// Nothing of this is about a path that only begins alike.
#[test]
fn other_paths_are_the_plain_echos() {
    let server = server();
    let mut web = Web::open(&server, "/socket.iox/");
    web.say("hello");
    assert_eq!(web.next(), crate::client::text("hello"));
    let (_, response) = Web::ask(&server, "/chat?EIO=4&transport=websocket");
    assert_ne!(response.status, 101);
    assert!(response.body().contains(SOCKET_IO), "{response:?}");
}
