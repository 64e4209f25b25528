//! One connection that behaves as it was asked to: what the machine says is done, what happens it is told.

use std::io;
use std::sync::Arc;

use tokio::task::yield_now;
use tokio::time::{Instant, sleep_until, timeout};

use crate::behaviour::{Behaviour, Transmit};
use crate::protocol::CloseCode;

use super::super::allowance::Allowance;
use super::super::connection::Shared;
use super::super::drained;
use super::super::places::{Held, Places};
use super::super::stream::READ_BYTES;
use super::super::wire::Wire;
use super::rooms::Seat;

/// What to do with the connection besides waiting.
enum Turn {
    /// Go on.
    Talk,
    /// FIN, and throw away what comes.
    Linger,
    /// RST.
    Reset,
}

/// A connection, as it is driven.
struct Driver<'a> {
    wire: Wire,
    behaviour: Behaviour,
    /// Its seat, if it is in a room and has not fallen behind there.
    seat: Option<Seat>,
    shared: &'a Shared,
    peer_has_finished: bool,
    has_sent_fin: bool,
    is_drained: bool,
    /// Since when the peer has taken nothing of what it is owed.
    owed_since: Option<Instant>,
    /// What it keeps beyond what each may.
    held: Held,
    /// How fast it may send; none: as fast as it likes.
    allowance: Option<Allowance>,
}

/// What each connection may keep, in bytes. Beyond it, what all keep is bounded, so that who keeps much can take
/// nothing from who keeps little.
const KEPT_BYTES_FREE: usize = 16 * 1024;

/// Drives `behaviour` to its end.
///
/// # Errors
/// Those of the socket.
pub(super) async fn run(
    wire: Wire,
    behaviour: Behaviour,
    seat: Option<Seat>,
    shared: &Shared,
    places: &Arc<Places>,
) -> io::Result<()> {
    let mut driver = Driver {
        wire,
        behaviour,
        seat,
        shared,
        peer_has_finished: false,
        has_sent_fin: false,
        is_drained: false,
        owed_since: None,
        held: Held::nothing(places),
        allowance: Allowance::of(shared.policy.guests.as_deref()),
    };
    loop {
        shared.turns.clone().take().await;
        let (sent, turn) = driver.transmit()?;
        match turn {
            Turn::Talk => {}
            Turn::Linger => {
                drop(driver.seat);
                // It is closed either way.
                let _ = timeout(shared.policy.linger_timeout, driver.wire.linger()).await;
                return Ok(());
            }
            Turn::Reset => {
                driver.wire.reset();
                return Ok(());
            }
        }
        let received = driver.receive()?;
        driver.tell_room();
        if !driver.may_keep_what_it_keeps() {
            driver.wire.reset();
            return Ok(());
        }
        driver.wait(sent || received).await?;
    }
}

impl Driver<'_> {
    /// Does what is to be done now; whether something was sent, and how to go on.
    fn transmit(&mut self) -> io::Result<(bool, Turn)> {
        let now = self.shared.behaviours.clock.now();
        let turn = match self.behaviour.transmit(now) {
            Transmit::Bytes(bytes) => {
                let count = self.wire.try_write(bytes)?;
                if let Some(count) = count {
                    self.behaviour.sent(count);
                    self.owed_since = None;
                    return Ok((true, Turn::Talk));
                }
                let since = *self.owed_since.get_or_insert_with(Instant::now);
                if since.elapsed() >= self.shared.policy.stall_timeout {
                    return Ok((false, Turn::Reset));
                }
                Turn::Talk
            }
            Transmit::Nothing => Turn::Talk,
            Transmit::HalfClose => {
                if !self.has_sent_fin {
                    self.has_sent_fin = true;
                    self.wire.finish()?;
                }
                Turn::Talk
            }
            Transmit::Fin => Turn::Linger,
            Transmit::Reset => Turn::Reset,
        };
        Ok((false, turn))
    }

    /// Takes in what has come; whether something has.
    fn receive(&mut self) -> io::Result<bool> {
        if !self.reads() {
            return Ok(false);
        }
        let (behaviour, now) = (&mut self.behaviour, self.shared.behaviours.clock.now());
        let messages = behaviour.received_messages();
        let most = self.allowance.as_ref().map(Allowance::bytes_at_once);
        let most = most.unwrap_or(READ_BYTES);
        let read = |bytes: &mut [u8]| behaviour.receive(bytes, now);
        let count = self.wire.try_read(most, read)?;
        if let Some(allowance) = &mut self.allowance {
            let messages = self.behaviour.received_messages() - messages;
            allowance.use_up(count.unwrap_or(0), messages);
        }
        if count == Some(0) {
            self.peer_has_finished = true;
            self.behaviour.peer_finished(now);
        }
        Ok(count.is_some())
    }

    fn reads(&self) -> bool {
        !self.peer_has_finished && self.behaviour.has_room() && self.rests_until().is_none()
    }

    /// Until when nothing is read, since the peer sends faster than it may; a server that goes down waits for nobody.
    fn rests_until(&self) -> Option<Instant> {
        let allowance = self.allowance.as_ref().filter(|_| !self.is_drained);
        allowance.and_then(Allowance::rests_until)
    }

    /// Says in its room what it has to say there.
    fn tell_room(&mut self) {
        while let Some(message) = self.behaviour.take_for_room() {
            if let Some(seat) = &self.seat {
                seat.say(message, self.held.places());
            }
        }
    }

    /// Whether there is memory for what it keeps.
    fn may_keep_what_it_keeps(&mut self) -> bool {
        let kept = self.behaviour.kept_bytes();
        self.held.set(kept.saturating_sub(KEPT_BYTES_FREE))
    }

    /// Waits until something may be done. Where something was done just now, others get their turn, and that is
    /// all.
    async fn wait(&mut self, is_busy: bool) -> io::Result<()> {
        let clock = self.shared.behaviours.clock;
        let rests_until = self.rests_until();
        self.behaviour
            .leave_unheard(rests_until.is_some(), clock.now());
        let stalled = self
            .owed_since
            .map(|since| since + self.shared.policy.stall_timeout);
        let due = self.behaviour.deadline();
        let due = due.and_then(|moment| clock.instant(moment));
        let wakes = due.into_iter().chain(stalled).chain(rests_until).min();
        let (reads, hears) = (self.reads(), self.behaviour.has_room());
        let heard = async {
            match &mut self.seat {
                Some(seat) => seat.hear().await,
                None => std::future::pending().await,
            }
        };
        let mut phase = self.shared.phase.clone();
        tokio::select! {
            () = yield_now(), if is_busy => {}
            ready = self.wire.ready(reads, self.owed_since.is_some()), if !is_busy => ready?,
            () = sleep_until(wakes.unwrap_or_else(Instant::now)), if wakes.is_some() => {}
            heard = heard, if hears => if let Some(unheard) = heard {
                self.behaviour.hear(&unheard.message, clock.now());
            } else {
                self.seat = None;
                self.behaviour.fall_behind(clock.now());
            },
            () = drained(&mut phase), if !self.is_drained => {
                self.is_drained = true;
                self.behaviour.drain(CloseCode::GOING_AWAY, clock.now());
            }
        }
        Ok(())
    }
}
