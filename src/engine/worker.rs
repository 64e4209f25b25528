//! What an engine is given to serve with.

use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use super::{Exchange, Stop};
use crate::protocol::Tally;
use crate::shard::{Entrance, Settings};

/// What an engine needs to serve on one core.
#[derive(Debug)]
pub struct Worker<'a> {
    /// Its number, from 0.
    pub number: usize,
    /// What its shard is made from.
    pub settings: Settings,
    /// Its counters.
    pub tally: Arc<Tally>,
    /// Its own listeners, non-blocking.
    pub listeners: Vec<TcpListener>,
    /// What each of them says of those who come in by it.
    pub entrances: Vec<Entrance>,
    /// When to stop.
    pub stop: &'a Stop,
    /// What it has to do with the other workers.
    pub exchange: Arc<Exchange>,
    /// How the engines with a ring lay it out.
    pub tuning: UringTuning,
}

impl Drop for Worker<'_> {
    /// However its engine has ended, and whatever it had to leak: nobody reads what comes for it any more.
    fn drop(&mut self) {
        self.exchange.close(self.number);
    }
}

/// How the io_uring engine is sized, for each worker. What is none, the engine chooses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UringTuning {
    /// Provided buffers: a power of two, at most 32768.
    pub buffers: Option<u16>,
    /// The size of each, in bytes: 1 KiB to 16 MiB.
    pub buffer_bytes: Option<u32>,
    /// Whether several receives share a buffer (Linux 6.12).
    pub incremental: Option<bool>,
    /// Submission queue entries: a power of two, at most 512.
    pub entries: u32,
    /// How long to wait for 64 completions before one is enough (Linux 6.12): at most 10 ms.
    pub min_wait: Duration,
}

impl Default for UringTuning {
    fn default() -> Self {
        UringTuning {
            buffers: None,
            buffer_bytes: None,
            incremental: None,
            entries: 512,
            min_wait: Duration::ZERO,
        }
    }
}
