//! Descriptors that go from one process to another, with bytes, by a Unix socket (`SCM_RIGHTS`, unix(7)).

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;

use rustix::io::retry_on_intr;
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};

/// How many descriptors may go at a time (`SCM_MAX_FD` of `net/scm.h`).
pub const DESCRIPTORS_MAX: usize = 253;

/// Sends `bytes`, which must not be empty, with at most [`DESCRIPTORS_MAX`] descriptors. Says how many bytes went; the
/// descriptors go with the first of them.
///
/// # Errors
/// What `sendmsg` says: `ETOOMANYREFS` where more descriptors are on the way than this process may have open.
pub fn send(
    socket: &UnixStream,
    bytes: &[u8],
    descriptors: &[BorrowedFd<'_>],
) -> io::Result<usize> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS_MAX))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !descriptors.is_empty() && !control.push(SendAncillaryMessage::ScmRights(descriptors)) {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let bytes = [IoSlice::new(bytes)];
    let send = || sendmsg(socket, &bytes, &mut control, SendFlags::NOSIGNAL);
    Ok(retry_on_intr(send)?)
}

/// What came.
#[derive(Debug)]
pub struct Received {
    /// So many bytes; none where nothing will come any more.
    pub bytes: usize,
    /// With these descriptors, in the order in which they were sent. No child inherits them.
    pub descriptors: Vec<OwnedFd>,
}

/// Receives what `into` has room for, and descriptors. Where this process may not have as many open as came, the last
/// of them are lost.
///
/// # Errors
/// What `recvmsg` says.
pub fn receive(socket: &UnixStream, into: &mut [u8]) -> io::Result<Received> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS_MAX))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut into = [IoSliceMut::new(into)];
    // Where there is a limit on the wait, a signal ends it, whoever the signal is for (signal(7)).
    let receive = || recvmsg(socket, &mut into, &mut control, RecvFlags::CMSG_CLOEXEC);
    let received = retry_on_intr(receive)?;
    let mut descriptors = Vec::new();
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(rights) = message {
            descriptors.extend(rights);
        }
    }
    debug_assert!(
        !received.flags.contains(ReturnFlags::TRUNC),
        "a stream is not cut"
    );
    Ok(Received {
        bytes: received.bytes,
        descriptors,
    })
}
