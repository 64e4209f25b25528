//! TLS: what is said over it comes back as over a plain connection, whatever the engine; who may speak it, with which
//! certificates, and what is told to those who do not.

#[path = "../support/mod.rs"]
mod support;

mod authority;
mod client;
mod ending;
mod handshakes;
mod http;
mod messages;
mod mixed_up;
mod others;
#[path = "../python/venv.rs"]
mod python;
mod reload;
mod start;

use support::server;

/// Each case as a test of each engine.
macro_rules! on_every_engine {
    ($($area:ident: $($case:ident),+;)+) => {
        mod epoll {
            $($( #[test] fn $case() { crate::server::on("epoll", crate::$area::$case); } )+)+
        }
        mod uring {
            $($( #[test] fn $case() { crate::server::on("uring", crate::$area::$case); } )+)+
        }
        mod tokio_uring {
            $($( #[test] fn $case() { crate::server::on("tokio-uring", crate::$area::$case); } )+)+
        }
    };
}

on_every_engine! {
    messages: both_versions_echo_every_size, every_cut_of_the_wire_is_echoed, many_small_ones_are_answered,
        sixteen_mebibytes_come_back, a_slow_reader_gets_all_and_leaves_nothing, bytes_come_back_without_websocket,
        keys_may_be_updated, an_idle_connection_takes_little_memory;
    handshakes: a_name_gets_its_certificate, what_is_not_spoken_is_refused, clients_show_certificates_where_they_must,
        who_comes_again_resumes, half_a_handshake_ends_with_an_alert_and_costs_little, noise_ends_with_an_alert;
    ending: each_side_says_that_nothing_follows, a_drain_says_goodbye_over_tls, who_goes_without_a_word_is_let_go;
    mixed_up: plain_http_is_told_in_words, tls_is_told_where_it_is_not_spoken;
    http: ordinary_requests_are_answered, a_kept_connection_becomes_a_websocket, behaviours_are_spoken,
        what_breaks_amid_requests_is_counted_and_told;
    others: node_is_served, python_is_served, curl_is_served, openssl_is_served;
}
