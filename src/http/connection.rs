//! One connection, from the descriptor to its end.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use axum::Router;
use tokio::sync::watch;
use tokio::task::yield_now;
use tokio::time::{Instant, timeout, timeout_at};
use tracing::field::display;
use tracing::info;

use crate::behaviour::Ask;
use crate::link::Fault;
use crate::log::{CONNECTION, SharedLimit, now, tells_access};
use crate::protocol::guests::{Asker, Peer, Told};
use crate::protocol::handshake::{self, Refusal, path_and_query};
use crate::protocol::{Cause, Policy};

use super::access;
use super::exchange::{Outcome, exchange};
use super::head::{Verdict, judge, path};
use super::places::{Place, Places};
use super::turns::Turns;
use super::wire::Wire;
use super::{Caller, Counters, Phase, Settings, drained};
use super::{behaviours, socket_io};

/// What all connections share.
pub(super) struct Shared {
    pub(super) settings: Settings,
    pub(super) policy: Policy,
    pub(super) counters: Arc<Counters>,
    pub(super) places: Arc<Places>,
    /// How often it is told that a request was refused.
    pub(super) refusals: SharedLimit,
    pub(super) phase: watch::Receiver<Phase>,
    pub(super) router: Router,
    pub(super) turns: Turns,
    pub(super) behaviours: behaviours::Host,
    pub(super) socket_io: Option<socket_io::Host>,
    pub(super) upgrade: Box<dyn Fn(Caller) + Send + Sync>,
}

impl Shared {
    /// Whether a connection ends once it is answered.
    pub(super) fn keeps_none(&self) -> bool {
        !self.phase.borrow().serves() || self.places.are_scarce()
    }

    /// Socket.IO, if the head that `unread` begins with asks for a path of its own.
    pub(super) fn socket_io_of(&self, unread: &[u8]) -> Option<&socket_io::Host> {
        let path = path(unread)?;
        self.socket_io.as_ref().filter(|host| host.owns(path))
    }

    /// Takes note of the client that a trusted proxy at the other end says in this whole `head` to have behind it.
    pub(super) fn hear(&self, wire: &mut Wire, head: &[u8]) -> Told {
        let guests = self.policy.guests.as_deref();
        let guest = wire.guest.as_mut().zip(guests);
        guest.map_or(Told::default(), |(guest, guests)| guest.hear(guests, head))
    }

    /// Lets an upgrade in with this whole `head`, for as long as the connection lasts, or refuses it where there are too many
    /// from its source. An ordinary request is not let in, but has a place of its own while it is answered ([`Shared::asker`]):
    /// its connection may be one that a proxy keeps for everybody.
    fn let_in(&self, wire: &mut Wire, head: &[u8], coming: Coming) -> Coming {
        self.hear(wire, head);
        let guest = wire.guest.as_mut().zip(self.policy.guests.as_deref());
        match guest.map_or(Ok(()), |(guest, guests)| guest.enter(guests)) {
            Ok(()) => coming,
            Err(refusal) => Coming::Refused(refusal),
        }
    }

    /// Who asks by the request with this whole `head`, where places are counted.
    ///
    /// # Errors
    /// Where its client has no place for it.
    pub(super) fn asker(&self, wire: &Wire, head: &[u8]) -> Result<Option<Asker>, Refusal> {
        let guest = wire.guest.as_ref().zip(self.policy.guests.as_deref());
        // Whoever looks after the server asks by way of a proxy, too, and is nobody's client.
        let is_probe = || handshake::is_probe(head, &self.policy);
        guest.map_or(Ok(None), |(guest, guests)| guest.ask(guests, is_probe))
    }

    /// Tells the operator that a request was refused, and counts it where that was for whom it came from.
    pub(super) fn tell_refused(&self, peer: Option<Peer>, refusal: Refusal) {
        if is_unwelcome(refusal) {
            self.counters.unwelcome.fetch_add(1, Relaxed);
        }
        let status = refusal.status();
        let kind = "refused";
        if self.refusals.admits(kind, now()) {
            let peer = peer.map(display);
            let reason = refusal.reason();
            info!(target: CONNECTION, peer, kind, code = status, "refused with {status}: {reason}");
        }
    }

    /// Counts a connection whose TLS broke, and tells the operator.
    pub(super) fn tell_broken(&self, peer: Option<SocketAddr>, fault: Fault) {
        self.counters.tls_broken.fetch_add(1, Relaxed);
        let cause = Cause::Tls(fault.text());
        let kind = cause.kind();
        if self.refusals.admits(kind, now()) {
            info!(target: CONNECTION, peer = peer.map(display), kind, "{cause}");
        }
    }

    /// What becomes of the upgrade that is to be read next, one at a path of ours with a head of `len` bytes. Who asks
    /// for what is not to be had is told so as to an ordinary request.
    fn ours(&self, wire: &mut Wire, len: usize) -> Coming {
        let head = wire.unread()[..len].to_vec();
        if let Some(host) = self.socket_io_of(wire.unread()) {
            return if host.upgrades(wire.unread()) && wire.move_to(&host.places) {
                self.let_in(wire, &head, Coming::SocketIo(len))
            } else {
                Coming::Request(len)
            };
        }
        match path_and_query(wire.unread()).map(Ask::read) {
            Some(Ok(ask)) => {
                let coming = Coming::Behaviour(len, Box::new(ask));
                self.let_in(wire, &head, coming)
            }
            Some(Err(_)) | None => Coming::Request(len),
        }
    }
}

/// What comes next on a connection.
enum Coming {
    Request(usize),
    Upgrade,
    /// An upgrade that Socket.IO has a place for.
    SocketIo(usize),
    /// An upgrade to a WebSocket that is to behave so.
    Behaviour(usize, Box<Ask>),
    Refused(Refusal),
    /// Nothing.
    End,
}

