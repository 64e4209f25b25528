//! Two servers behind nginx, of which one goes down.

use rustix::process::Signal;

use crate::nginx::{self, Nginx};
use crate::server::{Server, until};
use crate::support::frames::{self, Frame};
use crate::wire::Wire;

/// Which of the servers answers an upgrade, by its prefix.
fn who_answers(nginx: &Nginx) -> String {
    let mut wire = Wire::to(nginx.address);
    wire.handshake();
    wire.send(&Frame::text("?").encode());
    let seen = wire.read_until(|seen| seen.outcome.messages().count() == 1);
    let message = seen.outcome.messages().next().expect("one");
    String::from_utf8(message.bytes.clone()).expect("UTF-8")
}

#[test]
fn while_one_goes_down_the_other_is_asked() {
    const ROUNDS: usize = 20;
    for engine in nginx::engines() {
        let patient = ["--drain-timeout", "10m", "--stall-timeout", "10m"];
        let first = Server::start(engine, &[&["--prefix", "first"][..], &patient].concat());
        let second = Server::start(engine, &["--prefix", "second"]);
        let nginx = Nginx::start(&[&first, &second]);
        let mut browser = Wire::to(nginx.address);
        let mut answering: Vec<_> = (0..ROUNDS).map(|_| who_answers(&nginx)).collect();
        answering.sort();
        answering.dedup();
        assert_eq!(answering, ["first?", "second?"], "{engine}");

        // It reads nothing of what it is owed, so the drain goes on for as long as it is here.
        let held = Wire::upgrade(&first);
        let _sending = held.send_aside(Frame::binary(&frames::noise(32 << 20, 73)).encode());
        for round in 0..3 * ROUNDS {
            if round == ROUNDS {
                first.signal(Signal::TERM);
            }
            let answer = browser.ask("GET", "/");
            assert_eq!(answer.status, 200, "{engine}: {answer:?}");
        }
        until("who asks the first is told that it goes down", || {
            (Wire::connect(&first).ask("GET", "/readyz").status == 503).then_some(())
        });
        for _ in 0..ROUNDS {
            assert_eq!(browser.ask("GET", "/readyz").status, 200, "{engine}");
            assert_eq!(who_answers(&nginx), "second?", "{engine}");
        }
        drop(first);
        for _ in 0..ROUNDS {
            assert_eq!(browser.ask("GET", "/healthz").status, 200, "{engine}");
            assert_eq!(who_answers(&nginx), "second?", "{engine}");
        }
    }
}
