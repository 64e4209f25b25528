//! What paths are read as.

use std::time::Duration;

use super::*;

fn ms(count: u64) -> Duration {
    Duration::from_millis(count)
}

fn ends(end: End, after: After) -> Ask {
    Ask {
        end: Some((end, after)),
        ..Ask::default()
    }
}

fn closes(code: u16, reason: &str, after: After) -> Ask {
    let reason = reason.to_owned();
    let code = CloseCode::from_wire(code);
    ends(End::Close { code, reason }, after)
}

fn sends(source: Source) -> Ask {
    Ask {
        source,
        ..Ask::default()
    }
}

fn greets(text: &str, glued: bool) -> Ask {
    let text = text.to_owned();
    Ask {
        greeting: Some(Greeting { text, glued }),
        ..Ask::default()
    }
}

fn answers(answer: Answer) -> Ask {
    Ask {
        answer,
        ..Ask::default()
    }
}

fn needs(credentials: Credentials) -> Ask {
    Ask {
        credentials: Some(credentials),
        ..Ask::default()
    }
}

fn pings(every: Duration, payload: &str) -> Ask {
    Ask {
        ping: Some((every, payload.to_owned())),
        ..Ask::default()
    }
}

fn drips(bytes: usize, every: Duration) -> Ask {
    Ask {
        drip: Some(Drip { bytes, every }),
        ..Ask::default()
    }
}

fn agrees_to(name: &str) -> Ask {
    Ask {
        subprotocol: Some(name.to_owned()),
        ..Ask::default()
    }
}

fn counts(n: u32, every: Duration) -> Ask {
    sends(Source::Count { n, every })
}

const AT_ONCE: After = After::Messages(0);

