//! The bytes of a connection: those that were read before, then those of the socket; and hyper's view of
//! them, which ends where the request does.

use std::future::pending;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use hyper::rt::ReadBufCursor;
use rustix::fs::OFlags;
use rustix::net::{Shutdown, shutdown, sockopt};
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::TcpStream;

use super::Caller;
use super::places::{Place, Places};

/// What is read from a socket at once, in bytes: a head usually comes whole.
const READ_BYTES: usize = 4096;

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
    stream: TcpStream,
    /// Whether the socket blocked before it came here.
    was_blocking: bool,
    /// Read, and used up to `start`; given back once all of it is used.
    unread: Vec<u8>,
    start: usize,
    /// How many bytes of the connection have been read so far, here and before.
    received: u64,
    /// The request that hyper is given.
    pub(super) request: Arc<Request>,
}

impl Wire {
    pub(super) fn new(caller: Caller, place: Place) -> io::Result<Self> {
        let Caller {
            socket,
            unread,
            received,
        } = caller;
        let flags = rustix::fs::fcntl_getfl(&socket)?;
        rustix::fs::fcntl_setfl(&socket, flags | OFlags::NONBLOCK)?;
        Ok(Wire {
            place,
            stream: TcpStream::from_std(socket.into())?,
            was_blocking: !flags.contains(OFlags::NONBLOCK),
            unread,
            start: 0,
            received,
            request: Arc::default(),
        })
    }

    /// The connection as it came, with what was not used of what was read from it.
    pub(super) fn into_caller(mut self) -> io::Result<Caller> {
        let socket = OwnedFd::from(self.stream.into_std()?);
        if self.was_blocking {
            let flags = rustix::fs::fcntl_getfl(&socket)?;
            rustix::fs::fcntl_setfl(&socket, flags - OFlags::NONBLOCK)?;
        }
        self.unread.drain(..self.start);
        Ok(Caller {
            socket,
            unread: self.unread,
            received: self.received,
        })
    }

    /// What was read and not used.
    pub(super) fn unread(&mut self) -> &mut [u8] {
        &mut self.unread[self.start..]
    }

    /// Reads more behind it; nothing at the end of the stream.
    pub(super) async fn read_more(&mut self) -> io::Result<usize> {
        self.unread.drain(..self.start);
        self.start = 0;
        let unread = &mut self.unread;
        let count = read(&self.stream, |chunk| unread.extend_from_slice(chunk)).await?;
        self.received += count as u64;
        Ok(count)
    }

    /// Writes all of it.
    pub(super) async fn write(&self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            self.stream.writable().await?;
            if let Some(count) = self.try_write(bytes)? {
                bytes = &bytes[count..];
            }
        }
        Ok(())
    }

    /// Waits until there is something to read, or room to write, whichever is wanted.
    pub(super) async fn ready(&self, to_read: bool, to_write: bool) -> io::Result<()> {
        let interest = match (to_read, to_write) {
            (true, _) if self.start < self.unread.len() => return Ok(()),
            (true, true) => Interest::READABLE | Interest::WRITABLE,
            (true, false) => Interest::READABLE,
            (false, true) => Interest::WRITABLE,
            (false, false) => return pending().await,
        };
        self.stream.ready(interest).await.map(drop)
    }

    /// Reads some of what is there, and gives it to `with`; how much it was: nothing at the end of the stream, none
    /// where nothing has come yet.
    pub(super) fn try_read(&mut self, with: impl FnOnce(&mut [u8])) -> io::Result<Option<usize>> {
        let unread = (self.unread.len() - self.start).min(READ_BYTES);
        if unread > 0 {
            with(&mut self.unread()[..unread]);
            self.use_up(unread);
            return Ok(Some(unread));
        }
        let mut chunk = [0; READ_BYTES];
        let count = unless_blocked(self.stream.try_read(&mut chunk))?;
        if let Some(count @ 1..) = count {
            self.received += count as u64;
            with(&mut chunk[..count]);
        }
        Ok(count)
    }

    /// Writes `bytes` as far as they are taken at once; none: not at all.
    pub(super) fn try_write(&self, bytes: &[u8]) -> io::Result<Option<usize>> {
        unless_blocked(self.stream.try_write(bytes))
    }

    /// Sends FIN. What comes can still be read.
    pub(super) fn finish(&self) -> io::Result<()> {
        Ok(shutdown(&self.stream, Shutdown::Write)?)
    }

    /// Has the kernel take no more than about so many bytes that it cannot send yet. Otherwise it takes some
    /// megabytes for a peer that reads nothing, and then says for minutes that one which reads slowly takes nothing.
    pub(super) fn keep_unsent_below(&self, bytes: u32) {
        // Where the kernel does not know it, a slow reader is given up a little sooner.
        let _ = SockRef::from(&self.stream).set_tcp_notsent_lowat(bytes);
    }

    /// Goes over to one of those places; whether there was one.
    pub(super) fn move_to(&mut self, places: &Arc<Places>) -> bool {
        self.place.move_to(places)
    }

    /// Whom it is connected with.
    pub(super) fn peer(&self) -> Option<SocketAddr> {
        self.stream.peer_addr().ok()
    }

    /// Takes so many of the unread bytes away.
    pub(super) fn take(&mut self, count: usize) -> Vec<u8> {
        let taken = self.unread()[..count].to_vec();
        self.use_up(count);
        taken
    }

    /// Sends FIN and reads what comes until the peer's: closed with bytes unread, the kernel would reset the
    /// connection, and the response with it.
    pub(super) async fn linger(&self) -> io::Result<()> {
        self.finish()?;
        while read(&self.stream, |_| {}).await? > 0 {}
        Ok(())
    }

    /// Closes at once: what the peer did not take, it does not get.
    pub(super) fn reset(self) {
        // Without it the kernel keeps the bytes for a peer that does not take them.
        let _ = sockopt::set_socket_linger(self.stream.as_fd(), Some(Duration::ZERO));
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

/// What was done, none where it would have had to wait.
fn unless_blocked(done: io::Result<usize>) -> io::Result<Option<usize>> {
    match done {
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
        done => done.map(Some),
    }
}

/// Reads what comes first. As long as nothing comes, nothing is kept for it.
async fn read(stream: &TcpStream, mut with: impl FnMut(&[u8])) -> io::Result<usize> {
    loop {
        stream.readable().await?;
        let mut chunk = [0; READ_BYTES];
        if let Some(count) = unless_blocked(stream.try_read(&mut chunk))? {
            with(&chunk[..count]);
            return Ok(count);
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
        let filled = buffer.filled().len();
        ready!(Pin::new(&mut this.stream).poll_read(context, buffer))?;
        this.received += (buffer.filled().len() - filled) as u64;
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write(context, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(context)
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

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    /// hyper is done with its request, and with nothing else.
    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
