//! Ordinary HTTP through nginx.

use std::collections::BTreeSet;

use crate::kernel;
use crate::nginx::{self, Nginx};
use crate::server::Server;
use crate::support::request;
use crate::wire::Wire;

#[test]
fn many_requests_share_a_connection() {
    const ROUNDS: usize = 100;
    for engine in nginx::engines() {
        let server = Server::start(engine, &[]);
        let nginx = Nginx::start(&[&server]);
        let mut ports = BTreeSet::new();
        for _ in 0..ROUNDS {
            let mut wire = Wire::to(nginx.address);
            for (method, path, status) in [
                ("GET", "/", 200),
                ("HEAD", "/", 200),
                ("GET", "/healthz", 200),
                ("GET", "/readyz", 200),
                ("GET", "/nothing", 404),
                ("DELETE", "/", 405),
            ] {
                let answer = wire.ask(method, path);
                assert_eq!(answer.status, status, "{engine}: {method} {path}");
            }
            let sockets = kernel::sockets(&server);
            assert_eq!(sockets.len(), 1, "{engine}: connections to the server");
            ports.insert(sockets[0].peer_port);
        }
        assert_eq!(ports.len(), 1, "{engine}: connections, one after another");
    }
}

#[test]
fn a_body_does_not_cost_the_connection() {
    for engine in nginx::engines() {
        let server = Server::start(engine, &[]);
        let nginx = Nginx::start(&[&server]);
        let mut wire = Wire::to(nginx.address);
        for bytes in [1, 5_000, 60_000] {
            let head = format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {bytes}\r\n\r\n");
            wire.send(&[head.as_bytes(), &vec![b'x'; bytes]].concat());
            assert_eq!(wire.read_answer("POST").status, 405);
            assert_eq!(kernel::sockets(&server).len(), 1, "{engine}: {bytes}");
        }
        let large = 1 << 20;
        let head = format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {large}\r\n\r\n");
        let _sending = wire.send_aside([head.as_bytes(), &vec![b'x'; large]].concat());
        assert_eq!(wire.read_answer("POST").status, 413);
    }
}

/// nginx by itself speaks HTTP/1.0 towards the server, and passes on no Upgrade.
#[test]
fn without_http_1_1_it_says_what_is_missing() {
    const BY_DEFAULT: [&str; 3] = ["proxy_http_version", "Upgrade $", "Connection $"];
    const WHAT: &str = "proxy_http_version 1.1";
    for engine in nginx::engines() {
        let server = Server::start(engine, &[]);
        let nginx = Nginx::start_without(&[&server], &BY_DEFAULT);
        let mut wire = Wire::to(nginx.address);
        for (path, status) in [("/healthz", 200), ("/readyz", 200), ("/nothing", 404)] {
            assert_eq!(wire.ask("GET", path).status, status, "{engine}: {path}");
        }
        let front = wire.ask("GET", "/");
        assert_eq!(front.status, 200);
        assert!(front.body().contains(WHAT), "{engine}: {front:?}");
        wire.send(&request::upgrade());
        let refused = wire.read_answer("GET");
        assert_ne!(refused.status, 101);
        assert!(refused.body().contains(WHAT), "{engine}: {refused:?}");
    }
}
