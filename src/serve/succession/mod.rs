//! A process hands over to its successor: its listeners first, then every connection.
//!
//! Both run this code, perhaps in different versions. They speak over a pair of sockets, one of which the successor
//! inherits; its number is in the variable [`VARIABLE`].
//!
//! | | who | says | and then |
//! |---|---|---|---|
//! | 1 | successor | `Hello`: which versions it has | |
//! | 2 | other | `Listeners`, `Sockets`, with descriptors | the successor binds what else it is to listen on |
//! | 3 | successor | `Ready`, once its workers wait to be told to accept | the other accepts no more |
//! | 4 | other | `Begin` | the successor accepts |
//! | 5 | other | connections, with descriptors | |
//! | 6 | successor | `Taken`: from now on they are its own | again from 5, until there are none |
//! | 7 | other | `Done` | the other drains what is left, and ends |
//!
//! Until `Taken` a connection is the other's, who has kept its descriptor and its state: it picks up again whatever is
//! not taken. Why it is as it is, and what can fail: `docs/decisions/restart.md`.
//!
//! | file | what is in it |
//! |---|---|
//! | `program.rs` | which program is started |
//! | `line.rs` | what is said, and in which form |
//! | `parcels.rs` | the form that connections have on their way |
//! | `hand_over.rs` | the side of the process that is succeeded |
//! | `sending.rs` | its connections on their way |
//! | `take_over.rs` | the side of the successor |

mod hand_over;
mod line;
mod parcels;
mod program;
mod sending;
mod take_over;

use std::fmt;
use std::io;
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use super::listeners::Listeners;
use crate::admin::Handovers;
use crate::engine::{Exchange, Stop};
use crate::shard::Admission;

pub(super) use hand_over::Handover;
pub(super) use program::Program;
pub(super) use take_over::{Accession, Inheritance};

/// The variable that names the successor's end of the line. It is no option.
pub(super) const VARIABLE: &str = crate::config::SUCCEED_VARIABLE;

/// Of what the two say to each other.
const PROTOCOL_VERSION: u16 = 1;

/// What one process has and another is to have.
pub(super) struct Estate {
    pub(super) program: Program,
    pub(super) listeners: Listeners,
    pub(super) exchange: Arc<Exchange>,
    pub(super) stop: Arc<Stop>,
    pub(super) admission: Arc<Admission>,
    pub(super) workers: usize,
    pub(super) counters: Arc<Handovers>,
}

impl Estate {
    /// Waits until every worker has done what it was told before, for `patience` in all. Whether all have.
    fn await_workers(&self, patience: Duration) -> bool {
        let ends = Instant::now() + patience;
        let (answers, answered) = mpsc::channel();
        let mut asked = 0..self.exchange.call_the_roll(&answers);
        asked.all(|_| {
            let left = ends.saturating_duration_since(Instant::now());
            answered.recv_timeout(left).is_ok()
        })
    }
}

/// What became of a succession so far.
#[derive(Debug)]
pub(super) enum News {
    /// In the process that hands over: the successor serves, and whoever comes is its own.
    Serves { pid: u32 },
    /// There: all connections have gone that could.
    Done {
        sent: usize,
        staying: usize,
        took: Duration,
    },
    /// There: it has failed, and everything is as it was before.
    Failed(String),
    /// In the successor: the other accepts no more.
    Begins,
    /// There: all connections have come that could.
    TookOver { connections: usize, took: Duration },
    /// There: the line has ended.
    Alone,
    /// There: it takes nothing more, for this reason, whatever the other has to say.
    GivesUp(String),
}

/// Why one side gives up.
#[derive(Debug)]
enum Failure {
    /// The other side has ended, or has cut the line.
    Gone,
    /// It says nothing for too long.
    Late,
    /// It says something that cannot be understood.
    Foreign(&'static str),
    /// Something of this side's own.
    Own(String),
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => Failure::Late,
            io::ErrorKind::BrokenPipe
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::UnexpectedEof => Failure::Gone,
            _ => Failure::Own(error.to_string()),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Gone => f.write_str("it has ended"),
            Failure::Late => f.write_str("it does not answer"),
            Failure::Foreign(what) => write!(f, "it says what it should not: {what}"),
            Failure::Own(why) => f.write_str(why),
        }
    }
}