/// Serves a connection. Its errors are its own: whoever is gone cannot be told.
pub(super) async fn serve(caller: Caller, place: Place, shared: Arc<Shared>) {
    let Ok(wire) = Wire::new(caller, place, &shared) else {
        return;
    };
    if let Ok(Some(wire)) = talk(wire, &shared).await
        && let Ok(caller) = wire.into_caller()
    {
        (shared.upgrade)(caller);
    }
}

/// Answers request after request. Returns the connection where it asks for a WebSocket.
async fn talk(mut wire: Wire, shared: &Arc<Shared>) -> io::Result<Option<Wire>> {
    loop {
        let coming = coming(&mut wire, shared).await?;
        let asks_for_head = wire.unread().starts_with(b"HEAD ");
        let refusal = match coming {
            Coming::Request(len) => {
                let (after, outcome) = exchange(wire, len, shared).await?;
                wire = after;
                match outcome {
                    Outcome::Kept => {
                        shared.counters.requests.fetch_add(1, Relaxed);
                        // Who sends many at once is one of many.
                        yield_now().await;
                        continue;
                    }
                    Outcome::Ended => None,
                    Outcome::NotUnderstood => Some(Refusal::Malformed),
                    Outcome::NoPlace => refused(&mut wire, Refusal::Unavailable),
                }
            }
            Coming::Refused(refusal) => refused(&mut wire, refusal),
            // The workers may have ended by now.
            Coming::Upgrade | Coming::SocketIo(_) | Coming::Behaviour(..)
                if !shared.phase.borrow().serves() =>
            {
                refused(&mut wire, Refusal::Unavailable)
            }
            Coming::Upgrade => return Ok(Some(wire)),
            Coming::SocketIo(len) => {
                shared.counters.requests.fetch_add(1, Relaxed);
                let visit = access::Visit::begin(&mut wire, len);
                socket_io::serve(wire, len, shared).await;
                visit.end();
                return Ok(None);
            }
            Coming::Behaviour(len, ask) => {
                shared.counters.requests.fetch_add(1, Relaxed);
                let visit = access::Visit::begin(&mut wire, len);
                behaviours::serve(wire, len, *ask, shared).await;
                visit.end();
                return Ok(None);
            }
            Coming::End => {
                // Where there is a link it says so first.
                wire.finish()?;
                return Ok(None);
            }
        };
        shared.counters.requests.fetch_add(1, Relaxed);
        if let Some(refusal) = refusal {
            shared.tell_refused(wire.peer(), refusal);
        }
        let over_tls = wire.tls().is_some();
        let response = refusal.map(|refusal| {
            let now = shared.policy.wall_clock.map(|clock| clock.0());
            // The head may be used up by now, and the response to HEAD has no body.
            let head = if asks_for_head {
                b"HEAD "
            } else {
                &*wire.unread()
            };
            refusal.render(head, now, over_tls)
        });
        end_with(wire, &response.unwrap_or_default(), shared).await?;
        return Ok(None);
    }
}

/// Has what is unread refused, which is told of here if all are.
fn refused(wire: &mut Wire, refusal: Refusal) -> Option<Refusal> {
    if tells_access() {
        let peer = wire.peer();
        access::tell(peer, wire.unread(), Some(refusal.status()), None);
    }
    Some(refusal)
}

/// Whether it is one of who may come.
fn is_unwelcome(refusal: Refusal) -> bool {
    matches!(
        refusal,
        Refusal::Misdirected | Refusal::Origin | Refusal::Unauthorized | Refusal::TooMany
    )
}

/// Ends a connection, with `response` as the last that is said on it.
pub(super) async fn end_with(mut wire: Wire, response: &[u8], shared: &Shared) -> io::Result<()> {
    match timeout(shared.policy.stall_timeout, wire.write(response)).await {
        Ok(written) => written?,
        Err(_) => {
            wire.reset();
            return Ok(());
        }
    }
    if shared.places.are_scarce() {
        return wire.finish();
    }
    // It is closed either way.
    let _ = timeout(shared.policy.linger_timeout, wire.linger()).await;
    Ok(())
}

/// Waits for the head of a request.
async fn coming(wire: &mut Wire, shared: &Shared) -> io::Result<Coming> {
    let mut phase = shared.phase.clone();
    let mut deadline = Instant::now() + shared.settings.idle_timeout;
    let mut scanned = 0;
    loop {
        if !wire.unread().is_empty() {
            if scanned == 0 {
                deadline = Instant::now() + shared.policy.handshake_timeout;
            }
            match judge(wire.unread(), scanned, &shared.policy) {
                Ok(Verdict::More) => scanned = wire.unread().len(),
                Ok(Verdict::Http(len)) => return Ok(Coming::Request(len)),
                Ok(Verdict::Upgrade) => return Ok(Coming::Upgrade),
                Ok(Verdict::Ours(len)) => return Ok(shared.ours(wire, len)),
                Err(refusal) => return Ok(Coming::Refused(refusal)),
            }
        }
        // The first request of a connection is here with it; this is not one that was just taken.
        let drained = drained(&mut phase);
        let read = timeout_at(deadline, wire.read_more());
        tokio::select! {
            biased;
            read = read => match read {
                Ok(Ok(0)) => return Ok(Coming::End),
                Ok(read) => { read?; }
                Err(_) if scanned > 0 => return Ok(Coming::Refused(Refusal::Timeout)),
                Err(_) => return Ok(Coming::End),
            },
            () = drained, if scanned == 0 => return Ok(Coming::End),
        }
    }
}
