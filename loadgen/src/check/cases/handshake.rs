//! The opening handshake: what makes a request an upgrade, and what is agreed on.

use super::Table;
use crate::check::case::{Case, Rule};
use crate::check::head::{Head, KEY, Response};
use crate::check::opening::Answer::{NoUpgrade, Refusal, RefusalOrEnd, Upgrade, UpgradeOrRefusal};
use crate::check::opening::{Answer, request};
use crate::target::Target;

/// What the cases rest on.
#[rustfmt::skip]
mod rule {
    use crate::check::case::{Rule, must, should};

    pub(super) const METHOD: Rule = must("RFC 6455, 4.2.1", "an upgrade is a GET; nothing else is one");
    pub(super) const VERSION_1_0: Rule = must("RFC 9110, 7.8", "Upgrade in a request of HTTP/1.0 is ignored");
    pub(super) const HTTP_VERSION: Rule = should("RFC 9110, 15.6.6, and RFC 9112, 2.3", "a version that is not spoken, or is none, is refused");
    pub(super) const HIGHER: Rule = must("RFC 6455, 4.2.1", "an upgrade has HTTP/1.1 or higher");
    pub(super) const UPGRADE: Rule = must("RFC 6455, 4.2.1, and RFC 9110, 7.8", "Upgrade contains \"websocket\", in upper or lower case");
    pub(super) const UPGRADE_LIST: Rule = should("RFC 6455, 4.2.1, and RFC 9110, 7.8", "Upgrade is a list; one member in it is enough");
    pub(super) const CONNECTION: Rule = must("RFC 6455, 4.2.1, and RFC 9110, 7.6.1", "Connection is a list that contains \"Upgrade\", in upper or lower case");
    pub(super) const EMPTY_MEMBERS: Rule = must("RFC 9110, 5.6.1.2", "empty members of a list are passed over, if they are not many");
    pub(super) const KEY_FORM: Rule = must("RFC 6455, 4.2.1", "Sec-WebSocket-Key is 16 bytes in base64; anything else is refused");
    pub(super) const KEY_ONCE: Rule = must("RFC 6455, 11.3.1", "Sec-WebSocket-Key does not come twice");
    pub(super) const ACCEPT: Rule = must("RFC 6455, 4.2.2", "Sec-WebSocket-Accept is the SHA-1 of the key and a constant, in base64");
    pub(super) const VERSION: Rule = must("RFC 6455, 4.2.2 and 4.4", "another version is refused with an error that lists those that are spoken");
    pub(super) const VERSION_FORM: Rule = must("RFC 6455, 4.2.1 and 4.3", "Sec-WebSocket-Version is one number from 0 to 255 without leading zeros");
    pub(super) const PROTOCOL: Rule = must("RFC 6455, 4.2.2", "of the subprotocols offered one is chosen, or none");
    pub(super) const PROTOCOL_FORM: Rule = must("RFC 6455, 4.2.1 and 4.3", "Sec-WebSocket-Protocol is a list of tokens; what is not is refused");
    pub(super) const EXTENSION: Rule = must("RFC 6455, 9.1 and 4.2.2", "an extension that is not known is not agreed to, and does no harm");
    pub(super) const EXTENSION_FORM: Rule = must("RFC 6455, 9.1", "a list of extensions that does not meet its grammar fails the handshake");
    pub(super) const ORIGIN: Rule = must("RFC 6455, 4.2.1 and 10.2", "only browsers send an Origin; whether one is welcome is the server's affair");
    pub(super) const ERROR: Rule = must("RFC 6455, 4.2.1", "what is no opening handshake is answered, and not upgraded");
}

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

