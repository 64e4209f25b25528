//! A private instance.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use rustix::process::Signal;
use tempfile::NamedTempFile;

use crate::server::{self, Server, until};
use crate::support::frames::Frame;
use crate::wire::Wire;
use crate::{ask, get, upgrade};

/// What `printf %s b2xkIHJpbmdiYWNr | sha256sum` tells.
const SECRET: &str = "b2xkIHJpbmdiYWNr";
const HASH: &str = "e55267560497934f24b1098a8a82acb466a94540eb92045f2d2edd03bb27f66d";

/// The same of another.
const NEW_SECRET: &str = "bmV3IHJpbmdiYWNr";
const NEW_HASH: &str = "961d58ad62a69e2ccbcbf5d5e7beacecf0802e2f91a181ce992919a15e36fbe0";

fn file(text: &str) -> NamedTempFile {
    let file = NamedTempFile::new().expect("a file");
    fs::write(file.path(), text).expect("room");
    file
}

/// A server for alice, and its file.
fn private(engine: &str) -> (Server, NamedTempFile) {
    let file = file(&format!("# one\nalice:{HASH}\n"));
    let path = file.path().to_str().expect("UTF-8").to_owned();
    (Server::start(engine, &["--auth-file", &path]), file)
}

fn basic(text: &str) -> String {
    format!("Authorization: Basic {}\r\n", BASE64_STANDARD.encode(text))
}

pub(crate) fn who_shows_none_is_refused(engine: &'static str) {
    let (server, _file) = private(engine);
    let right = basic(&format!("alice:{SECRET}"));
    let polling = "/socket.io/?EIO=4&transport=polling";
    for line in [
        "".to_owned(),
        basic("alice:wrong"),
        basic(&format!("bob:{SECRET}")),
        right.repeat(2),
    ] {
        let refused = [
            upgrade("/", &line),
            upgrade("/healthz", &line),
            upgrade("/x/echo", &line),
            upgrade("/socket.io/?EIO=4&transport=websocket", &line),
            get("/", &line),
            get("/x", &line),
            get("/http", &line),
            get("/sse", &line),
            get(polling, &line),
            get("/nothing", &line),
            get("/", &line).replace("GET", "POST"),
            get("*", &line).replace("GET", "OPTIONS"),
        ];
        for request in refused {
            let mut kept = Wire::connect(&server);
            kept.send(get("/", &right).as_bytes());
            assert_eq!(kept.read_answer("GET").status, 200);
            kept.send(request.as_bytes());
            for answer in [ask(&server, &request), kept.read_answer("GET")] {
                assert_eq!(answer.status, 401, "{request}");
                let challenges = answer.values("www-authenticate");
                let schemes =
                    challenges.map(|it| it.split(' ').next().unwrap_or_default().to_owned());
                assert_eq!(schemes.collect::<Vec<_>>(), ["Basic", "Bearer"]);
                assert!(answer.body().contains("private"), "{answer:?}");
            }
        }
        for probe in ["/healthz", "/readyz"] {
            assert_eq!(ask(&server, get(probe, &line)).status, 200);
        }
    }
    let preflight = "Origin: https://a.example\r\nAccess-Control-Request-Method: GET\r\n";
    let preflight = get("/http", preflight).replace("GET /", "OPTIONS /");
    assert_eq!(ask(&server, preflight).status, 204);
    let log = server.log().join("\n");
    assert!(log.contains("refused with 401: no secret"), "{log}");
    assert!(!log.contains(HASH) && !log.contains(SECRET), "{log}");
}

pub(crate) fn a_secret_is_shown_in_three_ways(engine: &'static str) {
    let (server, _file) = private(engine);
    let offers = format!("Sec-WebSocket-Protocol: bearer.{SECRET}, chat\r\n");
    for line in [
        basic(&format!("alice:{SECRET}")),
        format!("Authorization: Bearer {SECRET}\r\n"),
        offers.clone(),
    ] {
        if line != offers {
            assert_eq!(ask(&server, get("/", &line)).status, 200, "{line}");
        }
        for target in ["/", "/x/whoami"] {
            let mut wire = Wire::connect(&server);
            wire.send(upgrade(target, &line).as_bytes());
            let answer = wire.read_response();
            assert_eq!(answer.status, 101, "{line}");
            let chosen = (line == offers).then_some("chat");
            assert_eq!(
                answer.header("sec-websocket-protocol"),
                chosen,
                "never the secret"
            );
            wire.send(&Frame::text("ring").encode());
        }
    }
}

pub(crate) fn a_signal_reads_them_again(engine: &'static str) {
    let (server, file) = private(engine);
    let mut open = Wire::connect(&server);
    open.send(upgrade("/", &format!("Authorization: Bearer {SECRET}\r\n")).as_bytes());
    open.read_response().assert_switched();
    let reload = |text: &str, said: &str| {
        fs::write(file.path(), text).expect("room");
        server.signal(Signal::HUP);
        until("the log tells it", || {
            server
                .log()
                .iter()
                .any(|line| line.contains(said))
                .then_some(())
        });
    };
    let is_let_in = |secret: &str| {
        let line = format!("Authorization: Bearer {secret}\r\n");
        ["/", "/x/echo"].map(|target| ask(&server, upgrade(target, &line)).status == 101)
    };
    reload(&format!("alice:{NEW_HASH}\n"), "read the secrets again");
    assert_eq!(is_let_in(NEW_SECRET), [true; 2]);
    assert_eq!(is_let_in(SECRET), [false; 2]);
    open.assert_echoes("who is here stays");
    let stays = "the secrets stay as they were: --auth-file: line 1 of";
    reload(&format!("alice:{HASH}0\n"), stays);
    assert_eq!(is_let_in(NEW_SECRET), [true; 2]);
    assert_eq!(is_let_in(SECRET), [false; 2]);
}

#[test]
fn a_file_that_is_not_safe_or_right_ends_the_start() {
    let said = |path: &str| {
        let (status, said) = server::run_to_end(&["--listen", "127.0.0.1:0", "--auth-file", path]);
        assert_eq!(status.code(), Some(2), "{said}");
        assert!(said.contains("--auth-file"), "{said}");
        said
    };
    for (text, expected) in [
        ("alice", "line 1 of"),
        ("alice:$2y$05$abcdefgh", "slow"),
        ("", "` has no line with a name and a hash"),
    ] {
        let file = file(text);
        let said = said(file.path().to_str().expect("UTF-8"));
        assert!(said.contains(expected), "{said}");
        assert!(!said.contains("abcdefgh"), "{said}");
    }
    assert!(said("/nowhere").contains("cannot be read"));
    let open = file(&format!("alice:{HASH}\n"));
    fs::set_permissions(open.path(), Permissions::from_mode(0o646)).expect("its owner");
    assert!(said(open.path().to_str().expect("UTF-8")).contains("chmod o-w"));
}
