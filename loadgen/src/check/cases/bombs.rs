//! Small messages that inflate to large ones.

use std::time::Instant;

use super::Table;
use crate::check::case::{Case, Rule, should};
use crate::check::inflate::{deflated, deflated_with_tail};
use crate::check::peer::Incoming;
use crate::check::skim::Skim;
use crate::check::strain::under_strain;
use crate::check::verdict::Finding;
use crate::check::wire::{Frame, binary, continuation, text};

const BOMB: Rule = should(
    "RFC 7692, 8; CWE-409",
    "what a message inflates to is bounded while it is inflated",
);
/// The cases. Each is alone, and afterwards another client must be served.
pub(super) fn cases() -> Vec<Case> {
    let mut table = Table::of("resources");
    const MIB: usize = 1 << 20;
    let expected =
        "an echo, or Close 1007, 1008 or 1009, within --patience; another client is served";
    let bomb = |mib: usize| {
        let block = deflated_with_tail(&vec![0; MIB]);
        [block.repeat(mib - 1), deflated(vec![0; MIB])].concat()
    };
    for (name, frames) in [
        ("bomb-text", vec![text(bomb(1024)).rsv(4)]),
        ("bomb-binary", vec![binary(bomb(1024)).rsv(4)]),
        ("bomb-in-fragments", {
            let block = deflated_with_tail(&vec![0; MIB]);
            let mut frames = vec![text(&block).rsv(4).more()];
            frames.extend((0..1022).map(|_| continuation(&block).more()));
            frames.push(continuation(deflated(vec![0; MIB])));
            frames
        }),
        ("many-small-bombs", vec![text(bomb(32)).rsv(4); 8]),
    ] {
        table.special(name, BOMB, expected, move |peer| {
            peer.upgrade_with("permessage-deflate")?;
            under_strain(peer, |peer| {
                let until = Instant::now() + peer.ground().patience;
                let bytes: Vec<u8> = frames.iter().flat_map(Frame::bytes).collect();
                let messages = frames.iter().filter(|frame| frame.fin).count();
                let mut skim = Skim::default();
                peer.send_and_read(&bytes, |_, bytes| skim.feed(bytes))?;
                while skim.close.is_none() && skim.messages < messages {
                    match peer.receive(until)? {
                        Incoming::Came(bytes) => {
                            skim.feed(&bytes);
                        }
                        Incoming::Ended(end) => {
                            let what = format!("{} without a Close", end.words());
                            return Err(Finding::Broken(what));
                        }
                        Incoming::Silence => {
                            let seconds = peer.ground().patience.as_secs_f64();
                            let what = format!("neither echo nor Close within {seconds} s");
                            return Err(Finding::Broken(what));
                        }
                    }
                }
                match skim.close {
                    Some(Some(1007..=1009)) | None => Ok(skim.words()),
                    Some(_) => Err(Finding::Broken(skim.words())),
                }
            })
        });
    }
    table.cases.into_iter().map(Case::alone).collect()
}
