//! The bytes of a connection: those that were read before, then those of the socket; and hyper's view of
//! them, which ends where the request does.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU16, AtomicU64, Ordering::Relaxed};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use hyper::rt::ReadBufCursor;
use rustix::fs::OFlags;
use rustix::net::sockopt;
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use crate::link::Facts;
use crate::protocol::guests::{Guest, Peer};

use super::Caller;
use super::connection::Shared;
use super::places::{Place, Places};
use super::stream::{READ_BYTES, Stream};

/// How far hyper is with the request that it was given.
///
/// hyper keeps a connection and reads on; here a head is judged before anybody acts on it. So hyper is given
/// one request at a time: it reads the head, then as much as the service grants it for a body, and what it
/// sees behind that is the end of the stream. That it looks there is the sign that it would go on.
#[derive(Debug, Default)]
pub(super) struct Request {
    /// What it may still read, in bytes.
    granted: AtomicU64,
    /// It looked behind the request.
    looked_on: AtomicBool,
    /// It understood the head, and asked the service. Otherwise what it writes is its own, and has no words.
    is_understood: AtomicBool,
    /// How long hyper may take, in milliseconds.
    allowed: AtomicU64,
    /// The connection ends with this request.
    is_last: AtomicBool,
    /// What it is answered with; zero: nothing yet.
    status: AtomicU16,
}

impl Request {
    pub(super) fn of_head(len: usize) -> Arc<Self> {
        Arc::new(Request {
            granted: AtomicU64::new(len as u64),
            ..Request::default()
        })
    }

    /// The head was read and understood; so many bytes may be read behind it.
    pub(super) fn grant(&self, bytes: u64) {
        self.is_understood.store(true, Relaxed);
        self.granted.store(bytes, Relaxed);
    }

    /// Whether the head was understood.
    pub(super) fn is_understood(&self) -> bool {
        self.is_understood.load(Relaxed)
    }

    /// It may take so much longer.
    pub(super) fn allow(&self, more: Duration) {
        let more = u64::try_from(more.as_millis()).unwrap_or(u64::MAX);
        self.allowed
            .store(self.allowed.load(Relaxed).saturating_add(more), Relaxed);
    }

    /// How long it may take.
    pub(super) fn allowed(&self) -> Duration {
        Duration::from_millis(self.allowed.load(Relaxed))
    }

    /// It is answered with this status.
    pub(super) fn answer_with(&self, status: u16) {
        self.status.store(status, Relaxed);
    }

    /// What it is answered with, if it is.
    pub(super) fn status(&self) -> Option<u16> {
        Some(self.status.load(Relaxed)).filter(|status| *status != 0)
    }

    /// Ends the connection with this request.
    pub(super) fn make_last(&self) {
        self.is_last.store(true, Relaxed);
    }

    /// Whether it does.
    pub(super) fn is_last(&self) -> bool {
        self.is_last.load(Relaxed)
    }

    /// Whether the connection is kept, which is asked once hyper is done.
    pub(super) fn is_kept(&self) -> bool {
        self.looked_on.load(Relaxed) && !self.is_last()
    }
}

/// A connection.
pub(super) struct Wire {
    /// Given back before the socket is closed: who sees the end and comes again finds it free.
    place: Place,
    stream: Stream,
    /// Whether the socket blocked before it came here.
    was_blocking: bool,
    /// Read, and used up to `start`; given back once all of it is used.
    unread: Vec<u8>,
    start: usize,
    /// Who is at the other end, where the workers know something of it.
    pub(super) guest: Option<Box<Guest>>,
    /// The request that hyper is given.
    pub(super) request: Arc<Request>,
}

