//! By what name the server is called, from a page of which origin, and at which path.

use crate::server::{Server, until};
use crate::support::request::Response;
use crate::wire::Wire;
use crate::{ask, get, upgrade};

fn is_refused(answer: &Response, status: u16, word: &str) {
    answer.assert_refused(status);
    assert!(answer.body().contains(word), "{answer:?}");
}

pub(crate) fn pages_of_other_origins_are_refused(engine: &'static str) {
    let options = [
        "--allow-origin",
        "https://app.example",
        "--allow-origin",
        "http://*.example:8080,null",
    ];
    let server = Server::start(engine, &options);
    let polling = "/socket.io/?EIO=4&transport=polling";
    let socket = "/socket.io/?EIO=4&transport=websocket";
    for origin in ["https://app.example", "http://A.b.example:8080", "null", ""] {
        let line = match origin {
            "" => String::new(),
            origin => format!("Origin: {origin}\r\n"),
        };
        for target in ["/", "/x/close/1000", socket] {
            let answer = ask(&server, upgrade(target, &line));
            assert_eq!(answer.status, 101, "{origin} at {target}");
        }
        for target in ["/", "/http", polling] {
            assert_eq!(
                ask(&server, get(target, &line)).status,
                200,
                "{origin} at {target}"
            );
        }
    }
    for origin in [
        "https://evil.example",
        "http://app.example",
        "https://app.example.evil",
    ] {
        let line = format!("Origin: {origin}\r\n");
        for target in ["/", "/x/close/1000", socket] {
            is_refused(&ask(&server, upgrade(target, &line)), 403, "--allow-origin");
        }
        for target in ["/", "/http", polling] {
            is_refused(&ask(&server, get(target, &line)), 403, "--allow-origin");
        }
        assert_eq!(ask(&server, get("/healthz", &line)).status, 200);
        // And on a connection that is kept, whoever reads it.
        for request in [
            get("/http", &line),
            upgrade("/", &line),
            upgrade("/x/echo", &line),
            upgrade(socket, &line),
        ] {
            let mut wire = Wire::connect(&server);
            assert_eq!(wire.ask("GET", "/").status, 200);
            wire.send(request.as_bytes());
            is_refused(&wire.read_answer("GET"), 403, "--allow-origin");
        }
    }
    let twice = "Origin: https://app.example\r\nOrigin: https://app.example\r\n";
    is_refused(&ask(&server, upgrade("/", twice)), 403, "--allow-origin");
    until("the log names it", || {
        let log = server.log().join("\n");
        log.contains("refused with 403: origin not allowed")
            .then_some(())
    });
}

pub(crate) fn calls_for_other_hosts_are_refused(engine: &'static str) {
    let options = [
        "--allow-host",
        "localhost",
        "--allow-host",
        "*.echo.example:80,[::1]",
    ];
    let server = Server::start(engine, &options);
    let called =
        |request: &str, host: &str| request.replace("Host: localhost", &format!("Host: {host}"));
    let requests = [
        upgrade("/", ""),
        get("/", ""),
        get("/x", ""),
        upgrade("/x/echo", ""),
    ];
    for request in &requests {
        let request = request.replace("localhost:3000", "localhost");
        for host in ["localhost", "LOCALHOST.:3000", "a.echo.example", "[0::1]:1"] {
            let status = ask(&server, called(&request, host)).status;
            assert!(matches!(status, 101 | 200), "{host}: {status}");
        }
        for host in [
            "evil.example",
            "echo.example",
            "a.echo.example:3000",
            "127.0.0.1",
        ] {
            is_refused(&ask(&server, called(&request, host)), 421, "--allow-host");
            let mut wire = Wire::connect(&server);
            assert_eq!(wire.ask("GET", "/").status, 200);
            wire.send(called(&request, host).as_bytes());
            is_refused(&wire.read_answer("GET"), 421, "--allow-host");
        }
    }
    // Where the target is a whole URI, it is the name that counts.
    let whole = "GET http://evil.example/ HTTP/1.1\r\nHost: localhost\r\n\r\n";
    is_refused(&ask(&server, whole), 421, "--allow-host");
    let nameless = "GET / HTTP/1.0\r\n\r\n";
    is_refused(&ask(&server, nameless), 421, "--allow-host");
    is_refused(&ask(&server, "GET / HTTP/1.1\r\n\r\n"), 400, "Host");
    // Whoever looks after it comes by its address.
    for probe in ["/healthz", "/readyz"] {
        let answer = ask(&server, called(&get(probe, ""), "10.0.0.1:3000"));
        assert_eq!(answer.status, 200);
        is_refused(
            &ask(&server, called(&upgrade(probe, ""), "evil.example")),
            421,
            "--allow-host",
        );
    }
}

pub(crate) fn echoes_have_their_paths(engine: &'static str) {
    let server = Server::start(engine, &["--path", "/echo", "--path", "/,/a/b/"]);
    for target in ["/echo", "/echo/", "/echo?a=b", "/", "/a/b", "/a/b/"] {
        let mut wire = Wire::connect(&server);
        wire.send(upgrade(target, "").as_bytes());
        wire.read_response().assert_switched();
        wire.assert_echoes(target);
    }
    for target in ["/ech", "/echoes", "/echo/a", "//", "/a", "/%65cho", "/ECHO"] {
        is_refused(&ask(&server, upgrade(target, "")), 404, "--path");
    }
    for (request, status) in [
        (upgrade("/x/close/1000", ""), 101),
        (upgrade("/socket.io/?EIO=4&transport=websocket", ""), 101),
        (get("/", ""), 200),
        (get("/healthz", ""), 200),
    ] {
        assert_eq!(ask(&server, request).status, status);
    }
}
