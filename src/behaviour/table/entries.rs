//! The table itself.

use super::parameters::{
    AFTER, COALESCED_MAX, COUNT_MAX, CREDENTIALS, DRIP_BYTES_MAX, FRAGMENT_BYTES_MAX,
    HUGE_BYTES_MAX, NAME, REASON_BYTES_MAX, STATUS, TARGET, WAIT, every, flag, number, optional,
    required, size, text,
};
use super::{ECHO, Entry, Group, Kind, Rule};
use crate::protocol::frame::CONTROL_BYTES_MAX;
use crate::protocol::policy::TEXT_BYTES_MAX;

/// What an entry is where it does not say otherwise.
const PLAIN: Entry = Entry {
    name: ECHO,
    group: Group::Answers,
    does: "Echoes, and does nothing else: to be combined with others.",
    parameters: &[],
    takes_value: false,
    examples: &[
        "/x/echo",
        "/x/echo?delay=200ms&fragment=64&upper",
        "/x/echo?ping=5s&reset=30s",
    ],
    is_over_http: false,
};

/// All behaviours, group by group.
pub const ENTRIES: [Entry; 25] = [
    Entry {
        name: "greet",
        group: Group::Opening,
        does: "Begins with a text message, then echoes.",
        parameters: &[
            optional("text", text(TEXT_BYTES_MAX), "Hi there", "the message"),
            flag(
                "glued",
                "sends it in one write with the 101: a client that drops what it read behind the head loses it",
            ),
        ],
        examples: &["/x/greet", "/x/greet?text=Hello&glued"],
        ..PLAIN
    },
    Entry {
        name: "subprotocol",
        group: Group::Opening,
        does: "Agrees to this subprotocol, whether the client offers it or not. A client that did not has to fail the \
            connection.",
        parameters: &[required("name", NAME, "the subprotocol")],
        takes_value: true,
        examples: &["/x/subprotocol/chat"],
        ..PLAIN
    },
    Entry {
        name: "auth",
        group: Group::Opening,
        does: "Answers with a 401 unless the request carries these credentials: for basic any user with the password \
            \"password\", for bearer the token.",
        parameters: &[optional(
            "scheme",
            CREDENTIALS,
            "basic",
            "what has to be in Authorization",
        )],
        takes_value: true,
        examples: &["/x/auth/basic", "/x/auth/bearer/TOKEN"],
        is_over_http: true,
    },
    Entry {
        name: "status",
        group: Group::Opening,
        does: "Answers with this status in place of a 101, so that no WebSocket is opened.",
        parameters: &[optional("code", STATUS, "503", "the status")],
        takes_value: true,
        examples: &["/x/status/503", "/x/status/403?slow-handshake=1s"],
        is_over_http: true,
    },
    Entry {
        name: "redirect",
        group: Group::Opening,
        does: "Answers with a 302. Browsers do not follow one to a WebSocket, other clients may.",
        parameters: &[optional("to", TARGET, "/x/echo", "where it leads")],
        examples: &[
            "/x/redirect?to=/x/echo",
            "/x/redirect?to=/x/close/1001%3Fafter=3",
        ],
        is_over_http: true,
        ..PLAIN
    },
    Entry {
        name: "slow-handshake",
        group: Group::Opening,
        does: "Keeps the answer to the request back: for a client's timeout.",
        parameters: &[optional("duration", WAIT, "2s", "how long")],
        takes_value: true,
        examples: &["/x/slow-handshake/2s"],
        is_over_http: true,
    },
    PLAIN,
    Entry {
        name: "upper",
        does: "Answers with what came, a to z as A to Z: for clients that must not assume an echo.",
        examples: &["/x/upper"],
        ..PLAIN
    },
    Entry {
        name: "silent",
        does: "Reads and answers nothing: no echo, no Pong, no Close.",
        examples: &["/x/silent", "/x/silent?reset=30s"],
        ..PLAIN
    },
    Entry {
        name: "count",
        does: "Sends 1, 2, 3 as text messages, then Close 1000. What comes is echoed in between.",
        parameters: &[
            optional("n", number(COUNT_MAX), "10", "the last number"),
            every("1s"),
        ],
        examples: &["/x/count", "/x/count?n=1000&every=10ms"],
        ..PLAIN
    },
    Entry {
        name: "huge",
        does: "Sends one binary message of this size, made as it is sent, then echoes.",
        parameters: &[optional(
            "size",
            size(HUGE_BYTES_MAX),
            "1GiB",
            "its payload",
        )],
        takes_value: true,
        examples: &["/x/huge/1GiB", "/x/huge/64MiB?fragment=64KiB"],
        ..PLAIN
    },
    Entry {
        name: "broadcast",
        does: "Whatever anybody in this room sends comes to all who are in it, the sender too.",
        parameters: &[required(
            "room",
            NAME,
            "the name of the room, which is there as long as somebody is in it",
        )],
        takes_value: true,
        examples: &["/x/broadcast/lobby"],
        ..PLAIN
    },
    Entry {
        name: "fragment",
        group: Group::Framing,
        does: "Sends messages in fragments.",
        parameters: &[optional(
            "size",
            size(FRAGMENT_BYTES_MAX),
            "64",
            "the most payload in a frame",
        )],
        takes_value: true,
        examples: &["/x/fragment/64", "/x/fragment/1?drip=1"],
        ..PLAIN
    },
    Entry {
        name: "coalesce",
        group: Group::Framing,
        does: "Keeps answers until there are so many, or for a moment, and sends them in one write.",
        parameters: &[optional("answers", number(COALESCED_MAX), "8", "how many")],
        takes_value: true,
        examples: &["/x/coalesce", "/x/coalesce/32"],
        ..PLAIN
    },
    Entry {
        name: "drip",
        group: Group::Framing,
        does: "Sends everything behind the 101 in small pieces, headers of frames not spared.",
        parameters: &[
            optional("bytes", size(DRIP_BYTES_MAX), "1", "the size of a piece"),
            every("10ms"),
        ],
        examples: &["/x/drip", "/x/drip?bytes=7&every=50ms"],
        ..PLAIN
    },
    Entry {
        name: "delay",
        group: Group::Time,
        does: "Keeps each answer back. The order stays.",
        parameters: &[
            optional("duration", WAIT, "1s", "how long"),
            optional("jitter", WAIT, "0", "at most so much longer, at random"),
        ],
        takes_value: true,
        examples: &["/x/delay/200ms", "/x/delay/200ms?jitter=50ms"],
        ..PLAIN
    },
    Entry {
        name: "ping",
        group: Group::Time,
        does: "Sends a Ping again and again, and echoes.",
        parameters: &[
            every("1s"),
            optional(
                "payload",
                text(CONTROL_BYTES_MAX),
                "",
                "what is in the Ping",
            ),
        ],
        examples: &["/x/ping", "/x/ping?every=1s&payload=hi"],
        ..PLAIN
    },
    Entry {
        name: "no-pong",
        group: Group::Time,
        does: "Echoes, but does not answer a Ping: for a client's heartbeat.",
        examples: &["/x/no-pong"],
        ..PLAIN
    },
    Entry {
        name: "time",
        group: Group::Time,
        does: "Puts the server's clock in front of each message, in microseconds since 1970: in digits and a space \
            before text, in eight bytes (big endian) before binary. For the latency of one way.",
        examples: &["/x/time"],
        ..PLAIN
    },
    Entry {
        name: "close",
        group: Group::End,
        does: "Closes with this code, and ends the connection as the protocol has it.",
        parameters: &[
            optional(
                "code",
                Kind::CloseCode,
                "1000",
                "the code; with none the Close is empty",
            ),
            AFTER,
            optional(
                "reason",
                text(REASON_BYTES_MAX),
                "",
                "the reason, behind the code",
            ),
        ],
        takes_value: true,
        examples: &[
            "/x/close/1001?after=3&reason=bye",
            "/x/close/4000?after=2s",
            "/x/close/none",
        ],
        ..PLAIN
    },
    Entry {
        name: "reset",
        group: Group::End,
        does: "Ends the connection with a TCP reset (RST).",
        parameters: &[AFTER],
        examples: &["/x/reset", "/x/reset?after=3"],
        ..PLAIN
    },
    Entry {
        name: "half-close",
        group: Group::End,
        does: "Sends a FIN without a Close, and goes on to read.",
        parameters: &[AFTER],
        examples: &["/x/half-close", "/x/half-close?after=2s"],
        ..PLAIN
    },
    Entry {
        name: "bad",
        group: Group::Mistakes,
        does: "Sends something that no server should send. What happens then is the client's affair.",
        parameters: &[required("what", Kind::Mistake, "what is sent"), AFTER],
        takes_value: true,
        examples: &[
            "/x/bad/accept",
            "/x/bad/rsv",
            "/x/bad/opcode",
            "/x/bad/utf8?after=1",
            "/x/bad/length",
            "/x/bad/mask",
            "/x/bad/control-fragment",
            "/x/bad/unfinished",
            "/x/bad/close-code",
            "/x/bad/close-reason",
        ],
        ..PLAIN
    },
    Entry {
        name: "whoami",
        group: Group::Knowing,
        does: "Sends what the server knows of the client, as a text message of JSON (address, header fields, what was \
            offered, what proxies said), then echoes. Passwords and cookies are left out.",
        examples: &["/x/whoami"],
        is_over_http: true,
        ..PLAIN
    },
    Entry {
        name: "frames",
        group: Group::Knowing,
        does: "Echoes, and before each message sends another of JSON about its frames as they came: opcode, mask, \
            length, the first bytes on the wire and what they became.",
        examples: &["/x/frames", "/x/frames?fragment=16"],
        ..PLAIN
    },
];

/// What cannot be had together.
pub const RULES: [Rule; 5] = [
    Rule {
        names: &["silent", "count", "huge", "broadcast", "whoami", "frames"],
        because: "each of them says what messages there are",
    },
    Rule {
        names: &["status", "redirect", "whoami"],
        because: "a request is answered once",
    },
    Rule {
        names: &["close", "reset", "half-close", "bad"],
        because: "a connection ends once",
    },
    Rule {
        names: &["coalesce", "drip"],
        because: "one makes writes larger and the other smaller",
    },
    Rule {
        names: &["silent", "ping"],
        because: "who is silent sends no Ping",
    },
];
