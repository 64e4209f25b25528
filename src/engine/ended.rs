//! Telling the operator whom the server ended, and why.

use std::net::SocketAddr;
use std::time::Duration;

use tracing::info;

use crate::protocol::{Cause, Moment};

/// So many lines in so long a time, for each worker; the others are counted.
const LINES_MAX: u32 = 20;
const PERIOD: Duration = Duration::from_secs(60);

/// What a worker has told lately.
#[derive(Debug, Default)]
pub(super) struct Ended {
    since: Option<Moment>,
    told: u32,
    untold: u64,
}

impl Ended {
    /// The server ends the connection with `peer`, which the kernel may know no more.
    pub(super) fn tell(&mut self, cause: Cause, peer: Option<SocketAddr>, now: Moment) {
        if self.since.is_none_or(|since| since + PERIOD <= now) {
            if self.untold > 0 {
                info!(
                    "{} more connections were ended or refused, untold",
                    self.untold
                );
            }
            *self = Ended {
                since: Some(now),
                ..Ended::default()
            };
        }
        if self.told == LINES_MAX {
            self.untold += 1;
            return;
        }
        self.told += 1;
        match peer {
            Some(peer) => info!("{peer}: {cause}"),
            None => info!("a peer that is gone: {cause}"),
        }
    }
}
