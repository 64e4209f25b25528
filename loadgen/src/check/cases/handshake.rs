//! The opening handshake: what makes a request an upgrade, and what is agreed on.

use super::Table;
use crate::check::case::{Case, Rule, must, should};
use crate::check::head::{Head, KEY, Response};
use crate::check::opening::Answer::{NoUpgrade, Refusal, RefusalOrEnd, Upgrade, UpgradeOrRefusal};
use crate::check::opening::{Answer, request};
use crate::target::Target;

const METHOD: Rule = must(
    "RFC 6455, 4.2.1",
    "an upgrade is a GET; nothing else is one",
);
const VERSION_1_0: Rule = must(
    "RFC 9110, 7.8",
    "Upgrade in a request of HTTP/1.0 is ignored",
);
const HTTP_VERSION: Rule = should(
    "RFC 9110, 15.6.6, and RFC 9112, 2.3",
    "a version that is not spoken, or is none, is refused",
);
const HIGHER: Rule = must("RFC 6455, 4.2.1", "an upgrade has HTTP/1.1 or higher");
const UPGRADE: Rule = must(
    "RFC 6455, 4.2.1, and RFC 9110, 7.8",
    "Upgrade contains \"websocket\", in upper or lower case",
);
const UPGRADE_LIST: Rule = should(
    "RFC 6455, 4.2.1, and RFC 9110, 7.8",
    "Upgrade is a list; one member in it is enough",
);
const CONNECTION: Rule = must(
    "RFC 6455, 4.2.1, and RFC 9110, 7.6.1",
    "Connection is a list that contains \"Upgrade\", in upper or lower case",
);
const EMPTY_MEMBERS: Rule = must(
    "RFC 9110, 5.6.1.2",
    "empty members of a list are passed over, if they are not many",
);
const KEY_FORM: Rule = must(
    "RFC 6455, 4.2.1",
    "Sec-WebSocket-Key is 16 bytes in base64; anything else is refused",
);
const KEY_ONCE: Rule = must("RFC 6455, 11.3.1", "Sec-WebSocket-Key does not come twice");
const ACCEPT: Rule = must(
    "RFC 6455, 4.2.2",
    "Sec-WebSocket-Accept is the SHA-1 of the key and a constant, in base64",
);
const VERSION: Rule = must(
    "RFC 6455, 4.2.2 and 4.4",
    "another version is refused with an error that lists those that are spoken",
);
const VERSION_FORM: Rule = must(
    "RFC 6455, 4.2.1 and 4.3",
    "Sec-WebSocket-Version is one number from 0 to 255 without leading zeros",
);
const PROTOCOL: Rule = must(
    "RFC 6455, 4.2.2",
    "of the subprotocols offered one is chosen, or none",
);
const PROTOCOL_FORM: Rule = must(
    "RFC 6455, 4.2.1 and 4.3",
    "Sec-WebSocket-Protocol is a list of tokens; what is not is refused",
);
const EXTENSION: Rule = must(
    "RFC 6455, 9.1 and 4.2.2",
    "an extension that is not known is not agreed to, and does no harm",
);
const EXTENSION_FORM: Rule = must(
    "RFC 6455, 9.1",
    "a list of extensions that does not meet its grammar fails the handshake",
);
const ORIGIN: Rule = must(
    "RFC 6455, 4.2.1 and 10.2",
    "only browsers send an Origin; whether one is welcome is the server's affair",
);
const ERROR: Rule = must(
    "RFC 6455, 4.2.1",
    "what is no opening handshake is answered, and not upgraded",
);

/// The cases.
pub(super) fn cases(target: &Target) -> Vec<Case> {
    let head = &Head::ordinary(target);
    let mut table = Table::of("handshake");
    lines(&mut table, head);
    tokens(&mut table, head);
    keys(&mut table, head);
    versions(&mut table, head);
    protocols(&mut table, head);
    extensions(&mut table, head);
    table.cases
}