#[rustfmt::skip]
fn lines(table: &mut Table, head: &Head) {
    let line = |line: String| head.clone().line(line);
    let path = &head.path;
    table.request("ordinary", rule::ACCEPT, request(head.clone(), Upgrade));
    for method in [
        "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "BREW", "get", "GETS",
    ] {
        let request = request(line(format!("{method} {path} HTTP/1.1")), NoUpgrade);
        table.request(format!("method-{method}"), rule::METHOD, request);
    }
    for (name, version, rule, answer) in [
        ("1.0", "HTTP/1.0", rule::VERSION_1_0, NoUpgrade),
        ("1.2", "HTTP/1.2", rule::HIGHER, UpgradeOrRefusal),
        ("2.0", "HTTP/2.0", rule::HTTP_VERSION, RefusalOrEnd),
        ("0.9", "HTTP/0.9", rule::HTTP_VERSION, RefusalOrEnd),
        ("lower-case", "http/1.1", rule::HTTP_VERSION, RefusalOrEnd),
        ("three-numbers", "HTTP/1.1.1", rule::HTTP_VERSION, RefusalOrEnd),
        ("no-number", "HTTP", rule::HTTP_VERSION, RefusalOrEnd),
        ("other-protocol", "ICY/1.1", rule::HTTP_VERSION, RefusalOrEnd),
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
    table.request("plain-get", rule::ERROR, request(plain, NoUpgrade));
    for (name, origin) in [
        ("other", "https://example.com"),
        ("null", "null"),
        ("malformed", "not an origin"),
        ("empty", ""),
    ] {
        let request = request(head.clone().with("Origin", origin), UpgradeOrRefusal);
        table.request(format!("origin-{name}"), rule::ORIGIN, request);
    }
}

#[rustfmt::skip]
fn tokens(table: &mut Table, head: &Head) {
    for (name, value, rule, answer) in [
        ("mixed-case", "WebSocket", rule::UPGRADE, Upgrade),
        ("upper-case", "WEBSOCKET", rule::UPGRADE, Upgrade),
        ("among-others", "h2c, websocket", rule::UPGRADE_LIST, Upgrade),
        ("other", "h2c", rule::UPGRADE, NoUpgrade),
        ("longer", "websocketx", rule::UPGRADE, NoUpgrade),
        ("cut", "websocke", rule::UPGRADE, NoUpgrade),
        ("two-words", "web socket", rule::UPGRADE, NoUpgrade),
        ("empty", "", rule::UPGRADE, NoUpgrade),
        ("with-version", "websocket/13", rule::UPGRADE, UpgradeOrRefusal),
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
        rule::UPGRADE_LIST,
        request(twice, Upgrade),
    );
    let missing = head.clone().without("Upgrade");
    table.request("upgrade-missing", rule::UPGRADE, request(missing, NoUpgrade));
    for (name, value, rule, answer) in [
        ("lower-case", "upgrade", rule::CONNECTION, Upgrade),
        ("upper-case", "UPGRADE", rule::CONNECTION, Upgrade),
        ("as-firefox", "keep-alive, Upgrade", rule::CONNECTION, Upgrade),
        ("no-spaces", "keep-alive,Upgrade,TE", rule::CONNECTION, Upgrade),
        ("tabs", "keep-alive\t,\tUpgrade", rule::CONNECTION, Upgrade),
        ("empty-members", ", keep-alive,, Upgrade ,", rule::EMPTY_MEMBERS, Upgrade),
        ("keep-alive", "keep-alive", rule::CONNECTION, NoUpgrade),
        ("longer", "Upgrades", rule::CONNECTION, NoUpgrade),
        ("part-of-a-word", "no-upgrade", rule::CONNECTION, NoUpgrade),
        ("no-list", "keep-alive Upgrade", rule::CONNECTION, NoUpgrade),
        ("empty", "", rule::CONNECTION, NoUpgrade),
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
        rule::CONNECTION,
        request(twice, Upgrade),
    );
    let missing = head.clone().without("Connection");
    table.request(
        "connection-missing",
        rule::CONNECTION,
        request(missing, NoUpgrade),
    );
}

#[rustfmt::skip]
fn keys(table: &mut Table, head: &Head) {
    // The first is RFC 6455's own example, the others have every kind of character.
    for (name, key) in [
        ("of-the-rfc", KEY),
        ("of-zeros", "AAAAAAAAAAAAAAAAAAAAAA=="),
        ("of-ones", "/////////////////////w=="),
        ("with-plus-and-slash", "+/+/+/+/+/+/+/+/+/+/+w=="),
    ] {
        let request = request(head.clone(), Upgrade).key(key);
        table.request(format!("accept-key-{name}"), rule::ACCEPT, request);
    }
    for (name, key) in [
        ("empty", ""),
        ("of-15-bytes", "AAAAAAAAAAAAAAAAAAAA"),
        ("of-17-bytes", "AAAAAAAAAAAAAAAAAAAAAAA="),
        ("of-32-bytes", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="),
        ("without-padding", "dGhlIHNhbXBsZSBub25jZQ"),
        ("with-one-padding", "dGhlIHNhbXBsZSBub25jZQ="),
        ("of-other-characters", "dGhlIHNhbXBsZSBub25j!!=="),
        ("with-a-space", "dGhlIHNhbXBs ZSBub25jZQ=="),
        ("in-base64url", "-_-_-_-_-_-_-_-_-_-_-w=="),
        ("of-two", "dGhlIHNhbXBsZSBub25jZQ==, dGhlIHNhbXBsZSBub25jZQ=="),
    ] {
        let request = request(head.clone().set("Sec-WebSocket-Key", key), Refusal(&[]));
        table.request(format!("key-{name}"), rule::KEY_FORM, request);
    }
    let noncanonical = request(head.clone(), UpgradeOrRefusal).key("dGhlIHNhbXBsZSBub25jZR==");
    table.request("key-with-stray-bits", rule::KEY_FORM, noncanonical);
    let missing = head.clone().without("Sec-WebSocket-Key");
    table.request(
        "key-missing",
        rule::KEY_FORM,
        request(missing, Refusal(&[])),
    );
    for (name, other) in [("the-same", KEY), ("another", "AAAAAAAAAAAAAAAAAAAAAA==")] {
        let twice = head.clone().with("Sec-WebSocket-Key", other);
        let request = request(twice, Refusal(&[]));
        table.request(format!("key-twice-{name}"), rule::KEY_ONCE, request);
    }
}

#[rustfmt::skip]
fn versions(table: &mut Table, head: &Head) {
    let lists_13 = |response: &Response| {
        let status = response.status;
        let mut listed = response.list("sec-websocket-version");
        let is_right = status == 101 || listed.any(|version| version == "13");
        let what = || format!("answered with {status} and no Sec-WebSocket-Version that lists 13");
        is_right.then_some(()).ok_or_else(what)
    };
    // 7 and 8 were drafts, which a server may still speak.
    let refused = Refusal(&[]);
    for (version, answer) in [
        ("0", refused),
        ("7", UpgradeOrRefusal),
        ("8", UpgradeOrRefusal),
        ("12", refused),
        ("14", refused),
        ("99", refused),
        ("255", refused),
    ] {
        let head = head.clone().set("Sec-WebSocket-Version", version);
        let request = request(head, answer).look(lists_13);
        table.request(format!("version-{version}"), rule::VERSION, request);
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
        let request = request(head, Refusal(&[]));
        table.request(format!("version-{name}"), rule::VERSION_FORM, request);
    }
    let missing = head.clone().without("Sec-WebSocket-Version");
    table.request(
        "version-missing",
        rule::VERSION_FORM,
        request(missing, Refusal(&[])),
    );
    let two = head.clone().with("Sec-WebSocket-Version", "8");
    table.request(
        "version-twice-another",
        rule::VERSION_FORM,
        request(two, Refusal(&[])),
    );
    let same = head.clone().with("Sec-WebSocket-Version", "13");
    table.request(
        "version-twice-the-same",
        rule::VERSION_FORM,
        request(same, UpgradeOrRefusal),
    );
}

#[rustfmt::skip]
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
    ] {
        let request = request(head.clone().with(NAME, value), Upgrade).look(chosen);
        table.request(format!("subprotocol-{name}"), rule::PROTOCOL, request);
    }
    let empty_members = head.clone().with(NAME, ", chat,, superchat,");
    let empty_members = request(empty_members, Upgrade).look(chosen);
    table.request("subprotocol-empty-members", rule::EMPTY_MEMBERS, empty_members);
    let two = head.clone().with(NAME, "chat").with(NAME, "superchat");
    table.request(
        "subprotocol-in-two-fields",
        rule::PROTOCOL,
        request(two, Upgrade).look(chosen),
    );
    let twice = request(head.clone().with(NAME, "chat, chat"), UpgradeOrRefusal).look(chosen);
    table.request("subprotocol-repeated", rule::PROTOCOL, twice);
    let many: Vec<String> = (0..60).map(|number| format!("p{number}")).collect();
    let many = request(head.clone().with(NAME, many.join(", ")), UpgradeOrRefusal);
    table.request("subprotocol-of-sixty", rule::PROTOCOL, many);
    for (name, value) in [
        ("with-a-space", "cha t"),
        ("with-a-semicolon", "chat;x=1"),
        ("with-slash-and-at", "a/b@c"),
        ("quoted", "\"chat\""),
        ("not-ascii", "ch\u{e4}t"),
    ] {
        let request = request(head.clone().with(NAME, value), Refusal(&[]));
        table.request(format!("subprotocol-{name}"), rule::PROTOCOL_FORM, request);
    }
    let empty = request(head.clone().with(NAME, ""), UpgradeOrRefusal);
    table.request("subprotocol-empty", rule::PROTOCOL_FORM, empty);
}

#[rustfmt::skip]
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
        ("quoted-with-escape", &["x-unknown; a=\"b\\c\""]),
    ] {
        row(name, values, rule::EXTENSION, Upgrade);
    }
    row("empty-members", &[", x-unknown,, x-other ,"], rule::EMPTY_MEMBERS, Upgrade);
    row("empty", &[""], rule::EXTENSION, UpgradeOrRefusal);
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
        row(name, &[value], rule::EXTENSION_FORM, Refusal(&[]));
    }
}
