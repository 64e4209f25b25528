//! Opening a ring where locked memory is short.

use std::io;
use std::thread;
use std::time::{Duration, Instant};

use rustix::io::Errno;
use tracing::warn;

/// How long it is tried again: the kernel releases what an exiting process held only after a while.
const PATIENCE: Duration = Duration::from_secs(2);

/// How often it is tried.
const TRIES_APART: Duration = Duration::from_millis(100);

/// The smallest submission queue worth having.
const ENTRIES_MIN: u32 = 64;

/// Opens a ring with a submission queue of `asked` entries. `build` opens one with as many as it is told.
///
/// Where locked memory is short (`ENOMEM`) it asks for less, and waits a little.
///
/// # Errors
/// What `build` says.
pub(super) fn open_ring<Ring>(
    asked: u32,
    mut build: impl FnMut(u32) -> io::Result<Ring>,
) -> io::Result<Ring> {
    let started = Instant::now();
    let mut entries = asked;
    loop {
        match build(entries) {
            Err(error)
                if Errno::from_io_error(&error) == Some(Errno::NOMEM)
                    && started.elapsed() < PATIENCE =>
            {
                entries = (entries / 2).max(ENTRIES_MIN.min(asked));
                thread::sleep(TRIES_APART);
            }
            Ok(ring) => {
                if entries < asked {
                    warn!(
                        "locked memory is short: a submission queue of {entries} entries, not {asked}"
                    );
                }
                return Ok(ring);
            }
            Err(error) => return Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fails_with(errno: Errno) -> io::Result<u32> {
        Err(errno.into())
    }

    #[test]
    fn less_is_asked_for_where_memory_is_short() {
        let opened = open_ring(512, |entries| match entries {
            129.. => fails_with(Errno::NOMEM),
            fits => Ok(fits),
        });
        assert_eq!(opened.unwrap(), 128);
    }

    #[test]
    fn any_other_error_is_final() {
        let mut tries = 0;
        let opened = open_ring(512, |_| {
            tries += 1;
            fails_with(Errno::PERM)
        });
        assert_eq!(
            Errno::from_io_error(&opened.unwrap_err()),
            Some(Errno::PERM)
        );
        assert_eq!(tries, 1);
    }
}