fn lines(table: &mut Table, head: &Head) {
    let line = |line: String| head.clone().line(line);
    let path = &head.path;
    table.request("ordinary", ACCEPT, request(head.clone(), Upgrade));
    for method in [
        "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "BREW", "get", "GETS",
    ] {
        let request = request(line(format!("{method} {path} HTTP/1.1")), NoUpgrade);
        table.request(format!("method-{method}"), METHOD, request);
    }
    for (name, version, rule, answer) in [
        ("1.0", "HTTP/1.0", VERSION_1_0, NoUpgrade),
        ("1.2", "HTTP/1.2", HIGHER, UpgradeOrRefusal),
        ("2.0", "HTTP/2.0", HTTP_VERSION, RefusalOrEnd),
        ("0.9", "HTTP/0.9", HTTP_VERSION, RefusalOrEnd),
        ("lower-case", "http/1.1", HTTP_VERSION, RefusalOrEnd),
        ("three-numbers", "HTTP/1.1.1", HTTP_VERSION, RefusalOrEnd),
        ("no-number", "HTTP", HTTP_VERSION, RefusalOrEnd),
        ("other-protocol", "ICY/1.1", HTTP_VERSION, RefusalOrEnd),
    ] {
        let request = request(line(format!("GET {path} {version}")), answer);
        table.request(format!("http-version-{name}"), rule, request);
    }
    let plain = [
        "Upgrade",
        "Connection",
        "Sec-WebSocket-Key",
        "Sec-WebSocket-Version",
    ];
    let plain = plain
        .into_iter()
        .fold(head.clone(), |head, name| head.without(name));
    table.request("plain-get", ERROR, request(plain, NoUpgrade));
    for (name, origin) in [
        ("other", "https://example.com"),
        ("null", "null"),
        ("malformed", "not an origin"),
        ("empty", ""),
    ] {
        let request = request(head.clone().with("Origin", origin), UpgradeOrRefusal);
        table.request(format!("origin-{name}"), ORIGIN, request);
    }
}

fn tokens(table: &mut Table, head: &Head) {
    for (name, value, rule, answer) in [
        ("mixed-case", "WebSocket", UPGRADE, Upgrade),
        ("upper-case", "WEBSOCKET", UPGRADE, Upgrade),
        ("among-others", "h2c, websocket", UPGRADE_LIST, Upgrade),
        ("other", "h2c", UPGRADE, NoUpgrade),
        ("longer", "websocketx", UPGRADE, NoUpgrade),
        ("cut", "websocke", UPGRADE, NoUpgrade),
        ("two-words", "web socket", UPGRADE, NoUpgrade),
        ("empty", "", UPGRADE, NoUpgrade),
        ("with-version", "websocket/13", UPGRADE, UpgradeOrRefusal),
    ] {
        let request = request(head.clone().set("Upgrade", value), answer);
        table.request(format!("upgrade-{name}"), rule, request);
    }
    let twice = head
        .clone()
        .set("Upgrade", "h2c")
        .with("Upgrade", "websocket");
    table.request(
        "upgrade-in-two-fields",
        UPGRADE_LIST,
        request(twice, Upgrade),
    );
    let missing = head.clone().without("Upgrade");
    table.request("upgrade-missing", UPGRADE, request(missing, NoUpgrade));
    for (name, value, rule, answer) in [
        ("lower-case", "upgrade", CONNECTION, Upgrade),
        ("upper-case", "UPGRADE", CONNECTION, Upgrade),
        ("as-firefox", "keep-alive, Upgrade", CONNECTION, Upgrade),
        ("no-spaces", "keep-alive,Upgrade,TE", CONNECTION, Upgrade),
        ("tabs", "keep-alive\t,\tUpgrade", CONNECTION, Upgrade),
        (
            "empty-members",
            ", keep-alive,, Upgrade ,",
            EMPTY_MEMBERS,
            Upgrade,
        ),
        ("keep-alive", "keep-alive", CONNECTION, NoUpgrade),
        ("longer", "Upgrades", CONNECTION, NoUpgrade),
        ("part-of-a-word", "no-upgrade", CONNECTION, NoUpgrade),
        ("no-list", "keep-alive Upgrade", CONNECTION, NoUpgrade),
        ("empty", "", CONNECTION, NoUpgrade),
    ] {
        let request = request(head.clone().set("Connection", value), answer);
        table.request(format!("connection-{name}"), rule, request);
    }
    let twice = head
        .clone()
        .set("Connection", "keep-alive")
        .with("Connection", "Upgrade");
    table.request(
        "connection-in-two-fields",
        CONNECTION,
        request(twice, Upgrade),
    );
    let missing = head.clone().without("Connection");
    table.request(
        "connection-missing",
        CONNECTION,
        request(missing, NoUpgrade),
    );
}

