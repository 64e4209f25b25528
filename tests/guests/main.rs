//! Who may come, over loopback, once for each engine the machine has. The network 127.0.0.0/8 has a source for each
//! client that needs one of its own.

#[path = "../support/mod.rs"]
mod support;
#[allow(dead_code, reason = "the engines' tests use the rest of it")]
#[path = "../engines/wire.rs"]
mod wire;

mod doors;
mod pace;
mod preface;
mod proxies;
mod secrets;
mod sessions;
mod sources;

use std::net::{Ipv4Addr, SocketAddr};

use socket2::{Domain, Socket, Type};

use support::request::{self, Response};
use support::server::{self, Server};
use wire::Wire;

macro_rules! cases {
    ($engine:literal: $($area:ident: $($case:ident),+;)+) => {
        $($( #[test] fn $case() { crate::server::on($engine, crate::$area::$case); } )+)+
    };
}

macro_rules! on_every_engine {
    ($($cases:tt)+) => {
        mod epoll { cases! { "epoll": $($cases)+ } }
        mod uring { cases! { "uring": $($cases)+ } }
        mod tokio_uring { cases! { "tokio-uring": $($cases)+ } }
    };
}

on_every_engine! {
    doors: pages_of_other_origins_are_refused, calls_for_other_hosts_are_refused, echoes_have_their_paths;
    secrets: who_shows_none_is_refused, a_secret_is_shown_in_three_ways, a_signal_reads_them_again;
    sources: each_source_has_its_places, places_move_with_their_connections, newcomers_have_a_rate,
        a_hoard_bars_the_door_for_nobody;
    proxies: a_trusted_proxy_says_who_is_behind_it, who_is_behind_a_proxy_has_places_of_its_own;
    sessions: sessions_take_places, a_session_that_goes_on_as_a_websocket_counts_once,
        sessions_have_the_rate_of_newcomers, requests_by_way_of_a_proxy_take_places_while_they_last;
    preface: a_balancer_says_who_is_behind_it, a_balancer_that_says_nothing_is_closed,
        who_is_behind_a_balancer_has_places_of_its_own;
    pace: messages_have_a_rate, bytes_have_a_rate, packets_of_polling_have_a_rate, a_drain_waits_for_no_rate,
        whoever_goes_while_it_rests_is_let_go;
}

/// Sends a request on a connection of its own, and reads the answer.
fn ask(server: &Server, request: impl AsRef<[u8]>) -> Response {
    ask_from(server, 1, request)
}

/// The same from the source of this number.
fn ask_from(server: &Server, source: u8, request: impl AsRef<[u8]>) -> Response {
    let mut wire = connect_from(server, source);
    wire.send(request.as_ref());
    let is_head = request.as_ref().starts_with(b"HEAD");
    wire.read_answer(if is_head { "HEAD" } else { "GET" })
}

/// A connection from the source of this number.
fn connect_from(server: &Server, source: u8) -> Wire {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
    let source = SocketAddr::from((Ipv4Addr::new(127, 0, 0, source), 0));
    socket
        .bind(&source.into())
        .expect("an address of the loopback");
    socket
        .connect(&server.address.into())
        .expect("a connection");
    Wire::over(socket.into())
}

/// A request for ordinary HTTP, with these header lines, each ending in CRLF.
fn get(target: &str, lines: &str) -> String {
    format!("GET {target} HTTP/1.1\r\nHost: localhost\r\n{lines}\r\n")
}

/// A request for a WebSocket.
fn upgrade(target: &str, lines: &str) -> String {
    let request = String::from_utf8(request::with_header(lines)).expect("ASCII");
    request.replace("/chat", target)
}
