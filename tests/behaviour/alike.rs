//! Whether a behaviour is the same, and at the same time, however the client's bytes are cut.

use std::time::Duration;

use ringback::behaviour::Ask;

use super::rig::Rig;
use super::support::streams::Cuts;

/// Sends `stream` in pieces that all come at once, waits, and ends the stream. The socket takes so many bytes
/// at once.
pub(crate) fn serve(ask: &Ask, stream: &[u8], cuts: &Cuts, takes: usize) -> Rig {
    let mut rig = Rig::open(ask);
    rig.takes = takes;
    for piece in cuts.pieces(stream.len()) {
        assert!(rig.behaviour.has_room(), "streams here are short");
        rig.feed(&stream[piece]);
    }
    rig.wait(Duration::from_secs(20));
    rig.finish();
    rig.wait(Duration::from_secs(20));
    rig
}

/// Checks that cut like this it is the same as whole.
pub(crate) fn check(
    ask: &Ask,
    whole: &Rig,
    stream: &[u8],
    cuts: &Cuts,
    takes: usize,
) -> Result<(), String> {
    let cut = serve(ask, stream, cuts, takes);
    // Between two drops there is always the same time, but how much is in one depends on what was there for it: what
    // is said is the same as far as both have come.
    let is_same = match ask.drip {
        Some(_) => {
            let (cut_sent, whole_sent) = (cut.sent(), whole.sent());
            let ended_alike = cut_sent == whole_sent && cut.end() == whole.end();
            let is_over = cut.is_over() && whole.is_over();
            ended_alike
                || !is_over
                    && (cut_sent.starts_with(&whole_sent) || whole_sent.starts_with(&cut_sent))
        }
        None => cut.timeline() == whole.timeline() && cut.ends == whole.ends,
    };
    let told = |rig: &Rig| format!("{:?} {:?}", rig.timeline(), rig.ends);
    if is_same && cut.for_room == whole.for_room {
        Ok(())
    } else {
        Err(format!("{}\ninstead of\n{}", told(&cut), told(whole)))
    }
}
