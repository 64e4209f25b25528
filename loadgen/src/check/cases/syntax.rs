//! The head of a request as HTTP: its lines, its sizes, its segments, and what is no HTTP at all.

use std::time::Instant;

use super::Table;
use crate::check::case::Case;
use crate::check::head::{Head, KEY};
use crate::check::opening::Answer::{NoUpgrade, Refusal, RefusalOrEnd, Upgrade, UpgradeOrRefusal};
use crate::check::opening::request;
use crate::check::peer::{Incoming, Peer};
use crate::check::verdict::Finding;
use crate::check::wire::{Cut, filler, ping, text};
use crate::target::Target;

/// What the cases rest on.
#[rustfmt::skip]
mod rule {
    use crate::check::case::{Rule, must, should};

    pub(super) const HOST: Rule = must("RFC 9112, 3.2", "a request without Host, with several, or with one that is none, is refused with 400");
    pub(super) const HOST_CHOICE: Rule = must("RFC 9112, 3.2", "Host may be empty, and may be any host");
    pub(super) const ABSOLUTE: Rule = must("RFC 9112, 3.2.2", "a server takes the absolute form of a target");
    pub(super) const TARGET: Rule = should("RFC 9112, 3", "a request line that is wrong is refused with 400");
    pub(super) const TARGET_FORM: Rule = should("RFC 9112, 3 and 3.2", "only OPTIONS has the target *, only CONNECT a host; else it is refused");
    pub(super) const TARGET_CHOICE: Rule = must("RFC 9112, 3 and 3.2", "a server may take such a request line, or refuse it");
    pub(super) const EMPTY_LINE: Rule = should("RFC 9112, 2.2", "an empty line before a request is passed over");
    pub(super) const NAMES: Rule = must("RFC 9110, 5.1", "names of fields are the same in upper and lower case");
    pub(super) const ORDER: Rule = must("RFC 9110, 5.3", "fields of different names come in any order");
    pub(super) const WHITESPACE: Rule = must("RFC 9112, 5.1", "whitespace around a value is optional, and no part of it");
    pub(super) const COLON: Rule = must("RFC 9112, 5.1", "whitespace between a name and its colon is refused with 400");
    pub(super) const FOLD: Rule = must("RFC 9112, 5.2", "a folded line is refused with 400, or read as if it were a space");
    pub(super) const LINE_END: Rule = must("RFC 9112, 2.2", "a lone LF may end a line; a lone CR never does");
    pub(super) const FIELD: Rule = should("RFC 9112, 2.2 and 5", "a line that is no field is refused with 400");
    pub(super) const VALUE: Rule = must("RFC 9110, 5.5", "a value with CR or NUL is refused, or they become spaces");
    pub(super) const VALUE_ANY: Rule = should("RFC 9110, 5.5", "other bytes in the value of a field nobody knows do no harm");
    pub(super) const UNKNOWN: Rule = should("RFC 9110, 5.1", "fields that are not known are passed over");
    pub(super) const SIZE: Rule = should("RFC 9110, 2.3, and RFC 9112, 3", "a head of ordinary size is taken");
    pub(super) const SIZE_CHOICE: Rule = must("RFC 6585, 5", "a head that is long is taken, or refused with an error");
    pub(super) const FLOOD: Rule = should("RFC 6585, 5", "a head has a limit, beyond which it is refused");
    pub(super) const BODY: Rule = must("RFC 9112, 6.3, and RFC 9110, 7.8", "the body of a request is read as such, and never as frames; or the request is refused");
    pub(super) const NO_BODY: Rule = should("RFC 9112, 6.3", "Content-Length: 0 is no body");
    pub(super) const LENGTH: Rule = must("RFC 9112, 6.3", "a Content-Length that is no number, or several, is refused with 400");
    pub(super) const STREAM: Rule = must("RFC 6455, 4.2.1", "a head is a stream of bytes, however TCP cuts it");
    pub(super) const EARLY: Rule = should("RFC 6455, 4.2.2 and 5.2", "frames that come with the head are taken for what they are");
    pub(super) const NO_HTTP: Rule = should("RFC 9112, 2.2", "what is no request is refused with an error, or ended");
}

