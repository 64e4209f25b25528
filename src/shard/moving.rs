//! A connection put down by one owner and picked up by another.

use super::Handle;
use super::connection::Destination;

impl<Io> Handle<'_, Io> {
    /// The connection is to be put down for `to`: from here on nothing new is begun for it.
    pub fn leave(&mut self, to: Destination) {
        self.connection.leaving = Some(to);
    }

    /// Its request is ordinary HTTP: what the session holds of the head goes in front of the rest.
    pub(super) fn leave_for_http(&mut self) {
        if let Some(head) = self.connection.dialogue.take_held() {
            self.connection.parked.push_front(head);
        }
        self.leave(Destination::Http);
    }
}
