//! What ends a load thread, and whose connection it was.

use std::fmt;
use std::io;

use crate::wire::failure::Failure;

/// A failure and where it happened.
#[derive(Debug)]
pub(crate) struct Fault {
    /// Connection number within the run, if one is to blame.
    pub(crate) connection: Option<usize>,
    /// What happened.
    pub(crate) failure: Failure,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(connection) = self.connection {
            write!(f, "connection {connection}: ")?;
        }
        self.failure.fmt(f)
    }
}

impl std::error::Error for Fault {}

impl Fault {
    /// One of the thread rather than of one connection.
    pub(crate) fn engine(doing: &'static str, error: io::Error) -> Fault {
        Fault {
            connection: None,
            failure: Failure::Io(doing, error),
        }
    }
}