/// The cases.
pub(super) fn cases(target: &Target) -> Vec<Case> {
    let head = &Head::ordinary(target);
    let mut table = Table::of("syntax");
    hosts(&mut table, head);
    targets(&mut table, head, if target.tls { "https" } else { "http" });
    fields(&mut table, head);
    sizes(&mut table, head);
    bodies(&mut table, head);
    segments(&mut table, head);
    foreign(&mut table, head);
    table.cases
}

#[rustfmt::skip]
fn hosts(table: &mut Table, head: &Head) {
    let missing = head.clone().without("Host");
    table.request("host-missing", rule::HOST, request(missing, Refusal(&[400])));
    for (name, other) in [
        ("the-same", head.authority.as_str()),
        ("another", "example.com"),
    ] {
        let twice = request(head.clone().with("Host", other), Refusal(&[400]));
        table.request(format!("host-twice-{name}"), rule::HOST, twice);
    }
    for (name, value) in [
        ("two-words", "exam ple.com"),
        ("with-user", "user@example.com"),
        ("with-path", "example.com/path"),
        ("port-no-number", "example.com:http"),
        ("open-bracket", "[::1"),
    ] {
        let request = request(head.clone().set("Host", value), Refusal(&[400]));
        table.request(format!("host-{name}"), rule::HOST, request);
    }
    for (name, value) in [
        ("empty", ""),
        ("other", "example.com"),
        ("ipv6", "[2001:db8::1]:80"),
    ] {
        let request = request(head.clone().set("Host", value), UpgradeOrRefusal);
        table.request(format!("host-{name}"), rule::HOST_CHOICE, request);
    }
}

#[rustfmt::skip]
fn targets(table: &mut Table, head: &Head, scheme: &str) {
    let (path, authority) = (&head.path, &head.authority);
    let absolute = format!("{scheme}://{authority}{path}");
    for (name, target, rule, answer) in [
        ("absolute", absolute.as_str(), rule::ABSOLUTE, Upgrade),
        ("asterisk", "*", rule::TARGET_FORM, NoUpgrade),
        ("authority", authority, rule::TARGET_FORM, NoUpgrade),
        ("no-slash", "chat", rule::TARGET_FORM, NoUpgrade),
        ("empty", "", rule::TARGET, RefusalOrEnd),
        ("fragment", "/a#b", rule::TARGET, RefusalOrEnd),
        ("two-words", "/a b", rule::TARGET, RefusalOrEnd),
        ("control-character", "/a\x01b", rule::TARGET, RefusalOrEnd),
        ("not-ascii", "/\u{e4}", rule::TARGET_CHOICE, UpgradeOrRefusal),
        ("query", "/?a=1&b=%20", rule::TARGET_CHOICE, UpgradeOrRefusal),
        ("dots", "/../../etc/passwd", rule::TARGET_CHOICE, UpgradeOrRefusal),
        ("bad-percent", "/%zz", rule::TARGET_CHOICE, UpgradeOrRefusal),
    ] {
        let head = head.clone().request("GET", target, "HTTP/1.1");
        table.request(format!("target-{name}"), rule, request(head, answer));
    }
    for (name, line) in [
        ("two-spaces", format!("GET  {path}  HTTP/1.1")),
        ("tabs", format!("GET\t{path}\tHTTP/1.1")),
        ("space-behind", format!("GET {path} HTTP/1.1 ")),
    ] {
        let request = request(head.clone().line(line), UpgradeOrRefusal);
        table.request(format!("line-with-{name}"), rule::TARGET_CHOICE, request);
    }
    for (name, line) in [
        ("space-first", format!(" GET {path} HTTP/1.1")),
        ("method-only", "GET".to_owned()),
        ("no-version", format!("GET {path}")),
    ] {
        let request = request(head.clone().line(line), RefusalOrEnd);
        table.request(format!("line-with-{name}"), rule::TARGET, request);
    }
    let empty_line = request(head.clone().before("\r\n"), Upgrade);
    table.request("empty-line-first", rule::EMPTY_LINE, empty_line);
}

