//! The sessions there are, how many there may be, and what each is charged for.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};

use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

use crate::http::allowance::Allowance;
use crate::http::places::{Held, Places};
use crate::protocol::guests::{Guests, Seat};

use super::account::{Account, Obstacle};

/// All of them.
#[derive(Debug)]
pub(super) struct Sessions {
    max: usize,
    /// How many bytes the attachments of one packet may be.
    attached_bytes_max: usize,
    /// Whose budget of bytes they share.
    places: Arc<Places>,
    /// How fast each may send.
    guests: Option<Arc<Guests>>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// The number of the next.
    next: u64,
    present: HashMap<u64, Weak<Session>>,
    /// Those that began with polling, by their identifier: requests come for them.
    polled: HashMap<String, Weak<Session>>,
    is_going_down: bool,
}

/// What is kept of a session beside the library's own state, which holds it, and drops it when the session is over.
#[derive(Debug)]
pub(super) struct Session {
    number: u64,
    sessions: Arc<Sessions>,
    sid: OnceLock<String>,
    /// Its place among those of its source, unless that is its connection's.
    seat: Mutex<Option<Arc<Seat>>>,
    account: Mutex<Account>,
    /// Told when something was written.
    paid: Notify,
    /// Told at the end.
    end: Notify,
    /// A poll has nothing to tell.
    is_waited_for: AtomicBool,
    /// There is a WebSocket for it, beside its polls or in their place.
    is_upgraded: AtomicBool,
    is_ended: AtomicBool,
}

impl Sessions {
    pub(super) fn new(
        max: usize,
        attached_bytes_max: usize,
        places: Arc<Places>,
        guests: Option<Arc<Guests>>,
    ) -> Arc<Self> {
        Arc::new(Sessions {
            max,
            attached_bytes_max,
            places,
            guests,
            state: Mutex::default(),
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether there is no room for another.
    pub(super) fn are_full(&self) -> bool {
        self.state().present.len() >= self.max
    }

    /// Whether there will be no more.
    pub(super) fn are_going_down(&self) -> bool {
        self.state().is_going_down
    }

    /// A new one, if there is room, with its place among those of its source, where it has one of its own.
    pub(super) fn open(sessions: &Arc<Sessions>, seat: Option<Arc<Seat>>) -> Option<Arc<Session>> {
        let mut state = sessions.state();
        if state.present.len() >= sessions.max || state.is_going_down {
            return None;
        }
        let number = state.next;
        state.next += 1;
        let held = Held::nothing(&sessions.places);
        let allowance = Allowance::of(sessions.guests.as_deref());
        let account = Account::new(sessions.attached_bytes_max, held, allowance);
        let session = Arc::new(Session {
            number,
            sessions: sessions.clone(),
            sid: OnceLock::new(),
            seat: Mutex::new(seat),
            account: Mutex::new(account),
            paid: Notify::new(),
            end: Notify::new(),
            is_waited_for: AtomicBool::new(false),
            is_upgraded: AtomicBool::new(false),
            is_ended: AtomicBool::new(false),
        });
        state.present.insert(number, Arc::downgrade(&session));
        Some(session)
    }

    /// The one with this identifier, which began with polling.
    pub(super) fn find(&self, sid: &str) -> Option<Arc<Session>> {
        self.state().polled.get(sid)?.upgrade()
    }

    /// Ends all of them, and lets no more be opened.
    pub(super) fn end(&self) {
        let present: Vec<_> = {
            let mut state = self.state();
            if std::mem::replace(&mut state.is_going_down, true) {
                return;
            }
            state.present.values().filter_map(Weak::upgrade).collect()
        };
        for session in present {
            session.end();
        }
    }
}

/// By what something is taken from a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Leg {
    Post,
    WebSocket,
}

impl Session {
    /// Makes it one that requests come for.
    pub(super) fn name(self: &Arc<Self>, sid: String) {
        if self.sid.set(sid.clone()).is_ok() {
            let mut state = self.sessions.state();
            state.polled.insert(sid, Arc::downgrade(self));
        }
    }

    /// Enters something into its account.
    pub(super) fn charge<T>(&self, enter: impl FnOnce(&mut Account) -> T) -> T {
        enter(&mut self.account.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// So many bytes that it was owed were written.
    pub(super) fn pay(&self, bytes: usize) {
        self.charge(|account| account.pay(bytes));
        self.paid.notify_waiters();
    }

    /// For a poll, which may have to wait.
    pub(super) fn waiting(&self) -> Waiting<'_> {
        Waiting(self)
    }

    /// Somebody who waits for something to tell shows that nothing is owed.
    pub(super) fn pay_if_waiting(&self) {
        if self.is_waited_for.load(Relaxed) {
            self.pay(usize::MAX);
        }
    }

    /// Why no more may be taken from it now.
    pub(super) fn obstacle(&self) -> Option<Obstacle> {
        self.charge(|account| account.obstacle())
    }

    /// It goes on over a WebSocket, or tries to, and ends with that: the place of that connection is its own.
    pub(super) fn begin_upgrade(&self) {
        self.is_upgraded.store(true, Relaxed);
        let mut seat = self.seat.lock().unwrap_or_else(PoisonError::into_inner);
        drop(seat.take());
        self.paid.notify_waiters();
    }

    /// Waits until more may be taken from it, or it is ended.
    ///
    /// A POST does not wait for what is owed once there is a WebSocket: its client has stopped polling, and goes on
    /// only when the POST is answered.
    pub(super) async fn passes(self: Arc<Self>, leg: Leg) {
        let is_post = leg == Leg::Post;
        loop {
            let (paid, end) = (self.paid.notified(), self.end.notified());
            let until = match self.obstacle() {
                None => return,
                Some(_) if self.is_ended() => return,
                Some(Obstacle::Until(until)) => Some(until),
                Some(Obstacle::Owed) if is_post && self.is_upgraded.load(Relaxed) => return,
                Some(Obstacle::Owed) => None,
            };
            tokio::select! {
                () = paid => {}
                () = end => {}
                () = sleep_until(until.unwrap_or_else(Instant::now)), if until.is_some() => {}
            }
        }
    }

    /// Ends it: its connections find out.
    pub(super) fn end(&self) {
        self.is_ended.store(true, Relaxed);
        self.end.notify_waiters();
    }

    pub(super) fn is_ended(&self) -> bool {
        self.is_ended.load(Relaxed)
    }

    /// Waits until it is ended.
    pub(super) async fn ended(self: Arc<Self>) {
        loop {
            let end = self.end.notified();
            if self.is_ended() {
                return;
            }
            end.await;
        }
    }
}

/// A poll.
#[derive(Debug)]
pub(super) struct Waiting<'a>(&'a Session);

impl Waiting<'_> {
    /// It was asked for what there is to tell, and there is nothing.
    pub(super) fn begin(&self) {
        self.0.is_waited_for.store(true, Relaxed);
        self.0.pay(usize::MAX);
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.is_waited_for.store(false, Relaxed);
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let mut state = self.sessions.state();
        state.present.remove(&self.number);
        if let Some(sid) = self.sid.get() {
            state.polled.remove(sid);
        }
    }
}
