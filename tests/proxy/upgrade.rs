//! WebSockets through nginx.

use crate::kernel;
use crate::nginx::{self, Nginx};
use crate::server::{Server, until};
use crate::support::event::CloseSeen;
use crate::support::frames::{self, Frame};
use crate::support::request;
use crate::wire::{Wire, echo_of};

/// Waits until the server has no connection left.
fn wait_until_gone(server: &Server) {
    until("the server sees the client go", || {
        (kernel::accepted_count(server) == 0).then_some(())
    });
}

#[test]
fn messages_come_back_and_a_close_is_completed() {
    for engine in nginx::engines() {
        let server = Server::start(engine, &[]);
        let nginx = Nginx::start(&[&server]);
        let mut wire = Wire::to(nginx.address);
        wire.handshake();
        for text in ["", "short", &"not as short".repeat(100)] {
            wire.assert_echoes(text);
        }
        let large = Frame::binary(&frames::noise(8 << 20, 71));
        let sending = wire.send_aside(large.encode());
        let echo = echo_of(&large);
        assert!(wire.read_exact(echo.len()) == echo, "another echo");
        sending.join().expect("all is sent");
        wire.send(&Frame::close(4000, "enough").encode());
        let seen = wire.replies_to_end().outcome;
        assert_eq!(seen.close, Some(CloseSeen::Code(4000)));
        wait_until_gone(&server);
    }
}

#[test]
fn who_leaves_leaves_the_server_too() {
    for engine in nginx::engines() {
        let server = Server::start(engine, &[]);
        let nginx = Nginx::start(&[&server]);
        for leave in [Wire::reset, drop] {
            let mut wire = Wire::to(nginx.address);
            wire.handshake();
            wire.assert_echoes("here");
            leave(wire);
            wait_until_gone(&server);
        }
    }
}

/// nginx has one connection to the server, which has served ordinary requests.
#[test]
fn an_upgrade_may_come_over_a_connection_that_was_kept() {
    for engine in nginx::engines() {
        let server = Server::start(engine, &[]);
        let nginx = Nginx::start(&[&server]);
        let ports = || -> Vec<_> {
            let sockets = kernel::sockets(&server);
            sockets.iter().map(|socket| socket.peer_port).collect()
        };
        let mut browser = Wire::to(nginx.address);
        for path in ["/", "/healthz", "/nothing"] {
            browser.ask("GET", path);
        }
        let kept = ports();
        assert_eq!(kept.len(), 1, "{engine}: connections to the server");
        let mut wire = Wire::to(nginx.address);
        wire.handshake();
        assert_eq!(ports(), kept, "{engine}: it is another connection");
        wire.assert_echoes("over the same connection");
        wire.assert_echoes_binary(&frames::noise(100_000, 72));
        assert_eq!(browser.ask("GET", "/healthz").status, 200);
        wire.send(&Frame::close(1000, "").encode());
        let seen = wire.replies_to_end().outcome;
        assert_eq!(seen.close, Some(CloseSeen::Code(1000)));
    }
}

/// What the documentation says of each.
#[test]
fn each_line_of_the_configuration_is_needed() {
    for engine in nginx::engines() {
        let server = Server::start(engine, &[]);
        for (left_out, status) in [
            ("proxy_http_version", 505),
            ("Upgrade $", 426),
            ("Connection $", 400),
        ] {
            let nginx = Nginx::start_without(&[&server], &[left_out]);
            let mut wire = Wire::to(nginx.address);
            wire.send(&request::upgrade());
            assert_eq!(wire.read_answer("GET").status, status, "{left_out}");
        }
    }
}
