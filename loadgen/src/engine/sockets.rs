//! The sockets of one thread, and who opens them.

use std::os::fd::{AsRawFd, RawFd};
use std::time::Duration;

use socket2::Socket;

use crate::fault::Fault;
use crate::session::opener::Opener;
use crate::worker::Worker;

/// By the index of their connections; `None` where one does not stand.
pub(super) struct Sockets<'a> {
    pub(super) opener: Opener<'a>,
    pub(super) all: Vec<Option<Socket>>,
}

impl<'a> Sockets<'a> {
    /// None yet, of so many connections that `opener` opens.
    pub(super) fn new(opener: Opener<'a>, connections: usize) -> Sockets<'a> {
        let all = (0..connections).map(|_| None).collect();
        Sockets { opener, all }
    }

    /// The descriptor of connection `index`; -1 where it does not stand.
    pub(super) fn fd(&self, index: usize) -> RawFd {
        self.all[index].as_ref().map_or(-1, AsRawFd::as_raw_fd)
    }

    /// Goes on opening, without waiting. Hands back the indexes of the connections that stand now.
    pub(super) fn open(&mut self, worker: &mut Worker) -> Result<Vec<usize>, Fault> {
        if self.opener.is_idle() {
            return Ok(Vec::new());
        }
        let through = self.opener.turn(Duration::ZERO);
        let through = through.map_err(|error| Fault::engine("opening connections", error))?;
        let mut stand = Vec::new();
        for (ordinal, made) in through {
            match made {
                Ok((socket, opened)) => {
                    if let Some(index) = worker.place(ordinal) {
                        // Before anything can fail: a Close may have to be sent.
                        self.all[index] = Some(socket);
                        stand.push(index);
                        worker.add(index, opened)?;
                    }
                }
                Err(failure) => {
                    worker.unmade(ordinal, failure)?;
                    self.opener.again(ordinal, true);
                }
            }
        }
        Ok(stand)
    }
}