fn keys(table: &mut Table, head: &Head) {
    // The first is RFC 6455's own example, the others have every kind of character.
    for (name, key) in [
        ("of-the-rfc", KEY),
        ("of-zeros", "AAAAAAAAAAAAAAAAAAAAAA=="),
        ("of-ones", "/////////////////////w=="),
        ("with-plus-and-slash", "+/+/+/+/+/+/+/+/+/+/+w=="),
    ] {
        let request = request(head.clone(), Upgrade).key(key);
        table.request(format!("accept-key-{name}"), ACCEPT, request);
    }
    for (name, key) in [
        ("empty", ""),
        ("of-15-bytes", "AAAAAAAAAAAAAAAAAAAA"),
        ("of-17-bytes", "AAAAAAAAAAAAAAAAAAAAAAA="),
        (
            "of-32-bytes",
            "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
        ),
        ("without-padding", "dGhlIHNhbXBsZSBub25jZQ"),
        ("with-one-padding", "dGhlIHNhbXBsZSBub25jZQ="),
        ("of-other-characters", "dGhlIHNhbXBsZSBub25j!!=="),
        ("with-a-space", "dGhlIHNhbXBs ZSBub25jZQ=="),
        ("in-base64url", "-_-_-_-_-_-_-_-_-_-_-w=="),
        (
            "of-two",
            "dGhlIHNhbXBsZSBub25jZQ==, dGhlIHNhbXBsZSBub25jZQ==",
        ),
    ] {
        let request = request(head.clone().set("Sec-WebSocket-Key", key), Refusal(&[400]));
        table.request(format!("key-{name}"), KEY_FORM, request);
    }
    let noncanonical = request(head.clone(), UpgradeOrRefusal).key("dGhlIHNhbXBsZSBub25jZR==");
    table.request("key-with-stray-bits", KEY_FORM, noncanonical);
    let missing = head.clone().without("Sec-WebSocket-Key");
    table.request(
        "key-missing",
        KEY_FORM,
        request(missing, Refusal(&[400, 426])),
    );
    for (name, other) in [("the-same", KEY), ("another", "AAAAAAAAAAAAAAAAAAAAAA==")] {
        let twice = head.clone().with("Sec-WebSocket-Key", other);
        let request = request(twice, Refusal(&[400]));
        table.request(format!("key-twice-{name}"), KEY_ONCE, request);
    }
}

fn versions(table: &mut Table, head: &Head) {
    let lists_13 = |response: &Response| {
        let mut listed = response.list("sec-websocket-version");
        if listed.any(|version| version == "13") {
            Ok(())
        } else {
            Err(format!(
                "answered with {} and no Sec-WebSocket-Version that lists 13",
                response.status
            ))
        }
    };
    for version in ["0", "7", "8", "12", "14", "99", "255"] {
        let head = head.clone().set("Sec-WebSocket-Version", version);
        let request = request(head, Refusal(&[426, 400])).look(lists_13);
        table.request(format!("version-{version}"), VERSION, request);
    }
    for (name, version) in [
        ("leading-zero", "013"),
        ("fraction", "13.0"),
        ("sign", "+13"),
        ("hexadecimal", "0xd"),
        ("256", "256"),
        ("269", "269"),
        ("word", "thirteen"),
        ("list", "13, 8"),
        ("empty", ""),
    ] {
        let head = head.clone().set("Sec-WebSocket-Version", version);
        let request = request(head, Refusal(&[400, 426]));
        table.request(format!("version-{name}"), VERSION_FORM, request);
    }
    let missing = head.clone().without("Sec-WebSocket-Version");
    table.request(
        "version-missing",
        VERSION_FORM,
        request(missing, Refusal(&[400, 426])),
    );
    let two = head.clone().with("Sec-WebSocket-Version", "8");
    table.request(
        "version-twice-another",
        VERSION_FORM,
        request(two, Refusal(&[400, 426])),
    );
    let same = head.clone().with("Sec-WebSocket-Version", "13");
    table.request(
        "version-twice-the-same",
        VERSION_FORM,
        request(same, UpgradeOrRefusal),
    );
}