/// Each example of the table, and what else is worth reading, with what it is.
fn known() -> Vec<(&'static str, Ask)> {
    let plain = Ask::default();
    let none = End::Close {
        code: None,
        reason: String::new(),
    };
    let broadcast = |room: &str| {
        sends(Source::Broadcast {
            room: room.to_owned(),
        })
    };
    let delayed = |delay, jitter| Ask {
        delay,
        jitter,
        ..Ask::default()
    };
    vec![
        ("/x/greet", greets("Hi there", false)),
        ("/x/greet?text=Hello&glued", greets("Hello", true)),
        (
            "/x/greet?glued=&text=a%20+%26%E2%82%AC%00",
            greets("a +&€\0", true),
        ),
        ("/x/greet?text=", greets("", false)),
        ("/x/greet/a/b?", greets("a/b", false)),
        ("/x/subprotocol/chat", agrees_to("chat")),
        ("/x/auth", needs(Credentials::Basic)),
        ("/x/auth/basic", needs(Credentials::Basic)),
        (
            "/x/auth/bearer/TOKEN",
            needs(Credentials::Bearer("TOKEN".into())),
        ),
        (
            "/x/echo?auth=bearer/a/b==",
            needs(Credentials::Bearer("a/b==".into())),
        ),
        ("/x/status/503", answers(Answer::Status(503))),
        (
            "/x/status/403?slow-handshake=1s",
            Ask {
                slow_handshake: ms(1000),
                ..answers(Answer::Status(403))
            },
        ),
        (
            "/x/redirect?to=/x/echo",
            answers(Answer::Redirect("/x/echo".into())),
        ),
        (
            "/x/redirect?to=/x/close/1001%3Fafter=3",
            answers(Answer::Redirect("/x/close/1001?after=3".into())),
        ),
        (
            "/x/echo?redirect=wss://[::1]:8080/a",
            answers(Answer::Redirect("wss://[::1]:8080/a".into())),
        ),
        (
            "/x/slow-handshake/2s",
            Ask {
                slow_handshake: ms(2000),
                ..plain.clone()
            },
        ),
        ("/x/echo", plain.clone()),
        ("/x/%65cho/?&&", plain.clone()),
        (
            "/x/echo?delay=200ms&fragment=64&upper",
            Ask {
                fragment: Some(64),
                upper: true,
                ..delayed(ms(200), ms(0))
            },
        ),
        (
            "/x/echo?ping=5s&reset=30s",
            Ask {
                ping: pings(ms(5000), "").ping,
                ..ends(End::Reset, After::Time(ms(30_000)))
            },
        ),
        (
            "/x/upper",
            Ask {
                upper: true,
                ..plain.clone()
            },
        ),
        ("/x/silent", sends(Source::Silent)),
        (
            "/x/silent?reset=30s",
            Ask {
                source: Source::Silent,
                ..ends(End::Reset, After::Time(ms(30_000)))
            },
        ),
        ("/x/count", counts(10, ms(1000))),
        ("/x/count?n=1000&every=10ms", counts(1000, ms(10))),
        ("/x/huge", sends(Source::Huge { bytes: 1 << 30 })),
        ("/x/huge/1GiB", sends(Source::Huge { bytes: 1 << 30 })),
        (
            "/x/huge/64MiB?fragment=64KiB",
            Ask {
                fragment: Some(1 << 16),
                ..sends(Source::Huge { bytes: 1 << 26 })
            },
        ),
        ("/x/broadcast/lobby", broadcast("lobby")),
        (
            "/x/fragment/64",
            Ask {
                fragment: Some(64),
                ..plain.clone()
            },
        ),
        (
            "/x/fragment/1?drip=1",
            Ask {
                fragment: Some(1),
                ..drips(1, ms(10))
            },
        ),
        (
            "/x/coalesce",
            Ask {
                coalesce: Some(8),
                ..plain.clone()
            },
        ),
        (
            "/x/coalesce/32",
            Ask {
                coalesce: Some(32),
                ..plain.clone()
            },
        ),
        ("/x/drip", drips(1, ms(10))),
        ("/x/drip?bytes=7&every=50ms", drips(7, ms(50))),
        ("/x/delay/200ms", delayed(ms(200), ms(0))),
        ("/x/delay/200ms?jitter=50ms", delayed(ms(200), ms(50))),
        ("/x/delay/0", delayed(ms(0), ms(0))),
        ("/x/ping", pings(ms(1000), "")),
        ("/x/ping?every=1s&payload=hi", pings(ms(1000), "hi")),
        (
            "/x/no-pong",
            Ask {
                no_pong: true,
                ..plain.clone()
            },
        ),
        (
            "/x/time",
            Ask {
                time: true,
                ..plain
            },
        ),
        ("/x/close", closes(1000, "", AT_ONCE)),
        (
            "/x/close/1001?after=3&reason=bye",
            closes(1001, "bye", After::Messages(3)),
        ),
        (
            "/x/close/4000?after=2s",
            closes(4000, "", After::Time(ms(2000))),
        ),
        ("/x/close/none", ends(none, AT_ONCE)),
        ("/x/reset", ends(End::Reset, AT_ONCE)),
        ("/x/reset?after=3", ends(End::Reset, After::Messages(3))),
        ("/x/half-close", ends(End::HalfClose, AT_ONCE)),
        (
            "/x/half-close?after=2s",
            ends(End::HalfClose, After::Time(ms(2000))),
        ),
        ("/x/bad/accept", ends(End::Bad(Bad::Accept), AT_ONCE)),
        ("/x/bad/rsv", ends(End::Bad(Bad::Rsv), AT_ONCE)),
        ("/x/bad/opcode", ends(End::Bad(Bad::Opcode), AT_ONCE)),
        ("/x/bad/utf8", ends(End::Bad(Bad::Utf8), AT_ONCE)),
        (
            "/x/bad/utf8?after=1",
            ends(End::Bad(Bad::Utf8), After::Messages(1)),
        ),
        ("/x/bad/length", ends(End::Bad(Bad::Length), AT_ONCE)),
        ("/x/bad/mask", ends(End::Bad(Bad::Mask), AT_ONCE)),
        (
            "/x/bad/control-fragment",
            ends(End::Bad(Bad::ControlFragment), AT_ONCE),
        ),
        (
            "/x/bad/unfinished",
            ends(End::Bad(Bad::Unfinished), AT_ONCE),
        ),
        ("/x/bad/close-code", ends(End::Bad(Bad::CloseCode), AT_ONCE)),
        (
            "/x/bad/close-reason",
            ends(End::Bad(Bad::CloseReason), AT_ONCE),
        ),
        ("/x/whoami", sends(Source::Whoami)),
        ("/x/frames", sends(Source::Frames)),
        (
            "/x/frames?fragment=16",
            Ask {
                fragment: Some(16),
                ..sends(Source::Frames)
            },
        ),
    ]
}

#[test]
fn reads_what_is_asked_for() {
    for (path, ask) in known() {
        assert_eq!(Ask::read(path), Ok(ask), "{path}");
    }
}

#[test]
fn every_example_is_known_and_shows_something() {
    let known = known();
    for entry in &ENTRIES {
        assert!(!entry.examples.is_empty(), "{}", entry.name);
        for example in entry.examples {
            let ask = known.iter().find(|(path, _)| path == example);
            let (_, ask) = ask.unwrap_or_else(|| panic!("{example} is in no test"));
            let is_plain = *ask == Ask::default();
            assert_eq!(is_plain, *example == "/x/echo", "{example}");
        }
    }
}