#[rustfmt::skip]
fn fields(table: &mut Table, head: &Head) {
    let add = |line: &[u8]| head.clone().raw(line);
    for (name, rule, head, answer) in [
        ("names-lower-case", rule::NAMES, head.clone().names(str::to_ascii_lowercase), Upgrade),
        ("names-upper-case", rule::NAMES, head.clone().names(str::to_ascii_uppercase), Upgrade),
        ("backwards", rule::ORDER, head.clone().backwards(), Upgrade),
        ("no-whitespace", rule::WHITESPACE, head.clone().without("Upgrade").raw("Upgrade:websocket"), Upgrade),
        ("whitespace-behind", rule::WHITESPACE, head.clone().set("Upgrade", "websocket \t "), Upgrade),
        ("whitespace-before", rule::WHITESPACE, head.clone().set("Upgrade", " \t websocket"), Upgrade),
        ("whitespace-around-key", rule::WHITESPACE, head.clone().set("Sec-WebSocket-Key", format!(" {KEY} ")), Upgrade),
        ("space-before-colon", rule::COLON, add(b"X-Other : 1"), Refusal(&[400])),
        ("tab-before-colon", rule::COLON, add(b"X-Other\t: 1"), Refusal(&[400])),
        (
            "space-before-colon-of-host",
            rule::COLON,
            head.clone()
                .without("Host")
                .raw(format!("Host : {}", head.authority)),
            Refusal(&[400]),
        ),
        ("folded", rule::FOLD, add(b"X-Other: 1\r\n 2"), UpgradeOrRefusal),
        ("folded-by-tab", rule::FOLD, add(b"X-Other: 1\r\n\t2"), UpgradeOrRefusal),
        ("folded-connection", rule::FOLD, head.clone().set("Connection", "keep-alive,\r\n Upgrade"), UpgradeOrRefusal),
        ("fold-first", rule::FOLD, head.clone().raw_first(" X-Other: 1"), UpgradeOrRefusal),
        ("lines-end-in-lf", rule::LINE_END, head.clone().line_end("\n"), UpgradeOrRefusal),
        ("lines-end-in-cr", rule::LINE_END, head.clone().line_end("\r").behind("\r\n\r\n"), RefusalOrEnd),
        ("lines-end-in-cr-cr-lf", rule::LINE_END, head.clone().line_end("\r\r\n"), UpgradeOrRefusal),
        ("no-colon", rule::FIELD, add(b"X-Other"), RefusalOrEnd),
        ("no-name", rule::FIELD, add(b": 1"), RefusalOrEnd),
        ("name-of-two-words", rule::FIELD, add(b"X Other: 1"), RefusalOrEnd),
        ("name-with-parentheses", rule::FIELD, add(b"X(Other): 1"), RefusalOrEnd),
        ("name-with-nul", rule::FIELD, add(b"X-\0: 1"), RefusalOrEnd),
        ("name-not-ascii", rule::FIELD, add(b"X-\xe4: 1"), RefusalOrEnd),
        ("value-with-nul", rule::VALUE, add(b"X-Other: a\0b"), UpgradeOrRefusal),
        ("value-with-cr", rule::VALUE, add(b"X-Other: a\rb"), UpgradeOrRefusal),
        ("value-with-control", rule::VALUE, add(b"X-Other: a\x01b"), UpgradeOrRefusal),
        ("value-not-ascii", rule::VALUE_ANY, add(b"X-Other: \xe4\xff"), Upgrade),
        ("value-not-ascii-in-cookie", rule::VALUE_ANY, add("Cookie: ü=ö".as_bytes()), Upgrade),
        ("value-empty", rule::UNKNOWN, add(b"X-Other:"), Upgrade),
        ("same-field-many-times", rule::UNKNOWN, (0..20).fold(head.clone(), |head, _| head.raw("X-Other: 1")), Upgrade),
        ("as-a-browser", rule::UNKNOWN, browser(head), Upgrade),
    ] {
        table.request(name, rule, request(head, answer));
    }
}