impl Wire {
    pub(super) fn new(caller: Caller, place: Place, shared: &Arc<Shared>) -> io::Result<Self> {
        let Caller {
            socket,
            unread,
            unsent,
            received,
            link,
            guest,
        } = caller;
        let flags = rustix::fs::fcntl_getfl(&socket)?;
        rustix::fs::fcntl_setfl(&socket, flags | OFlags::NONBLOCK)?;
        let socket = TcpStream::from_std(socket.into())?;
        Ok(Wire {
            place,
            stream: Stream::new(socket, link, unsent, received, shared.clone()),
            was_blocking: !flags.contains(OFlags::NONBLOCK),
            unread,
            start: 0,
            guest,
            request: Arc::default(),
        })
    }

    /// The connection as it came, with what was not used of what was read from it.
    pub(super) fn into_caller(mut self) -> io::Result<Caller> {
        let received = self.stream.received;
        self.unread.drain(..self.start);
        let (socket, link, unsent) = self.stream.into_parts(&mut self.unread);
        let socket = OwnedFd::from(socket.into_std()?);
        if self.was_blocking {
            let flags = rustix::fs::fcntl_getfl(&socket)?;
            rustix::fs::fcntl_setfl(&socket, flags - OFlags::NONBLOCK)?;
        }
        Ok(Caller {
            socket,
            unread: self.unread,
            unsent,
            received,
            link,
            guest: self.guest,
        })
    }

    /// What was read and not used.
    pub(super) fn unread(&mut self) -> &mut [u8] {
        &mut self.unread[self.start..]
    }

    /// Reads more behind it; nothing at the end of the stream. As long as nothing comes, nothing is kept for it.
    pub(super) async fn read_more(&mut self) -> io::Result<usize> {
        self.unread.drain(..self.start);
        self.start = 0;
        loop {
            self.stream.ready(true, false).await?;
            let mut chunk = [0; READ_BYTES];
            let read = self.stream.try_read(&mut chunk)?;
            self.count()?;
            if let Some(count) = read {
                self.unread.extend_from_slice(&chunk[..count]);
                return Ok(count);
            }
        }
    }

    /// Writes all of it, to the kernel.
    pub(super) async fn write(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            match self.stream.try_write(bytes)? {
                Some(count) => bytes = &bytes[count..],
                None => self.stream.ready(false, true).await?,
            }
        }
        self.stream.flush().await
    }

    /// Waits until there is something to read, or room to write, whichever is wanted. Where neither is: until the peer has
    /// reset the connection, which is an error.
    pub(super) async fn ready(&mut self, to_read: bool, to_write: bool) -> io::Result<()> {
        if to_read && self.start < self.unread.len() {
            return Ok(());
        }
        self.stream.ready(to_read, to_write).await
    }

    /// Reads some of what is there, `most` bytes of it, and gives it to `with`; how much it was: nothing at the end of the
    /// stream, none where nothing has come yet.
    pub(super) fn try_read(
        &mut self,
        most: usize,
        with: impl FnOnce(&mut [u8]),
    ) -> io::Result<Option<usize>> {
        let most = most.min(READ_BYTES);
        let unread = (self.unread.len() - self.start).min(most);
        if unread > 0 {
            with(&mut self.unread()[..unread]);
            self.use_up(unread);
            return Ok(Some(unread));
        }
        let mut chunk = [0; READ_BYTES];
        let count = self.stream.try_read(&mut chunk[..most])?;
        self.count()?;
        if let Some(count @ 1..) = count {
            with(&mut chunk[..count]);
        }
        Ok(count)
    }

    /// Writes `bytes` as far as they are taken at once; none: not at all.
    pub(super) fn try_write(&mut self, bytes: &[u8]) -> io::Result<Option<usize>> {
        self.stream.try_write(bytes)
    }

    /// Sends FIN. What comes can still be read.
    pub(super) fn finish(&mut self) -> io::Result<()> {
        self.stream.finish()
    }

    /// Counts what the stream keeps of what came.
    fn count(&mut self) -> io::Result<()> {
        if self.place.holds(self.stream.kept_bytes()) {
            Ok(())
        } else {
            Err(io::ErrorKind::OutOfMemory.into())
        }
    }

    /// What was agreed on by TLS, where it is spoken.
    pub(super) fn tls(&self) -> Option<Facts> {
        self.stream.link()?.facts()
    }

    /// Has the kernel take no more than about so many bytes that it cannot send yet. Otherwise it takes some
    /// megabytes for a peer that reads nothing, and then says for minutes that one which reads slowly takes nothing.
    pub(super) fn keep_unsent_below(&self, bytes: u32) {
        // Where the kernel does not know it, a slow reader is given up a little sooner.
        let _ = SockRef::from(&self.stream.socket).set_tcp_notsent_lowat(bytes);
    }

    /// Goes over to one of those places; whether there was one.
    pub(super) fn move_to(&mut self, places: &Arc<Places>) -> bool {
        self.place.move_to(places)
    }

    /// Whom it is connected with.
    pub(super) fn peer(&self) -> Option<Peer> {
        let known = self.guest.as_ref().and_then(|guest| guest.peer());
        known.or_else(|| self.stream.socket.peer_addr().ok().map(Peer::from))
    }

    /// Takes so many of the unread bytes away.
    pub(super) fn take(&mut self, count: usize) -> Vec<u8> {
        let taken = self.unread()[..count].to_vec();
        self.use_up(count);
        taken
    }

    /// Sends FIN and reads what comes until the peer's: closed with bytes unread, the kernel would reset the
    /// connection, and the response with it.
    pub(super) async fn linger(&mut self) -> io::Result<()> {
        self.finish()?;
        self.stream.flush().await?;
        self.stream.discard().await
    }

    /// Closes at once: what the peer did not take, it does not get.
    pub(super) fn reset(self) {
        // Without it the kernel keeps the bytes for a peer that does not take them.
        let _ = sockopt::set_socket_linger(self.stream.socket.as_fd(), Some(Duration::ZERO));
    }

    fn use_up(&mut self, count: usize) {
        self.start += count;
        if self.start == self.unread.len() {
            self.unread = Vec::new();
            self.start = 0;
            self.place.unread_is_used();
        }
    }
}

