//! How one task has another look again.

use std::task::{Context, Poll, Waker};

/// Remembers that it was rung until somebody listens.
#[derive(Debug, Default)]
pub(super) struct Bell {
    rung: bool,
    waker: Option<Waker>,
}

impl Bell {
    /// Has the task that listens look again.
    pub(super) fn ring(&mut self) {
        self.rung = true;
        if let Some(waker) = &self.waker {
            waker.wake_by_ref();
        }
    }

    /// Ready once for any number of rings.
    pub(super) fn poll_rung(&mut self, context: &Context<'_>) -> Poll<()> {
        if std::mem::take(&mut self.rung) {
            return Poll::Ready(());
        }
        match &mut self.waker {
            Some(waker) => waker.clone_from(context.waker()),
            None => self.waker = Some(context.waker().clone()),
        }
        Poll::Pending
    }
}