fn protocols(table: &mut Table, head: &Head) {
    const NAME: &str = "Sec-WebSocket-Protocol";
    let chosen = |response: &Response| {
        let chosen: Vec<_> = response.all("sec-websocket-protocol").collect();
        match chosen[..] {
            [] | ["chat" | "superchat"] => Ok(()),
            _ => Err(format!("the 101 has Sec-WebSocket-Protocol {chosen:?}")),
        }
    };
    for (name, value) in [
        ("one", "chat"),
        ("list", "chat, superchat"),
        ("no-spaces", "superchat,chat"),
        ("empty-members", ", chat,, superchat,"),
    ] {
        let request = request(head.clone().with(NAME, value), Upgrade).look(chosen);
        table.request(format!("subprotocol-{name}"), PROTOCOL, request);
    }
    let two = head.clone().with(NAME, "chat").with(NAME, "superchat");
    table.request(
        "subprotocol-in-two-fields",
        PROTOCOL,
        request(two, Upgrade).look(chosen),
    );
    let twice = request(head.clone().with(NAME, "chat, chat"), UpgradeOrRefusal).look(chosen);
    table.request("subprotocol-repeated", PROTOCOL, twice);
    let many: Vec<String> = (0..60).map(|number| format!("p{number}")).collect();
    let many = request(head.clone().with(NAME, many.join(", ")), UpgradeOrRefusal);
    table.request("subprotocol-of-sixty", PROTOCOL, many);
    for (name, value) in [
        ("with-a-space", "cha t"),
        ("with-a-semicolon", "chat;x=1"),
        ("with-slash-and-at", "a/b@c"),
        ("quoted", "\"chat\""),
        ("not-ascii", "ch\u{e4}t"),
    ] {
        let request = request(head.clone().with(NAME, value), Refusal(&[400]));
        table.request(format!("subprotocol-{name}"), PROTOCOL_FORM, request);
    }
    let empty = request(head.clone().with(NAME, ""), UpgradeOrRefusal);
    table.request("subprotocol-empty", PROTOCOL_FORM, empty);
}

fn extensions(table: &mut Table, head: &Head) {
    const NAME: &str = "Sec-WebSocket-Extensions";
    let none = |response: &Response| {
        let mut agreed = response.all("sec-websocket-extensions");
        agreed.next().map_or(Ok(()), |value| {
            Err(format!("the 101 agrees to {value:?}, which does not exist"))
        })
    };
    let mut row = |name: &str, values: &[&str], rule: Rule, answer: Answer| {
        let with_all = |head: Head, value: &&str| head.with(NAME, value);
        let head = values.iter().fold(head.clone(), with_all);
        table.request(
            format!("extension-{name}"),
            rule,
            request(head, answer).look(none),
        );
    };
    for (name, values) in [
        ("unknown", &["x-unknown"][..]),
        ("unknown-with-parameters", &["x-unknown; a; b=1; c=\"2\""]),
        ("two-unknown", &["x-unknown, x-other; a=1"]),
        ("no-spaces", &["x-unknown;a;b=1,x-other"]),
        ("in-two-fields", &["x-unknown", "x-other; a=1"]),
        ("empty-members", &[", x-unknown,, x-other ,"]),
        ("quoted-with-escape", &["x-unknown; a=\"b\\c\""]),
    ] {
        row(name, values, EXTENSION, Upgrade);
    }
    row("empty", &[""], EXTENSION, UpgradeOrRefusal);
    for (name, value) in [
        ("no-name", "; a=1"),
        ("no-parameter", "x-unknown; ; a"),
        ("ends-in-semicolon", "x-unknown;"),
        ("parameter-without-name", "x-unknown; =1"),
        ("parameter-without-value", "x-unknown; a="),
        ("two-words", "x-unknown x-other"),
        ("open-quote", "x-unknown; a=\"b"),
        ("quoted-no-token", "x-unknown; a=\"b c\""),
        ("quoted-empty", "x-unknown; a=\"\""),
        ("slash", "x/unknown"),
        ("equals-twice", "x-unknown; a=b=c"),
    ] {
        row(name, &[value], EXTENSION_FORM, Refusal(&[400]));
    }
}
