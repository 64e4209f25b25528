//! The end of the server.

use rustix::process::Signal;

use crate::client::{ENGINE_IO, Polling, SOCKET_IO, Web, a_while, answer, server};

/// Nobody has to wait for a heartbeat to find out.
#[test]
fn all_sessions_end_with_the_server() {
    let server = server();
    let mut joined = Web::joined(&server);
    let mut not_joined = Web::session(&server, SOCKET_IO);
    let mut bare = Web::session(&server, ENGINE_IO);
    let polling = Polling::open(&server, ENGINE_IO);
    let mut waiting = polling.start_get();
    let upgrading = Polling::open(&server, SOCKET_IO);
    let mut upgrade = upgrading.upgrade();
    upgrade.say("2probe");
    a_while();
    server.signal(Signal::TERM);
    for web in [&mut joined, &mut not_joined, &mut bare] {
        web.ends();
        assert!(web.close_code().is_some(), "it is closed in order");
    }
    let last = answer(&mut waiting);
    assert_eq!((last.status, last.body()), (200, "1"));
    while upgrade.next() != crate::client::Seen::End {}
    drop((joined, not_joined, bare, upgrade, waiting));
    assert!(server.wait().success());
}