fn browser(head: &Head) -> Head {
    head.clone()
        .with(
            "User-Agent",
            "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
        )
        .with("Accept", "*/*")
        .with("Accept-Language", "en-US,en;q=0.5")
        .with("Accept-Encoding", "gzip, deflate, br, zstd")
        .with("Sec-Fetch-Dest", "empty")
        .with("Sec-Fetch-Mode", "websocket")
        .with("Sec-Fetch-Site", "same-origin")
        .with("Pragma", "no-cache")
        .with("Cache-Control", "no-cache")
}

#[rustfmt::skip]
fn sizes(table: &mut Table, head: &Head) {
    let cookie = |bytes| head.clone().with("Cookie", filler(bytes));
    let many = |count| {
        let add = |head: Head, number| head.with(&format!("X-Field-{number}"), "1");
        (0..count).fold(head.clone(), add)
    };
    let long_path = |bytes: usize| {
        let path = format!("/{}", "a".repeat(bytes - 1));
        head.clone().request("GET", &path, "HTTP/1.1")
    };
    let long_name = |bytes| head.clone().raw([&filler(bytes)[..], b": 1"].concat());
    for (name, rule, head, answer) in [
        ("field-of-1-kib", rule::SIZE, cookie(1024), Upgrade),
        ("field-of-4-kib", rule::SIZE, cookie(4096), Upgrade),
        ("field-of-16-kib", rule::SIZE_CHOICE, cookie(16 << 10), UpgradeOrRefusal),
        ("field-of-1-mib", rule::FLOOD, cookie(1 << 20), RefusalOrEnd),
        ("name-of-4-kib", rule::SIZE_CHOICE, long_name(4096), UpgradeOrRefusal),
        ("name-of-1-mib", rule::FLOOD, long_name(1 << 20), RefusalOrEnd),
        ("fields-50", rule::SIZE, many(50), Upgrade),
        ("fields-200", rule::SIZE_CHOICE, many(200), UpgradeOrRefusal),
        ("fields-100000", rule::FLOOD, many(100_000), RefusalOrEnd),
        ("target-of-2-kib", rule::SIZE_CHOICE, long_path(2048), UpgradeOrRefusal),
        ("target-of-8-kib", rule::SIZE_CHOICE, long_path(8192), UpgradeOrRefusal),
        ("target-of-1-mib", rule::FLOOD, long_path(1 << 20), RefusalOrEnd),
        ("empty-lines-first-100000", rule::FLOOD, head.clone().before("\r\n".repeat(100_000)), RefusalOrEnd),
    ] {
        table.request(name, rule, request(head, answer));
    }
}

#[rustfmt::skip]
fn bodies(table: &mut Table, head: &Head) {
    let with = |name: &str, value: &str| head.clone().with(name, value);
    for (name, rule, head, answer) in [
        ("length-0", rule::NO_BODY, with("Content-Length", "0"), Upgrade),
        ("body", rule::BODY, with("Content-Length", "5").behind("Hello"), UpgradeOrRefusal),
        ("body-like-a-frame", rule::BODY, with("Content-Length", "11").behind(text("Hello").bytes()), UpgradeOrRefusal),
        (
            "chunked-body",
            rule::BODY,
            with("Transfer-Encoding", "chunked").behind("5\r\nHello\r\n0\r\n\r\n"),
            UpgradeOrRefusal,
        ),
        (
            "chunked-and-length",
            rule::BODY,
            with("Transfer-Encoding", "chunked")
                .with("Content-Length", "5")
                .behind("0\r\n\r\n"),
            UpgradeOrRefusal,
        ),
        ("length-no-number", rule::LENGTH, with("Content-Length", "five"), Refusal(&[400])),
        ("length-negative", rule::LENGTH, with("Content-Length", "-1"), Refusal(&[400])),
        ("length-with-sign", rule::LENGTH, with("Content-Length", "+0"), Refusal(&[400])),
        ("lengths-that-differ", rule::LENGTH, with("Content-Length", "0").with("Content-Length", "5"), Refusal(&[400])),
        ("expect-100", rule::BODY, with("Expect", "100-continue"), UpgradeOrRefusal),
    ] {
        table.request(name, rule, request(head, answer));
    }
}

