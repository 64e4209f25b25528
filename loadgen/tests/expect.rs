//! Servers that are no byte-exact echo: a message of one's own, what must answer it, and what is said first.

mod support;

use support::client::{Outcome, command, engines, run_each, whole};
use support::{Habit, Server};

const SHORT: &str = "--connections 3 --warmup 50ms --duration 200ms";

/// Runs `ringload` with words of which some hold spaces.
fn told(server: &Server, subcommand: &str, engine: &'static str, words: &[&str]) -> Outcome {
    let url = server.url();
    let mut command = command(&format!("{subcommand} {url} {SHORT} --json -"));
    if subcommand == "run" {
        command.args(["--engine", engine]);
    }
    let output = command.args(words).output().unwrap();
    Outcome::of(&output, engine)
}

#[test]
fn the_server_of_the_tutorial_is_loaded_with_generated_texts_and_with_a_given_one() {
    for engine in engines() {
        for words in [&["--in-flight", "4"][..], &["--message", "a message"]] {
            let server = Server::websocket(Habit::Tutorial);
            let expected = ["--greeting", "--expect", "prefix:Received: "];
            let outcome = told(&server, "run", engine, &[&expected, words].concat());
            let result = outcome.expect_ok();
            server.log_without_complaints();
            let document = &outcome.document;
            let size = whole(document, "/load/message/bytes_max");
            assert_eq!(
                size,
                if words.len() == 2 && words[0] == "--message" {
                    9
                } else {
                    32
                }
            );
            assert_eq!(
                whole(result, "/traffic/payload_bytes"),
                whole(result, "/completed") * size
            );
            let compared = whole(document, "/checks/payload_bytes_verified");
            assert_eq!(
                compared,
                whole(document, "/checks/messages_verified") * size
            );
            assert_eq!(document["load"]["message"]["kind"], "text");
            assert_eq!(document["load"]["message"]["expect"], "prefix:Received: ");
        }
    }
}

#[test]
fn another_prefix_is_a_wrong_reply_and_no_greeting_a_fault() {
    let server = Server::websocket(Habit::Tutorial);
    let words = ["--greeting", "--expect", "prefix:Received; "];
    let outcome = told(&server, "run", "epoll", &words);
    outcome.expect_failure(&["does not begin with the prefix", "3b 20", "3a 20"]);
    let outcome = told(&server, "run", "epoll", &["--expect", "prefix:Received: "]);
    outcome.expect_failure(&["the server spoke first", "--greeting"]);
    let outcome = told(&server, "run", "epoll", &["--greeting=2"]);
    outcome.expect_failure(&[
        "1 of 2 messages of the --greeting had come",
        "within 5 seconds",
    ]);
}

#[test]
fn socket_io_is_joined_and_its_pings_are_answered() {
    for engine in engines() {
        let server = Server::websocket(Habit::SocketIo);
        let words = [
            "--first-message",
            "40",
            "--greeting=2",
            "--answer",
            "2=3",
            "--message",
            "42[\"message\",\"hello\"]",
        ];
        let outcome = told(&server, "run", engine, &words);
        outcome.expect_ok();
        let log = server.log_without_complaints();
        let messages = whole(&outcome.document, "/checks/messages_verified");
        assert!(messages > 3 && log.pongs > 3, "{messages}, {}", log.pongs);
    }
}

#[test]
fn messages_are_counted_where_nothing_else_is_expected() {
    for (_, outcome) in run_each(Habit::Twice, &format!("{SHORT} --expect 2x --in-flight 3")) {
        outcome.expect_ok();
        let document = &outcome.document;
        assert!(whole(document, "/result/completed") > 0);
        assert_eq!(whole(document, "/checks/payload_bytes_verified"), 0);
        assert_eq!(document["load"]["message"]["verify"], "none");
    }
    for (_, outcome) in run_each(Habit::Twice, &format!("{SHORT} --expect any")) {
        outcome.expect_failure(&["answers none of ours"]);
    }
    for (_, outcome) in run_each(Habit::Twice, &format!("{SHORT} --expect 3x")) {
        outcome.expect_failure(&["messages were not answered"]);
    }
}

#[test]
fn sessions_of_churn_meet_such_a_server_too() {
    let server = Server::websocket(Habit::Tutorial);
    let words = ["--greeting", "--expect", "prefix:Received: "];
    let outcome = told(&server, "churn", "epoll", &words);
    assert!(whole(outcome.expect_ok(), "/completed") > 0);
    assert_eq!(
        outcome.document["load"]["message"]["expect"],
        "prefix:Received: "
    );
    let outcome = told(&server, "churn", "epoll", &words[1..]);
    outcome.expect_failure(&["the server spoke first"]);
}

#[test]
fn what_cannot_go_together_is_refused() {
    for (words, phrase) in [
        (
            &["--message", "a", "--size", "3"][..],
            "cannot be used with",
        ),
        (&["--message", "a", "--mixed"], "cannot be used with"),
        (&["--expect", "all"], "echo, any, prefix:TEXT"),
        (&["--expect", "any", "--protocol", "tcp"], "needs WebSocket"),
        (&["--greeting", "--deflate"], "leave --deflate off"),
    ] {
        let mut command = command("run ws://127.0.0.1:1");
        let output = command.args(words).output().unwrap();
        let said = support::client::stderr(&output);
        assert_eq!(output.status.code(), Some(2), "{words:?}: {said}");
        assert!(said.contains(phrase), "{words:?}: {said}");
    }
}
