//! The first connection to each URL, which counts for nothing: it finds the address that works, and what
//! is wrong in plain order.

use std::io;
use std::os::fd::BorrowedFd;
use std::sync::{Arc, mpsc};
use std::thread;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;

use super::Crew;
use crate::control::Bell;
use crate::echo::workload::Pace;
use crate::wire::failure::Failure;

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
    // Nobody queues its message: it is to send it by itself.
    crew.workload.pace = Pace::Depth(1);
    let (sender, receiver) = mpsc::channel();
    let bell = Arc::new(Bell::new()?);
    let ring = Arc::clone(&bell);
    // Dialing blocks, so it has a thread, which nobody waits for if it is to stop.
    thread::Builder::new().spawn(move || {
        let routes = crew.dialer.routes();
        let found = (first..first + routes).try_fold(None, |tls: Option<String>, ordinal| {
            let agreed = visit(&mut crew, ordinal, echo).map_err(|failure| (ordinal, failure))?;
            Ok(tls.or(agreed))
        });
        // Nobody listens after a stop.
        let _ = sender.send(found);
        ring.ring();
    })?;
    loop {
        let mut fds = [
            PollFd::from_borrowed_fd(stop, PollFlags::IN),
            PollFd::new(&bell, PollFlags::IN),
        ];
        match poll(&mut fds, None) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        let is_stopped = !fds[0].revents().is_empty();
        match receiver.try_recv() {
            Ok(Ok(tls)) => return Ok(Scouted::Open(tls)),
            Ok(Err((ordinal, failure))) => return Ok(Scouted::Failed(ordinal, failure)),
            Err(_) if is_stopped => return Ok(Scouted::Stopped),
            Err(mpsc::TryRecvError::Empty) => {}
            Err(mpsc::TryRecvError::Disconnected) => {
                return Err(io::Error::other("the thread of the first visit panicked"));
            }
        }
    }
}

fn visit(crew: &mut Crew, ordinal: usize, echo: bool) -> Result<Option<String>, Failure> {
    let dialed = crew.dialer.dial(ordinal, &mut crew.random)?;
    let tls = dialed.agreed.tls.clone();
    dialed.leave(echo, &mut crew.turn())?;
    Ok(tls)
}
