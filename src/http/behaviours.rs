//! Drives behaviours: what [`crate::behaviour`] decides is done here, to a socket and by a clock.

use std::sync::Arc;

use super::Settings;
use super::connection::Shared;
use super::places::Places;
use super::wire::Wire;

/// Where they are to be had.
pub(super) const PATH: &str = "/x";

/// What all of them share.
pub(super) struct Host {
    /// Their places; none: they are not to be had.
    pub(super) places: Option<Arc<Places>>,
}

impl Host {
    pub(super) fn new(settings: &Settings) -> Host {
        Host {
            places: settings.behaviours.as_ref().map(|behaviours| {
                Arc::new(Places::new(
                    behaviours.connections_max,
                    settings.held_bytes_max,
                ))
            }),
        }
    }
}

/// Serves a connection whose unread bytes begin with an upgrade request for a path of behaviours, to its end.
pub(super) async fn serve(wire: Wire, head_len: usize, shared: &Shared) {
    let mut wire = wire;
    let may_stay = shared
        .behaviours
        .places
        .as_ref()
        .is_some_and(|places| wire.move_to(places));
    let _ = (may_stay, wire.peer(), wire.take(head_len));
    wire.reset();
}
