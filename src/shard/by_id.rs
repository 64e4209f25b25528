//! The verbs of a [`super::Handle`] by a connection's name, each with a look-up of its own.

use crate::protocol::Cause;

use super::readiness::Wire;
use super::{Carrier, Connection, Front, Lease, Sent, Shard, SlotId};

#[allow(missing_docs)]
impl<Io> Shard<Io> {
    pub fn get_mut(&mut self, id: SlotId) -> Option<&mut Connection<Io>> {
        self.slots.get_mut(id)
    }
    pub fn fail(&mut self, id: SlotId) {
        if let Some(mut it) = self.at(id) {
            it.fail();
        }
    }
    pub fn half_closed(&mut self, id: SlotId) {
        if let Some(mut it) = self.at(id) {
            it.half_closed();
        }
    }
    pub fn peer_finished(&mut self, id: SlotId) {
        if let Some(mut it) = self.at(id) {
            it.peer_finished();
        }
    }
    pub fn begin_to_owe(&mut self, id: SlotId) {
        if let Some(mut it) = self.at(id) {
            it.begin_to_owe();
        }
    }
    pub fn take_cause(&mut self, id: SlotId) -> Option<Cause> {
        self.at(id)?.take_cause()
    }
    pub fn receive(&mut self, id: SlotId, lent: &mut [u8], carrier: &mut impl Carrier<Io>) {
        if let Some(mut it) = self.at(id) {
            it.receive(lent, carrier);
        }
    }
    pub fn flush(&mut self, id: SlotId, wire: &mut impl Wire<Io>) {
        if let Some(mut it) = self.at(id) {
            it.flush(wire);
        }
    }
    pub fn sent(&mut self, id: SlotId, sent: Sent) -> Option<Lease> {
        self.at(id)?.sent(sent)
    }
    pub fn spill(&mut self, id: SlotId, read: impl FnMut(Lease, &mut dyn FnMut(&[u8]))) {
        if let Some(mut it) = self.at(id) {
            it.spill(read);
        }
    }
    pub fn receive_bytes_max(&mut self, id: SlotId) -> usize {
        self.at(id).map_or(0, |it| it.receive_bytes_max())
    }
    pub fn front(&self, id: SlotId) -> Option<Front<'_>> {
        self.common.front(self.slots.get(id)?)
    }
}
