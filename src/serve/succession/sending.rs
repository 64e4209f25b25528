//! The connections of a process that is succeeded, on their way.

use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::time::Duration;

use super::line::{Frame, Line, Word};
use super::parcels::{Connection, Parcels};
use super::{Estate, Failure};
use crate::engine::Most;
use crate::shard::Carried;
use crate::sys::{limits, pass};

/// How long a successor may take to take connections. Their peers wait for that long at most.
const TAKING_PATIENCE: Duration = Duration::from_secs(5);

/// How long a worker of this process may take to look into its mailbox.
const WORKER_PATIENCE: Duration = Duration::from_secs(5);

/// How long the first of some connections that leave is waited for, and then each other. They may be ended instead; and
/// whoever takes longer comes with those that follow.
const FIRST_PATIENCE: Duration = Duration::from_millis(250);
const LEAVING_PATIENCE: Duration = Duration::from_millis(5);

/// What waits with the connections that are on their way at a time, in bytes, about.
const WAITING_BYTES_MAX: usize = 1 << 20;

/// What there is to send, and what has been sent.
pub(super) struct Sending {
    pub(super) estate: Arc<Estate>,
    pub(super) line: Line,
    /// Where connections arrive that were put down for the successor.
    departed: Option<Receiver<Connection>>,
    /// Those that were sent and are not taken yet.
    in_the_air: Parcels,
    /// How many more the successor has descriptors for.
    pub(super) room: usize,
    /// How many are the successor's.
    pub(super) sent: usize,
}

impl Sending {
    pub(super) fn new(estate: Arc<Estate>, line: Line) -> Self {
        Sending {
            estate,
            line,
            departed: None,
            in_the_air: Parcels::default(),
            room: usize::MAX,
            sent: 0,
        }
    }

    /// Stops accepting, and tells the successor to begin.
    pub(super) fn begin(&mut self) -> Result<(), Failure> {
        let (departures, departed) = mpsc::channel();
        self.departed = Some(departed);
        self.estate.stop.set_accepting(false);
        if !self.estate.await_workers(WORKER_PATIENCE) {
            let why = "a worker of this process does not answer";
            return Err(Failure::Own(why.to_owned()));
        }
        self.estate.exchange.succeed(Some(departures));
        let places = self.estate.admission.present();
        self.line.say(&Word::Begin { places })
    }

    /// Sends what all workers have that can go, until they have none.
    pub(super) fn send_all(&mut self) -> Result<(), Failure> {
        while self.sweep()? > 0 {}
        Ok(())
    }

    /// The same once, worker by worker and some at a time. How many they had.
    fn sweep(&mut self) -> Result<usize, Failure> {
        let mut total = 0;
        for worker in 0..self.estate.workers {
            loop {
                let (begun, count) = mpsc::channel();
                let most = Most {
                    connections: descriptors_max().min(self.room),
                    bytes: WAITING_BYTES_MAX,
                };
                self.estate.exchange.send_off(worker, most, begun);
                let begun = match count.recv_timeout(WORKER_PATIENCE) {
                    Ok(begun) => begun,
                    Err(RecvTimeoutError::Disconnected) => 0,
                    Err(RecvTimeoutError::Timeout) => {
                        let why = format!("worker {worker} of this process does not answer");
                        return Err(Failure::Own(why));
                    }
                };
                total += begun;
                let batch = self.collect(begun);
                if begun == 0 && batch.is_empty() {
                    break;
                }
                self.send(batch)?;
            }
        }
        Ok(total)
    }

    /// Those that were put down: `begun` of them, fewer where some have ended meanwhile.
    fn collect(&mut self, begun: usize) -> Vec<Connection> {
        let mut batch = Vec::with_capacity(begun);
        if let Some(departed) = &self.departed {
            batch.extend(departed.try_iter().take(descriptors_max()));
            while batch.len() < begun {
                let patience = if batch.is_empty() {
                    FIRST_PATIENCE
                } else {
                    LEAVING_PATIENCE
                };
                let Ok(connection) = departed.recv_timeout(patience) else {
                    break;
                };
                batch.push(connection);
            }
        }
        batch
    }

    /// Sends connections, and waits until they are the successor's.
    fn send(&mut self, mut batch: Vec<Connection>) -> Result<(), Failure> {
        let fitting = batch.len().min(self.room);
        for (socket, carried) in batch.drain(fitting..) {
            self.keep(socket, carried);
        }
        if batch.is_empty() {
            return Ok(());
        }
        self.in_the_air = Parcels::pack(batch);
        let parcels = &self.in_the_air;
        self.line
            .send_connections(parcels.bytes(), &parcels.sockets())?;
        let (Word::Taken { without }, _) = self.line.hear_word(TAKING_PATIENCE)? else {
            return Err(Failure::Foreign("no word about connections"));
        };
        self.are_taken(&without);
        Ok(())
    }

    /// What is in the air is the successor's, but for those of these numbers.
    fn are_taken(&mut self, without: &[usize]) {
        let parcels = std::mem::take(&mut self.in_the_air);
        let taken = parcels.len() - without.len().min(parcels.len());
        self.sent += taken;
        let handed_over = &self.estate.counters.handed_over;
        handed_over.fetch_add(taken as u64, Relaxed);
        self.room = if without.is_empty() {
            self.room.saturating_sub(taken)
        } else {
            0
        };
        if without.is_empty() {
            // The successor's copies of the descriptors are all there are, and the places are its own.
            return;
        }
        for (number, parcel) in parcels.unpack().enumerate() {
            if let Ok((socket, carried)) = parcel
                && without.contains(&number)
            {
                self.keep(socket, carried);
            }
        }
    }

    /// A connection stays in this process.
    fn keep(&mut self, socket: OwnedFd, mut carried: Carried) {
        carried.stays = true;
        self.estate.exchange.bring(socket, carried);
    }

    /// Hands over those that still come: by way of the HTTP side, or accepted at the last moment.
    pub(super) fn send_stragglers(&mut self) -> Result<(), Failure> {
        while let Some(first) = self.departed.as_ref().and_then(|it| it.recv().ok()) {
            let mut batch = vec![first];
            batch.append(&mut self.collect(0));
            self.send(batch)?;
        }
        Ok(())
    }

    /// Ends the line, and has everyone served here who is on the way and whom the successor has not confirmed.
    pub(super) fn bring_back(&mut self) {
        self.line.cut();
        // Nothing can be confirmed any more; what has been is the successor's.
        while let Ok((Frame::Word(Word::Taken { without }), _)) =
            self.line.hear(Some(TAKING_PATIENCE))
        {
            self.are_taken(&without);
        }
        let exchange = &self.estate.exchange;
        exchange.succeed(None);
        let on_their_way = std::mem::take(&mut self.in_the_air).unpack().flatten();
        let arrived = self.departed.iter().flat_map(Receiver::try_iter);
        for (socket, carried) in on_their_way.chain(arrived) {
            exchange.bring(socket, carried);
        }
    }
}

/// How many descriptors may be on the way at a time: by unix(7) no more than a process may have open.
pub(super) fn descriptors_max() -> usize {
    let limit = limits::open_files().soft;
    let limit = limit.map_or(usize::MAX, |it| usize::try_from(it).unwrap_or(usize::MAX));
    (limit / 4).clamp(1, pass::DESCRIPTORS_MAX)
}
