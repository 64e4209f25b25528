//! Memory in the place of a socket, and the executor that it needs: none.

use std::future::Future;
use std::hint::black_box;
use std::io::{self, IoSlice};
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// A peer that has sent `input` and takes whatever it is answered.
///
/// A read copies, as a kernel does. A write does not: the reply is in memory when it is called, and
/// that is what is compared.
#[derive(Debug)]
pub(crate) struct Memory {
    input: &'static [u8],
    at: usize,
    endless: bool,
    replies: Option<Vec<u8>>,
}

impl Memory {
    /// A peer that sends `input` and then nothing.
    pub(crate) fn once(input: &'static [u8]) -> Self {
        Memory {
            input,
            at: 0,
            endless: false,
            replies: None,
        }
    }

    /// A peer that sends `input` again whenever all of it has been read.
    pub(crate) fn endless(input: &'static [u8]) -> Self {
        Memory {
            endless: true,
            ..Memory::once(input)
        }
    }

    /// Keeps what is written, to be looked at.
    pub(crate) fn keeping(self) -> Self {
        Memory {
            replies: Some(Vec::new()),
            ..self
        }
    }

    /// What was written, if it was to be kept.
    pub(crate) fn into_replies(self) -> Vec<u8> {
        self.replies.unwrap_or_default()
    }

    /// The next bytes, at most `count`; none if all have been read.
    fn take(&mut self, count: usize) -> &'static [u8] {
        if self.endless && self.at == self.input.len() {
            self.at = 0;
        }
        let rest = &self.input[self.at..];
        let taken = &rest[..count.min(rest.len())];
        self.at += taken.len();
        taken
    }

    fn accept(&mut self, bytes: &[u8]) -> usize {
        match &mut self.replies {
            Some(replies) => replies.extend_from_slice(bytes),
            None => {
                black_box(bytes);
            }
        }
        bytes.len()
    }
}

impl io::Read for Memory {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let taken = self.take(buffer.len());
        if taken.is_empty() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        buffer[..taken.len()].copy_from_slice(taken);
        Ok(taken.len())
    }
}

impl io::Write for Memory {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(self.accept(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl AsyncRead for Memory {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let taken = self.take(buffer.remaining());
        if taken.is_empty() {
            return Poll::Pending;
        }
        buffer.put_slice(taken);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Memory {
    fn poll_write(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(self.accept(bytes)))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(slices.iter().map(|slice| self.accept(slice)).sum()))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// What a future comes to that never has to wait.
///
/// # Panics
/// If it does.
pub(crate) fn ready<F: Future>(future: F) -> F::Output {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("memory makes nobody wait"),
    }
}
