//! Socket.IO: namespaces, events, acknowledgements.

use crate::client::{Polling, SOCKET_IO, Seen, Web, server, text};
use crate::server::Server;

const TWO: &str = "{\"_placeholder\":true,\"num\":0},{\"_placeholder\":true,\"num\":1}";

#[test]
fn namespaces_are_joined_with_and_without_auth() {
    let server = server();
    for (join, joined, auth) in [
        ("40", "40{\"sid\":\"", "42[\"auth\",{}]"),
        (
            "40{\"token\":\"123\"}",
            "40{\"sid\":\"",
            "42[\"auth\",{\"token\":\"123\"}]",
        ),
        (
            "40/custom",
            "40/custom,{\"sid\":\"",
            "42/custom,[\"auth\",{}]",
        ),
        (
            "40/custom,{\"a\":[1,{\"b\":null}]}",
            "40/custom,{\"sid\":\"",
            "42/custom,[\"auth\",{\"a\":[1,{\"b\":null}]}]",
        ),
    ] {
        let mut web = Web::session(&server, SOCKET_IO);
        web.say(join);
        let Seen::Text(answer) = web.next() else {
            panic!("no answer to {join}");
        };
        assert!(answer.starts_with(joined), "{answer}");
        assert_eq!(web.next(), text(auth));
    }
}

/// It is told what it may not, and may still do what it may.
#[test]
fn other_namespaces_are_refused() {
    let server = server();
    let mut web = Web::session(&server, SOCKET_IO);
    for (join, answer) in [
        ("40/random", "44/random,{\"message\":\"Invalid namespace\"}"),
        (
            "40/custom/x,",
            "44/custom/x,{\"message\":\"Invalid namespace\"}",
        ),
    ] {
        web.say(join);
        assert_eq!(web.next(), text(answer));
    }
    web.say("40[1]");
    assert!(
        matches!(web.next(), Seen::Text(answer) if answer.starts_with("44{\"message\":\"Invalid auth"))
    );
    web.say("40");
    assert!(matches!(web.next(), Seen::Text(joined) if joined.starts_with("40{")));
}

#[test]
fn a_second_join_changes_nothing() {
    let server = server();
    let mut web = Web::joined(&server);
    web.say("40");
    web.say("42[\"message\",1]");
    assert_eq!(web.next(), text("42[\"message\",1]"));
    assert_eq!(web.next(), text("42[\"message-back\",1]"));
}

#[test]
fn who_joins_nothing_is_ended() {
    let server = Server::start("epoll", &["--socket-io-connect-timeout", "200ms"]);
    Web::session(&server, SOCKET_IO).ends();
    let polling = Polling::open(&server, SOCKET_IO);
    crate::server::until("it ends", || {
        (polling.post("3").status == 400).then_some(())
    });
    // Who is refused has joined nothing either.
    let mut web = Web::session(&server, SOCKET_IO);
    web.say("40/random");
    assert!(matches!(web.next(), Seen::Text(answer) if answer.starts_with("44")));
    web.ends();
    // Who has joined stays.
    let mut web = Web::joined(&server);
    std::thread::sleep(std::time::Duration::from_millis(400));
    web.say("42[\"message-with-ack\"]");
    web.say("421[\"message-with-ack\"]");
    assert_eq!(web.next(), text("431[]"));
}

#[test]
fn a_namespace_is_left_and_the_others_are_not() {
    let server = server();
    let mut web = Web::joined(&server);
    web.say("40/custom");
    assert!(matches!(web.next(), Seen::Text(joined) if joined.starts_with("40/custom,")));
    assert_eq!(web.next(), text("42/custom,[\"auth\",{}]"));
    web.say("41/custom,");
    web.say("42[\"message\",1]");
    assert_eq!(web.next(), text("42[\"message\",1]"));
    assert_eq!(web.next(), text("42[\"message-back\",1]"));
    web.say("40/custom,{\"again\":true}");
    assert!(matches!(web.next(), Seen::Text(joined) if joined.starts_with("40/custom,")));
    assert_eq!(web.next(), text("42/custom,[\"auth\",{\"again\":true}]"));
    web.say("41");
    web.say("42/custom,[\"message\",2]");
    assert_eq!(web.next(), text("42/custom,[\"message\",2]"));
}