/// The rest of the stream, without the view of a request.
impl AsyncRead for Wire {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.start < this.unread.len() {
            let count = buffer.remaining().min(this.unread.len() - this.start);
            buffer.put_slice(&this.unread[this.start..this.start + count]);
            this.use_up(count);
            return Poll::Ready(Ok(()));
        }
        let unfilled = buffer.initialize_unfilled();
        let read = this.stream.poll_read(context, unfilled);
        this.count()?;
        buffer.advance(ready!(read)?);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.get_mut().stream.poll_write(context, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().stream.poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let stream = &mut self.get_mut().stream;
        ready!(stream.poll_flush(context))?;
        stream.finish()?;
        stream.poll_flush(context)
    }
}

impl hyper::rt::Read for Wire {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        mut buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let granted = this.request.granted.load(Relaxed);
        let most = usize::try_from(granted).map_or(READ_BYTES, |granted| granted.min(READ_BYTES));
        let most = most.min(buffer.remaining());
        if granted == 0 {
            this.request.looked_on.store(true, Relaxed);
            return Poll::Ready(Ok(()));
        }
        let mut chunk = [0; READ_BYTES];
        let mut chunk = ReadBuf::new(&mut chunk[..most]);
        ready!(AsyncRead::poll_read(
            Pin::new(&mut *this),
            context,
            &mut chunk
        ))?;
        buffer.put_slice(chunk.filled());
        let left = granted - chunk.filled().len() as u64;
        this.request.granted.store(left, Relaxed);
        Poll::Ready(Ok(()))
    }
}

impl hyper::rt::Write for Wire {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if this.request.is_understood() {
            AsyncWrite::poll_write(Pin::new(this), context, bytes)
        } else {
            Poll::Ready(Ok(bytes.len()))
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        AsyncWrite::poll_flush(self, context)
    }

    /// hyper is done with its request, and with nothing else.
    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
