//! The socket of a connection, and its link, if it has one: plaintext is read and written here.

use std::io;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use rustix::net::{Shutdown, shutdown};
use tokio::io::Interest;
use tokio::net::TcpStream;

use crate::link::{Link, Opened, RECORD_BYTES_MAX};

use super::connection::Shared;

/// What is read from a socket at once, in bytes: a head usually comes whole.
pub(super) const READ_BYTES: usize = 4096;

/// A socket.
pub(super) struct Stream {
    pub(super) socket: TcpStream,
    sealed: Option<Box<Sealed>>,
    /// How many bytes have been read from the socket so far, here and before.
    pub(super) received: u64,
}

/// What there is beside it where TLS is spoken.
struct Sealed {
    link: Box<Link>,
    /// What has been opened, and read up to `start`.
    opened: Opened,
    start: usize,
    /// What is sealed, and sent up to `sent`.
    unsent: Vec<u8>,
    sent: usize,
    /// FIN follows.
    is_last: bool,
    shared: Arc<Shared>,
}

impl Stream {
    /// `received` bytes have been read from the socket already; `unsent` goes out before anything else. `shared` is told
    /// where its TLS breaks.
    pub(super) fn new(
        socket: TcpStream,
        link: Option<Box<Link>>,
        unsent: Vec<u8>,
        received: u64,
        shared: Arc<Shared>,
    ) -> Self {
        let sealed = link.map(|link| {
            Box::new(Sealed {
                opened: Opened {
                    is_finished: link.is_finished(),
                    ..Opened::default()
                },
                link,
                start: 0,
                unsent,
                sent: 0,
                is_last: false,
                shared,
            })
        });
        Stream {
            socket,
            sealed,
            received,
        }
    }

    /// The socket, its link, and what is still to be sent; `unread` gets what has been opened and not read.
    pub(super) fn into_parts(
        self,
        unread: &mut Vec<u8>,
    ) -> (TcpStream, Option<Box<Link>>, Vec<u8>) {
        let Some(mut sealed) = self.sealed else {
            return (self.socket, None, Vec::new());
        };
        unread.extend_from_slice(&sealed.opened.plain[sealed.start..]);
        sealed.unsent.drain(..sealed.sent);
        (self.socket, Some(sealed.link), sealed.unsent)
    }

    /// Its link.
    pub(super) fn link(&self) -> Option<&Link> {
        self.sealed.as_ref().map(|sealed| &*sealed.link)
    }

    /// What is kept of what came and was not read, in bytes.
    pub(super) fn kept_bytes(&self) -> usize {
        self.sealed.as_ref().map_or(0, |sealed| {
            sealed.opened.plain.capacity() + sealed.link.unfinished_bytes()
        })
    }

    /// Reads what is there: nothing at the end of the stream, none where nothing has come yet.
    pub(super) fn try_read(&mut self, buffer: &mut [u8]) -> io::Result<Option<usize>> {
        loop {
            if let Some(sealed) = &mut self.sealed {
                let plain = &sealed.opened.plain[sealed.start..];
                if !plain.is_empty() {
                    let count = plain.len().min(buffer.len());
                    buffer[..count].copy_from_slice(&plain[..count]);
                    sealed.use_up(count);
                    return Ok(Some(count));
                }
                if sealed.opened.is_finished {
                    return Ok(Some(0));
                }
            }
            let Some(sealed) = &mut self.sealed else {
                let count = unless_blocked(self.socket.try_read(buffer))?;
                self.received += count.unwrap_or(0) as u64;
                return Ok(count);
            };
            let mut chunk = [0; READ_BYTES];
            let count = match unless_blocked(self.socket.try_read(&mut chunk))? {
                Some(count @ 1..) => count,
                ended_or_blocked => return Ok(ended_or_blocked),
            };
            self.received += count as u64;
            let outcome = sealed.link.receive(&mut chunk[..count], &mut sealed.opened);
            sealed.unsent.append(&mut sealed.opened.out);
            if let Err(fault) = outcome {
                sealed
                    .shared
                    .tell_broken(self.socket.peer_addr().ok(), fault);
            }
            self.try_flush()?;
            outcome.map_err(|fault| io::Error::new(io::ErrorKind::InvalidData, fault.text()))?;
        }
    }

