//! The admin listener, where one is wanted.

use std::io;
use std::sync::Arc;

use tracing::warn;

use super::ServeError;
use super::bind::unusable;
use crate::admin::{Address, Admin, Bound, Sources};

/// Where the operator is to be answered.
pub(super) enum Place {
    /// There, at once.
    Here(Bound),
    /// There, once the process listens there no more whose successor this one is.
    Taken(Address),
}

/// Listens on `address`. `inherits`: this process is a successor, and may find the one before it there.
///
/// # Errors
/// Where that cannot be.
pub(super) fn listen(address: &Address, inherits: bool) -> Result<Place, ServeError> {
    match Bound::listen(address) {
        Ok(bound) => Ok(Place::Here(bound)),
        Err(error) if inherits && error.kind() == io::ErrorKind::AddrInUse => {
            Ok(Place::Taken(address.clone()))
        }
        Err(error) => Err(ServeError::Listen(unusable("--admin", address, &error))),
    }
}

/// Whether the operator is answered by this process.
pub(super) enum Desk {
    /// No.
    Closed,
    /// Once it has taken over from the one that is there.
    Awaits(Address),
    /// Yes; dropped, no longer.
    Open { _admin: Admin },
}

impl Desk {
    /// Answers whoever comes to `place`, unless that is still to be waited for.
    ///
    /// # Errors
    /// Where there are no descriptors or threads left.
    pub(super) fn open(place: Option<Place>, sources: &Arc<Sources>) -> io::Result<Desk> {
        Ok(match place {
            None => Desk::Closed,
            Some(Place::Taken(address)) => Desk::Awaits(address),
            Some(Place::Here(bound)) => Desk::Open {
                _admin: Admin::start(bound, sources.clone())?,
            },
        })
    }

    /// The process before this one is done: its place is this one's.
    pub(super) fn succeed(&mut self, sources: &Arc<Sources>) {
        let Desk::Awaits(address) = self else {
            return;
        };
        match Admin::start_after(address.clone(), sources.clone()) {
            Ok(admin) => *self = Desk::Open { _admin: admin },
            Err(error) => warn!("--admin: nobody is answered on {address}: {error}"),
        }
    }
}
