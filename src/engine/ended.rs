//! Telling the operator whom the server ended, and why.

use std::net::SocketAddr;

use tracing::info;

use super::ConnectionName;
use crate::log::{CONNECTION, Limit};
use crate::protocol::guests::Peer;
use crate::protocol::{Cause, Moment};
use crate::shard::Handle;

/// What a worker has told lately.
#[derive(Debug)]
pub(super) struct Ended {
    worker: usize,
    limit: Limit,
}

impl Ended {
    /// Of that worker.
    pub(super) fn new(worker: usize) -> Self {
        Ended {
            worker,
            limit: Limit::default(),
        }
    }

    /// Tells why the server ends the connection, if it does and that was not told yet. `peer` finds its address,
    /// which the kernel may know no more.
    pub(super) fn tell<Io>(
        &mut self,
        connection: &mut Handle<'_, Io>,
        peer: impl FnOnce(&Io) -> Option<SocketAddr>,
        now: Moment,
    ) {
        let Some(cause) = connection.take_cause() else {
            return;
        };
        if self.limit.admits(cause.kind(), now) {
            let name = ConnectionName::new(self.worker, connection.id());
            let known = connection.peer();
            let peer = known.or_else(|| peer(connection.io()).map(Peer::from));
            write(cause, name, peer);
        }
    }
}

fn write(cause: Cause, name: ConnectionName, peer: Option<Peer>) {
    info!(
        target: CONNECTION,
        peer = peer.map(display),
        connection = %name,
        kind = cause.kind(),
        code = cause.code(),
        "{cause}"
    );
}