    /// Writes as much as is taken at once; none: not at all. Where there is a link, some of it may still be on its way
    /// then: whoever waits with [`Stream::ready`], reads or flushes, sends it.
    pub(super) fn try_write(&mut self, bytes: &[u8]) -> io::Result<Option<usize>> {
        if !self.try_flush()? {
            return Ok(None);
        }
        let Some(sealed) = &mut self.sealed else {
            return unless_blocked(self.socket.try_write(bytes));
        };
        let count = bytes.len().min(RECORD_BYTES_MAX);
        if !sealed.link.seal_to(&bytes[..count], &mut sealed.unsent) {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        self.try_flush()?;
        Ok(Some(count))
    }

    /// Sends what is sealed, as far as it is taken at once; whether that is all.
    pub(super) fn try_flush(&mut self) -> io::Result<bool> {
        let Some(sealed) = &mut self.sealed else {
            return Ok(true);
        };
        while sealed.sent < sealed.unsent.len() {
            match unless_blocked(self.socket.try_write(&sealed.unsent[sealed.sent..]))? {
                Some(count) => sealed.sent += count,
                None => return Ok(false),
            }
        }
        sealed.unsent = Vec::new();
        sealed.sent = 0;
        if std::mem::take(&mut sealed.is_last) {
            shutdown(&self.socket, Shutdown::Write)?;
        }
        Ok(true)
    }

    /// Sends FIN, behind what is on its way. What comes can still be read.
    pub(super) fn finish(&mut self) -> io::Result<()> {
        let Some(sealed) = &mut self.sealed else {
            return Ok(shutdown(&self.socket, Shutdown::Write)?);
        };
        sealed.link.finish(&mut sealed.unsent);
        sealed.is_last = true;
        self.try_flush().map(drop)
    }

    /// Whether something can be read without waiting for the socket.
    fn has_opened(&self) -> bool {
        self.sealed.as_ref().is_some_and(|sealed| {
            sealed.start < sealed.opened.plain.len() || sealed.opened.is_finished
        })
    }

    fn has_unsent(&self) -> bool {
        self.sealed
            .as_ref()
            .is_some_and(|sealed| !sealed.unsent.is_empty())
    }

    /// Waits until there may be something to read, or room to write, whichever is wanted. Where neither is: until the peer
    /// has reset the connection, which is an error.
    pub(super) async fn ready(&mut self, to_read: bool, to_write: bool) -> io::Result<()> {
        if to_read && self.has_opened() {
            return Ok(());
        }
        let interest = match (to_read, to_write || self.has_unsent()) {
            (true, true) => Interest::READABLE | Interest::WRITABLE,
            (true, false) => Interest::READABLE,
            (false, true) => Interest::WRITABLE,
            (false, false) => {
                self.socket.ready(Interest::ERROR).await?;
                return Err(io::ErrorKind::ConnectionReset.into());
            }
        };
        self.socket.ready(interest).await?;
        self.try_flush().map(drop)
    }

    /// Waits until all is sent.
    pub(super) async fn flush(&mut self) -> io::Result<()> {
        while !self.try_flush()? {
            self.socket.writable().await?;
        }
        Ok(())
    }

    /// Reads what comes and throws it away, until the end of the stream.
    pub(super) async fn discard(&mut self) -> io::Result<()> {
        loop {
            self.socket.readable().await?;
            let mut chunk = [0; READ_BYTES];
            if unless_blocked(self.socket.try_read(&mut chunk))? == Some(0) {
                return Ok(());
            }
        }
    }

    pub(super) fn poll_read(
        &mut self,
        context: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        if self.has_unsent() && self.socket.poll_write_ready(context)?.is_ready() {
            self.try_flush()?;
        }
        loop {
            if let Some(count) = self.try_read(buffer)? {
                return Poll::Ready(Ok(count));
            }
            ready!(self.socket.poll_read_ready(context))?;
        }
    }

    pub(super) fn poll_write(
        &mut self,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        loop {
            if let Some(count) = self.try_write(bytes)? {
                return Poll::Ready(Ok(count));
            }
            ready!(self.socket.poll_write_ready(context))?;
        }
    }

    pub(super) fn poll_flush(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.try_flush()? {
            ready!(self.socket.poll_write_ready(context))?;
        }
        Poll::Ready(Ok(()))
    }
}

impl Sealed {
    fn use_up(&mut self, count: usize) {
        self.start += count;
        if self.start == self.opened.plain.len() {
            self.opened.plain = Vec::new();
            self.start = 0;
        }
    }
}

/// What was done, none where it would have had to wait.
fn unless_blocked(done: io::Result<usize>) -> io::Result<Option<usize>> {
    match done {
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
        done => done.map(Some),
    }
}
