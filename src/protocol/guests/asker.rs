//! The places of ordinary HTTP: of requests that come on a connection which is nobody's, and of what they open.

use core::net::IpAddr;
use std::sync::Arc;

use super::{Guest, Guests, Seat, Sources};
use crate::protocol::handshake::Refusal;

/// Who asks for something by a request of ordinary HTTP, where sources have limits. As long as this is kept, the request
/// has its place.
#[derive(Clone, Debug)]
pub struct Asker {
    sources: Arc<Sources>,
    address: IpAddr,
    /// The place of the request itself; none: its connection has one, or it needs none.
    seat: Option<Arc<Seat>>,
}

impl Asker {
    /// A place for a session that the request opens, which is a newcomer like any connection. It has that of the request,
    /// where the request has one: they count once. None: there is no place, or they come too fast.
    pub fn open(&self) -> Option<Arc<Seat>> {
        match &self.seat {
            Some(seat) => seat.admits_newcomer().then(|| seat.clone()),
            None => self.sources.enter(self.address).map(Arc::new),
        }
    }
}

impl Guest {
    /// Who asks by a request that has come on this connection; none: nobody counts them. Where the connection has no place,
    /// since a trusted proxy may keep it for many, the request takes one of its client, unless it `needs_none`.
    ///
    /// # Errors
    /// Where there is none.
    pub fn ask(
        &self,
        guests: &Guests,
        needs_none: impl FnOnce() -> bool,
    ) -> Result<Option<Asker>, Refusal> {
        let Some((sources, peer)) = guests.sources.as_ref().zip(self.peer) else {
            return Ok(None);
        };
        let address = peer.address();
        let seat = if self.seat.is_some() || needs_none() {
            None
        } else {
            let seat = sources.hold(address).ok_or(Refusal::TooMany)?;
            Some(Arc::new(seat))
        };
        Ok(Some(Asker {
            sources: sources.clone(),
            address,
            seat,
        }))
    }
}
