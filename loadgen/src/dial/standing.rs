//! How the opening of a command's connections goes, for whoever watches it.

use std::sync::atomic::{AtomicUsize, Ordering};

use crate::quantity::grouped;

/// What a connection that is being opened waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wait {
    Connection,
    Proxy,
    Tls,
    Upgrade,
    Greeting,
}

/// How many connections wait for each thing.
pub(crate) type Waiting = [usize; 5];

/// The names of those, in the order of [`Wait`].
const NAMES: [&str; 5] = [
    "to be connected",
    "for the proxy's answer",
    "for the TLS handshake",
    "for the upgrade's answer",
    "for the greeting",
];

/// Counts that every opener adds to, and anybody reads.
#[derive(Default)]
pub(crate) struct Standing {
    asked: AtomicUsize,
    stand: AtomicUsize,
    waiting: [AtomicUsize; 5],
}

impl Standing {
    /// So many more are to be opened.
    pub(crate) fn ask(&self, connections: usize) {
        self.asked.fetch_add(connections, Ordering::Relaxed);
    }

    /// One more stands.
    pub(crate) fn stood(&self) {
        self.stand.fetch_add(1, Ordering::Relaxed);
    }

    /// Of one opener so many wait now, where `before` did.
    pub(crate) fn wait(&self, before: &Waiting, now: &Waiting) {
        for (counter, (before, now)) in self.waiting.iter().zip(before.iter().zip(now)) {
            // Wraps around where there are fewer, and so subtracts.
            counter.fetch_add(now.wrapping_sub(*before), Ordering::Relaxed);
        }
    }

    /// How many stand.
    pub(crate) fn count(&self) -> usize {
        self.stand.load(Ordering::Relaxed)
    }

    /// `64 of 10,000 connections stand; 128 wait for the upgrade's answer`.
    pub(crate) fn sentence(&self) -> String {
        let asked = self.asked.load(Ordering::Relaxed);
        let (count, asked) = (grouped(self.count() as u64), grouped(asked as u64));
        let waiting = self.waiting.iter().map(|it| it.load(Ordering::Relaxed));
        let waits: Vec<String> = waiting
            .zip(NAMES)
            .filter(|(waiting, _)| *waiting > 0)
            .map(|(waiting, name)| format!("{} wait {name}", grouped(waiting as u64)))
            .collect();
        let separator = if waits.is_empty() { "" } else { "; " };
        format!(
            "{count} of {asked} connections stand{separator}{}",
            waits.join(", ")
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_says_how_many_stand_and_what_the_others_wait_for() {
        let standing = Standing::default();
        standing.ask(10_000);
        assert_eq!(standing.sentence(), "0 of 10,000 connections stand");
        standing.wait(&[0; 5], &[128, 0, 0, 0, 0]);
        standing.wait(&[128, 0, 0, 0, 0], &[1, 0, 0, 127, 0]);
        standing.stood();
        assert_eq!(
            standing.sentence(),
            "1 of 10,000 connections stand; 1 wait to be connected, 127 wait for the upgrade's answer"
        );
    }
}
