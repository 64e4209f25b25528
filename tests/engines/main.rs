//! The server as a whole, over loopback, once for each engine the machine has: the same cases for all.

mod kernel;
#[path = "../support/mod.rs"]
mod support;
mod wire;

mod behind;
mod besiegers;
mod check;
mod crowd;
mod deflate;
mod drain;
mod echo;
mod ending;
mod fairness;
mod fastwebsockets_client;
mod flood;
mod handshake;
mod http;
mod libraries;
mod limits;
mod memory;
mod modes;
mod pace;
mod pauses;
mod pressure;
mod quiet;
mod sequential;
mod siege;
mod slow_readers;
mod storm;
mod turmoil;

use support::server;

/// Each case as a test of `$engine`.
macro_rules! cases {
    ($engine:literal: $($area:ident: $($case:ident),+;)+) => {
        $($( #[test] fn $case() { crate::server::on($engine, crate::$area::$case); } )+)+
    };
}

/// Each case as a test of each engine. Those that are `slow` are in a module of their own, which
/// `scripts/test` leaves to `--full` on all engines but `uring`.
macro_rules! on_every_engine {
    ({ $($quick:tt)+ } slow { $($slow:tt)+ }) => {
        mod epoll {
            cases! { "epoll": $($quick)+ }
            mod slow { cases! { "epoll": $($slow)+ } }
        }
        mod uring {
            cases! { "uring": $($quick)+ }
            mod slow { cases! { "uring": $($slow)+ } }
        }
        mod tokio_uring {
            cases! { "tokio-uring": $($quick)+ }
            mod slow { cases! { "tokio-uring": $($slow)+ } }
        }
    };
}

on_every_engine! { {
    echo: fragments_and_pings_keep_their_places, every_cut_is_echoed, many_small_frames_in_one_write,
        violations_are_answered_and_the_connection_ends_cleanly, every_close_is_answered,
        a_half_closed_peer_gets_its_echo, resets_leave_others_alone;
    deflate: compressed_messages_come_back_as_they_came, what_is_no_deflate_data_is_told,
        a_bomb_silences_no_one, a_connection_may_end_amid_a_bomb, deflate_can_be_off;
    check: every_case_passes;
    libraries: every_size_comes_back, sixteen_mebibytes_come_back, pings_are_answered,
        fragments_are_joined, the_first_subprotocol_is_taken, a_close_is_completed,
        a_close_with_a_reason_is_completed, many_clients_at_once;
    fastwebsockets_client: everything_comes_back, closes_are_completed;
    handshake: refusals_are_whole_responses, a_trickle_does_not_hold_a_connection,
        frames_behind_the_request_are_served, a_subprotocol_is_chosen,
        what_is_no_http_is_answered;
    http: each_request_gets_its_answer, every_cut_of_a_head_is_answered,
        http_1_0_is_answered_in_its_terms, no_http_refuses_what_is_no_upgrade,
        an_upgrade_may_follow_ordinary_requests,
        a_full_server_answers_a_health_check, a_drain_is_told_to_who_asks,
        kept_connections_do_not_prolong_a_drain, a_drain_is_told_to_upgrades_that_follow,
        an_upgrade_that_follows_in_a_drain_is_refused;
    siege: a_thousand_of_every_kind_take_nothing_from_others, slow_heads_take_nothing_from_others, hoards_take_nothing_from_others,
        bodies_take_nothing_from_others, what_is_pipelined_takes_nothing_from_others;
    modes: the_tutorial_is_served, a_greeting_comes_when_asked, tcp_comes_back_as_it_went,
        large_messages_are_prefixed;
    pressure: a_peer_that_never_reads_is_ended;
    fairness: eight_peers_that_flood_silence_no_one, peers_that_never_read_silence_no_one,
        quiet_peers_are_not_taken_for_silent, a_drain_beside_a_flood_loses_nothing;
    slow_readers: a_close_waits_for_a_slow_reader, a_slow_reader_is_not_silent,
        a_drain_waits_for_a_slow_reader, a_peer_that_takes_nothing_is_given_up;
    sequential: one_message_may_be_written_first, the_tutorial_may_be_written_first,
        a_message_may_be_written_first_over_a_slow_line,
        peers_that_never_read_take_nothing_from_others;
    memory: slow_readers_of_large_messages_stay_within_the_budget,
        memory_of_slow_readers_of_small_messages_returns, half_a_head_takes_little_memory,
        unfinished_messages_do_not_end_a_prefixed_peer_that_pauses;
    pauses: a_head_that_came_during_a_pause_is_in_time;
    drain: reconnecting_clients_do_not_prolong_it, workers_without_connections_refuse_too,
        what_waits_at_the_door_is_refused, an_open_frame_does_not_prolong_it,
        it_takes_in_all_that_has_arrived;
    behind: unfinished_requests_do_not_end_a_peer_that_pauses;
    crowd: connections_have_a_maximum, a_silent_surplus_does_not_bar_the_door,
        a_burst_over_the_maximum_is_refused_in_words, descriptors_run_out_and_return;
    storm: a_storm_leaves_nothing_behind;
    turmoil: visitors_come_and_go, visitors_come_and_go_with_few_buffers, everyone_sends_at_once;
    limits: socket_buffers_have_a_maximum, messages_have_a_maximum, silence_is_ended, an_urgent_byte_puts_nothing_off, silent_peers_that_answer_pings_stay;
    ending: a_drain_finishes_what_was_received, upgrades_during_a_drain_are_refused,
        a_second_signal_ends_at_once, an_interrupt_drains_too, a_drain_is_bounded,
        a_drain_does_not_wait_for_the_rest_of_a_frame, a_peer_that_stays_is_let_go,
        a_drain_answers_what_waits_in_every_socket, a_request_just_after_the_signal_is_refused,
        a_drain_does_not_need_the_log, a_taken_address_is_an_error,
        what_was_refused_or_broken_is_logged;
} slow {
    libraries: a_hundred_mebibytes_come_back;
    modes: invalid_bytes_around_the_limit_are_prefixed;
    pressure: a_peer_that_does_not_read_is_nobody_elses_problem,
        a_tcp_peer_that_does_not_read_gets_everything_later,
        a_prefixed_peer_that_does_not_read_gets_everything_later;
    fairness: floods_of_small_messages_silence_no_one, many_peers_that_flood_silence_no_one;
    slow_readers: a_close_waits_for_a_slow_reader_with_a_small_buffer,
        a_close_waits_for_a_faster_reader_of_more, a_slow_reader_with_a_small_buffer_is_not_silent,
        a_slow_reader_does_not_stall;
    sequential: small_messages_may_be_written_first, large_messages_may_be_written_first,
        prefixed_messages_may_be_written_first;
    memory: slow_readers_of_small_messages_stay_within_the_budget,
        memory_of_slow_readers_of_large_messages_returns, a_few_bytes_take_little_memory;
    pauses: a_message_that_came_during_a_pause_is_no_silence;
    drain: a_storm_of_newcomers_does_not_prolong_it;
    behind: a_peer_that_is_behind_and_sends_a_little_stops_no_one,
        pings_cut_in_two_take_little_memory;
    crowd: ten_thousand_connections, surplus_connections_have_a_maximum;
} }
