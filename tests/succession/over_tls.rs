//! What cannot be handed over is told to come again, and comes to the successor.

use std::process::Command;
use std::time::{Duration, Instant};

use crate::authority::Authority;
use crate::client::Client;
use crate::dynasty::Dynasty;
use crate::peers::Crowd;
use crate::server::{BINARY, usable_engines};
use crate::support::frames::{CLOSE, Frame};

#[test]
fn those_over_tls_are_told_to_come_again_and_no_one_else() {
    const PEERS: usize = 8;
    for engine in usable_engines() {
        let authority = Authority::new();
        let mut command = Command::new(BINARY);
        command.args(["--listen", "tls://127.0.0.1:0", "--listen", "127.0.0.1:0"]);
        command.args([
            "--engine",
            engine,
            "--workers",
            "2",
            "--drain-timeout",
            "3s",
        ]);
        command.args(authority.options(&["localhost"]));
        let mut dynasty = Dynasty::of(command, "", &[], None);
        let log = dynasty.log();
        let plain = log
            .iter()
            .find_map(|it| it.split_once("listening on ws://"));
        let plain = plain.expect("an address").1.parse().expect("an address");
        let mut crowd = Crowd::gather(plain, PEERS);
        let mut secret: Vec<_> = (0..PEERS)
            .map(|_| Client::upgrade(dynasty.server(), &authority))
            .collect();
        crowd.begin();
        assert_eq!(dynasty.restart(), PEERS, "{engine}");
        crowd.end();
        let told = Instant::now();
        let mut times = Vec::new();
        for client in &mut secret {
            // Until it is told it is served, but for those whom it waits for here.
            let head = client.read_exact(2);
            assert_eq!(head[0], 0x80 | CLOSE, "{engine}");
            let reason = client.read_exact(usize::from(head[1]));
            assert_eq!(reason, b"\x03\xf4restarting", "{engine}");
            client.send(&Frame::new(CLOSE, &reason[..2]).encode());
            times.push(told.elapsed());
        }
        assert!(
            times.iter().max() > Some(&Duration::from_millis(500)),
            "{times:?}"
        );
        let mut again = Client::upgrade(dynasty.server(), &authority);
        let message = Frame::binary(b"again");
        again.send(&message.encode());
        assert_eq!(
            again.read_exact(7),
            crate::wire::echo_of(&message),
            "{engine}"
        );
        crowd.assert_quiet();
    }
}
