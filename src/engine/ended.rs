//! Telling the operator whom the server ended, and why.

use std::net::SocketAddr;
use std::time::Duration;

use tracing::info;

use crate::protocol::guests::Peer;
use crate::protocol::{Cause, Moment};
use crate::shard::Handle;

/// So many lines in so long a time, for each worker and each kind of cause; the others are counted.
const LINES_MAX: u32 = 10;
const PERIOD: Duration = Duration::from_secs(60);

/// Refusals, violations and silence, stalled peers, memory, TLS.
const KINDS: usize = 5;

/// What a worker has told lately.
#[derive(Debug, Default)]
pub(super) struct Ended {
    since: Option<Moment>,
    told: [u32; KINDS],
    untold: u64,
}

impl Ended {
    /// Tells why the server ends the connection, if it does and that was not told yet. `peer` finds its address,
    /// which the kernel may know no more.
    pub(super) fn tell<Io>(
        &mut self,
        connection: &mut Handle<'_, Io>,
        peer: impl FnOnce(&Io) -> Option<SocketAddr>,
        now: Moment,
    ) {
        if let Some(cause) = connection.take_cause() {
            let known = connection.peer();
            let peer = known.or_else(|| peer(connection.io()).map(Peer::from));
            self.write(cause, peer, now);
        }
    }

    fn write(&mut self, cause: Cause, peer: Option<Peer>, now: Moment) {
        if self.since.is_none_or(|since| since + PERIOD <= now) {
            // What was not told until now is told as the old account goes.
            *self = Ended {
                since: Some(now),
                ..Ended::default()
            };
        }
        let told = &mut self.told[match cause {
            Cause::Refused(_) => 0,
            Cause::Closed(_) => 1,
            Cause::Stalled => 2,
            Cause::Memory => 3,
            Cause::Tls(_) | Cause::Preface(_) => 4,
        }];
        if *told == LINES_MAX {
            self.untold += 1;
            return;
        }
        *told += 1;
        match peer {
            Some(peer) => info!("{peer}: {cause}"),
            None => info!("a peer that is gone: {cause}"),
        }
    }
}

impl Drop for Ended {
    fn drop(&mut self) {
        if self.untold > 0 {
            info!("{} more connections were refused or ended", self.untold);
        }
    }
}
