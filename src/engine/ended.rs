//! Telling the operator whom the server ended, and why; and, where that is wanted, of everyone who goes.

use std::net::SocketAddr;

use tracing::info;

use super::ConnectionName;
use crate::log::{ACCESS, CONNECTION, Limit};
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

    /// Tells of a connection that ends, whoever ends it. Every one is told of: that is what was asked for.
    pub(super) fn tell_of_visit<Io>(&self, connection: &Handle<'_, Io>) {
        let Some(visited) = connection.visited() else {
            return;
        };
        let visit = &visited.visit;
        let messages = |count| Some(count).filter(|_: &u64| visit.is_upgraded());
        info!(
            target: ACCESS,
            peer = connection.peer().map(display),
            connection = %ConnectionName::new(self.worker, visited.id),
            tls = visited.tls,
            status = visit.status,
            received_bytes = visited.received_bytes,
            received_messages = messages(visit.received_messages),
            sent_messages = messages(visit.sent_messages),
            end = visited.end,
            code = visit.code,
            seconds = visited.lasted.as_secs_f64(),
            "access: connection"
        );
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
