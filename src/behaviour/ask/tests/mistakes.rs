//! What is refused, and what is said about it.

use super::*;

/// That `path` is a 400 which says each of these.
fn assert_bad(path: &str, says: &[&str]) {
    let fault = fault(path);
    assert_eq!(fault.status, 400, "{path}: {}", fault.text);
    for words in says {
        assert!(fault.text.contains(words), "{path}: {}", fault.text);
    }
}

#[test]
fn bounds_hold_just_inside_and_just_outside() {
    let text = |path: &str, length: usize| format!("{path}{}", long(length));
    for (inside, outside, says) in [
        ("/x/delay/60s", "/x/delay/60001ms", "60s"),
        ("/x/delay/1s?jitter=60s", "/x/delay/1s?jitter=61s", "60s"),
        ("/x/slow-handshake/60s", "/x/slow-handshake/60001ms", "60s"),
        ("/x/ping?every=10ms", "/x/ping?every=9999us", "10ms"),
        ("/x/ping?every=60s", "/x/ping?every=60001ms", "60s"),
        ("/x/count?every=10ms", "/x/count?every=9ms", "10ms"),
        ("/x/count?n=1", "/x/count?n=0", "from 1 to"),
        ("/x/count?n=100000", "/x/count?n=100001", "100000"),
        ("/x/drip?bytes=1", "/x/drip?bytes=0", "from 1 to"),
        ("/x/drip?bytes=64KiB", "/x/drip?bytes=65537", "64KiB"),
        ("/x/drip?every=10ms", "/x/drip?every=0", "10ms"),
        ("/x/fragment/1", "/x/fragment/0", "from 1 to"),
        ("/x/fragment/1MiB", "/x/fragment/1048577", "1MiB"),
        ("/x/coalesce/1", "/x/coalesce/0", "from 1 to"),
        ("/x/coalesce/256", "/x/coalesce/257", "256"),
        ("/x/huge/1", "/x/huge/0", "from 1 to"),
        ("/x/huge/16GiB", "/x/huge/17179869185", "16GiB"),
        ("/x/status/200", "/x/status/199", "200 to 599"),
        ("/x/status/599", "/x/status/600", "200 to 599"),
        ("/x/close/1000", "/x/close/999", "1000-1003"),
        ("/x/close/1003", "/x/close/1004", "1000-1003"),
        ("/x/close/1007", "/x/close/1006", "1007-1014"),
        ("/x/close/1014", "/x/close/1015", "1007-1014"),
        ("/x/close/3000", "/x/close/2999", "3000-4999"),
        ("/x/close/4999", "/x/close/5000", "3000-4999"),
        ("/x/reset?after=100000", "/x/reset?after=100001", "100000"),
        ("/x/reset?after=60s", "/x/reset?after=60001ms", "60s"),
    ] {
        assert!(Ask::read(inside).is_ok(), "{inside}");
        assert_bad(outside, &[says]);
    }
    for (path, length_max) in [
        ("/x/greet?text=", 4096),
        ("/x/ping?payload=", 125),
        ("/x/close/1000?reason=", 123),
        ("/x/broadcast/", 64),
        ("/x/subprotocol/", 64),
        ("/x/auth/bearer/", 256),
        ("/x/redirect?to=/", 1023),
    ] {
        assert!(Ask::read(&text(path, length_max)).is_ok(), "{path}");
        assert_bad(&text(path, length_max + 1), &["it has to be "]);
    }
    // Bytes are counted, not characters.
    assert!(Ask::read(&format!("/x/close/1000?reason={}", "%C3%A9".repeat(61))).is_ok());
    assert_bad(
        &format!("/x/close/1000?reason={}", "%C3%A9".repeat(62)),
        &["123 bytes"],
    );
}

#[test]
fn a_value_that_is_none_is_told_what_would_be_right() {
    for (path, says) in [
        (
            "/x/delay/200",
            "duration of delay is \"200\"; it has to be a time from 0 to 60s, with its unit",
        ),
        ("/x/delay/-1s", "a time"),
        ("/x/delay/1M", "a time"),
        ("/x/delay/99999999999999999999s", "a time"),
        (
            "/x/ping?every",
            "every of ping is \"\"; it has to be a time",
        ),
        ("/x/huge/64K", "a size"),
        ("/x/huge/1e3", "a size"),
        ("/x/huge/99999999999999EiB", "a size"),
        ("/x/count?n=+5", "a number"),
        ("/x/count?n=%D9%A1", "a number"),
        ("/x/count?n=99999999999999999999", "a number"),
        ("/x/close/bye", "none, or a code"),
        ("/x/close/+1000", "none, or a code"),
        ("/x/close/66536", "none, or a code"),
        (
            "/x/reset?after=3x",
            "a number of messages up to 100000, or a time",
        ),
        (
            "/x/bad",
            "bad lacks its what; it has to be one of accept, rsv",
        ),
        ("/x/bad/", "as in /x/bad/accept"),
        ("/x/bad/luck", "control-fragment, unfinished"),
        ("/x/broadcast", "broadcast lacks its room"),
        ("/x/broadcast/a/b", "a name"),
        ("/x/broadcast/%00", "a name"),
        ("/x/subprotocol/a,b", "a name"),
        ("/x/subprotocol/a%0D%0AX:%20b", "a name"),
        ("/x/auth/digest", "basic, or bearer/TOKEN"),
        ("/x/auth/bearer/", "basic, or bearer/TOKEN"),
        ("/x/auth/bearer/==", "basic, or bearer/TOKEN"),
        ("/x/auth/bearer/a%20b", "basic, or bearer/TOKEN"),
        ("/x/upper/1", "upper takes no value"),
        ("/x/echo?upper=1", "upper takes no value"),
        ("/x/greet?glued=false", "a flag is there or is not"),
        ("/x/greet?text=%", "%25"),
        ("/x/greet?text=%4", "%25"),
        ("/x/greet?text=%4g", "%25"),
        ("/x/greet?text=%+1", "%25"),
        ("/x/greet?text=%C3", "UTF-8"),
        ("/x/greet?text=%ED%A0%80", "UTF-8"),
        ("/x/greet?%FF", "UTF-8"),
        ("/x/%FF", "UTF-8"),
    ] {
        assert_bad(path, &[says]);
    }
}

