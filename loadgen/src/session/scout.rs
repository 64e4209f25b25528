//! The first connection to each URL, which counts for nothing: it finds the address that works, and what
//! is wrong in plain order.

use std::io;
use std::os::fd::BorrowedFd;

use super::crowd::{Crowd, Ready};
use super::{Crew, OPEN_TIMEOUT_NS, Task, WAIT};
use crate::wire::failure::Failure;

/// Sign of the descriptor that tells to stop.
const STOP: u8 = 0;

/// What was found out.
pub(crate) enum Scouted {
    /// All answer; what TLS agreed on.
    Open(Option<String>),
    /// One does not; its number, and why.
    Failed(usize, Failure),
    /// Somebody said stop first.
    Stopped,
}

/// Goes to each URL once, as number `first` and on, with one message if `echo`; gives up when `stop` is
/// readable.
pub(crate) fn scout(
    mut crew: Crew,
    first: usize,
    echo: bool,
    stop: BorrowedFd<'_>,
) -> io::Result<Scouted> {
    let mut crowd = Crowd::new(1)?;
    crowd.watch(stop, STOP)?;
    for ordinal in first..first + crew.dialer.routes() {
        let task = Task::Talk(u64::from(echo));
        let mut ended = crowd.begin(&crew, ordinal, task, u64::MAX, OPEN_TIMEOUT_NS);
        // All is said: the server need not end the stream first.
        while ended.is_none() && crowd.sessions().any(|(_, session)| !session.is_closed()) {
            let mut ready = Vec::new();
            crowd.wait(WAIT, &mut ready)?;
            for event in ready {
                let Ready::Session(slot) = event else {
                    return Ok(Scouted::Stopped);
                };
                ended = ended.or(crowd.advance(slot, &mut crew));
            }
            ended = ended.or(crowd.expire(&mut crew, OPEN_TIMEOUT_NS as f64 / 1e9).pop());
        }
        if let Some(Err(ending)) = ended.map(|ended| ended.how) {
            return Ok(Scouted::Failed(ordinal, ending.failure));
        }
        crowd.clear();
    }
    Ok(Scouted::Open(crew.tls))
}