#[test]
fn an_event_comes_back_by_two_names() {
    let server = server();
    let mut web = Web::joined(&server);
    for arguments in [
        "",
        ",1",
        ",1,\"2\",{\"3\":[true,null,-4.5]}",
        ",\"€\u{1F600}\\n\\\"\"",
        ",{\"\\\"key\\\\\":{}}",
        ",[]",
        ",{\"_placeholder\":false}",
    ] {
        for namespace in ["", "/,"] {
            web.say(&format!("42{namespace}[\"message\"{arguments}]"));
            assert_eq!(web.next(), text(format!("42[\"message\"{arguments}]")));
            assert_eq!(web.next(), text(format!("42[\"message-back\"{arguments}]")));
        }
    }
    // What nobody listens to is not answered.
    web.say("42[\"other\",1]");
    web.say("427[\"message-with-ack\",1,\"2\",{\"3\":[false]}]");
    assert_eq!(web.next(), text("437[1,\"2\",{\"3\":[false]}]"));
}

#[test]
fn an_event_is_acknowledged_where_that_is_asked_for() {
    let server = server();
    let mut web = Web::joined(&server);
    web.say("42456[\"message\",1,\"2\"]");
    assert_eq!(web.next(), text("42[\"message\",1,\"2\"]"));
    assert_eq!(web.next(), text("42[\"message-back\",1,\"2\"]"));
    assert_eq!(web.next(), text("43456[1,\"2\"]"));
    let mut polling = Polling::open(&server, SOCKET_IO);
    polling.join();
    polling.say("420[\"message-with-ack\",[]]");
    assert_eq!(polling.next(), "430[[]]");
}

#[test]
fn attachments_come_back() {
    let server = server();
    let mut web = Web::joined(&server);
    let attach = |web: &mut Web| {
        web.say_binary(&[1, 2, 3]);
        web.say_binary(&[4, 5, 6]);
    };
    let attached = |web: &mut Web| {
        assert_eq!(web.next(), Seen::Binary(vec![1, 2, 3]));
        assert_eq!(web.next(), Seen::Binary(vec![4, 5, 6]));
    };
    web.say(&format!("452-[\"message\",{TWO}]"));
    attach(&mut web);
    assert_eq!(web.next(), text(format!("452-[\"message\",{TWO}]")));
    attached(&mut web);
    assert_eq!(web.next(), text(format!("452-[\"message-back\",{TWO}]")));
    attached(&mut web);
    web.say(&format!("452-789[\"message-with-ack\",{TWO}]"));
    attach(&mut web);
    assert_eq!(web.next(), text(format!("462-789[{TWO}]")));
    attached(&mut web);
    // Deep inside, out of order, and beside an acknowledgement of the client's own.
    web.say("461-5[1]");
    web.say_binary(b"x");
    web.say("452-[\"message-with-ack\",[{\"a\":{\"_placeholder\":true,\"num\":1}},{\"_placeholder\":true,\"num\":0}]]");
    attach(&mut web);
    web.say("452-1[\"message-with-ack\",[{\"a\":{\"_placeholder\":true,\"num\":1}},{\"_placeholder\":true,\"num\":0}]]");
    attach(&mut web);
    assert_eq!(
        web.next(),
        text(
            "462-1[[{\"a\":{\"_placeholder\":true,\"num\":0}},{\"_placeholder\":true,\"num\":1}]]"
        )
    );
    assert_eq!(web.next(), Seen::Binary(vec![4, 5, 6]));
    assert_eq!(web.next(), Seen::Binary(vec![1, 2, 3]));
    let mut polling = Polling::open(&server, SOCKET_IO);
    polling.join();
    polling.say(format!(
        "452-1[\"message-with-ack\",{TWO}]\u{1e}bAQID\u{1e}bBAUG"
    ));
    for expected in [&format!("462-1[{TWO}]")[..], "bAQID", "bBAUG"] {
        assert_eq!(polling.next(), expected);
    }
}

#[test]
fn the_tutorial_is_spoken_where_it_is_asked_for() {
    let server = Server::start("epoll", &["--tutorial"]);
    let mut web = Web::session(&server, SOCKET_IO);
    web.say("40");
    assert!(matches!(web.next(), Seen::Text(joined) if joined.starts_with("40{")));
    assert_eq!(web.next(), text("42[\"message\",\"Hi there\"]"));
    for (said, heard) in [
        ("\"Hello\"", "Hello"),
        ("1.0", "1"),
        ("[1,[null,2]]", "1,,2"),
        ("{}", "[object Object]"),
        ("null,2", "null"),
    ] {
        web.say(&format!("421[\"message\",{said}]"));
        let expected = format!("42[\"message\",\"Received: {heard}\"]");
        assert_eq!(web.next(), text(expected));
    }
    web.say("42[\"message\"]");
    assert_eq!(web.next(), text("42[\"message\",\"Received: undefined\"]"));
    web.say("451-[\"message\",{\"_placeholder\":true,\"num\":0}]");
    web.say_binary("é".as_bytes());
    assert_eq!(web.next(), text("42[\"message\",\"Received: é\"]"));
}
