//! The secrets of a private instance: read at start, read again when somebody says so.

use tracing::{info, warn};

use crate::config::{Config, Guests};
use crate::protocol::Policy;
use crate::protocol::guests::Secrets;

/// The secrets that requests are held to, and from where they were read.
pub(super) struct Keeper {
    wanted: Guests,
    secrets: Secrets,
}

impl Keeper {
    /// Of those in `policy`, which were read as `config` says; none: nobody has to show any.
    pub(super) fn of(config: &Config, policy: &Policy) -> Option<Self> {
        let secrets = policy.guests.as_ref()?.secrets.clone()?;
        Some(Keeper {
            wanted: config.guests.clone(),
            secrets,
        })
    }

    /// Reads the file again, and says what came of it.
    pub(super) fn reload(&self) {
        match self.wanted.secrets() {
            Ok(Some(read)) => {
                self.secrets.replace(&read);
                let count = self.secrets.count();
                info!("read the secrets again: from now on one of {count} is to be shown");
            }
            // The configuration names the same file as long as the process lives.
            Ok(None) => {}
            Err(error) => warn!("the secrets stay as they were: {error}"),
        }
    }
}
