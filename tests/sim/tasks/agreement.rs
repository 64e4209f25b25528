//! What the operations and the shard must agree on.

use ringback::engine::tokio_uring::Seat;
use ringback::shard::{Load, Shard, SlotId, Wants, Write};

use crate::sim::world::World;

use super::operations::{Kernel, What};
use super::sockets::Socket;

impl Kernel {
    /// Checks that whatever is being written is still there: the connection, its place in the queue, and
    /// every byte.
    pub(super) fn check_writes(&self, shard: &Shard<Seat<Socket>>, world: &World) {
        let names = self.names.borrow();
        for operation in self.operations.borrow().iter() {
            let (What::Write(bytes, copy), Some(line)) = (&operation.what, operation.line) else {
                continue;
            };
            let lost = |why: &str| world.fail(Some(line), &format!("while it writes, {why}"));
            let id = names.iter().find(|(known, _)| *known == line);
            let front = id.and_then(|(_, id)| shard.front(*id));
            let first = match front.map(|front| front.load) {
                None => lost("its slot or its piece is gone"),
                Some(Load::Slab(slab)) => {
                    let first = slab.bytes();
                    first.as_ptr() == bytes.bytes().as_ptr() && first.len() >= copy.len()
                }
                Some(Load::Lease(lease)) => lease.len() == copy.len(),
            };
            if !first {
                lost("another piece has taken the first place");
            }
            if bytes.bytes() != &copy[..] {
                lost("the bytes have changed");
            }
        }
    }

    /// Checks, while nothing can happen, that what a connection wants is under way.
    pub(super) fn check_wants(&self, id: SlotId, wants: Wants) -> Result<(), String> {
        let Some(line) = self.line(id) else {
            return Err(format!("{id:?} has no task"));
        };
        let operations = self.operations.borrow();
        let mut own = operations.iter().filter(|it| it.line == Some(line));
        let reads = own.clone().any(|it| matches!(it.what, What::Read(_)));
        let writes = own.any(|it| matches!(it.what, What::Write(..)));
        if wants.read && !reads {
            return Err(format!("{id:?} is to be read from, and nothing reads"));
        }
        let done = match wants.write {
            Write::Send => writes,
            Write::HalfClose | Write::PutDown(_) | Write::Close { .. } => false,
            Write::Rest => true,
        };
        match done {
            true => Ok(()),
            false => Err(format!(
                "{id:?} wants {:?}, and it does not happen",
                wants.write
            )),
        }
    }

    /// How many sockets the engine has not been told of.
    pub(super) fn unseen(&self) -> usize {
        let operations = self.operations.borrow();
        let accepted = operations
            .iter()
            .filter(|it| matches!((&it.what, it.result), (What::Accept(_), Some(Ok(_)))));
        accepted.count()
    }

    /// Checks that nothing is left when all connections are gone. `done`: nobody is accepted any more.
    pub(super) fn check_end(&self, done: bool, world: &World) {
        for operation in self.operations.borrow().iter() {
            if operation.line.is_some() || done {
                let why = format!("{} is under way for nobody", operation.what.name());
                world.fail(operation.line, &why);
            }
        }
    }
}
