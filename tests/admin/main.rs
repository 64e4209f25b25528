//! The admin listener, asked of the real binary.

mod access;
#[allow(dead_code, reason = "these tests use a part of it")]
#[path = "../tls/authority.rs"]
mod authority;
mod connections;
mod counted;
mod log;
mod page;
mod prometheus;
mod rig;
mod status;
#[path = "../support/mod.rs"]
mod support;

use support::server;

/// Each case as a test of each engine.
macro_rules! on_every_engine {
    ($($area:ident: $($case:ident),+;)+) => {
        mod epoll { on_every_engine!(@ "epoll": $($area: $($case),+;)+); }
        mod uring { on_every_engine!(@ "uring": $($area: $($case),+;)+); }
        mod tokio_uring { on_every_engine!(@ "tokio-uring": $($area: $($case),+;)+); }
    };
    (@ $engine:literal: $($area:ident: $($case:ident),+;)+) => {
        $($( #[test] fn $case() { crate::server::on($engine, crate::$area::$case); } )+)+
    };
}

on_every_engine! {
    page: a_drain_is_told_and_seen_to_its_end, nothing_else_need_be_served;
    connections: who_keeps_most_and_who_is_slowest_is_told;
    access: everyone_is_told_of_where_that_is_wanted;
    log: whoever_is_refused_or_ended_is_named_once, what_is_said_too_often_is_counted;
    counted: what_peers_do_is_counted, what_a_prefix_makes_is_counted, who_does_not_keep_up_is_counted,
        each_entrance_is_counted_apart, turns_are_timed;
}
