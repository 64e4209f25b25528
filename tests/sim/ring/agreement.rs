//! What the ring and the shard must agree on.

use ringback::engine::uring::{Completion, Key};
use ringback::shard::{Load, Shard, SlotId, Wants, Write};

use crate::sim::network::Line;

use super::Ring;

impl Ring {
    /// Checks that whatever is being sent is still there: the connection, its place in the queue, and
    /// every byte.
    pub(crate) fn check_sends<Io>(&self, shard: &Shard<Io>) -> Result<(), (Line, String)> {
        for send in &self.sends {
            let lost = |why: &str| Err((send.line, format!("while it sends, {why}")));
            let Some(front) = shard.front(send.id) else {
                return lost("its slot or its piece is gone");
            };
            let bytes = match front.load {
                Load::Slab(slab) => Some(slab.bytes()),
                Load::Lease(lease) => self.memory.claimed(lease),
            };
            if self.place(front.load) != send.place {
                return lost("another piece has taken the first place");
            }
            if !bytes.is_some_and(|bytes| bytes.starts_with(&send.bytes)) {
                return lost("the bytes have changed");
            }
        }
        Ok(())
    }

    /// Checks, while nothing can happen, that what a connection wants is under way.
    pub(crate) fn check_wants(
        &self,
        id: SlotId,
        wants: Wants,
        discards: bool,
    ) -> Result<(), String> {
        if !self.requests.is_empty() {
            return Ok(());
        }
        let under_way = |key| self.operations.iter().any(|operation| operation.key == key);
        if wants.read && !under_way(Key::Receive(id)) {
            return Err(format!("{id:?} wants to read, and nothing reads"));
        }
        if !wants.read && !discards && under_way(Key::Receive(id)) {
            return Err(format!("{id:?} must not be read from, and is"));
        }
        let wanted = match wants.write {
            Write::Send => under_way(Key::Send(id)),
            Write::HalfClose | Write::PutDown(_) | Write::Close { .. } => false,
            Write::Rest => true,
        };
        match wanted {
            true => Ok(()),
            false => Err(format!(
                "{id:?} wants {:?}, and it does not happen",
                wants.write
            )),
        }
    }

    /// Whether another thread would be heard.
    pub(crate) fn hears(&self) -> bool {
        let watched = self.operations.iter().any(|it| it.key == Key::Wake);
        watched || !self.requests.is_empty()
    }

    /// How many sockets the engine has not been told of.
    pub(crate) fn unseen(&self) -> usize {
        let seen = |(completion, _): &&(Completion, _)| {
            matches!(completion.key, Key::Accept(_)) && completion.result >= 0
        };
        self.visible.iter().filter(seen).count()
    }

    /// Checks that nothing is left when all connections are gone.
    pub(crate) fn check_end(&self) -> Result<(), String> {
        match () {
            () if !self.memory.is_whole() => Err("a receive buffer has not come back".into()),
            () if !self.sends.is_empty() => Err("a send is under way for nobody".into()),
            () => Ok(()),
        }
    }
}