/// Nobody is led to another site by a link to here, nor is a header field smuggled in.
#[test]
fn a_redirect_leads_here_or_to_a_websocket() {
    for to in [
        "",
        "x",
        "//host",
        "/\\host",
        "\\\\host",
        "https://host/",
        "http://host/",
        "HTTPS:host",
        "javascript:alert(1)",
        "ws:host",
        "ws://",
        "ws:///host",
        "wss://?",
        "%09//host",
        "/%09/host",
        "/a%0D%0ASet-Cookie:%20a=b",
        "/%C3%A9",
        "/%22",
        "/%00",
    ] {
        assert_bad(&format!("/x/redirect?to={to}"), &["a path of this server"]);
    }
}

#[test]
fn an_unknown_name_is_told_the_nearest() {
    for (path, says) in [
        (
            "/x/clsoe/1000",
            "no behaviour \"clsoe\"; the nearest is /x/close/CODE.",
        ),
        ("/x/CLOSE", "nearest is /x/close/CODE."),
        ("/x/halfclose", "nearest is /x/half-close."),
        ("/x/pong", "nearest is /x/ping."),
        ("/x/fragments?a", "nearest is /x/fragment/SIZE."),
        ("/x/zzzzz", "no behaviour \"zzzzz\", nor one like it."),
        ("/x/%0A%1B[1m%E2%80%AE", "\"\\n\\u{1b}[1m\\u{202e}\""),
        ("/x", "/x/NAME"),
        ("/x/", "/x/NAME"),
        ("/x?close", "/x/NAME"),
        ("", "/x/NAME"),
        ("/xclose", "/x/NAME"),
        ("/y/close", "/x/NAME"),
    ] {
        let fault = fault(path);
        assert_eq!(fault.status, 404, "{path}");
        assert!(fault.text.contains(says), "{path}: {}", fault.text);
        assert!(
            fault.text.ends_with(" GET /x lists all there are.\n"),
            "{path}"
        );
    }
}

#[test]
fn an_unknown_key_is_told_what_there_is() {
    assert_bad(
        "/x/close/1000?aftre=3",
        &[
            "\"aftre\" is no parameter of close (it has: code, after, reason)",
            "GET /x",
            "Write after if that is meant.",
        ],
    );
    assert_bad("/x/echo?dely=1s", &["Write delay if that is meant."]);
    assert_bad("/x/upper?zzz", &["no parameter of upper (it has: none)"]);
    assert_bad(
        "/x/upper?after=3",
        &["It is one of close, reset, half-close, bad: put that one into the path."],
    );
    assert_bad("/x/upper?=3", &["\"\" is no parameter"]);
}

#[test]
fn the_same_thing_twice_is_refused() {
    for path in [
        "/x/close/1000?after=3&after=3",
        "/x/close/1000?code=1000",
        "/x/close/1000?close=1001",
        "/x/echo?upper&upper",
        "/x/echo?drip=1&upper&drip=1",
        "/x/upper?upper",
        "/x/greet?glued&glued",
    ] {
        assert_bad(path, &["is there twice: write it once."]);
    }
}

#[test]
fn what_excludes_each_other_is_refused() {
    let spelled = |name: &str| match table::find(name).expect("in the table").parameters {
        [needed, ..] if needed.default.is_none() => match needed.kind {
            Kind::Mistake => format!("{name}=rsv"),
            _ => format!("{name}=a"),
        },
        _ => name.to_owned(),
    };
    for rule in RULES {
        for (index, one) in rule.names.iter().enumerate() {
            for other in &rule.names[index + 1..] {
                let path = format!("/x/echo?{}&{}", spelled(one), spelled(other));
                assert_bad(
                    &path,
                    &[one, other, "cannot be had together", "leave one out"],
                );
            }
        }
    }
    for (path, says) in [
        (
            "/x/status/503?upper",
            "status and upper cannot be had together, since status opens no WebSocket",
        ),
        (
            "/x/close/1000?redirect",
            "redirect and close cannot be had together",
        ),
        (
            "/x/bad/accept?status=403",
            "status and bad cannot be had together",
        ),
        ("/x/reset?after=3&silent", "after=2s"),
        ("/x/bad/accept?after=1", "leave after out"),
        ("/x/bad/accept?after=1s", "leave after out"),
        ("/x/close/none?reason=bye", "no reason"),
        (
            "/x/greet?glued&drip",
            "glued and drip cannot be had together",
        ),
    ] {
        assert_bad(path, &[says]);
    }
    for path in [
        "/x/echo?status=503&auth&slow-handshake=1s",
        "/x/redirect?auth=bearer/a",
        "/x/silent?greet&no-pong&slow-handshake",
        "/x/reset?after=2s&silent",
        "/x/count?close=1001&delay=1s&fragment=1&coalesce&upper&time&ping",
        "/x/greet?drip=3",
    ] {
        assert!(Ask::read(path).is_ok(), "{path}: {:?}", Ask::read(path));
    }
}
