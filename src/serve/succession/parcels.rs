//! Connections on their way from one process to the other.
//!
//! ```text
//! has a place 1 | length 8 | encoding | ...      one socket for each, in the same order
//! ```

use std::ops::Range;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use crate::protocol::Moment;
use crate::protocol::carried::{Damage, Reader, Writer};
use crate::shard::{Carried, Permit};

/// A connection that was put down, with its socket.
pub(super) type Connection = (OwnedFd, Carried);

/// Connections that were put down and are not the successor's yet.
#[derive(Debug, Default)]
pub(super) struct Parcels {
    /// As they are sent.
    bytes: Vec<u8>,
    each: Vec<Parcel>,
}

#[derive(Debug)]
struct Parcel {
    socket: OwnedFd,
    /// Where it lies among the bytes.
    encoding: Range<usize>,
    /// Its place, until it has one elsewhere.
    permit: Option<Permit>,
}

impl Parcels {
    /// Makes them ready to be sent. What waits with them is kept in this form only.
    pub(super) fn pack(connections: Vec<Connection>) -> Self {
        let mut writer = Writer::new(Moment::default());
        let mut each = Vec::with_capacity(connections.len());
        let mut end = 0;
        for (socket, mut carried) in connections {
            let permit = carried.permit.take();
            let encoding = carried.encode();
            writer.flag(permit.is_some());
            writer.bytes(&encoding);
            let start = end + size_of::<u8>() + size_of::<u64>();
            end = start + encoding.len();
            each.push(Parcel {
                socket,
                encoding: start..end,
                permit,
            });
        }
        Parcels {
            bytes: writer.into_bytes(),
            each,
        }
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(super) fn sockets(&self) -> Vec<BorrowedFd<'_>> {
        self.each.iter().map(|it| it.socket.as_fd()).collect()
    }

    pub(super) fn len(&self) -> usize {
        self.each.len()
    }

    /// The connections, as they were before.
    pub(super) fn unpack(self) -> impl Iterator<Item = Result<Connection, Damage>> {
        let Parcels { bytes, each } = self;
        each.into_iter().map(move |parcel| {
            let carried = Carried::decode(&bytes[parcel.encoding], parcel.permit)?;
            Ok((parcel.socket, carried))
        })
    }
}

/// Reads what [`Parcels::bytes`] were, with the sockets that came: the connections, each with a `place` if it had one,
/// and the numbers of those that cannot be had.
pub(super) fn open(
    bytes: &[u8],
    sockets: Vec<OwnedFd>,
    mut place: impl FnMut() -> Permit,
) -> Result<(Vec<Connection>, Vec<usize>), Damage> {
    let mut reader = Reader::new(bytes, Moment::default());
    let mut sockets = sockets.into_iter();
    let (mut whole, mut without) = (Vec::new(), Vec::new());
    for number in 0.. {
        if reader.rest().is_empty() {
            break;
        }
        let has_place = reader.flag("has a place")?;
        let encoding = reader.bytes("encoding", usize::MAX)?;
        // Where there were not descriptors enough, it is the last of them that are lost.
        let Some(socket) = sockets.next() else {
            without.push(number);
            continue;
        };
        match Carried::decode(encoding, None) {
            Ok(mut carried) => {
                carried.permit = has_place.then(&mut place);
                whole.push((socket, carried));
            }
            Err(damage) => {
                tracing::warn!("a connection that is handed over cannot be read: {damage}");
                without.push(number);
            }
        }
    }
    Ok((whole, without))
}
