//! The admin listener, where one is wanted.

use std::io;
use std::sync::Arc;

use tracing::{info, warn};

use super::ServeError;
use super::bind::unusable;
use crate::admin::{Address, Admin, Bound, Sources};

/// Where the operator is to be answered.
pub(super) enum Place {
    /// There, at once.
    Here(Bound),
    /// There, once the process has ended whose successor this one is.
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

/// Answers whoever comes to `place`.
///
/// # Errors
/// Where there are no descriptors or threads left.
pub(super) fn start(place: Place, sources: Arc<Sources>) -> Result<Admin, ServeError> {
    let (address, admin) = match place {
        Place::Here(bound) => (bound.address.clone(), Admin::start(bound, sources)?),
        Place::Taken(address) => (address.clone(), Admin::start_after(address, sources)?),
    };
    info!("admin listener on {address}");
    if !address.is_local() {
        warn!(
            "the admin listener has no password, and {address} may be reached from other machines: whoever does so \
             sees the configuration and who is connected"
        );
    }
    Ok(admin)
}