#[rustfmt::skip]
fn segments(table: &mut Table, head: &Head) {
    let length = head.bytes().len();
    let line = head.path.len() + "GET  HTTP/1.1".len();
    for (name, cut) in [
        ("byte-by-byte", Cut::Every(1)),
        ("in-pieces-of-7", Cut::Every(7)),
        ("within-the-line", Cut::After(2)),
        ("between-cr-and-lf", Cut::After(line + 1)),
        ("before-the-empty-line", Cut::After(length - 2)),
        ("before-the-last-byte", Cut::After(length - 1)),
    ] {
        let request = request(head.clone(), Upgrade).cut(cut);
        table.request(format!("cut-{name}"), rule::STREAM, request);
    }
    let hello = [text("Hello")];
    for (name, frames, cut) in [
        ("one", hello.to_vec(), Cut::Whole),
        ("one-cut-inside", hello.to_vec(), Cut::After(length + 3)),
        ("three", vec![text("one"), ping("two"), text("three")], Cut::Whole),
        ("4-kib", vec![text(filler(4096))], Cut::Whole),
        ("64-kib", vec![text(filler(65536))], Cut::Whole),
    ] {
        let request = request(head.clone(), Upgrade).early(frames).cut(cut);
        table.request(format!("frames-behind-head-{name}"), rule::EARLY, request);
    }
}

#[rustfmt::skip]
fn foreign(table: &mut Table, head: &Head) {
    // A ClientHello, and greetings of other protocols.
    let client_hello = [
        &b"\x16\x03\x01\x00\x30\x01\x00\x00\x2c\x03\x03"[..],
        &[7; 42],
    ]
    .concat();
    for (name, bytes) in [
        ("tls", &client_hello[..]),
        ("ssh", b"SSH-2.0-OpenSSH_9.9\r\n"),
        ("smtp", b"EHLO example.com\r\n"),
        ("redis", b"*1\r\n$4\r\nPING\r\n"),
        ("mqtt", b"\x10\x0c\x00\x04MQTT\x04\x02\x00\x3c\x00\x00"),
        ("zeros", &[0; 64]),
        ("a-frame", b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58"),
    ] {
        let request = request(Head::nothing(head).before(bytes), RefusalOrEnd);
        table.request(format!("foreign-{name}"), rule::NO_HTTP, request);
    }
    let expected = "an answer in HTTP/2, an error, or the end of the stream";
    table.special("foreign-http-2", rule::NO_HTTP, expected, http_2);
}

/// The preface of HTTP/2, which a server may well speak: then its settings come first (RFC 9113, 3.4).
fn http_2(peer: &mut Peer<'_>) -> Result<String, Finding> {
    peer.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0");
    let timeout = peer.ground().timeout;
    match peer.receive(Instant::now() + timeout)? {
        Incoming::Came(bytes) if bytes.get(3) == Some(&4) => Ok("answered in HTTP/2".to_owned()),
        Incoming::Came(bytes) if bytes.starts_with(b"HTTP/1.") && bytes.get(9) != Some(&b'1') => {
            Ok("answered in HTTP/1".to_owned())
        }
        Incoming::Came(_) => Err(Finding::Broken("answered with something else".to_owned())),
        Incoming::Ended(end) => Ok(end.words().to_owned()),
        Incoming::Silence => {
            let seconds = timeout.as_secs_f64();
            Err(Finding::Broken(format!("no answer for {seconds} s")))
        }
    }
}
