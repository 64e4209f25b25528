//! Descriptors that a process has from whoever started it.

use std::io;
use std::os::fd::{FromRawFd, OwnedFd, RawFd};

/// The descriptor of that number, if it was inherited. From now on no child of this process inherits it.
///
/// # Errors
/// `EBADF` where none of that number is open, or where this process has opened it itself.
pub fn take(number: RawFd) -> io::Result<OwnedFd> {
    // SAFETY: it is a question about a number, whatever that names.
    let flags = unsafe { libc::fcntl(number, libc::F_GETFD) };
    if flags < 0 {
        return Err(io::Error::last_os_error());
    }
    // Nothing that this process opens survives an exec, so what would is not its own; and what was taken is marked.
    if flags & libc::FD_CLOEXEC != 0 {
        return Err(io::Error::from_raw_os_error(libc::EBADF));
    }
    // SAFETY: it is open, and nobody in this process owns it.
    let descriptor = unsafe { OwnedFd::from_raw_fd(number) };
    rustix::io::fcntl_setfd(&descriptor, rustix::io::FdFlags::CLOEXEC)?;
    Ok(descriptor)
}

/// Has no child of this process inherit anything but what it reads and writes by custom, whatever this process has
/// inherited itself (`close_range(2)`, Linux 5.11; an older kernel lets them).
pub fn keep() {
    const FIRST: libc::c_uint = 3;
    // SAFETY: descriptors are marked, and none is closed.
    unsafe {
        libc::syscall(
            libc::SYS_close_range,
            FIRST,
            libc::c_uint::MAX,
            libc::CLOSE_RANGE_CLOEXEC,
        );
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::{AsRawFd, IntoRawFd};

    use super::*;

    #[test]
    fn what_was_inherited_is_taken_once() {
        let file = std::fs::File::open("/dev/null").unwrap();
        assert!(take(file.as_raw_fd()).is_err(), "it is our own");
        assert!(take(1 << 20).is_err(), "there is none");
        rustix::io::fcntl_setfd(&file, rustix::io::FdFlags::empty()).unwrap();
        let number = OwnedFd::from(file).into_raw_fd();
        let _taken = take(number).unwrap();
        assert!(take(number).is_err());
    }
}
