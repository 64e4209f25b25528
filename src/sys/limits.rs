//! Resource limits.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// A soft and a hard limit; none: unlimited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    /// What is enforced.
    pub soft: Option<u64>,
    /// What the soft limit may be raised to.
    pub hard: Option<u64>,
}

impl From<Rlimit> for Limit {
    fn from(limit: Rlimit) -> Self {
        Limit {
            soft: limit.current,
            hard: limit.maximum,
        }
    }
}

/// The limit on open files.
pub fn open_files() -> Limit {
    getrlimit(Resource::Nofile).into()
}

/// The limit on locked memory, in bytes; older kernels charge rings to it.
pub fn locked_memory_bytes() -> Limit {
    getrlimit(Resource::Memlock).into()
}

/// Raises the soft limit on open files to the hard one, and says what it is now.
pub fn raise_open_files() -> Limit {
    let limit = getrlimit(Resource::Nofile);
    // Where the kernel refuses, the old limit stays and is reported: fewer connections, nothing worse.
    let _ = setrlimit(
        Resource::Nofile,
        Rlimit {
            current: limit.maximum,
            maximum: limit.maximum,
        },
    );
    open_files()
}
