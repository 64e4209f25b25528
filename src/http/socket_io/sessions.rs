//! The sessions there are, and how many there may be.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};

/// All of them.
#[derive(Debug)]
pub(super) struct Sessions {
    max: usize,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    present: usize,
    /// Those that began with polling, by their identifier: requests come for them.
    polled: HashMap<String, Weak<Session>>,
}

/// What is kept of a session beside the library's own state, which holds it, and drops it when the session is over.
#[derive(Debug)]
pub(super) struct Session {
    sessions: Arc<Sessions>,
    sid: OnceLock<String>,
}

impl Sessions {
    pub(super) fn new(max: usize) -> Arc<Self> {
        Arc::new(Sessions {
            max,
            state: Mutex::default(),
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether there is no room for another.
    pub(super) fn are_full(&self) -> bool {
        self.state().present >= self.max
    }

    /// A new one, if there is room.
    pub(super) fn open(sessions: &Arc<Sessions>) -> Option<Arc<Session>> {
        let mut state = sessions.state();
        if state.present >= sessions.max {
            return None;
        }
        state.present += 1;
        Some(Arc::new(Session {
            sessions: sessions.clone(),
            sid: OnceLock::new(),
        }))
    }

    /// The one with this identifier, which began with polling.
    pub(super) fn find(&self, sid: &str) -> Option<Arc<Session>> {
        self.state().polled.get(sid)?.upgrade()
    }
}

impl Session {
    /// Makes it one that requests come for.
    pub(super) fn name(self: &Arc<Self>, sid: String) {
        if self.sid.set(sid.clone()).is_ok() {
            let mut state = self.sessions.state();
            state.polled.insert(sid, Arc::downgrade(self));
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let mut state = self.sessions.state();
        state.present -= 1;
        if let Some(sid) = self.sid.get() {
            state.polled.remove(sid);
        }
    }
}
